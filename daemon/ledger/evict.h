/* Ends a session of ours that fell silent in the middle of a transaction, as a process that was stopped
 * or a connection of which only our side knows that it is gone: no time-out of the server ends a COPY
 * that waits for its client, and it would keep the position, its payers and the books locked. */
#ifndef DEBITD_LEDGER_EVICT_H
#define DEBITD_LEDGER_EVICT_H

#include "pg/session.h"

/* The one that is moving this position, if it has been silent for some seconds; its transaction rolls
 * back. who: for the log. Any thread, with its own session, outside a transaction. */
enum pg_outcome evict_silent(struct pg_session *pg, const char *who, const char *topic,
                             int32_t partition, struct error *ret_error) MUST_CHECK;

#endif
