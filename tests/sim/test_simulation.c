/* Histories of whole daemons against an imitated Kafka, PostgreSQL and clock (tests/sim/sim.h), and that they find what is taken out.
 * A history that fails here is shown step by step by build/tests/simulate, which also runs more of them. */
#include "tests/unit/test.h"

#include "tests/sim/history.h"

#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
#define HISTORIES 400
#else
#define HISTORIES 2500
#endif
#define TOOTH_HISTORIES 6000 /* within which each fault must be found; most need a few */

static bool good(uint64_t seed)
{
    if (history_run(seed, TOOTH_NONE, false))
        return true;
    printf("# seed %" PRIu64 ": %s\n# step by step: build/tests/simulate --seed %" PRIu64
           " --histories 1 --trace\n",
           seed, sim.failure, seed);
    return false;
}

/* Those that were there before … */
TEST("known histories keep every invariant and come to rest")
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        REQUIRE(good(seed));
}

/* … and others each time, or those of --seed. */
TEST("new histories keep every invariant and come to rest")
{
    const char *given = getenv("DEBITD_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 10000;

    printf("# from seed %" PRIu64 "\n", first);
    for (uint64_t seed = first; seed < first + HISTORIES; seed++)
        REQUIRE(good(seed));
}

TEST("a seed is the same history every time, to the byte of its trace")
{
    sim.quietly = true;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        REQUIRE(history_run(seed, TOOTH_NONE, true));
        uint64_t hash = sim.trace_hash, steps = sim.steps;
        REQUIRE(history_run(seed + 100, TOOTH_NONE, true));
        CHECK(sim.trace_hash != hash);
        REQUIRE(history_run(seed, TOOTH_NONE, true));
        CHECK_INT(sim.trace_hash, hash);
        CHECK_INT(sim.steps, steps);
    }
    sim.quietly = false;
}

static void must_be_missed(enum tooth tooth)
{
    for (uint64_t seed = 1; seed <= TOOTH_HISTORIES; seed++)
        if (!history_run(seed, tooth, false)) {
            printf("# found with history %" PRIu64 ": %s\n", seed, sim.failure);
            return;
        }
    printf("# not found in %d histories: %s\n", TOOTH_HISTORIES, tooth_names[tooth]);
    CHECK(!"it is missed");
}

TEST("a position that is moved without comparing is found")
{
    must_be_missed(TOOTH_ADVANCE);
}

TEST("a missing primary key of identities is found")
{
    must_be_missed(TOOTH_KEYS);
}

TEST("a look-up of identities that finds nothing is found")
{
    must_be_missed(TOOTH_KNOWN);
}

TEST("payers that are read and not locked are found")
{
    must_be_missed(TOOTH_PAYERS);
}

TEST("payers that are locked in any order are found")
{
    must_be_missed(TOOTH_ORDER);
}

TEST("an unanswered COMMIT that is resolved by a plain read is found")
{
    must_be_missed(TOOTH_RESOLUTION);
}

TEST("a relay that does not fence the one before in Kafka is found")
{
    must_be_missed(TOOTH_TXN_FENCE);
}

TEST("a relay whose epoch is not compared is found")
{
    must_be_missed(TOOTH_EPOCH);
}

TEST("a relay that does not read back is found")
{
    must_be_missed(TOOTH_READ_BACK);
}

TEST("a pause that is not ended when the partitions are given out anew is found")
{
    must_be_missed(TOOTH_RESUME);
}
