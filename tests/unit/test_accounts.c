/* Account events: what each type takes, refuses and hands to the database. */
#include "consumers/accounts.h"
#include "tests/unit/messages.h"
#include "tests/unit/test.h"

#include "base/buffer.h"

struct outcome {
    enum reason reason;
    struct account_op op;
    struct refusal refusal;
    struct json doc;
    struct arena arena;
    struct buffer value;
};

static struct outcome decode(const char *type, const char *data)
{
    struct outcome o = { .op.time_us = 77 };
    buffer_format(&o.value, "{" WHO ",\"type\":\"%s\",\"data\":", type);
    buffer_text(&o.value, data);
    buffer_text(&o.value, "}");
    struct message m = message_of(o.value.p, o.value.n);
    m.kind = TOPIC_ACCOUNTS;
    m.topic = "usage.accounts";
    o.reason = accounts_decode(&m, WINDOW_US, &o.doc, &o.arena, &o.op, &o.refusal);
    return o;
}

static void outcome_fini(struct outcome *o)
{
    json_fini(&o->doc);
    arena_fini(&o->arena);
    buffer_fini(&o->value);
}

/* want: the reason code, or the normalised data. */
static void answers(const char *type, const char *data, const char *want, int line)
{
    struct outcome o = decode(type, data);
    const char *got = o.reason ? reason_text(o.reason) : arena_text(&o.arena, o.op.data);
    if (!CHECK_STR(got, want) ||
        !CHECK(!o.reason || (o.refusal.reason == o.reason && o.op.time_us == 77)))
        printf("# of line %d: %s %.150s\n# %s\n", line, type, data, o.refusal.detail);
    outcome_fini(&o);
}
#define ANSWERS(type, data, want) answers(type, data, want, __LINE__)

TEST("an account is opened on a plan, or under a parent")
{
    ANSWERS("account.opened", "{\"plan\":\"payg\"}", "{\"plan\":\"payg\"}");
    ANSWERS("account.opened", "{ \"parent\" : \"acct-0\" , \"charged\" : false }",
            "{\"parent\":\"acct-0\",\"charged\":false}");
    ANSWERS("account.opened",
            "{\"byok\":[ \"openai\", \"s3\" ],\"name\":\"M\\u00fcller \\\"&\\\" "
            "S\xc3\xb6hne\",\"plan\":\"p\",\"unknown\":{\"plan\":1}}",
            "{\"plan\":\"p\",\"name\":\"M\\u00fcller \\\"&\\\" S\xc3\xb6hne\",\"byok\":[ "
            "\"openai\", \"s3\" ]}");
    ANSWERS("account.opened", "{\"plan\":\"p\",\"byok\":[]}", "{\"plan\":\"p\",\"byok\":[]}");
    ANSWERS("account.opened", "{}", "bad_data");
    ANSWERS("account.opened", "{\"name\":\"n\"}", "bad_data");
    ANSWERS("account.opened", "[]", "bad_data");
    ANSWERS("account.opened", "null", "bad_data");
}

TEST("an update needs nothing")
{
    ANSWERS("account.updated", "{}", "{}");
    ANSWERS("account.updated", "{\"charged\":true}", "{\"charged\":true}");
    ANSWERS("account.updated", "{\"plan\":null}", "bad_data");
}

TEST("members of an account have their types and bounds")
{
    static const char *const wrong[] = { "\"plan\":7",
                                         "\"plan\":\"\"",
                                         "\"plan\":\"p\\u0000\"",
                                         "\"parent\":null",
                                         "\"parent\":\"\"",
                                         "\"charged\":null",
                                         "\"charged\":\"false\"",
                                         "\"charged\":0",
                                         "\"name\":{}",
                                         "\"name\":\"\\n\"",
                                         "\"byok\":\"openai\"",
                                         "\"byok\":{}",
                                         "\"byok\":null",
                                         "\"byok\":[\"a\",7]",
                                         "\"byok\":[\"\"]",
                                         "\"byok\":[[\"a\"]]",
                                         "\"x\":\"\\u0000\"",
                                         "\"byok\":[\"a\\u0001\"]" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char data[100];
        snprintf(data, sizeof(data), "{%s}", wrong[i]);
        answers("account.updated", data, "bad_data", __LINE__);
    }
}

