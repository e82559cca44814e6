/* What goes out with a message: headers of alerts and of dead letters, bytes back from their hex
 * text. */
#include "outbox/relay_internal.h"

#include <string.h>

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unhex(struct buffer *b, const char *p, size_t n)
{
    char *to;

    ASSERT(n % 2 == 0);
    b->n = 0;
    to = buffer_reserve(b, n / 2 + 1);
    for (size_t i = 0; i < n; i += 2) {
        int high = digit(p[i]), low = digit(p[i + 1]);

        ASSERT(high >= 0 && low >= 0); /* PostgreSQL wrote it */
        *to++ = (char)(high << 4 | low);
    }
    b->n = n / 2;
}

struct slice letter_hex(struct buffer *b, const struct pg_result *rows, int row, int column)
{
    struct slice text = pg_bytes(rows, row, column);

    if (text.p == NULL)
        return SLICE_ABSENT;
    unhex(b, text.p, text.n);
    return (struct slice){ b->p, b->n };
}

static void add(rd_kafka_headers_t *h, const char *name, const char *value)
{
    rd_kafka_header_add(h, name, -1, value, -1);
}

/* Takes the next element of a comma-separated list. */
static struct slice next(const char **list)
{
    struct slice s = { *list, strcspn(*list, ",") };

    *list += s.n + ((*list)[s.n] == ',');
    return s;
}

/* The headers the message came with, in their order, as they were. */
static void add_original(struct relay *r, rd_kafka_headers_t *h, int row)
{
    const struct pg_result *rows = r->rows[LETTERS];
    const char *names = pg_text(rows, row, LETTER_NAMES),
               *values = pg_text(rows, row, LETTER_VALUES);
    int64_t count = pg_text_int(rows, row, LETTER_HEADERS);
    struct buffer name = BUFFER_NULL;

    for (int64_t i = 0; i < count; i++) {
        struct slice n = next(&names), v = next(&values);

        unhex(&name, n.p, n.n);
        if (slice_is(v, "-")) {
            rd_kafka_header_add(h, name.p, (ssize_t)name.n, NULL, 0);
        } else {
            unhex(&r->hex, v.p, v.n);
            rd_kafka_header_add(h, name.p, (ssize_t)name.n, r->hex.p, (ssize_t)r->hex.n);
        }
    }
    buffer_fini(&name);
}

rd_kafka_headers_t *letter_headers(struct relay *r, const struct parcel *p)
{
    const struct pg_result *rows = r->rows[p->outbox];
    rd_kafka_headers_t *h = rd_kafka_headers_new(16);
    bool bare = strcmp(r->bare, p->id) == 0;

    if (p->outbox == ALERTS) {
        add(h, "content-type", "application/cloudevents+json");
        add(h, HEADER_ID, p->id);
        add(h, HEADER_GROUP, r->settings.kafka->group_id);
        return h;
    }
    if (!bare)
        add_original(r, h, p->row);
    add(h, "debitd-reason", pg_text(rows, p->row, LETTER_REASON));
    add(h, "debitd-detail", pg_text(rows, p->row, LETTER_DETAIL));
    add(h, HEADER_TOPIC, pg_text(rows, p->row, LETTER_TOPIC));
    add(h, HEADER_PARTITION, pg_text(rows, p->row, LETTER_PARTITION));
    add(h, HEADER_OFFSET, pg_text(rows, p->row, LETTER_OFFSET));
    add(h, "__connect.errors.exception.message", pg_text(rows, p->row, LETTER_DETAIL));
    if (bare || strcmp(pg_text(rows, p->row, LETTER_TRUNCATED), "t") == 0)
        /* how many bytes the value has */
        add(h, "debitd-truncated", pg_text(rows, p->row, LETTER_SIZE));
    add(h, HEADER_ID, p->id);
    add(h, HEADER_GROUP, r->settings.kafka->group_id);
    return h;
}
