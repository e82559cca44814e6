/* Brings parked messages into the books once what was missing is there. */
#ifndef DEBITD_LEDGER_RELEASE_H
#define DEBITD_LEDGER_RELEASE_H

#include "ledger/batch.h"

/* One round: takes up to RELEASE_MOST candidates, operations on accounts first, and runs them
 * through the batch code. g is of kind TOPIC_USAGE with its session set. *ret_released counts
 * those that left parking. PG_DONE also when there was nothing to do. */
#define RELEASE_MOST 500
enum pg_outcome release_parked(struct ingest *g, int *ret_released,
                               struct error *ret_error) MUST_CHECK;

#endif
