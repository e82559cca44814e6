/* One partition: where it starts, what it takes, when it is read again, when it is halted. */
#include "tests/unit/test.h"

#include "consumers/partition.h"

#define FP UINT64_C(77)

/* Of a partition that has booked up to offset 41. */
static struct partition booked(void)
{
    struct partition p = { .topic = "usage.events", .number = 3 };
    struct partition_claim c = { .epoch = 5,
                                 .has_next = true,
                                 .has_last = true,
                                 .next_offset = 42,
                                 .last_offset = 41,
                                 .last_fingerprint = FP };

    partition_claimed(&p, &c, 9);
    return p;
}

static struct partition running(void)
{
    struct partition p = booked();

    partition_assigned(&p);
    if (partition_record(&p, 41, FP, 0) != PARTITION_DROP || p.state != PARTITION_RUNNING)
        abort();
    return p;
}

TEST("a partition of which nothing was consumed starts at the beginning and takes what comes")
{
    struct partition p = { .topic = "t" };
    struct partition_claim c = { .epoch = 1 };

    partition_claimed(&p, &c, 1);
    CHECK_INT(p.state, PARTITION_CLAIMED);
    CHECK_INT(partition_start(&p), PARTITION_BEGINNING);
    partition_assigned(&p);
    CHECK_INT(p.state, PARTITION_RUNNING);
    CHECK_INT(partition_record(&p, 1000, 1, 0), PARTITION_TAKE); /* retention was there before */
    partition_taken(&p, 1000, 1);
    CHECK_INT(partition_start(&p), 1000);
}

TEST("a known partition starts at its last message, which is discarded")
{
    struct partition p = booked();

    CHECK_INT(partition_start(&p), 41);
    partition_assigned(&p);
    CHECK_INT(p.state, PARTITION_VERIFYING);
    CHECK_INT(partition_record(&p, 41, FP, 0), PARTITION_DROP);
    CHECK_INT(p.state, PARTITION_RUNNING);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
}

TEST("another message at the last offset halts: the topic was made anew")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 41, FP + 1, 0), PARTITION_HALT);
    CHECK_INT(p.state, PARTITION_HALTING);
    CHECK(strstr(p.why, "the message at offset 41 is not the one that was booked") != NULL);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_DROP);
}

TEST("an offset that was taken is dropped, a gap is taken")
{
    struct partition p = running();

    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
    partition_taken(&p, 42, 1);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_DROP);
    CHECK_INT(partition_record(&p, 5, 1, 0), PARTITION_DROP);
    CHECK_INT(partition_record(&p, 50, 1, 0), PARTITION_TAKE); /* control records lie between */
    partition_taken(&p, 50, 2);
    CHECK_INT(partition_start(&p), 50);
}

TEST("a batch that was skipped is asked for again, and nothing behind it is taken")
{
    struct partition p = running();

    CHECK_INT(partition_trouble(&p, KAFKA_BAD_BATCH, "crc", 100), PARTITION_AGAIN);
    CHECK_INT(p.state, PARTITION_SUSPECT);
    CHECK_INT(p.due_us, 100 + PARTITION_RETRY_US);
    CHECK_INT(partition_record(&p, 60, 1, 0), PARTITION_DROP);
    CHECK_INT(partition_start(&p), 41);
    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 41, FP, 0), PARTITION_DROP);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
}

TEST("a batch that stays bad halts after five more tries")
{
    struct partition p = running();

    for (int i = 0; i < PARTITION_TRIES; i++) {
        CHECK_INT(partition_trouble(&p, KAFKA_BAD_BATCH, "crc", 0), PARTITION_AGAIN);
        partition_assigned(&p);
        CHECK_INT(partition_record(&p, 41, FP, 0), PARTITION_DROP);
    }
    CHECK_INT(partition_trouble(&p, KAFKA_BAD_BATCH, "crc", 0), PARTITION_HALT);
    CHECK(strstr(p.why, "from offset 42 on cannot be read: crc, 6 times") != NULL);
}

