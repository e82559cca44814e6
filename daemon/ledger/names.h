/* Ids of the names that events bring (metrics, services, models, components, sources …),
 * remembered. Names never change and are never deleted, so an id that was read once is right as long
 * as the session lasts; another session may have another past. One table a session; bounded: it is
 * emptied when it holds NAMES_MAX. */
#ifndef DEBITD_LEDGER_NAMES_H
#define DEBITD_LEDGER_NAMES_H

#include "ledger/statements.h"

#define NAMES_MAX 100000

struct names {
    struct name_entry *by_text;
    struct slice *missing; /* asked for and not known: what names_fetch gets */
    size_t missing_count, missing_capacity;
};
#define NAMES_NULL ((struct names){ NULL, NULL, 0, 0 })

/* The id, or 0 when it is not known yet; it is then fetched by the next names_fetch (the text must
 * live until then). An absent text has id 0 and is never fetched. */
int32_t names_id(struct names *n, struct slice text);
/* Gets all that were asked for in vain, in a transaction of its own: outside a transaction only. */
enum pg_outcome names_fetch(struct names *n, struct pg_session *pg,
                            const struct statements *st) MUST_CHECK;
void names_trim(struct names *n); /* between batches: empties it when it is too large */
void names_fini(struct names *n);

#endif
