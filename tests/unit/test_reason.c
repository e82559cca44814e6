/* Reason codes, refusals and what can be asked of a message. */
#include "model/message.h"
#include "model/reason.h"
#include "tests/unit/test.h"

#include "base/macros.h"

TEST("every code of contract 5 and 2.8 is there, in its order")
{
    static const char *const codes[] = { "",
                                         "too_large",
                                         "malformed_json",
                                         "not_a_cloudevent",
                                         "bad_attribute",
                                         "unknown_type",
                                         "bad_time",
                                         "time_in_future",
                                         "too_old",
                                         "bad_data",
                                         "bad_quantity",
                                         "out_of_range",
                                         "id_reused",
                                         "over_refund",
                                         "unknown_event",
                                         "already_voided",
                                         "unknown_plan",
                                         "unknown_package",
                                         "unit_mismatch",
                                         "unknown_account",
                                         "account_closed",
                                         "unknown_metric",
                                         "unpriced" };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        enum reason r = REASON_NONE;
        CHECK_STR(reason_text((enum reason)i), codes[i]);
        CHECK_INT(reason_is_parked((enum reason)i), i >= 19);
        CHECK(reason_of_text(slice_of(codes[i]), &r) == (i > 0));
        CHECK_INT(r, i);
    }
    enum reason r = REASON_BAD_DATA;
    CHECK(!reason_of_text(SLICE("nonsense"), &r));
    CHECK(!reason_of_text(SLICE("too_larg"), &r));
    CHECK(!reason_of_text(SLICE_ABSENT, &r));
    CHECK_INT(r, REASON_BAD_DATA);
}

TEST("a refusal's words are for a person's eyes: escaped and cut")
{
    struct refusal f;
    CHECK_INT(refuse(&f, REASON_BAD_DATA, "data.%s has %d", "a\nb\xff", 3), REASON_BAD_DATA);
    CHECK_INT(f.reason, REASON_BAD_DATA);
    CHECK_STR(f.detail, "data.a\\x0ab\\xff has 3");
    char large[3000];
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    (void)refuse(&f, REASON_BAD_TIME, "%s", large);
    CHECK_INT(strlen(f.detail), sizeof(f.detail) - 1);
    CHECK_STR(f.detail + sizeof(f.detail) - 5, "x...");
    (void)refuse(&f, REASON_BAD_TIME, "%s", "");
    CHECK_STR(f.detail, "");
}

static int released;

static void release_count(struct message *m)
{
    (void)m;
    released++;
}

TEST("the first header of a name is found, and a message is released once")
{
    static const struct header headers[] = { { SLICE("a"), SLICE("1") },
                                             { SLICE("ab"), SLICE("2") },
                                             { SLICE("a"), SLICE("3") } };
    struct message m = { .header = headers, .headers = 3, .release = release_count };
    CHECK(message_header(&m, "a") == &headers[0]);
    CHECK(message_header(&m, "ab") == &headers[1]);
    CHECK(message_header(&m, "A") == NULL);
    CHECK(message_header(&m, "") == NULL);
    message_release(&m);
    message_release(NULL);
    CHECK_INT(released, 1);
    m.release = NULL;
    message_release(&m);
}
