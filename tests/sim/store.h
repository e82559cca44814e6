/* The simulated database: rows with a committed and an uncommitted version, transactions, row locks, the books lock. READ COMMITTED:
 * a statement sees what is committed and what its own transaction wrote; who wants to write a row that another transaction has
 * written or locked waits for that one's end. */
#ifndef DEBITD_TESTS_SIM_STORE_H
#define DEBITD_TESTS_SIM_STORE_H

#include "base/decimal.h"
#include "base/hash.h"
#include "base/slice.h"
#include "tests/sim/sim.h"

struct txn {
    struct txn *next; /* of those that are open */
    const char *who;  /* the session */
    bool explicit_begin, failed;
    struct row *rows; /* written or locked */
    struct txn *waits_for;
    bool books_shared, books_exclusive, waits_exclusive;
    bool ended; /* crashed, or its session was terminated */
};

enum table {
    T_POSITION,
    T_KEY,
    T_ENTRY,
    T_PAYER,
    T_ACCOUNT,
    T_USAGE,
    T_ALERT,
    T_REJECTED,
    T_PARKED,
    T_RELAY,
    T_PLACE,
    T_BOOKS,
    TABLES
};

struct row {
    struct row *next;
    enum table table;
    struct txn *owner; /* whose lock it has; it may have written it */
    struct row *of_txn;
    bool exists, written, will_exist;
    void *old, *new;
};

#define COUNTS 5 /* booked, duplicates, rejected, parked, skipped */
struct position {
    const char *topic;
    int32_t partition;
    int64_t epoch;
    bool has_next, has_last;
    int64_t next, last;
    int64_t fingerprint;
    int64_t count[COUNTS];
    const char *halted;
};
struct event_key {
    int32_t month;
    struct hash128 key, digest;
    int64_t entry_id; /* 0: null */
};
struct ledger_entry {
    int64_t entry_id, account_id, payer_id;
    bool is_usage;
    const char *event_id;
    int32_t metric_id, month;
    amount_t quantity, amount, balance_after; /* all scaled 1e12 */
};
struct payer {
    int64_t payer_id, version;
    amount_t balance;
    bool has_charge;
};
struct account {
    const char *name;
    int64_t account_id, payer_id;
};
struct usage {
    int64_t payer_id;
    int32_t metric_id, start;
    bool is_day;
    amount_t used;
};
struct outbox {
    int state;
    int64_t partition, floor, epoch;
};
struct alert {
    struct hash128 id;
    char text[40]; /* the id */
    int64_t seq, payer_id, entry_id;
    const char *type, *event_id;
    bool has_threshold;
    amount_t threshold;
    struct outbox out;
};
struct rejected {
    int64_t id;
    const char *topic, *reason;
    int32_t partition;
    int64_t offset;
    struct slice key, value;
    struct outbox out;
    bool truncated;
};
struct parked {
    int64_t id;
    const char *kind, *topic, *reason, *waits_for;
    int32_t partition;
    int64_t offset;
    struct hash128 key_of_event;
    struct slice message_time, key, value; /* the time as it came, binary */
    bool released;
    const char *outcome;
    int64_t entry_id;
};
struct relay_row {
    int64_t epoch;
};
struct relay_place {
    const char *topic;
    int32_t partition;
    int64_t known;
};
struct books {
    int32_t month;
    const char *cluster;
};

struct store {
    struct row *first[TABLES], **last[TABLES];
    int64_t entry_seq, alert_seq, rejected_ids, parked_ids, account_ids;
    const char *names[64]; /* name_id - 1 */
    int32_t name_count;
    struct txn *open;
    uint64_t commits, deadlocks;
};
extern struct store store;

void store_init(void);
int64_t store_clock_us(void); /* debitd.now() */
int32_t store_name(struct slice text);

struct txn *txn_begin(const char *who);
void txn_commit(struct txn *t);
void txn_rollback(struct txn *t);

/* What the transaction sees of the row; NULL: nothing. t may be NULL: what is committed. */
void *row_see(const struct txn *t, const struct row *r);
/* The lock of the row, waited for as long as lock_timeout; NULL, or the SQLSTATE that ends it. */
const char *row_lock(struct txn *t, struct row *r);
/* To be changed; the lock is ours already. */
void *row_write(struct txn *t, struct row *r);
void row_delete(struct txn *t, struct row *r);
void *row_insert(struct txn *t, enum table table, const void *data);
/* The place of a row whose insertion was rolled back is taken again; the lock is ours. */
void *row_revive(struct txn *t, struct row *r, const void *data);
/* Somebody else has written a row of this key and has not committed: waits for that. */
const char *row_await(struct txn *t, struct row *r);

/* The books lock. */
const char *books_share(struct txn *t);
const char *books_exclude(struct txn *t);

#define EACH_ROW(r, table) for (struct row *r = store.first[table]; r; r = r->next)

#endif
