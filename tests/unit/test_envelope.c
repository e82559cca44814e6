/* CloudEvents in both content modes: which reason a fault has, which of two faults comes first,
 * what is read. */
#include "consumers/envelope.h"
#include "tests/unit/messages.h"
#include "tests/unit/test.h"

#include "base/buffer.h"

static const char *const types[] = { "usage.recorded", "usage.voided", NULL };

struct outcome {
    enum reason reason;
    struct envelope e;
    int64_t time_us;
    struct refusal refusal;
    struct json doc;
    struct arena arena;
};

static struct outcome read_message(const struct message *m)
{
    struct outcome o = { .time_us = -77 };
    o.reason = envelope_read(m, types, WINDOW_US, &o.doc, &o.arena, &o.e, &o.time_us, &o.refusal);
    return o;
}

static void outcome_fini(struct outcome *o)
{
    json_fini(&o->doc);
    arena_fini(&o->arena);
}

static void answers(const char *text, size_t n, const char *code, int line)
{
    char *value = exact_copy(text, n);
    struct message m = message_of(value, n);
    struct outcome o = read_message(&m);
    if (!CHECK_STR(reason_text(o.reason), code) ||
        !CHECK(!o.reason || o.refusal.reason == o.reason) ||
        !CHECK(!o.reason || (o.refusal.detail[0] && o.time_us == -77)))
        printf("# of line %d: %.150s\n# %s\n", line, text, o.refusal.detail);
    outcome_fini(&o);
    free(value);
}
#define ANSWERS(code, literal) answers(literal, sizeof(literal) - 1, code, __LINE__)

#define TYPE "\"type\":\"usage.recorded\""
#define REST ",\"data\":{}}"

TEST("a structured event with all its attributes is taken")
{
    ANSWERS("", "{" WHO "," TYPE REST);
    ANSWERS("", "{" WHO "," TYPE "}"); /* that data is missing is for the decoder to say */
    ANSWERS("", " {" WHO "," TYPE ",\"data\":null,\"data_base64\":\"AAAA\",\"other\":[1]} \n");
    ANSWERS("", "{" WHO ",\"\\u0074ype\":\"usage\\u002erecorded\"" REST);
    ANSWERS("", "{" WHO "," TYPE ",\"datacontenttype\":\"text/plain\",\"dataschema\":\"x\"" REST);
    ANSWERS("", "{" WHO "," TYPE ",\"unknown\":null,\"other\":\"\\u0000\"" REST);
}

TEST("a value that is not JSON as the contract reads it is malformed_json")
{
    ANSWERS("malformed_json", "");
    ANSWERS("malformed_json", "hello");
    ANSWERS("malformed_json", "{" WHO "," TYPE REST "x");
    ANSWERS("malformed_json", "{" WHO "," TYPE "," TYPE REST);
    ANSWERS("malformed_json", "{" WHO "," TYPE ",\"data\":{\"a\":{\"x\":1,\"x\":1}}}");
    ANSWERS("malformed_json", "{" WHO "," TYPE ",\"x\":\"\xff\"" REST);
    ANSWERS("malformed_json", "{" WHO "," TYPE ",\"x\":\"\\ud800\"" REST);
    ANSWERS("malformed_json", "{" WHO "," TYPE ",\"x\":01" REST);
    ANSWERS("malformed_json", "{" WHO "," TYPE REST "\0");
}

TEST("what is no CloudEvent 1.0 is not_a_cloudevent")
{
    ANSWERS("not_a_cloudevent", "[]");
    ANSWERS("not_a_cloudevent", "null");
    ANSWERS("not_a_cloudevent", "\"1.0\"");
    ANSWERS("not_a_cloudevent", "{}");
    ANSWERS("not_a_cloudevent", "{\"id\":\"i\",\"source\":\"s\",\"subject\":\"a\"," TYPE REST);
    static const char *const versions[] = { "\"0.3\"", "\"1\"", "\"1.0 \"", "\"\"",
                                            "1.0",     "null",  "[]",       "\"1.0\\u0000\"" };
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        struct buffer b = BUFFER_NULL;
        buffer_format(
            &b, "{\"specversion\":%s,\"id\":\"i\",\"source\":\"s\",\"subject\":\"a\"," TYPE REST,
            versions[i]);
        answers(b.p, b.n, "not_a_cloudevent", __LINE__);
        buffer_fini(&b);
    }
    ANSWERS("",
            "{\"specversion\":\"\\u0031.0\",\"id\":\"i\",\"source\":\"s\",\"subject\":\"a\"," TYPE
                REST);
    ANSWERS("not_a_cloudevent",
            "{\"specversion\":\"1.0\",\"source\":\"s\",\"subject\":\"a\"," TYPE REST);
    ANSWERS("not_a_cloudevent",
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"subject\":\"a\"," TYPE REST);
    ANSWERS("not_a_cloudevent",
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\"," TYPE REST);
    ANSWERS("not_a_cloudevent",
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"subject\":\"a\"" REST);
}