TEST("progress between two bad batches starts the count anew")
{
    struct partition p = running();

    for (int i = 0; i < 3 * PARTITION_TRIES; i++) {
        int64_t offset = p.next;

        CHECK_INT(partition_record(&p, offset, 1, 0), PARTITION_TAKE);
        partition_taken(&p, offset, 1);
        CHECK_INT(partition_trouble(&p, KAFKA_BAD_BATCH, "crc", 0), PARTITION_AGAIN);
        partition_assigned(&p);
        CHECK_INT(partition_record(&p, offset, 1, 0), PARTITION_DROP);
    }
    CHECK_INT(p.state, PARTITION_RUNNING);
}

TEST("the last message missing before later ones is looked for again, then halts")
{
    struct partition p = booked();

    for (int i = 0; i < PARTITION_TRIES; i++) {
        partition_assigned(&p);
        CHECK_INT(partition_record(&p, 43, 1, 0), PARTITION_AGAIN);
    }
    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 43, 1, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "cleanup.policy=delete") != NULL);
}

TEST("retention that took only what was booked lets reading go on")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 42, 0), PARTITION_AGAIN);
    CHECK_INT(partition_start(&p), 42);
    partition_assigned(&p);
    CHECK_INT(p.state, PARTITION_RUNNING);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
}

TEST("retention that took messages never booked halts")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 43, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "was to go on at offset 42, the topic begins at 43") != NULL);
}

/* Asked for `tries` times, each time it ends too early. */
static void too_short(struct partition *p, int tries)
{
    for (int i = 0; i < tries; i++) {
        partition_assigned(p);
        CHECK_INT(partition_trouble(p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
        CHECK_INT(partition_low(p, 0, 0), PARTITION_AGAIN);
    }
    partition_assigned(p);
}

TEST("a topic that is shorter than what was booked is asked for five times, then halts")
{
    struct partition p = booked();

    too_short(&p, PARTITION_TRIES);
    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 0, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "ends before offset 41, which was booked last") != NULL);
}

TEST("a leader that shows less than was booked until its followers have caught up halts nothing")
{
    struct partition p = booked();

    too_short(&p, PARTITION_TRIES);
    CHECK_INT(partition_record(&p, 41, p.fingerprint, 0), PARTITION_DROP);
    CHECK_INT(p.state, PARTITION_RUNNING);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
}

TEST("an offset that retention took before it was read halts")
{
    struct partition p = running();

    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 50, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "was to go on at offset 42, the topic begins at 50") != NULL);
}

TEST("a log that is cut while it is read is compared again, and halts")
{
    struct partition p = running();

    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 0, 0), PARTITION_AGAIN);
    CHECK_INT(partition_start(&p), 41);
    too_short(&p, PARTITION_TRIES - 1);
    CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "out of range", 0), PARTITION_ASK_LOW);
    CHECK_INT(partition_low(&p, 0, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "ends before offset 41, which was booked last") != NULL);
}

TEST("a place beyond the end that a person has set is asked for five times, then halts")
{
    struct partition p = { .topic = "t" };
    struct partition_claim c = { .epoch = 1, .has_next = true, .next_offset = 500 };

    partition_claimed(&p, &c, 1);
    for (int i = 0; i < PARTITION_TRIES; i++) {
        partition_assigned(&p);
        CHECK_INT(partition_trouble(&p, KAFKA_OFFSET_GONE, "", 0), PARTITION_ASK_LOW);
        CHECK_INT(partition_low(&p, 0, 0), PARTITION_AGAIN);
    }
    partition_assigned(&p);
    CHECK_INT(partition_low(&p, 0, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "ends before offset 500, from which reading was to go on") != NULL);
}

TEST("a halt names every command that resolves it, with topic, partition and offset")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 41, FP + 1, 0), PARTITION_HALT);
    CHECK(strstr(p.why, "\nto go on at offset 42") != NULL);
    CHECK(strstr(p.why, ": debitctl position set usage.events 3 42 --reason 'WHY'\n") != NULL);
    CHECK(strstr(p.why, ": debitctl position set usage.events 3 earliest --reason 'WHY'\n") !=
          NULL);
    CHECK(strstr(p.why, ": debitctl position set usage.events 3 latest --reason 'WHY'") != NULL);
}

