/* Usage events: what is read from them, and which reason a fault in their data has. */
#include "consumers/usage.h"
#include "tests/unit/messages.h"
#include "tests/unit/test.h"

#include "base/buffer.h"

struct outcome {
    enum reason reason;
    struct usage_event e;
    struct refusal refusal;
    struct json doc;
    struct arena arena;
    struct buffer value; /* what the event's slices point into */
};

/* An event of that type with that text as its data (NULL: no member data). */
static struct outcome decode(const char *type, const char *data)
{
    struct outcome o = { .e.components = 77 };
    buffer_format(&o.value, "{" WHO ",\"type\":\"%s\"", type);
    if (data) {
        buffer_text(&o.value, ",\"data\":");
        buffer_text(&o.value, data);
    }
    buffer_text(&o.value, "}");
    struct message m = message_of(o.value.p, o.value.n);
    o.reason = usage_decode(&m, WINDOW_US, &o.doc, &o.arena, &o.e, &o.refusal);
    return o;
}

static void outcome_fini(struct outcome *o)
{
    json_fini(&o->doc);
    arena_fini(&o->arena);
    buffer_fini(&o->value);
}

static void answers(const char *type, const char *data, const char *code, int line)
{
    struct outcome o = decode(type, data);
    if (!CHECK_STR(reason_text(o.reason), code) ||
        !CHECK(!o.reason || (o.refusal.reason == o.reason && o.e.components == 77)))
        printf("# of line %d: %.150s\n# %s\n", line, data ? data : "(none)", o.refusal.detail);
    outcome_fini(&o);
}
#define RECORDED(code, data) answers("usage.recorded", data, code, __LINE__)
#define VOIDED(code, data)   answers("usage.voided", data, code, __LINE__)

static void slice_is_text(struct slice s, const char *want, int line)
{
    if (want ? !CHECK_MEM(s.p, s.n, want, strlen(want)) : !CHECK(s.p == NULL))
        printf("# of line %d\n", line);
}
#define SLICE_IS(s, want) slice_is_text(s, want, __LINE__)

TEST("the contract's example is read member for member")
{
    struct outcome o =
        decode("usage.recorded",
               "{\"metric\":\"ai_tokens\",\"service\":\"openai\",\"model\":\"gpt-4o-mini\","
               "\"quantities\":{\"input\":512,\"output\":207},\"user\":\"u-17\",\"thread\":\"t-9\","
               "\"agent\":\"peter\","
               "\"execution\":\"e-123\"}");
    REQUIRE(o.reason == REASON_NONE);
    CHECK_INT(o.e.kind, USAGE_RECORDED);
    SLICE_IS(o.e.id, "i1");
    SLICE_IS(o.e.source, "/s");
    SLICE_IS(o.e.account, "acct-1");
    CHECK_INT(o.e.time_us, SENT_US);
    SLICE_IS(o.e.metric, "ai_tokens");
    SLICE_IS(o.e.service, "openai");
    SLICE_IS(o.e.model, "gpt-4o-mini");
    SLICE_IS(o.e.user, "u-17");
    SLICE_IS(o.e.thread, "t-9");
    SLICE_IS(o.e.agent, "peter");
    SLICE_IS(o.e.execution, "e-123");
    SLICE_IS(o.e.metadata, NULL);
    REQUIRE(o.e.components == 2);
    SLICE_IS(o.e.component[0].name, "input");
    SLICE_IS(o.e.component[1].name, "output");
    CHECK(o.e.component[0].quantity == 512 * QUANTITY_ONE &&
          o.e.component[1].quantity == 207 * QUANTITY_ONE);
    CHECK(o.e.quantity == 719 * QUANTITY_ONE);
    CHECK(!o.e.has_cost);
    outcome_fini(&o);
}

TEST("a quantity alone has the empty component; what is not given is absent; cost and metadata are "
     "kept")
{
    struct outcome o =
        decode("usage.recorded", "{\"metric\":\"sms\",\"quantity\":\"1.5e-6\",\"cost\":0."
                                 "000000000001,\"metadata\": { \"a\" : 1.0 } ,"
                                 "\"unknown\":[null],\"id\":7}");
    CHECK_STR(reason_text(o.reason), "bad_quantity"); /* 0.0000015 has seven decimals */
    outcome_fini(&o);
    o = decode("usage.recorded", "{\"metric\":\"sms\",\"quantity\":\"15e-6\",\"cost\":0."
                                 "000000000001,\"metadata\": { \"a\" : 1.0 } ,"
                                 "\"unknown\":[null],\"id\":7}");
    REQUIRE(o.reason == REASON_NONE);
    REQUIRE(o.e.components == 1);
    CHECK(o.e.component[0].name.p && o.e.component[0].name.n == 0);
    CHECK(o.e.quantity == 15 && o.e.component[0].quantity == 15);
    CHECK(o.e.has_cost && o.e.cost == 1);
    SLICE_IS(o.e.metadata, "{ \"a\" : 1.0 }");
    SLICE_IS(o.e.service, NULL);
    SLICE_IS(o.e.agent, NULL);
    outcome_fini(&o);
}

