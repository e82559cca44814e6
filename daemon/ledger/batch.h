/* One ingest transaction: positions, keys, entries, summaries, balances, alerts, rejections and
 * parked messages move together or not at all.
 *
 * A batch is a list of decoded messages, cut into parts: one part a partition, its messages in
 * offset order, one compare-and-set a part. It begins only with everything in
 * hand, may be run any number of times (nothing of a run that failed is left), and decides nothing
 * from memory that the database could contradict.
 *
 *   batch_read.c      BEGIN, books, positions, known keys, accounts, originals of voids; then the
 *                     payers' locks, their summaries, ids
 *   batch_book.c      what becomes of each message, in order: pure
 *   batch_accounts.c  the same for operations on accounts: a call of debitd.account_event() each
 *   batch_keys.c      the keys that are known, and COPY of those that were taken
 *   batch_write.c     COPY of entries, summaries, balances, alerts, rejections, parked
 *                     messages, counts, COMMIT
 *
 * Lock order, everywhere: position, parked rows, payers, event keys, alerts.
 * Concurrency: a struct ingest belongs to one thread, with its session. */
#ifndef DEBITD_LEDGER_BATCH_H
#define DEBITD_LEDGER_BATCH_H

#include "base/arena.h"
#include "base/json_scan.h"
#include "base/table.h"
#include "ledger/account_cache.h"
#include "ledger/names.h"
#include "ledger/statements.h"
#include "model/account_op.h"
#include "model/catalogue.h"
#include "model/event.h"
#include "model/message.h"
#include "model/reason.h"
#include "rating/rate.h"

#define BATCH_PARTS_MAX 128
#define IDS_OF_A_RUN    1048576 /* of entries, and of alerts: what their sequences step by */

enum fate { FATE_BOOKED, FATE_DUPLICATE, FATE_REJECTED, FATE_PARKED, FATE_SKIPPED, FATES };

struct item { /* kept small: a batch walks along all of them a dozen times */
    const struct message *m;
    int64_t parked_id;            /* of a message that is released from parking; 0: from Kafka */
    const struct refusal *decode; /* NULL: the event is good */
    bool tombstone;               /* no value, so no event either */
    bool told_unpriced;           /* parked for want of a price already, which was told then */
    /* of one run */
    bool not_ours;     /* releasing: released or held by somebody else; it is left alone */
    bool takes_key;    /* its identity is one of this month if it is booked now: that of what was
                          parked may be of an earlier one, and the window begins at booking */
    bool voids_parked; /* takes a parked event back: its key is e.void_key */
    enum fate fate;
    const struct refusal *refusal;       /* of a rejected or parked one */
    const struct account_facts *account; /* NULL: not open */
    struct payer_state *payer;           /* of the account */
    struct entry *entry; /* what was booked; NULL also for the void of a parked event */
    int32_t source_id, metric_id, service_id, model_id, *component_id; /* 0: absent */
    struct slice waits_for; /* of a parked one: the account */
    union {
        struct usage_event e;
        struct account_op op; /* of a batch of operations */
    };
};

struct part {
    const char *topic;
    int32_t partition;
    uint64_t generation;
    int64_t epoch;
    int64_t expected; /* next offset before; -1: none yet */
    int64_t next, last;
    uint64_t fingerprint; /* of the message at last */
    size_t first, count;  /* its items */
};

struct payer_state {
    UT_hash_handle hh;
    int64_t payer_id, version;
    const struct plan *plan; /* NULL: it has a parent now and pays no more */
    int32_t unit_id, currency_id;
    amount_t balance, spent; /* spent: in this run */
    bool had_charge, has_charge, touched;
};

struct usage_key {
    int64_t payer_id;
    int32_t metric_id, start, is_day, zero;
};
struct usage_state { /* what was used before, and what this run adds */
    UT_hash_handle hh;
    struct usage_key key;
    quantity_t used; /* of a month: up to now, this run included */
    quantity_t added;
    int64_t events;
    int32_t currency_id;
    amount_t cost, charge, overage_charge;
    bool wanted; /* `used` is what the database says; of a month that was not asked for it is not */
    bool touched;
};

struct known_key {
    struct hash128 key, digest;
    bool in_database;
    int64_t entry_id;  /* in_database: 0 where there is none */
    struct item *item; /* else: who took it in this run */
};
struct known_keys {
    struct known_key **slot; /* NULL: none is known yet */
    size_t mask, room;
};

struct entry_component {
    int32_t component_id, price_id;
    quantity_t quantity;
    bool cost_known;
    amount_t cost, charge;
};

struct entry {
    int64_t entry_id, account_id, payer_id, corrects;
    bool is_void;
    int64_t occurred_us;
    int32_t counted_on;
    int32_t source_id, service_id, model_id, metric_id;
    struct slice event_id, metric;
    quantity_t quantity;
    struct entry_component *component;
    uint32_t components;
    bool cost_known;
    amount_t cost, amount, balance_after;
    int32_t currency_id, unit_id, plan_id;
    enum charge_kind kind;
    struct slice price_source, reason, user, thread, execution, agent, metadata;
};

struct original { /* of a void, read from the ledger; .e.entry_id is the key */
    UT_hash_handle hh;
    struct entry e;
    bool is_usage;
};
struct parked_original {
    UT_hash_handle hh;
    struct hash128 key;
    struct slice account;
    bool open, was_voided;
    int64_t entry_id; /* booked since; 0: not */
};
struct voided_key {
    UT_hash_handle hh;
    struct hash128 key, by;
    bool in_database;
};

struct alert_row {
    const char *type;
    int64_t payer_id;  /* 0: the platform's */
    int32_t metric_id; /* 0: none */
    int32_t period_start;
    bool has_threshold, has_usage, has_balance;
    amount_t threshold;
    quantity_t used, included;
    amount_t balance;
    int64_t entry_id; /* 0: none */
    struct slice source, event_id, service, model, metric, component;
};