TEST("the words of a halt fit, however long the topic's name is and whatever the library says")
{
    char topic[250], words[1000];
    struct partition p = running();

    memset(topic, 't', sizeof(topic));
    memset(words, 'w', sizeof(words));
    topic[sizeof(topic) - 1] = words[sizeof(words) - 1] = '\0';
    p.topic = topic;
    p.number = INT32_MAX;
    p.next = INT64_MAX;
    p.tried_at = INT64_MAX;
    p.tries = PARTITION_TRIES;
    CHECK_INT(partition_trouble(&p, KAFKA_BAD_BATCH, words, 0), PARTITION_HALT);
    CHECK(strcmp(p.why + strlen(p.why) - strlen("latest --reason 'WHY'"),
                 "latest --reason 'WHY'") == 0);
}

TEST("an end before the last message is borne for a while, then halts")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK(partition_end(&p, 1000));
    CHECK(!p.at_end);
    CHECK(!partition_end(&p, 2000)); /* the end is met again and again: told once, and no respite */
    CHECK_INT(partition_tick(&p, 1000 + PARTITION_VERIFY_US - 1), PARTITION_DROP);
    CHECK_INT(partition_tick(&p, 1000 + PARTITION_VERIFY_US), PARTITION_HALT);
    p = booked();
    partition_assigned(&p);
    CHECK(partition_end(&p, 1000));
    CHECK_INT(partition_record(&p, 41, FP, 2000), PARTITION_DROP); /* the new leader caught up */
    CHECK_INT(partition_tick(&p, 1000 + 2 * PARTITION_VERIFY_US), PARTITION_DROP);
    CHECK(!partition_end(&p, 3000));
    CHECK(p.at_end);
}

TEST("troubles of the network or of a missing topic leave the partition as it is")
{
    struct partition p = running();

    CHECK_INT(partition_trouble(&p, KAFKA_TRANSIENT, "", 0), PARTITION_DROP);
    CHECK_INT(partition_trouble(&p, KAFKA_NO_TOPIC, "", 0), PARTITION_DROP);
    CHECK_INT(p.state, PARTITION_RUNNING);
}

TEST("a message that comes while one is held back is remembered as missed")
{
    struct partition p = running();
    struct message held = { .offset = 42 };

    p.held = &held;
    CHECK_INT(partition_record(&p, 43, 1, 0), PARTITION_DROP);
    CHECK(p.missed);
}

TEST("a halted partition is claimed but never assigned")
{
    struct partition p = { .topic = "t" };
    struct partition_claim c = { .epoch = 1, .halted = "by hand" };

    partition_claimed(&p, &c, 0);
    CHECK_INT(p.state, PARTITION_HALTED);
    CHECK(!partition_assignable(&p));
    CHECK_STR(p.why, "by hand");
}

TEST("a position that a person has set starts there without a comparison")
{
    struct partition p = { .topic = "t" };
    struct partition_claim c = { .epoch = 1, .has_next = true, .next_offset = 500 };

    partition_claimed(&p, &c, 1);
    CHECK_INT(partition_start(&p), 500);
    partition_assigned(&p);
    CHECK_INT(p.state, PARTITION_RUNNING);
    CHECK_INT(partition_record(&p, 499, 1, 0), PARTITION_DROP);
    CHECK_INT(partition_record(&p, 500, 1, 0), PARTITION_TAKE);
}

TEST("the fingerprint tells timestamp, key and value apart, and absent from empty")
{
    uint64_t f = partition_fingerprint(1, slice_of("k"), slice_of("v"));

    CHECK(f == partition_fingerprint(1, slice_of("k"), slice_of("v")));
    CHECK(f != partition_fingerprint(2, slice_of("k"), slice_of("v")));
    CHECK(f != partition_fingerprint(1, slice_of("v"), slice_of("k")));
    CHECK(f != partition_fingerprint(1, slice_of("kv"), SLICE("")));
    CHECK(partition_fingerprint(1, SLICE(""), SLICE("")) !=
          partition_fingerprint(1, SLICE_ABSENT, SLICE("")));
    CHECK(partition_fingerprint(1, SLICE(""), SLICE("")) !=
          partition_fingerprint(1, SLICE(""), SLICE_ABSENT));
}

