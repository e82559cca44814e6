/* Reading back: what rows in state 1 left on the topics is marked as published. Done after the
 * fence: the relay before can add nothing any more, and its last transaction is decided.
 *
 * It begins where everything of ours is known to be marked, a place that is noted with every mark.
 * A database that went back in time (a failover that lost commits, a restore) has an earlier place:
 * what was published since stands behind it, and is kept apart (alert_ahead, letter_ahead) until
 * its row comes again, however long that takes. */
#include "outbox/relay_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define FLUSH_ROWS 1000 /* messages in one statement */

struct back {
    struct relay *r;
    rd_kafka_t *rk;
    /* offset: from where; opaque: not NULL once its end has been met */
    rd_kafka_topic_partition_list_t *list;
    int open; /* partitions whose end has not been met */
    /* of what was read and not yet compared with the database: array literals */
    struct buffer column[OUTBOXES][SAW_COLUMNS];
    int64_t count[OUTBOXES];
    int64_t ahead[OUTBOXES]; /* messages that the database does not know */
};

static enum outbox outbox_of(const struct relay *r, const char *topic)
{
    return strcmp(topic, r->topic[ALERTS].name) == 0 ? ALERTS : LETTERS;
}

/* Where to read: from what is known on, and from where claimed rows may stand; to the end. A place
 * beyond the end is of a topic that was made anew since: all of it may be ours. */
static enum relay_step collect(struct back *b, enum outbox o)
{
    CLEANUP(pg_result_freep) struct pg_result *rows = NULL;
    struct relay_topic *t = &b->r->topic[o];
    int32_t partitions = t->partitions;
    int64_t *from = xcalloc((size_t)partitions, sizeof(*from));
    enum relay_step step = rows_known(b->r, o, from);

    if (step == STEP_DONE)
        step = rows_claimed(b->r, o, &rows);
    t->reading_back = step == STEP_DONE && pg_rows(rows) > 0;
    for (int i = 0; t->reading_back && i < pg_rows(rows); i++) {
        int64_t partition = pg_text_int(rows, i, 0), floor = pg_text_int(rows, i, 1);

        if (partition >= 0 && partition < t->partitions && floor < from[partition])
            from[partition] = floor;
    }
#if MUTANT == 4 /* nothing is read back: what was claimed is sent again */
    partitions = 0;
#endif
    for (int32_t i = 0; step == STEP_DONE && i < partitions; i++)
        if (from[i] != t->floor[i])
            rd_kafka_topic_partition_list_add(b->list, t->name, i)->offset =
                from[i] > t->floor[i] ? 0 : from[i];
    free(from);
    return step;
}

static enum relay_step flush(struct back *b, enum outbox o)
{
    const char *column[SAW_COLUMNS];
    int64_t marked = 0, ahead = 0;
    enum relay_step step;

    if (b->count[o] == 0)
        return STEP_DONE;
    for (int c = 0; c < SAW_COLUMNS; c++) {
        buffer_text(&b->column[o][c], "}");
        column[c] = buffer_cstr(&b->column[o][c]);
    }
    step = rows_saw(b->r, o, column, &marked, &ahead);
    b->r->seen.found += (uint64_t)marked;
    b->ahead[o] += ahead;
    b->count[o] = 0;
    for (int c = 0; c < SAW_COLUMNS; c++)
        b->column[o][c].n = 0;
    return step;
}

/* The last header of that name: a dead letter may have come with such headers of its own. */
static struct slice header(rd_kafka_headers_t *headers, const char *name)
{
    const void *value = NULL;
    size_t n = 0;

    if (rd_kafka_header_get_last(headers, name, &value, &n) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return SLICE_ABSENT;
    return (struct slice){ value, n };
}

static bool is_number(struct slice s, size_t digits_max)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isdigit((unsigned char)s.p[i]))
            return false;
    return s.n > 0 && s.n <= digits_max;
}

static bool is_uuid(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? s.p[i] != '-'
                                                    : !isxdigit((unsigned char)s.p[i]))
            return false;
    return s.n == 36;
}

/* As Kafka allows it: nothing that an array literal would trip over. */
static bool is_topic(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && strchr("._-", s.p[i]) == NULL)
            return false;
    return s.n > 0 && s.n <= 249;
}

/* Anybody may write to the topic: only what looks like ours goes into a statement. */
static enum relay_step see(struct back *b, const rd_kafka_message_t *m)
{
    enum outbox o = outbox_of(b->r, rd_kafka_topic_name(m->rkt));
    struct slice field[SAW_COLUMNS], group;
    rd_kafka_headers_t *headers = NULL;

    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return STEP_DONE;
    group = header(headers, HEADER_GROUP);
    field[SAW_OURS] = group.p != NULL && slice_is(group, b->r->settings.kafka->group_id)
                          ? SLICE("t")
                          : SLICE("f");
    field[SAW_ID] = header(headers, HEADER_ID);
    field[SAW_TOPIC] = header(headers, HEADER_TOPIC);
    field[SAW_PARTITION] = header(headers, HEADER_PARTITION);
    field[SAW_OFFSET] = header(headers, HEADER_OFFSET);
    if (o == ALERTS ? !is_uuid(field[SAW_ID])
                    : !is_number(field[SAW_ID], 18) || !is_topic(field[SAW_TOPIC]) ||
                          !is_number(field[SAW_PARTITION], 9) || !is_number(field[SAW_OFFSET], 18))
        return STEP_DONE;
    for (int c = 0; c < (o == ALERTS ? (int)SAW_TOPIC : (int)SAW_COLUMNS); c++) {
        buffer_text(&b->column[o][c], b->count[o] == 0 ? "{" : ",");
        buffer_slice(&b->column[o][c], field[c]);
    }
    return ++b->count[o] < FLUSH_ROWS ? STEP_DONE : flush(b, o);
}