TEST("data that is missing, no object, or lacks a required member is bad_data")
{
    RECORDED("bad_data", NULL);
    RECORDED("bad_data", "null");
    RECORDED("bad_data", "[]");
    RECORDED("bad_data", "\"{}\"");
    RECORDED("bad_data", "{}");
    RECORDED("bad_data", "{\"quantity\":1}");
    RECORDED("bad_data", "{\"metric\":null,\"quantity\":1}");
    RECORDED("bad_data", "{\"metric\":\"\",\"quantity\":1}");
    RECORDED("bad_data", "{\"metric\":\"a\\u0007\",\"quantity\":1}");
    RECORDED("bad_data", "{\"metric\":[\"a\"],\"quantity\":1}");
    RECORDED("", "{\"metric\":\"m\",\"quantity\":1}");
}

TEST("every optional string has its type and bounds")
{
    static const char *const names[] = {
        "service", "model", "user", "thread", "execution", "agent"
    };
    static const char *const wrong[] = { "null", "1",       "{}",          "false",
                                         "\"\"", "\"\\t\"", "\"\xc2\x85\"" };
    struct buffer longest = BUFFER_NULL, too_long = BUFFER_NULL, b = BUFFER_NULL;
    buffer_format(&longest, "\"%0256d\"", 0);
    buffer_format(&too_long, "\"%0257d\"", 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        for (size_t j = 0; j < ARRAY_SIZE(wrong) + 2; j++) {
            const char *value = j < ARRAY_SIZE(wrong)
                                    ? wrong[j]
                                    : buffer_cstr(j == ARRAY_SIZE(wrong) ? &longest : &too_long);
            b.n = 0;
            buffer_format(&b, "{\"metric\":\"m\",\"quantity\":1,\"%s\":%s}", names[i], value);
            answers("usage.recorded", buffer_cstr(&b), j == ARRAY_SIZE(wrong) ? "" : "bad_data",
                    __LINE__);
        }
    buffer_fini(&longest);
    buffer_fini(&too_long);
    buffer_fini(&b);
}

TEST("one of quantity and quantities: 1-16 components with proper names")
{
    RECORDED("bad_data", "{\"metric\":\"m\"}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":1,\"quantities\":{\"a\":1}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":null,\"quantities\":{\"a\":1}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":{}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":[1]}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":null}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":5}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":{\"\":1}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":{\"a\":1,\"b\\n\":1}}");
    RECORDED("", "{\"metric\":\"m\",\"quantities\":{\"a\":0}}");
    struct buffer b = BUFFER_NULL;
    for (int count = 16; count <= 17; count++) {
        b.n = 0;
        buffer_text(&b, "{\"metric\":\"m\",\"quantities\":{");
        for (int i = 0; i < count; i++)
            buffer_format(&b, "%s\"c%d\":%d", i ? "," : "", i, i);
        buffer_text(&b, "}}");
        answers("usage.recorded", buffer_cstr(&b), count == 16 ? "" : "bad_data", __LINE__);
    }
    for (int n = 256; n <= 257; n++) {
        b.n = 0;
        buffer_format(&b, "{\"metric\":\"m\",\"quantities\":{\"%0*d\":1}}", n, 0);
        answers("usage.recorded", buffer_cstr(&b), n == 256 ? "" : "bad_data", __LINE__);
    }
    buffer_fini(&b);
}

TEST("metadata is an object of at most 4 KiB as sent")
{
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":1,\"metadata\":null}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":1,\"metadata\":[]}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":1,\"metadata\":\"x\"}");
    RECORDED("", "{\"metric\":\"m\",\"quantity\":1,\"metadata\":{}}");
    struct buffer b = BUFFER_NULL;
    for (int n = 4096; n <= 4097; n++) {
        b.n = 0;
        buffer_format(&b, "{\"metric\":\"m\",\"quantity\":1,\"metadata\":{\"a\":%*d}}", n - 6, 1);
        answers("usage.recorded", buffer_cstr(&b), n == 4096 ? "" : "bad_data", __LINE__);
    }
    buffer_fini(&b);
}

TEST("\\u0000 in any string of data, name or value, is bad_data")
{
    RECORDED("bad_data", "{\"metric\":\"m\\u0000\",\"quantity\":1}");
    RECORDED("bad_data",
             "{\"metric\":\"m\",\"quantity\":1,\"metadata\":{\"a\":[{\"b\\u0000\":1}]}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":1,\"unknown\":\"\\u0000\"}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":\"1\\u0000\"}");
    RECORDED("", "{\"metric\":\"m\",\"quantity\":1,\"unknown\":\"\\\\u0000\"}");
}

/* The same value as quantity and as a component, and with another answer as cost. */
static void number_answers(const char *value, const char *quantity, const char *cost, int line)
{
    static const char *const forms[] = { "{\"metric\":\"m\",\"quantity\":%s}",
                                         "{\"metric\":\"m\",\"quantities\":{\"a\":0,\"b\":%s}}",
                                         "{\"metric\":\"m\",\"quantity\":0,\"cost\":%s}" };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        char data[400];
        const char *hole = strstr(forms[i], "%s");
        snprintf(data, sizeof(data), "%.*s%s%s", (int)(hole - forms[i]), forms[i], value, hole + 2);
        answers("usage.recorded", data, i < 2 ? quantity : cost, line);
    }
}

