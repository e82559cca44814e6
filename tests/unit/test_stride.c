/* When entries are summed by day. */
#include "ledger/stride.h"
#include "tests/unit/test.h"

#define S US_PER_SECOND

TEST("while something is booked between looks, it is summed when STRIDE_US have passed")
{
    struct stride s = { 0 };
    int64_t began = 100 * S, newest = 7;
    for (int64_t now = began; now < began + STRIDE_US; now += S)
        CHECK(!stride_ends(&s, newest++, now));
    CHECK(stride_ends(&s, newest++, began + STRIDE_US));
    CHECK(!stride_ends(&s, newest++, began + STRIDE_US + S)); /* the next one */
    CHECK(!stride_ends(&s, newest++, began + 2 * STRIDE_US));
    CHECK(stride_ends(&s, newest, began + 2 * STRIDE_US + S));
}

TEST("what nothing was added to since the last look is summed then")
{
    struct stride s = { 0 };
    CHECK(!stride_ends(&s, 7, 100 * S));
    CHECK(stride_ends(&s, 7, 101 * S));
    CHECK(!stride_ends(&s, 0, 102 * S));
    CHECK(!stride_ends(&s, 9, 200 * S)); /* of a batch after a long silence no time has passed */
    CHECK(!stride_ends(&s, 10, 201 * S));
    CHECK(stride_ends(&s, 10, 202 * S));
}

TEST("what another daemon is at, or what failed, is tried again at the look after the next")
{
    struct stride s = { 0 };
    CHECK(!stride_ends(&s, 7, 100 * S));
    CHECK(stride_ends(&s, 7, 101 * S));
    CHECK(!stride_ends(&s, 7, 102 * S));
    CHECK(stride_ends(&s, 7, 103 * S));
}

TEST("where all is summed there is nothing to do")
{
    struct stride s = { 0 };
    CHECK(!stride_ends(&s, 0, 100 * S));
    CHECK(!stride_ends(&s, 7, 101 * S));
    CHECK(!stride_ends(&s, 0, 102 * S)); /* another daemon did */
    CHECK(!stride_ends(&s, 8, 120 * S));
}
