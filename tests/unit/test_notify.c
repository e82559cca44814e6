/* Who is alive: the judgement behind the watchdog. */
#include "notify.h"
#include "tests/unit/test.h"

#define S INT64_C(1000000)

TEST(
    "a thread whose number changes is alive, one whose number stands still is dead after its limit")
{
    struct pulse p[2] = { { .thread = "a", .limit_us = 10 * S },
                          { .thread = "b", .limit_us = 60 * S } };
    pulse_feel(&p[0], 7, 100 * S);
    pulse_feel(&p[1], 7, 100 * S);
    CHECK(pulse_dead(p, 2, 110 * S) == NULL);
    CHECK(pulse_dead(p, 2, 110 * S + 1) == &p[0]);
    pulse_feel(&p[0], 7, 111 * S); /* the same number is no progress */
    CHECK(pulse_dead(p, 2, 111 * S) == &p[0]);
    pulse_feel(&p[0], 8, 111 * S);
    CHECK(pulse_dead(p, 2, 121 * S) == NULL);
    pulse_feel(&p[0], 9, 160 * S);
    CHECK(pulse_dead(p, 2, 160 * S + 1) == &p[1]);
}

TEST("a number that begins at 0 is progress when it is first seen")
{
    struct pulse p = { .thread = "a", .limit_us = S };
    pulse_feel(&p, 0, 100 * S);
    CHECK(pulse_dead(&p, 1, 101 * S) == NULL);
    CHECK(pulse_dead(&p, 1, 102 * S) == &p);
}