/* The event with one attribute set to a JSON text. */
static void attribute_answers(const char *name, const char *json, const char *code, int line)
{
    static const char *const names[] = { "id", "source", "subject", "type" };
    static const char *const values[] = { "\"i\"", "\"s\"", "\"a\"", "\"usage.recorded\"" };
    struct buffer b = BUFFER_NULL;
    bool known = false;
    buffer_text(&b, "{\"specversion\":\"1.0\"");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        bool this = strcmp(name, names[i]) == 0;
        buffer_format(&b, ",\"%s\":%s", names[i], this ? json : values[i]);
        known |= this;
    }
    if (!known)
        buffer_format(&b, ",\"%s\":%s", name, json);
    buffer_text(&b, REST);
    answers(b.p, b.n, code, line);
    buffer_fini(&b);
}

TEST("an attribute of the wrong type, empty, too long or with control characters is bad_attribute")
{
    static const char *const names[] = { "id", "source", "subject", "type", "time" };
    static const char *const wrong[] = {
        "null",         "1",       "true",         "{}",       "[\"i\"]",     "\"\"",
        "\"a\\u0000\"", "\"\\n\"", "\"a\\u001f\"", "\"\x7f\"", "\"\\u0085\"", "\"\xc2\x80\""
    };
    struct buffer longest = BUFFER_NULL, too_long = BUFFER_NULL;
    /* 256 and 257 bytes; the last character has two */
    buffer_format(&longest, "\"%0254d\xc3\xa9\"", 0);
    buffer_format(&too_long, "\"%0255d\xc3\xa9\"", 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(wrong); j++)
            attribute_answers(names[i], wrong[j], "bad_attribute", __LINE__);
        attribute_answers(names[i], buffer_cstr(&too_long), "bad_attribute", __LINE__);
        attribute_answers(names[i], buffer_cstr(&longest),
                          i < 3    ? ""
                          : i == 3 ? "unknown_type"
                                   : "bad_time",
                          __LINE__);
    }
    attribute_answers("datacontenttype", "null", "bad_attribute", __LINE__);
    attribute_answers("dataschema", "{}", "bad_attribute", __LINE__);
    buffer_fini(&longest);
    buffer_fini(&too_long);
}

TEST("a type that the topic does not have is unknown_type")
{
    ANSWERS("unknown_type", "{" WHO ",\"type\":\"usage.record\"" REST);
    ANSWERS("unknown_type", "{" WHO ",\"type\":\"account.opened\"" REST);
    ANSWERS("unknown_type", "{" WHO ",\"type\":\"Usage.recorded\"" REST);
    ANSWERS("", "{" WHO ",\"type\":\"usage.voided\"" REST);
}

TEST("a time that is not RFC 3339 is bad_time; the window stands around the message's timestamp")
{
    ANSWERS("bad_time", "{" WHO "," TYPE ",\"time\":\"yesterday\"" REST);
    ANSWERS("bad_time", "{" WHO "," TYPE ",\"time\":\"2026-11-20T12:00:00\"" REST);
    ANSWERS("bad_time", "{" WHO "," TYPE ",\"time\":\"2026-02-30T12:00:00Z\"" REST);
    ANSWERS("", "{" WHO "," TYPE ",\"time\":\"2026-11-20T13:00:00Z\"" REST);
    ANSWERS("time_in_future", "{" WHO "," TYPE ",\"time\":\"2026-11-20T13:00:00.000001Z\"" REST);
    ANSWERS("time_in_future", "{" WHO "," TYPE ",\"time\":\"9999-11-20T13:00:00Z\"" REST);
    ANSWERS("", "{" WHO "," TYPE ",\"time\":\"2026-10-16T12:00:00Z\"" REST);
    ANSWERS("too_old", "{" WHO "," TYPE ",\"time\":\"2026-10-16T11:59:59.999999Z\"" REST);
    ANSWERS("too_old", "{" WHO "," TYPE ",\"time\":\"0001-01-01T00:00:00Z\"" REST);
}