TEST("a quantity or cost is a decimal >= 0 within its bounds, as a number or a string")
{
    static const char bad[] = "bad_quantity";
    static const char *const wrong[] = { "null",
                                         "true",
                                         "[]",
                                         "{}",
                                         "\"\"",
                                         "\"abc\"",
                                         "\" 1\"",
                                         "\"1 \"",
                                         "\"01\"",
                                         "\"+1\"",
                                         "\".5\"",
                                         "\"1.\"",
                                         "\"0x1\"",
                                         "\"NaN\"",
                                         "\"1,5\"",
                                         "-1",
                                         "\"-1\"",
                                         "-0.000001",
                                         "-1e-400",
                                         "1000000000000.000001",
                                         "1000000000001",
                                         "1e13",
                                         "1e400",
                                         "\"1e999999999\"",
                                         "123456789012345678901234567890123456789",
                                         "1e-13",
                                         "1e-400",
                                         "0.0000000000001" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        number_answers(wrong[i], bad, bad, __LINE__);
    static const char *const right[] = { "0",
                                         "-0",
                                         "\"-0.0\"",
                                         "0e999999999",
                                         "1e12",
                                         "\"1e12\"",
                                         "1000000000000.0000000",
                                         "0.000001",
                                         "1.0000000",
                                         "\"1E+2\"",
                                         "100e-8",
                                         "\"\\u0031\"" };
    for (size_t i = 0; i < ARRAY_SIZE(right); i++)
        number_answers(right[i], "", "", __LINE__);
    number_answers("0.0000001", bad, "", __LINE__);
    number_answers("\"0.000000000001\"", bad, "", __LINE__);
}

TEST("the sum of the components is bounded as one quantity is")
{
    RECORDED("", "{\"metric\":\"m\",\"quantities\":{\"a\":5e11,\"b\":5e11}}");
    RECORDED("bad_quantity",
             "{\"metric\":\"m\",\"quantities\":{\"a\":5e11,\"b\":500000000000.000001}}");
    RECORDED("bad_quantity",
             "{\"metric\":\"m\",\"quantities\":{\"a\":1e12,\"b\":1e12,\"c\":1e12}}");
}

TEST("all of data is looked at before any number")
{
    RECORDED("bad_data", "{\"quantity\":-1}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":-1,\"agent\":\"\"}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantities\":{\"a\":-1,\"\":1}}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":\"x\",\"cost\":\"y\",\"metadata\":1}");
    RECORDED("bad_data", "{\"metric\":\"m\",\"quantity\":\"x\",\"z\":\"\\u0000\"}");
    answers("nonsense", "{}", "unknown_type", __LINE__);
}

TEST("a void names an event, by default one of its own source")
{
    struct outcome o =
        decode("usage.voided", "{\"id\":\"old\",\"reason\":\"mistake\",\"metric\":7}");
    REQUIRE(o.reason == REASON_NONE);
    CHECK_INT(o.e.kind, USAGE_VOIDED);
    SLICE_IS(o.e.void_id, "old");
    SLICE_IS(o.e.void_source, "/s");
    SLICE_IS(o.e.reason, "mistake");
    struct hash128 key = hash_identity(SLICE("/s"), SLICE("old"));
    CHECK(memcmp(&o.e.void_key, &key, sizeof(key)) == 0);
    outcome_fini(&o);
    o = decode("usage.voided", "{\"id\":\"old\",\"source\":\"/other\"}");
    REQUIRE(o.reason == REASON_NONE);
    SLICE_IS(o.e.void_source, "/other");
    SLICE_IS(o.e.reason, NULL);
    key = hash_identity(SLICE("/other"), SLICE("old"));
    CHECK(memcmp(&o.e.void_key, &key, sizeof(key)) == 0);
    outcome_fini(&o);
    VOIDED("bad_data", NULL);
    VOIDED("bad_data", "{}");
    VOIDED("bad_data", "{\"id\":7}");
    VOIDED("bad_data", "{\"id\":\"\"}");
    VOIDED("bad_data", "{\"id\":\"x\",\"source\":null}");
    VOIDED("bad_data", "{\"id\":\"x\",\"reason\":\"\"}");
    VOIDED("bad_data", "{\"id\":\"x\",\"y\":\"\\u0000\"}");
}

static bool same_digest(const char *type_a, const char *a, const char *type_b, const char *b)
{
    struct outcome x = decode(type_a, a), y = decode(type_b, b);
    CHECK(x.reason == REASON_NONE && y.reason == REASON_NONE);
    bool same = memcmp(&x.e.digest, &y.e.digest, sizeof(x.e.digest)) == 0;
    CHECK(memcmp(&x.e.key, &y.e.key, sizeof(x.e.key)) == 0);
    outcome_fini(&x);
    outcome_fini(&y);
    return same;
}

TEST("the digest is over type and data as sent, the key over source and id alone")
{
    static const char data[] = "{\"metric\":\"m\",\"quantity\":1}";
    CHECK(same_digest("usage.recorded", data, "usage.recorded", data));
    CHECK(!same_digest("usage.recorded", data, "usage.recorded",
                       "{\"metric\":\"m\",\"quantity\":1.0}"));
    CHECK(!same_digest("usage.recorded", data, "usage.recorded",
                       "{\"metric\":\"m\", \"quantity\":1}"));
    CHECK(!same_digest("usage.recorded", "{\"metric\":\"m\",\"quantity\":1,\"id\":\"x\"}",
                       "usage.voided", "{\"metric\":\"m\",\"quantity\":1,\"id\":\"x\"}"));
    struct outcome o = decode("usage.recorded", data);
    struct hash128 key = hash_identity(SLICE("/s"), SLICE("i1")),
                   digest = hash_digest(SLICE("usage.recorded"), SLICE("acct-1"), slice_of(data));
    CHECK(memcmp(&o.e.key, &key, sizeof(key)) == 0);
    CHECK(memcmp(&o.e.digest, &digest, sizeof(digest)) == 0);
    outcome_fini(&o);
}

TEST("the binary mode gives the same event: same identity, same digest")
{
    static const char data[] = "{\"metric\":\"m\",\"quantity\":1}";
    static const struct header h[] = { { SLICE("ce_specversion"), SLICE("1.0") },
                                       { SLICE("ce_id"), SLICE("i1") },
                                       { SLICE("ce_source"), SLICE("/s") },
                                       { SLICE("ce_subject"), SLICE("acct-1") },
                                       { SLICE("ce_type"), SLICE("usage.recorded") } };
    struct message m = message_of(data, sizeof(data) - 1);
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct usage_event e;
    struct refusal refusal;
    m.header = h;
    m.headers = ARRAY_SIZE(h);
    REQUIRE(usage_decode(&m, WINDOW_US, &doc, &arena, &e, &refusal) == REASON_NONE);
    struct outcome o = decode("usage.recorded", data);
    CHECK(memcmp(&o.e.key, &e.key, sizeof(e.key)) == 0);
    CHECK(memcmp(&o.e.digest, &e.digest, sizeof(e.digest)) == 0);
    outcome_fini(&o);
    m.value = SLICE("");
    CHECK_STR(reason_text(usage_decode(&m, WINDOW_US, &doc, &arena, &e, &refusal)),
              "malformed_json");
    m.value = SLICE("7");
    CHECK_STR(reason_text(usage_decode(&m, WINDOW_US, &doc, &arena, &e, &refusal)), "bad_data");
    m.value = SLICE("{");
    CHECK_STR(reason_text(usage_decode(&m, WINDOW_US, &doc, &arena, &e, &refusal)),
              "malformed_json");
    json_fini(&doc);
    arena_fini(&arena);
}