TEST("the parent is named, and is another account")
{
    struct outcome o = decode("account.opened", "{\"parent\":\"acct\\u002d0\"}");
    REQUIRE(o.reason == REASON_NONE);
    CHECK(slice_is(o.op.reference_account, "acct-0"));
    outcome_fini(&o);
    o = decode("account.opened", "{\"plan\":\"parent\"}");
    REQUIRE(o.reason == REASON_NONE);
    CHECK(o.op.reference_account.p == NULL);
    CHECK(slice_is(o.op.id, "i1") && slice_is(o.op.source, "/s") &&
          slice_is(o.op.account, "acct-1"));
    CHECK(slice_is(o.op.type, "account.opened"));
    CHECK_INT(o.op.time_us, SENT_US);
    struct hash128 key = hash_identity(SLICE("/s"), SLICE("i1")),
                   digest = hash_digest(SLICE("account.opened"), SLICE("acct-1"),
                                        SLICE("{\"plan\":\"parent\"}"));
    CHECK(memcmp(&o.op.key, &key, sizeof(key)) == 0);
    CHECK(memcmp(&o.op.digest, &digest, sizeof(digest)) == 0);
    outcome_fini(&o);
    ANSWERS("account.opened", "{\"parent\":\"acct-1\"}", "bad_data");
    ANSWERS("account.updated", "{\"parent\":\"acct\\u002d1\"}", "bad_data");
}

TEST("a plan is assigned; until is refused rather than overlooked")
{
    ANSWERS("plan.assigned", "{\"plan\":\"p\"}", "{\"plan\":\"p\"}");
    ANSWERS("plan.assigned", "{}", "bad_data");
    ANSWERS("plan.assigned", "{\"plan\":\"p\",\"until\":\"2027-01-01T00:00:00Z\"}", "bad_data");
}

TEST("credits are purchased by amount or by package, one of the two")
{
    ANSWERS("credits.purchased", "{\"amount\":10,\"reference\":\"inv-1\"}",
            "{\"amount\":\"10\",\"reference\":\"inv-1\"}");
    ANSWERS("credits.purchased", "{\"package\":\"credits-500\"}", "{\"package\":\"credits-500\"}");
    ANSWERS("credits.purchased", "{}", "bad_data");
    ANSWERS("credits.purchased", "{\"amount\":10,\"package\":\"credits-500\"}", "bad_data");
    ANSWERS("credits.purchased", "{\"amount\":null,\"package\":\"credits-500\"}", "bad_data");
    ANSWERS("credits.purchased", "{\"package\":\"\"}", "bad_data");
    ANSWERS("credits.purchased", "{\"amount\":1,\"reference\":7}", "bad_data");
}

TEST("an amount is a decimal above 0, with at most 12 places, handed on in its shortest form")
{
    ANSWERS("credits.granted", "{\"amount\":\"1.50\",\"reason\":\"sorry\"}",
            "{\"amount\":\"1.5\",\"reason\":\"sorry\"}");
    ANSWERS("credits.granted", "{\"amount\":1e-12}", "{\"amount\":\"0.000000000001\"}");
    ANSWERS("credits.granted", "{\"amount\":1.0000000000000}", "{\"amount\":\"1\"}");
    ANSWERS("credits.granted", "{\"amount\":999999999999999999.999999999999}",
            "{\"amount\":\"999999999999999999.999999999999\"}");
    ANSWERS("credits.granted", "{\"amount\":1e17}", "{\"amount\":\"100000000000000000\"}");
    static const char *const wrong[] = { "0",
                                         "-0.0",
                                         "-1",
                                         "\"-1e-5\"",
                                         "0.0000000000001",
                                         "1e-400",
                                         "null",
                                         "\"\"",
                                         "\"1,5\"",
                                         "[1]",
                                         "true",
                                         "-1e18",
                                         "-1e400",
                                         "1000000000000000000.0000000000001" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char data[100];
        snprintf(data, sizeof(data), "{\"amount\":%s}", wrong[i]);
        answers("credits.granted", data, "bad_data", __LINE__);
        answers("credits.refunded", data, "bad_data", __LINE__);
    }
    ANSWERS("credits.granted", "{}", "bad_data");
    ANSWERS("credits.granted", "{\"amount\":5,\"expires\":\"2027-01-01T00:00:00Z\"}", "bad_data");
}

TEST("an adjustment has either sign, but is not 0")
{
    ANSWERS("credits.adjusted", "{\"amount\":-2.5,\"reason\":\"r\"}",
            "{\"amount\":\"-2.5\",\"reason\":\"r\"}");
    ANSWERS("credits.adjusted", "{\"amount\":\"3\"}", "{\"amount\":\"3\"}");
    ANSWERS("credits.adjusted", "{\"amount\":0}", "bad_data");
    ANSWERS("credits.adjusted", "{\"amount\":-0.000}", "bad_data");
    ANSWERS("credits.adjusted", "{}", "bad_data");
    ANSWERS("credits.adjusted", "{\"amount\":-1e18}", "out_of_range");
    ANSWERS("credits.adjusted", "{\"amount\":-999999999999999999.999999999999}",
            "{\"amount\":\"-999999999999999999.999999999999\"}");
}