TEST("the time is that of the event, else that of the message, else there is none")
{
    static const char with[] = "{" WHO "," TYPE ",\"time\":\"2001-01-01T00:00:00Z\"" REST,
                      without[] = "{" WHO "," TYPE REST;
    struct message m = message_of(without, sizeof(without) - 1);
    struct outcome o = read_message(&m);
    CHECK(o.reason == REASON_NONE && !o.e.has_time);
    CHECK_INT(o.time_us, SENT_US);
    outcome_fini(&o);
    m.timestamp_us = -1;
    o = read_message(&m);
    CHECK_STR(reason_text(o.reason), "bad_time");
    outcome_fini(&o);
    m.value = (struct slice){ with, sizeof(with) - 1 };
    o = read_message(&m); /* nothing to compare it with */
    CHECK(o.reason == REASON_NONE && o.e.has_time);
    CHECK_INT(o.time_us, INT64_C(978307200000000));
    outcome_fini(&o);
}

TEST("of two faults the earlier code of contract 5 is given")
{
    ANSWERS("malformed_json", "[1,]");
    ANSWERS("malformed_json", "{\"specversion\":\"0.3\",\"id\":1,\"id\":2}");
    ANSWERS("not_a_cloudevent",
            "{\"specversion\":\"1.0\",\"id\":null,\"source\":\"\",\"subject\":7}");
    ANSWERS(
        "not_a_cloudevent",
        "{\"specversion\":\"2.0\",\"id\":null,\"source\":\"s\",\"subject\":\"a\",\"type\":\"x\"}");
    ANSWERS("bad_attribute", "{" WHO ",\"type\":\"nonsense\",\"time\":\"\"}");
    ANSWERS("bad_attribute", "{" WHO "," TYPE ",\"time\":7}");
    ANSWERS("unknown_type", "{" WHO ",\"type\":\"nonsense\",\"time\":\"never\"}");
    struct buffer b = BUFFER_NULL;
    memset(buffer_reserve(&b, MESSAGE_BYTES_MAX + 1), 'x', MESSAGE_BYTES_MAX + 1);
    answers(b.p, MESSAGE_BYTES_MAX + 1, "too_large", __LINE__);
    answers(b.p, MESSAGE_BYTES_MAX, "malformed_json", __LINE__);
    buffer_fini(&b);
}

/* ---- binary mode ---- */

#define H(name, value)            \
    {                             \
        SLICE(name), SLICE(value) \
    }
#define NULL_HEADER(name) \
    {                     \
        SLICE(name),      \
        {                 \
            NULL, 0       \
        }                 \
    }
#define BINARY \
    H("ce_specversion", "1.0"), H("ce_id", "i1"), H("ce_source", "/s"), H("ce_subject", "acct-1")

static void binary_answers(const struct header *h, size_t n, struct slice value, const char *code,
                           int line)
{
    struct message m = message_of(value.p, value.n);
    m.header = h;
    m.headers = n;
    struct outcome o = read_message(&m);
    if (!CHECK_STR(reason_text(o.reason), code))
        printf("# of line %d: %s\n", line, o.refusal.detail);
    outcome_fini(&o);
}
#define BINARY_ANSWERS(code, value, ...)                                  \
    do {                                                                  \
        static const struct header h_[] = { __VA_ARGS__ };                \
        binary_answers(h_, ARRAY_SIZE(h_), SLICE(value), code, __LINE__); \
    } while (0)

TEST("with a header ce_specversion the attributes are in headers and the value is data")
{
    static const struct header h[] = { H("content-type", "application/cloudevents+json"),
                                       H("ce_type", "usage.recorded"), BINARY,
                                       H("ce_time", "2026-11-20T11:00:00Z") };
    struct message m = message_of(" {\"a\":1} ", 9);
    m.header = h;
    m.headers = ARRAY_SIZE(h);
    struct outcome o = read_message(&m);
    REQUIRE(o.reason == REASON_NONE);
    CHECK(slice_is(o.e.id, "i1") && slice_is(o.e.source, "/s") && slice_is(o.e.subject, "acct-1"));
    CHECK(slice_is(o.e.type, "usage.recorded"));
    CHECK_INT(o.time_us, SENT_US - INT64_C(3600) * US_PER_SECOND);
    CHECK_MEM(o.e.data.p, o.e.data.n, " {\"a\":1} ", 9);
    CHECK_INT(o.e.data_value, 0);
    outcome_fini(&o);
}

