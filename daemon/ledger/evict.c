/* See evict.h. */
#include "ledger/evict.h"

#include "base/embedded.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

#define SILENCE_S "5" /* a batch is never that long about its own business between two statements */

enum pg_outcome evict_silent(struct pg_session *pg, const char *who, const char *topic,
                             int32_t partition, struct error *ret_error)
{
    char number[16];
    snprintf(number, sizeof number, "%" PRId32, partition);
    const char *const param[] = { topic, number, SILENCE_S };
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    enum pg_outcome o = pg_run(pg, "looking for an owner that has fallen silent",
                               embedded_sql("queries", "claim_evict"), 3, param, &r, ret_error);
    if (o == PG_DONE && pg_text_int(r, 0, 0) > 0)
        log_notice("%s: %s/%s: a session that was silent for %s s in the middle of a transaction "
                   "has been ended",
                   who, topic, number, SILENCE_S);
    return o;
}
