/* Messages of usage.events (contract 1.1): usage.recorded, usage.voided. Pure; the hot path: no
 * jansson, no malloc but the arena's. */
#ifndef DEBITD_CONSUMERS_USAGE_H
#define DEBITD_CONSUMERS_USAGE_H

#include "consumers/envelope.h"
#include "model/event.h"

/* Every check of contract 5 that needs no database, in its order, up to out_of_range. REASON_NONE:
 * *ret is complete, key and digest included. */
enum reason usage_decode(const struct message *m, int64_t window_us, struct json *doc,
                         struct arena *arena, struct usage_event *ret,
                         struct refusal *ret_refusal) MUST_CHECK;

#endif
