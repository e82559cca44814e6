/* The envelope in its two content modes: what is accepted of a binary message is accepted as a structured one, as
 * the same, but that data lies one level deeper there. */
#include "base/buffer.h"
#include "consumers/envelope.h"
#include "tests/fuzz/input.h"

static const char *const types[] = { "usage.recorded", "usage.voided", NULL };

static void member_put(struct buffer *b, const char *name, struct slice value)
{
    buffer_format(b, ",\"%s\":", name);
    buffer_json_string(b, value);
}

static void structured_write(struct buffer *b, const struct envelope *e)
{
    buffer_text(b, "{\"specversion\":\"1.0\"");
    member_put(b, "id", e->id);
    member_put(b, "source", e->source);
    member_put(b, "type", e->type);
    member_put(b, "subject", e->subject);
    if (e->has_time)
        member_put(b, "time", e->time);
    buffer_text(b, ",\"data\":");
    buffer_put(b, e->data.p, e->data.n);
    buffer_text(b, "}");
}

/* The text of a document without the white space around it. */
static struct slice trimmed(struct slice s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]))
        s = (struct slice){ s.p + 1, s.n - 1 };
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

static void other_mode_check(const struct envelope *e, int64_t sent_us, int64_t time_us,
                             struct arena *arena)
{
    struct json doc = JSON_NULL_DOC;
    struct buffer b = BUFFER_NULL;
    struct refusal refusal = { 0 };
    struct envelope again;
    int64_t time_again_us;

    structured_write(&b, e);
    struct message m = { .topic = "fuzz", .timestamp_us = sent_us, .value = { b.p, b.n } };
    enum reason r =
        envelope_read(&m, types, INPUT_WINDOW_US, &doc, arena, &again, &time_again_us, &refusal);
    if (r == REASON_MALFORMED_JSON) {
        CLAIM(strstr(refusal.detail, "nested deeper than 64") != NULL);
    } else if (r != REASON_TOO_LARGE) {
        CLAIM(r == REASON_NONE && time_us == time_again_us && e->has_time == again.has_time);
        CLAIM(slice_equal(e->id, again.id) && slice_equal(e->source, again.source));
        CLAIM(slice_equal(e->type, again.type) && slice_equal(e->subject, again.subject));
        CLAIM(!e->has_time || slice_equal(e->time, again.time));
        CLAIM(slice_equal(trimmed(e->data), again.data));
    }
    buffer_fini(&b);
    json_fini(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct message m = input_message(data, size, &arena);
    struct refusal refusal = { 0 };
    struct envelope e;
    int64_t time_us = INT64_MIN;
    enum reason r = envelope_read(&m, types, INPUT_WINDOW_US, &doc, &arena, &e, &time_us, &refusal);

    if (r) {
        input_refusal_check(r, &refusal);
    } else {
        CLAIM(slice_is(e.type, "usage.recorded") || slice_is(e.type, "usage.voided"));
        CLAIM(!envelope_text_fault(e.id) && !envelope_text_fault(e.source) &&
              !envelope_text_fault(e.subject));
        CLAIM(utf8_valid(e.id) && utf8_valid(e.source) && utf8_valid(e.subject));
        CLAIM(time_us <= m.timestamp_us + INT64_C(3600000000) &&
              time_us >= m.timestamp_us - INPUT_WINDOW_US);
        if (e.data.p)
            other_mode_check(&e, m.timestamp_us, time_us, &arena);
    }
    json_fini(&doc);
    arena_fini(&arena);
    return 0;
}