TEST("without that header the value is the whole event, whatever content-type says")
{
    static const char text[] = "{" WHO "," TYPE ",\"data\": {\"a\":1} }";
    static const struct header h[] = { H("content-type", "application/json"), H("ce_id", "other"),
                                       NULL_HEADER("ce_source") };
    struct message m = message_of(text, sizeof(text) - 1);
    m.header = h;
    m.headers = ARRAY_SIZE(h);
    struct outcome o = read_message(&m);
    REQUIRE(o.reason == REASON_NONE);
    CHECK(slice_is(o.e.id, "i1"));
    CHECK_MEM(o.e.data.p, o.e.data.n, "{\"a\":1}", 7);
    CHECK_INT(json_member(&o.doc, 0, "data"), o.e.data_value);
    outcome_fini(&o);
}

TEST("headers are judged as attributes are: missing before wrong, the first of a name counts")
{
    BINARY_ANSWERS("", "{}", BINARY, H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("", "{}", BINARY, H("ce_type", "usage.recorded"), H("ce_id", ""),
                   NULL_HEADER("ce_subject"));
    BINARY_ANSWERS("", "{}", BINARY, H("ce_type", "usage.recorded"), H("ce_other", "\xff"),
                   NULL_HEADER("other"));
    BINARY_ANSWERS("not_a_cloudevent", "{}", BINARY);
    BINARY_ANSWERS("not_a_cloudevent", "{}", H("ce_specversion", "0.3"), BINARY,
                   H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("not_a_cloudevent", "{}", NULL_HEADER("ce_specversion"), BINARY,
                   H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("not_a_cloudevent", "{}", H("ce_specversion", "1.0"), NULL_HEADER("ce_id"),
                   H("ce_source", "s"));
    BINARY_ANSWERS("not_a_cloudevent", "{}", BINARY, H("CE_TYPE", "usage.recorded"));
    BINARY_ANSWERS("bad_attribute", "{}", NULL_HEADER("ce_id"), BINARY,
                   H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("bad_attribute", "{}", H("ce_id", ""), BINARY, H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("bad_attribute", "{}", H("ce_subject", "\xff"), BINARY,
                   H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("bad_attribute", "{}", H("ce_subject", "a\0"), BINARY,
                   H("ce_type", "usage.recorded"));
    BINARY_ANSWERS("bad_attribute", "{}", BINARY, H("ce_type", "nonsense"), NULL_HEADER("ce_time"));
    BINARY_ANSWERS("unknown_type", "{}", BINARY, H("ce_type", "nonsense"));
    BINARY_ANSWERS("bad_time", "{}", BINARY, H("ce_type", "usage.voided"), H("ce_time", "now"));
    BINARY_ANSWERS("malformed_json", "{", H("ce_specversion", "0.3"));
    BINARY_ANSWERS("", "[1]", BINARY, H("ce_type", "usage.recorded"));
}

TEST("an empty value is no JSON in either mode")
{
    BINARY_ANSWERS("malformed_json", "", BINARY, H("ce_type", "usage.recorded"));
}

/* ---- members of data ---- */

static void name_answers(const char *json, bool required, const char *want, int line)
{
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct refusal refusal;
    struct slice name = SLICE("untouched");
    CHECK_INT(json_scan(&doc, json, strlen(json)), 0);
    enum reason r = envelope_name(&doc, 0, "m", required, &arena, &name, &refusal);
    CHECK(r == REASON_NONE || r == REASON_BAD_DATA);
    const char *got = r ? refusal.detail : name.p ? arena_text(&arena, name) : "(absent)";
    if (!CHECK_STR(got, want))
        printf("# of line %d: %s\n", line, json);
    json_fini(&doc);
    arena_fini(&arena);
}

TEST("a string member of data keeps to its bounds, or is absent")
{
    name_answers("{\"m\":\"x\"}", true, "x", __LINE__);
    name_answers("{\"m\":\"\\u00e9\"}", false, "\xc3\xa9", __LINE__);
    name_answers("{}", true, "data.m is missing", __LINE__);
    name_answers("{}", false, "(absent)", __LINE__);
    name_answers("{\"m\":null}", false, "data.m is no string", __LINE__);
    name_answers("{\"m\":1}", true, "data.m is no string", __LINE__);
    name_answers("{\"m\":\"\"}", false, "data.m is empty", __LINE__);
    name_answers("{\"m\":\"a\\u0000\"}", false, "data.m has a control character", __LINE__);
    struct buffer b = BUFFER_NULL;
    buffer_format(&b, "{\"m\":\"%0257d\"}", 0);
    name_answers(buffer_cstr(&b), true, "data.m has more than 256 bytes", __LINE__);
    buffer_fini(&b);
}