struct ingest_settings {
    int64_t window_us;        /* how old an event may be */
    bool open_unknown;        /* usage of an unknown account opens it */
    const char *default_plan; /* on this plan */
};

/* What a run that ended in PG_RETRY asks for before it is run again; done outside a
 * transaction. */
enum ingest_need {
    NEED_NOTHING = 0,
    NEED_CATALOGUE = 1,
    NEED_MONTH = 2,
    NEED_ACCOUNTS = 4,
    NEED_KEYS = 8, /* the items' keys are of the other kind (timed_keys) */
};

struct ingest {
    enum topic_kind kind;  /* of all its batches */
    struct pg_session *pg; /* set by whoever runs it */
    const struct statements *st;
    struct names names;
    struct account_cache accounts;
    struct catalogue *catalogue;  /* owned */
    struct catalogue *price_file; /* owned; NULL: none */
    struct ingest_settings settings;
    bool timed_keys; /* of the books; true until they tell otherwise */
    struct pg_args args;
    struct json doc;
    struct arena event_arena; /* lives as long as the batch */
    /* the batch */
    struct item *item;
    size_t items, items_capacity;
    struct part part[BATCH_PARTS_MAX];
    int parts;
    bool releasing; /* items come from parking: no positions, no new keys */
    /* the range that a run takes: all, or a piece of it when the batch is bisected */
    size_t from, to;
    /* one run */
    struct arena run_arena;
    int needs; /* enum ingest_need */
    int32_t month, catalogue_version;
    int64_t entry_base, alert_base, now_us;
    struct payer_state *payers;
    struct usage_state *usage;
    struct known_keys keys, void_keys; /* of the events, and of those that voids name */
    struct original *originals;
    struct parked_original *parked_originals;
    struct voided_key *voided;
    struct entry **entry;
    size_t entries;
    struct alert_row *alert;
    size_t alerts, alerts_capacity;
    struct slice *unknown_accounts; /* NEED_ACCOUNTS */
    size_t unknown_account_count;
};

void ingest_init(struct ingest *g, enum topic_kind kind, const struct statements *st,
                 const struct ingest_settings *settings);
/* Another session, or NULL; what was read in the one before is forgotten: the server may have gone
 * back in time (a restore, a failover with loss), and its ids may mean something else now. */
void ingest_session(struct ingest *g, struct pg_session *pg);
void ingest_fini(struct ingest *g); /* not the session */

/* Forgets the batch: messages must have been released by the caller. */
void ingest_clear(struct ingest *g);
/* Adds a message, decoding it. Its part must be the last one, or a new one. */
void ingest_add(struct ingest *g, const struct message *m, int64_t parked_id);

/* Runs items [from, to) of the batch in one transaction; `parts` are those of that range, with
 * expected and next set. COMMIT included. PG_DONE: it is booked and fates are set.
 * PG_RETRY with needs: see there. PG_LOST after COMMIT was sent: unknown. The session is left
 * outside a transaction, but on PG_LOST. */
enum pg_outcome ingest_run(struct ingest *g, struct part *part, int parts) MUST_CHECK;

/* Ends the run that failed and does what it needs. */
enum pg_outcome ingest_provide(struct ingest *g) MUST_CHECK;

/* the three steps of a run */
enum pg_outcome batch_read(struct ingest *g, const struct part *part, int parts) MUST_CHECK;
void batch_book(struct ingest *g);
enum pg_outcome batch_write(struct ingest *g, const struct part *part, int parts) MUST_CHECK;
enum pg_outcome batch_copy_keys(struct ingest *g) MUST_CHECK; /* of the third */

enum pg_outcome batch_operations(struct ingest *g, const struct part *part, int parts) MUST_CHECK;

/* pieces that both kinds share; the first three are used while results are awaited */
void send_begin(struct ingest *g, const struct part *part,
                int parts); /* BEGIN, open_books, advance of each part */
enum pg_outcome take_begin(struct ingest *g, int parts) MUST_CHECK;
enum pg_outcome write_outcome(struct ingest *g, const struct part *part, int parts,
                              int sent) MUST_CHECK; /* rejected, parked, counts, COMMIT */
enum pg_outcome take_sent(struct ingest *g,
                          int *sent) MUST_CHECK; /* flushes; takes that many results */
/* COPY into the partition of `month` of a table of debitd */
void copy_statement(char *out, size_t n, const char *table, int32_t month, const char *columns);

/* It has an event, which this run may book. */
static inline bool is_event(const struct item *it)
{
    return !it->tombstone && !it->decode && !it->not_ours;
}
/* A copy that lives as long as the arena. */
const struct refusal *refusal_keep(struct arena *arena, const struct refusal *why);

/* look-ups of a run */
void known_keys_init(struct known_keys *keys, struct arena *arena, size_t most); /* empty */
struct known_key *known_keys_find(const struct known_keys *keys, const struct hash128 *key);
/* of equal ones the last counts */
void known_keys_add(struct known_keys *keys, struct known_key *k);
struct payer_state *run_payer(struct ingest *g, int64_t payer_id); /* NULL: not locked */
struct usage_state *run_usage(struct ingest *g, int64_t payer_id, int32_t metric_id, int32_t start,
                              bool is_day);

/* Statements for messages that are not booked, shared with operations on accounts. */
void reject_args(struct pg_args *a, const struct message *m, const struct refusal *why);
void park_args(struct pg_args *a, const struct message *m, const struct refusal *why,
               struct slice waits_for, int32_t catalogue_version, struct slice account,
               struct slice source, struct slice id, struct hash128 key);

#endif
