/* When entries are summed by day. What was booked since the last time is summed at once, in a
 * stride: the longer it is, the fewer rows of sums change for one entry. While entries come the
 * next stride waits until STRIDE_US have passed since they began to; a look at which nothing new
 * was booked ends it. Nobody waits for the sums: api.usage_daily adds what they lack.
 * One of these a keeper; zero it to begin. */
#ifndef DEBITD_LEDGER_STRIDE_H
#define DEBITD_LEDGER_STRIDE_H

#include "base/clock.h"

#include <stdbool.h>

#define STRIDE_US (10 * US_PER_SECOND)

struct stride {
    int64_t newest;
    int64_t due_us; /* 0: nothing waits */
};

/* Whether to sum now. newest: the highest number of a batch that is not summed, 0: all are;
 * now_us: monotonic. After true the next stride begins with what is booked from now on. */
bool stride_ends(struct stride *s, int64_t newest, int64_t now_us);

#endif
