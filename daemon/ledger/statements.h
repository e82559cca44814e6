/* The SQL of the ledger: schema/queries/<name>.sql, one statement a file, embedded at build. */
#ifndef DEBITD_LEDGER_STATEMENTS_H
#define DEBITD_LEDGER_STATEMENTS_H

#include "pg/session.h"

#define LEDGER_STATEMENTS(X) \
    X(begin)                 \
    X(open_books)            \
    X(advance)               \
    X(known_keys)            \
    X(void_keys)             \
    X(account_facts)         \
    X(void_originals)        \
    X(void_parked)           \
    X(voided_known)          \
    X(lock_payers)           \
    X(usage_rows)            \
    X(reserve)               \
    X(usage_upsert)          \
    X(payer_update)          \
    X(voided_insert)         \
    X(raise_alerts)          \
    X(reject)                \
    X(park)                  \
    X(parked_claim)          \
    X(parked_lock)           \
    X(parked_release)        \
    X(parked_forget)         \
    X(parked_void)           \
    X(parked_again)          \
    X(batch_insert)          \
    X(count_positions)       \
    X(commit)                \
    X(positions_lock)        \
    X(positions_held)        \
    X(intern)                \
    X(open_unknown)          \
    X(lock_accounts)         \
    X(account_event)         \
    X(apply_parked)

struct statements {
#define X(name) struct pg_statement name;
    LEDGER_STATEMENTS(X)
#undef X
};

void statements_load(struct statements *ret); /* asserts that each is embedded */

#endif