/* Worked out with a SipHash-2-4 written in Python and checked against its authors' test vector. */
TEST("the fingerprint is the same in every version, as it is kept in PostgreSQL")
{
    CHECK(partition_fingerprint(INT64_C(1790000000000000), slice_of("acct-1"), slice_of("{}")) ==
          UINT64_C(0xbb34e511376328ce));
    CHECK(partition_fingerprint(-1, SLICE_ABSENT, SLICE("")) == UINT64_C(0x209b7a5c6286bc54));
}

static bool stands_still(struct partition *p, int64_t high, unsigned looks)
{
    for (unsigned i = 1; i < looks; i++)
        if (partition_dry(p, high, i) != PARTITION_DROP)
            return false;
    return partition_dry(p, high, looks) == PARTITION_AGAIN && p->state == PARTITION_SUSPECT &&
           p->due_us == looks;
}

TEST("a partition of which nothing comes though its log goes on is assigned anew, each time "
     "twice as late")
{
    static const unsigned looks[] = { 60, 120, 240, 480, 960, 960 };
    struct partition p = running();

    for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
        CHECK(stands_still(&p, 43, looks[i]));
        CHECK_INT(partition_start(&p), 41);
        CHECK_INT(partition_dry(&p, 43, 0), PARTITION_DROP); /* until it is assigned */
        partition_assigned(&p);
        CHECK_INT(partition_record(&p, 41, FP, 0), PARTITION_DROP);
    }
    partition_taken(&p, 42, 1);
    CHECK(stands_still(&p, 44, 60));
}

TEST("so is one whose last message does not come")
{
    struct partition p = booked();

    partition_assigned(&p);
    CHECK(stands_still(&p, 42, 60));
}

TEST("one that waits for the end of a transaction is assigned anew only when that is over for sure")
{
    struct partition p = running();

    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_TAKE);
    partition_taken(&p, 42, 1);
    partition_end(&p, 0);
    p.end = 43;
    CHECK(stands_still(&p, 50, 960));
    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_DROP);
    CHECK(stands_still(&p, 50, 120)); /* its end was not met again */
    partition_assigned(&p);
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_DROP);
    partition_end(&p, 0);
    p.end = 43;
    CHECK_INT(partition_record(&p, 42, 1, 0), PARTITION_DROP); /* it went back since */
    CHECK(stands_still(&p, 50, 240));
}

TEST("whatever comes of a partition, or its end, shows that it does not stand still")
{
    struct partition p = running();

    for (unsigned i = 0; i < 5 * PARTITION_STILL_LOOKS; i++) {
        CHECK_INT(partition_dry(&p, 100, i), PARTITION_DROP);
        if (i % 50 != 7)
            continue;
        if (i / 50 % 2 == 0)
            CHECK_INT(partition_record(&p, 7, 1, i), PARTITION_DROP); /* it went back */
        else
            partition_end(&p, i);
    }
    CHECK_INT(p.state, PARTITION_RUNNING);
}

TEST("a partition that is at its end or held back does not stand still")
{
    struct partition p = running();
    struct message held = { .offset = 42 };

    p.held = &held;
    for (unsigned i = 0; i < 3 * PARTITION_STILL_LOOKS; i++)
        CHECK_INT(partition_dry(&p, 100, i), PARTITION_DROP);
    p.held = NULL;
    for (unsigned i = 0; i < 3 * PARTITION_STILL_LOOKS; i++)
        CHECK_INT(partition_dry(&p, 42, i), PARTITION_DROP);
    p.end = 44; /* control records end the log */
    for (unsigned i = 0; i < 3 * PARTITION_STILL_LOOKS; i++)
        CHECK_INT(partition_dry(&p, 44, i), PARTITION_DROP);
    for (unsigned i = 0; i < 3 * PARTITION_STILL_LOOKS; i++)
        CHECK_INT(partition_dry(&p, -1001, i), PARTITION_DROP); /* nothing was fetched yet */
    CHECK(stands_still(&p, 45, PARTITION_STILL_LOOKS));
}
