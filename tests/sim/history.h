/* One history: daemons come, go, hang and are killed while events come in and servers fail; then all faults end, and all must be well. */
#ifndef DEBITD_TESTS_SIM_HISTORY_H
#define DEBITD_TESTS_SIM_HISTORY_H

#include "tests/sim/sim.h"

/* False: it failed, and sim.failure says how. */
bool history_run(uint64_t seed, enum tooth tooth, bool trace);
/* What all histories since the start have had, for people. */
struct history_counts {
    uint64_t histories, steps, messages, virtual_us;
    uint64_t kills, pauses, crashes, stops, cuts, ghosts, rebalances, rewinds, skips, leftovers,
        stuck, behind, unknown_commits, fenced, commits, fenced_writers, points, refused, orphaned;
};
extern struct history_counts history_counts;

/* The current daemon has come to a point that is worth a fault: it may be killed or stopped there. */
void history_point(const char *where);
/* The daemon of that owner wrote to its wake descriptor. */
void daemon_woken(struct owner *o);

#endif