/* The place that reading has reached. */
static void reach(struct back *b, const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_find(b->list, topic, partition);

    if (e == NULL || e->opaque != NULL ||
        offset < b->r->topic[outbox_of(b->r, topic)].floor[partition])
        return;
    e->opaque = e;
    b->open--;
}

static enum relay_step read_one(struct back *b, int64_t *silent_since_us)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(b->rk, 200);
    enum relay_step step = STEP_DONE;

    atomic_fetch_add(&b->r->beat, 1);
    if (m == NULL)
        return monotonic_us() - *silent_since_us < RELAY_SILENCE_US
                   ? STEP_DONE
                   : relay_failed(b->r, "reading back what was published: nothing came for 30 s; "
                                        "is a foreign transaction open on the topic?");
    *silent_since_us = monotonic_us();
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reach(b, rd_kafka_topic_name(m->rkt), m->partition, m->offset);
    } else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        step = see(b, m);
        reach(b, rd_kafka_topic_name(m->rkt), m->partition, m->offset + 1);
    } else if (kafka_classify((int)m->err) != KAFKA_TRANSIENT) {
        step =
            relay_failed(b->r, "reading back what was published: %s", rd_kafka_message_errstr(m));
    }
    rd_kafka_message_destroy(m);
    return step;
}

static enum relay_step read_all(struct back *b)
{
    int64_t silent_since_us = monotonic_us();
    enum relay_step step = STEP_DONE;

    b->open = b->list->cnt;
    rd_kafka_assign(b->rk, b->list);
    while (b->open > 0 && step == STEP_DONE) {
        if (relay_stopping(b->r))
            return relay_failed(b->r, "reading back was interrupted");
        step = read_one(b, &silent_since_us);
        if (step == STEP_DONE)
            step = relay_sign(b->r);
    }
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        step = flush(b, (enum outbox)o);
    return step;
}

static enum relay_step read_topics(struct back *b)
{
    struct error error = { 0 };
    char words[400] = "";
    enum relay_step step;
    rd_kafka_conf_t *conf =
        kafka_conf(b->r->settings.kafka, KAFKA_READER, NULL, &b->r->reader_client, &error);

    if (conf == NULL)
        return relay_failed(b->r, "%s", error.text);
    b->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof(words));
    if (b->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return relay_failed(b->r, "making the Kafka consumer that reads back: %s", words);
    }
    rd_kafka_poll_set_consumer(b->rk);
    step = read_all(b);
    rd_kafka_consumer_close(b->rk);
    rd_kafka_destroy(b->rk);
    return step;
}

/* What claimed rows left on the topics is marked by now; the rest of them is not there. */
static enum relay_step settle(struct back *b, enum outbox o)
{
    struct relay *r = b->r;
    enum relay_step step = STEP_DONE;

    if (b->ahead[o] > 0)
        log_warning("relay: %" PRId64 " messages of ours on the topic %s are not in the database: "
                    "it has lost commits (a failover, a restore). When reading usage again brings "
                    "them back they are not published twice",
                    b->ahead[o], r->topic[o].name);
    if (r->topic[o].reading_back)
        step = rows_reset(r, o);
    if (step == STEP_DONE)
        step = rows_met(r, o);
    return step == STEP_DONE ? rows_reached(r, o) : step;
}

enum relay_step topics_read_back(struct relay *r)
{
    struct back b = { .r = r, .list = rd_kafka_topic_partition_list_new(8) };
    uint64_t before = r->seen.found;
    enum relay_step step = STEP_DONE;
    bool any = false;

    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++) {
        r->topic[o].reading_back = false;
        /* where the topic is missing, its rows stay claimed until it is there */
        if (r->topic[o].partitions > 0)
            step = collect(&b, (enum outbox)o);
        any |= r->topic[o].reading_back;
    }
    if (step == STEP_DONE && b.list->cnt > 0)
        step = read_topics(&b);
    FAULT_POINT("relay.read_back");
    if (step == STEP_DONE && any)
        log_notice("relay: of what a relay before had claimed, %" PRIu64
                   " messages stand on the topics; the rest is published again",
                   r->seen.found - before);
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        if (r->topic[o].partitions > 0)
            step = settle(&b, (enum outbox)o);
    for (int o = 0; o < OUTBOXES; o++)
        for (int c = 0; c < SAW_COLUMNS; c++)
            buffer_fini(&b.column[o][c]);
    rd_kafka_topic_partition_list_destroy(b.list);
    return step;
}
