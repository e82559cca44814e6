/* What is known of accounts, remembered from batch to batch. Never decides: every use is checked
 * against the version of the payer's row under its lock. Only accounts that exist are
 * remembered. One cache a session; bounded: emptied when it holds ACCOUNT_CACHE_MAX. */
#ifndef DEBITD_LEDGER_ACCOUNT_CACHE_H
#define DEBITD_LEDGER_ACCOUNT_CACHE_H

#include "base/table.h"
#include "pg/session.h"


#define ACCOUNT_CACHE_MAX 200000

struct account_facts {
    UT_hash_handle hh;
    int64_t account_id, payer_id;
    int64_t version; /* of the payer's row when this was read */
    bool guest, closed;
    struct slice *byok;
    int byoks;
    size_t name_length;
    char name[]; /* then the texts of byok */
};

struct account_cache {
    struct account_facts *by_name;
};

struct account_facts *account_cache_find(struct account_cache *c,
                                         struct slice name); /* NULL: not remembered */
/* Takes a row of the statement account_facts in, replacing what was known. */
struct account_facts *account_cache_take(struct account_cache *c, const struct pg_result *r,
                                         int row);
void account_cache_trim(
    struct account_cache *c); /* between batches: empties it when it is too large */
void account_cache_clear(struct account_cache *c);
bool account_has_byok(const struct account_facts *a, struct slice service);

#endif