TEST("an amount of 1e18 and more is out_of_range, after everything that is bad_data")
{
    ANSWERS("credits.granted", "{\"amount\":1e18}", "out_of_range");
    ANSWERS("credits.granted", "{\"amount\":\"1e400\"}", "out_of_range");
    ANSWERS("credits.purchased", "{\"amount\":1000000000000000000}", "out_of_range");
    ANSWERS("credits.granted", "{\"amount\":1e18,\"reason\":\"\"}", "bad_data");
    ANSWERS("credits.purchased", "{\"amount\":1e18,\"package\":\"p\"}", "bad_data");
    ANSWERS("credits.granted", "{\"amount\":1e18,\"x\":\"\\u0000\"}", "bad_data");
}

TEST("a refund takes reference and reason; one that names an event is refused rather than booked "
     "as another")
{
    ANSWERS("credits.refunded", "{\"amount\":1,\"reason\":\"r\",\"reference\":\"x\"}",
            "{\"amount\":\"1\",\"reference\":\"x\",\"reason\":\"r\"}");
    ANSWERS("credits.refunded", "{\"amount\":1,\"event_id\":\"e\"}", "bad_data");
    ANSWERS("credits.refunded", "{\"amount\":1,\"event_source\":\"/s\",\"event_id\":\"e\"}",
            "bad_data");
}

TEST("closing and paying have their members")
{
    ANSWERS("account.closed", "{}", "{}");
    ANSWERS("account.closed", "{\"reason\":\"moved\"}", "{\"reason\":\"moved\"}");
    ANSWERS("account.closed", "{\"reason\":\"\"}", "bad_data");
    ANSWERS("invoice.paid", "{\"period\":\"2026-11\",\"amount\":\"12.30\",\"reference\":\"r\"}",
            "{\"period\":\"2026-11\",\"amount\":\"12.3\",\"reference\":\"r\"}");
    static const char *const periods[] = { "\"2026-13\"", "\"2026-00\"",    "\"2026-1\"",
                                           "\"2026/11\"", "\"2026-11-01\"", "\"\"",
                                           "202611",      "null",           "\"0000-01\"",
                                           "\"2o26-11\"" };
    for (size_t i = 0; i < ARRAY_SIZE(periods); i++) {
        char data[100];
        snprintf(data, sizeof(data), "{\"amount\":1,\"period\":%s}", periods[i]);
        answers("invoice.paid", data, "bad_data", __LINE__);
    }
    ANSWERS("invoice.paid", "{\"period\":\"2026-11\"}", "bad_data");
    ANSWERS("invoice.paid", "{\"amount\":1}", "bad_data");
    ANSWERS("invoice.paid", "{\"period\":\"2026-11\",\"amount\":-1}", "bad_data");
}

TEST("this topic has no usage events")
{
    ANSWERS("usage.recorded", "{}", "unknown_type");
    ANSWERS("account.deleted", "{}", "unknown_type");
}

static void command_answers(const char *type, struct slice id, struct slice account,
                            const char *data, const char *want, int line)
{
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct account_op op = { 0 };
    struct refusal refusal;
    enum reason r = account_op_of_data(slice_of(type), SLICE("/debitctl"), id, account, 5,
                                       slice_of(data), &doc, &arena, &op, &refusal);
    if (!CHECK_STR(r ? reason_text(r) : arena_text(&arena, op.data), want))
        printf("# of line %d: %s\n", line, refusal.detail);
    if (!r) {
        struct hash128 key = hash_identity(SLICE("/debitctl"), id);
        CHECK(memcmp(&op.key, &key, sizeof(key)) == 0);
        CHECK(slice_is(op.source, "/debitctl") && slice_is(op.type, type) &&
              slice_equal(op.account, account));
        CHECK_INT(op.time_us, 5);
    }
    json_fini(&doc);
    arena_fini(&arena);
}

TEST("what a person gives on the command line goes through the same checks")
{
    struct slice id = SLICE("k1"), account = SLICE("acct-1");
    command_answers("credits.granted", id, account, "{\"amount\":\"5.0\"}", "{\"amount\":\"5\"}",
                    __LINE__);
    command_answers("account.opened", id, account, "{\"parent\":\"acct-1\"}", "bad_data", __LINE__);
    command_answers("account.opened", id, account, "[]", "bad_data", __LINE__);
    command_answers("account.opened", id, account, "{\"plan\":}", "malformed_json", __LINE__);
    command_answers("account.opened", id, account, "", "malformed_json", __LINE__);
    command_answers("credits.adjusted", id, account, "{\"amount\":1e18}", "out_of_range", __LINE__);
    command_answers("nonsense", id, account, "{}", "unknown_type", __LINE__);
    command_answers("account.closed", SLICE(""), account, "{}", "bad_attribute", __LINE__);
    command_answers("account.closed", id, SLICE("a\xff"), "{}", "bad_attribute", __LINE__);
    command_answers("account.closed", id, SLICE_ABSENT, "{}", "bad_attribute", __LINE__);
}
