/* The invariants, looked at with every commit of PostgreSQL and of Kafka, and at the end (research: reliability.md I1-I7). */
#ifndef DEBITD_TESTS_SIM_CHECK_H
#define DEBITD_TESTS_SIM_CHECK_H

#include "tests/sim/store.h"

void check_begin(void);
void check_opening(int64_t payer_id,
                   amount_t balance); /* of an account that is there from the start */
/* One row becomes visible: old NULL: new; new NULL: gone. */
void check_row(enum table table, const void *old, const void *new);
void check_commit(void); /* all rows of a transaction have become visible */
/* A record became visible to read_committed consumers. id: of the header. */
void check_published(bool is_alert, const char *id, size_t n);
/* An offset was committed in Kafka: never one that is not in the books. */
void check_mirror(int topic, int32_t partition, int64_t offset);
/* Is all done that was sent in? Words in `why` where not. */
bool check_settled(char *why, size_t n);
void check_end(void);

#endif
