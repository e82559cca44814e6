/* See store.h. */
#include "tests/sim/store.h"

#include "base/clock.h"
#include "tests/sim/check.h"

#include <string.h>

#define LOCK_TIMEOUT_US (15 * SEC)

struct store store;

static const size_t sizes[TABLES] = {
    [T_POSITION] = sizeof(struct position),  [T_KEY] = sizeof(struct event_key),
    [T_ENTRY] = sizeof(struct ledger_entry), [T_PAYER] = sizeof(struct payer),
    [T_ACCOUNT] = sizeof(struct account),    [T_USAGE] = sizeof(struct usage),
    [T_ALERT] = sizeof(struct alert),        [T_REJECTED] = sizeof(struct rejected),
    [T_PARKED] = sizeof(struct parked),      [T_RELAY] = sizeof(struct relay_row),
    [T_BOOKS] = sizeof(struct books),        [T_PLACE] = sizeof(struct relay_place),
};

void store_init(void)
{
    store = (struct store){ .entry_seq = 0 };
    for (int t = 0; t < TABLES; t++)
        store.last[t] = &store.first[t];
}

int64_t store_clock_us(void)
{
    return sim.start_us + sim.now_us;
}

int32_t store_name(struct slice text)
{
    for (int32_t i = 0; i < store.name_count; i++)
        if (slice_is(text, store.names[i]))
            return i + 1;
    ASSERT(store.name_count < (int32_t)ARRAY_SIZE(store.names));
    store.names[store.name_count++] = sim_copy(text.p, text.n);
    return store.name_count;
}

/* ---- transactions */

struct txn *txn_begin(const char *who)
{
    struct txn *t = sim_alloc(sizeof(*t));

    t->who = who;
    t->next = store.open;
    store.open = t;
    return t;
}

static void end(struct txn *t)
{
    struct txn **at = &store.open;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    while (t->rows != NULL) {
        struct row *r = t->rows;
        t->rows = r->of_txn;
        r->owner = NULL;
        r->written = false;
        sim_wake(r);
    }
    t->books_shared = t->books_exclusive = t->waits_exclusive = false;
    t->ended = true;
    sim_wake(&store.open);
}

void txn_commit(struct txn *t)
{
    store.commits++;
    for (struct row *r = t->rows; r != NULL; r = r->of_txn) {
        if (!r->written)
            continue;
        check_row(r->table, r->exists ? r->old : NULL, r->will_exist ? r->new : NULL);
        void *swapped = r->old;
        r->old = r->new;
        r->new = swapped;
        r->exists = r->will_exist;
    }
    end(t);
    check_commit();
}

void txn_rollback(struct txn *t)
{
    end(t);
}

/* ---- rows */

void *row_see(const struct txn *t, const struct row *r)
{
    if (r->written && t != NULL && r->owner == t)
        return r->will_exist ? r->new : NULL;
    return r->exists ? r->old : NULL;
}

static bool in_a_ring(const struct txn *t, const struct txn *behind)
{
    for (; behind != NULL; behind = behind->waits_for)
        if (behind == t)
            return true;
    return false;
}

const char *row_await(struct txn *t, struct row *r)
{
    int64_t until = sim.now_us + LOCK_TIMEOUT_US;

    while (r->owner != NULL && r->owner != t) {
        if (in_a_ring(t, r->owner)) {
            store.deadlocks++;
            sim_fail("PostgreSQL found a deadlock: %s and %s", t->who, r->owner->who);
        }
        TRACE("%s waits for %s (table %d)", t->who, r->owner->who, r->table);
        t->waits_for = r->owner;
        bool late = sim_wait(r, until);
        t->waits_for = NULL;
        if (late)
            return "55P03";
        if (t->ended)
            return "57P01";
    }
    return NULL;
}

static void take(struct txn *t, struct row *r)
{
    r->owner = t;
    r->of_txn = t->rows;
    t->rows = r;
}

const char *row_lock(struct txn *t, struct row *r)
{
    const char *state = row_await(t, r);

    if (state == NULL && r->owner == NULL)
        take(t, r);
    return state;
}

void *row_write(struct txn *t, struct row *r)
{
    ASSERT(r->owner == t);
    if (!r->written) {
        memcpy(r->new, r->old, sizes[r->table]);
        r->will_exist = r->exists;
        r->written = true;
    }
    ASSERT(r->will_exist);
    return r->new;
}

void row_delete(struct txn *t, struct row *r)
{
    row_write(t, r);
    r->will_exist = false;
}

void *row_insert(struct txn *t, enum table table, const void *data)
{
    struct row *r = sim_alloc(sizeof(*r));

    r->table = table;
    r->old = sim_copy(data, sizes[table]); /* not there yet, but its key is known */
    r->new = sim_copy(data, sizes[table]);
    r->written = r->will_exist = true;
    take(t, r);
    *store.last[table] = r;
    store.last[table] = &r->next;
    return r->new;
}

void *row_revive(struct txn *t, struct row *r, const void *data)
{
    ASSERT(r->owner == t && !r->exists && !r->written);
    r->written = r->will_exist = true;
    return memcpy(r->new, data, sizes[r->table]);
}

/* ---- the books lock: who wants it alone comes before those who want to share it and come later */

static bool others(const struct txn *t, bool exclusive_only)
{
    for (const struct txn *o = store.open; o != NULL; o = o->next)
        if (o != t &&
            (o->books_exclusive || (exclusive_only ? o->waits_exclusive : o->books_shared)))
            return true;
    return false;
}

const char *books_share(struct txn *t)
{
    int64_t until = sim.now_us + LOCK_TIMEOUT_US;

    while (!t->books_shared && others(t, true)) {
        if (sim_wait(&store.open, until))
            return "55P03";
        if (t->ended)
            return "57P01";
    }
    t->books_shared = true;
    return NULL;
}

const char *books_exclude(struct txn *t)
{
    int64_t until = sim.now_us + LOCK_TIMEOUT_US;
    bool late = false;

    t->waits_exclusive = true;
    while (others(t, false) && !late && !t->ended)
        late = sim_wait(&store.open, until);
    t->waits_exclusive = false;
    if (late || t->ended) {
        sim_wake(&store.open);
        return late ? "55P03" : "57P01";
    }
    t->books_exclusive = true;
    return NULL;
}
