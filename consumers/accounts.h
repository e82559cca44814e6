/* Messages of usage.accounts (contract 1.2). */
#ifndef DEBITD_CONSUMERS_ACCOUNTS_H
#define DEBITD_CONSUMERS_ACCOUNTS_H

#include "consumers/envelope.h"
#include "model/account_op.h"

/* Every check of contract 5 that needs no database, in its order. Amounts: > 0 (adjusted: not 0),
 * at most 12 decimals, else bad_data; 1e18 and more is
 * out_of_range. A table of members by type drives it. `until`, `expires` and refunds that name an
 * event (`event_source`, `event_id`) are refused as bad_data
 * with words that say so: ignoring them would book something else than was meant. */
enum reason accounts_decode(const struct message *m, int64_t window_us, struct json *doc,
                            struct arena *arena, struct account_op *ret,
                            struct refusal *ret_refusal) MUST_CHECK;

/* The same checks for debitctl: type and the JSON text of data (an object) as a person gave them.
 * */
enum reason account_op_of_data(struct slice type, struct slice source, struct slice id,
                               struct slice account, int64_t time_us, struct slice data,
                               struct json *doc, struct arena *arena, struct account_op *ret,
                               struct refusal *ret_refusal) MUST_CHECK;

#endif
