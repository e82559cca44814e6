/* What the statements of a batch mean: identities, payers, summaries, entries, alerts, rejections, parked messages. */
#include "tests/sim/pq.h"

#include "base/clock.h"

#include <endian.h>
#include <string.h>

#define PG_EPOCH_DAY 10957

int32_t books_month(void)
{
    return ((const struct books *)store.first[T_BOOKS]->old)->month;
}

struct row *find_account(const struct txn *t, struct slice name)
{
    EACH_ROW(r, T_ACCOUNT)
    {
        const struct account *a = row_see(t, r);
        if (a != NULL && slice_is(name, a->name))
            return r;
    }
    return NULL;
}

struct row *find_payer(int64_t payer_id)
{
    EACH_ROW(r, T_PAYER)
    if (((const struct payer *)(r->exists ? r->old : r->new))->payer_id == payer_id)
        return r;
    return NULL;
}

static const char *sql_open_books(struct q *q)
{
    const char *state = books_share(q->t);

    if (state != NULL)
        return state;
    int64_t now = store_clock_us();
    int32_t month = books_month();
    int64_t first = month * US_PER_DAY, last = month_add(month, 1) * US_PER_DAY - 1;
    out_row(q, 6);
    out_day(q, month);
    out_int(q, 4, 1);
    out_time(q, now < first ? first : now > last ? last : now);
    out_int(q, 4, 2);
    out_bool(q, sim.seed % 2); /* books that were begun before keys were led by time */
    out_bool(q, now > last);
    return NULL;
}

static const char *sql_known_keys(struct q *q)
{
    static struct slice key[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, key);

    if (sim.tooth == TOOTH_KNOWN)
        return NULL;
    EACH_ROW(r, T_KEY)
    {
        const struct event_key *k = row_see(q->t, r);
        for (int32_t i = 0; k != NULL && i < n; i++) {
            if (memcmp(k->key.byte, key[i].p, 16) != 0)
                continue;
            out_row(q, 3);
            out_hash(q, k->key);
            out_hash(q, k->digest);
            if (k->entry_id)
                out_int(q, 8, k->entry_id);
            else
                out_null(q);
            break;
        }
    }
    return NULL;
}

static const char *sql_account_facts(struct q *q)
{
    static struct slice name[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, name);

    EACH_ROW(r, T_ACCOUNT)
    {
        const struct account *a = row_see(q->t, r);
        for (int32_t i = 0; a != NULL && i < n; i++) {
            if (!slice_is(name[i], a->name))
                continue;
            const struct payer *p = row_see(q->t, find_payer(a->payer_id));
            out_row(q, 7);
            out_text(q, a->name);
            out_int(q, 8, a->account_id);
            out_int(q, 8, a->payer_id);
            out_int(q, 8, p->version);
            out_bool(q, true);
            out_bool(q, false);
            out_text(q, "");
            break;
        }
    }
    return NULL;
}

static const char *sql_lock_payers(struct q *q)
{
    static struct slice wanted[ELEMENTS_MAX];
    bool locks = strstr(q->sql, "FOR NO KEY UPDATE") != NULL && sim.tooth != TOOTH_PAYERS;
    bool sorted = strstr(q->sql, "ORDER BY p.payer_id") != NULL && sim.tooth != TOOTH_ORDER;
    int32_t n = arg_elements(q, 0, wanted);
    int64_t id[ELEMENTS_MAX];

    for (int32_t i = 0; i < n; i++)
        id[i] = int_of(wanted[i]);
    for (int32_t i = 1; sorted && i < n; i++)
        for (int32_t k = i; k > 0 && id[k] < id[k - 1]; k--) {
            int64_t swapped = id[k];
            id[k] = id[k - 1];
            id[k - 1] = swapped;
        }
    for (int32_t i = 0; i < n; i++) {
        struct row *r = find_payer(id[i]);
        const char *state = r && locks ? row_lock(q->t, r) : NULL;
        if (state != NULL)
            return state;
        const struct payer *p = r ? row_see(q->t, r) : NULL;
        if (p == NULL)
            continue;
        if (locks && sim_one_in(2))
            sim_yield();
        out_row(q, 8);
        out_int(q, 8, p->payer_id);
        out_int(q, 8, p->version);
        out_text(q, "plan");
        out_int(q, 4, store_name(SLICE("USD")));
        out_int(q, 4, store_name(SLICE("USD")));
        out_amount(q, p->balance);
        out_bool(q, p->has_charge);
        out_bool(q, true);
    }
    return NULL;
}

static struct row *find_usage(int64_t payer_id, int64_t metric_id, int64_t start, bool is_day)
{
    EACH_ROW(r, T_USAGE)
    {
        const struct usage *u = r->written ? r->new : r->old;
        if (u->payer_id == payer_id && u->metric_id == metric_id && u->start == start &&
            u->is_day == is_day)
            return r;
    }
    return NULL;
}

static bool among(int64_t v, const struct slice *list, int32_t n, int64_t plus)
{
    for (int32_t i = 0; i < n; i++)
        if (int_of(list[i]) + plus == v)
            return true;
    return false;
}

static const char *sql_usage_rows(struct q *q)
{
    static struct slice payer[ELEMENTS_MAX], metric[ELEMENTS_MAX], month[ELEMENTS_MAX];
    int32_t p = arg_elements(q, 0, payer), m = arg_elements(q, 1, metric),
            d = arg_elements(q, 2, month);

    EACH_ROW(r, T_USAGE)
    {
        const struct usage *u = row_see(q->t, r);
        if (u == NULL || u->is_day || !among(u->payer_id, payer, p, 0) ||
            !among(u->metric_id, metric, m, 0) || !among(u->start, month, d, PG_EPOCH_DAY))
            continue;
        out_row(q, 4);
        out_int(q, 8, u->payer_id);
        out_int(q, 4, u->metric_id);
        out_day(q, u->start);
        out_amount(q, u->used);
    }
    return NULL;
}

static const char *sql_reserve(struct q *q)
{
    out_row(q, 3);
    out_int(q, 8, store.entry_seq += 1048576);
    out_int(q, 8, store.alert_seq += 1048576);
    out_time(q, store_clock_us());
    return NULL;
}

static const char *sql_usage_upsert(struct q *q)
{
    static struct slice a[10][ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, a[0]);

    for (int i = 1; i < 10; i++)
        ASSERT(arg_elements(q, i, a[i]) == n);
    for (int32_t i = 0; i < n; i++) {
        struct usage new = { .payer_id = int_of(a[0][i]),
                             .metric_id = (int32_t)int_of(a[1][i]),
                             .is_day = int_of(a[2][i]) != 0,
                             .start = (int32_t)int_of(a[3][i]) + PG_EPOCH_DAY,
                             .used = numeric_of(a[5][i]) };
        struct row *r = find_usage(new.payer_id, new.metric_id, new.start, new.is_day);
        const char *state = r ? row_lock(q->t, r) : NULL;
        if (state != NULL)
            return state;
        if (r == NULL) {
            row_insert(q->t, T_USAGE, &new);
        } else if (row_see(q->t, r) != NULL) {
            ((struct usage *)row_write(q->t, r))->used += new.used;
        } else { /* whoever inserted it rolled back */
            row_revive(q->t, r, &new);
        }
    }
    return NULL;
}

static const char *sql_payer_update(struct q *q)
{
    static struct slice id[ELEMENTS_MAX], balance[ELEMENTS_MAX], charge[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, id);

    ASSERT(arg_elements(q, 1, balance) == n && arg_elements(q, 3, charge) == n);
    for (int32_t i = 0; i < n; i++) {
        struct row *r = find_payer(int_of(id[i]));
        const char *state = row_lock(q->t, r);
        if (state != NULL)
            return state;
        struct payer *p = row_write(q->t, r);
        p->balance = numeric_of(balance[i]);
        p->has_charge |= int_of(charge[i]) != 0;
    }
    return NULL;
}

/* ---- alerts: the id is made of what tells one alert from another */

static int by_id(const void *a, const void *b)
{
    return memcmp(&((const struct alert *)a)->id, &((const struct alert *)b)->id,
                  sizeof(struct hash128));
}

static const char *insert_alert(struct q *q, const struct alert *new)
{
    EACH_ROW(r, T_ALERT)
    {
        const struct alert *old = r->written ? r->new : r->old;
        if (memcmp(&old->id, &new->id, sizeof(new->id)) != 0)
            continue;
        const char *state = row_await(q->t, r);
        if (state != NULL)
            return state;
        if (row_see(q->t, r) != NULL)
            return NULL;
    }
    row_insert(q->t, T_ALERT, new);
    return NULL;
}

static const char *sql_raise_alerts(struct q *q)
{
    static struct slice a[16][ELEMENTS_MAX];
    static struct alert new[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, a[0]);

    for (int i = 1; i < 16; i++)
        ASSERT(arg_elements(q, i, a[i]) == n);
    for (int32_t i = 0; i < n; i++) {
        struct slice parts[7] = { a[1][i], a[2][i], a[3][i], a[4][i], a[5][i], a[10][i], a[11][i] };
        struct alert *v = &new[i];
        *v = (struct alert){ .id = hash_parts(parts, 7),
                             .seq = int_of(a[0][i]),
                             .payer_id = a[2][i].p ? int_of(a[2][i]) : 0,
                             .entry_id = a[6][i].p ? int_of(a[6][i]) : 0,
                             .type = sim_copy(a[1][i].p, a[1][i].n),
                             .event_id = sim_copy(a[11][i].p, a[11][i].n),
                             .has_threshold = a[5][i].p != NULL,
                             .threshold = a[5][i].p ? numeric_of(a[5][i]) : 0 };
        for (int b = 0, at = 0; b < 16; b++)
            at += snprintf(v->text + at, sizeof(v->text) - (size_t)at,
                           b == 4 || b == 6 || b == 8 || b == 10 ? "-%02x" : "%02x", v->id.byte[b]);
    }
    qsort(new, (size_t)n, sizeof(*new), by_id);
    for (int32_t i = 0; i < n; i++) {
        const char *state = insert_alert(q, &new[i]);
        if (state != NULL)
            return state;
    }
    out_row(q, 1);
    out_int(q, 4, n);
    return NULL;
}

/* ---- what was not booked */

static const char *sql_reject(struct q *q)
{
    struct rejected new = { .id = ++store.rejected_ids,
                            .topic = arg_cstr(q, 0),
                            .partition = (int32_t)arg_int(q, 1),
                            .offset = arg_int(q, 2),
                            .reason = arg_cstr(q, 3),
                            .key = arg_text(q, 6),
                            .value = arg_text(q, 7) };

    row_insert(q->t, T_REJECTED, &new);
    return NULL;
}

static const char *sql_park(struct q *q)
{
    struct parked new = { .id = ++store.parked_ids,
                          .kind = arg_cstr(q, 0),
                          .topic = arg_cstr(q, 1),
                          .partition = (int32_t)arg_int(q, 2),
                          .offset = arg_int(q, 3),
                          .reason = arg_cstr(q, 4),
                          .waits_for = arg_cstr(q, 6),
                          .key_of_event = hash_of(arg_text(q, 11)),
                          .message_time = arg_text(q, 12),
                          .key = arg_text(q, 13),
                          .value = arg_text(q, 14) };

    row_insert(q->t, T_PARKED, &new);
    return NULL;
}

static struct slice no_array(void)
{
    static const char none[12];

    return (struct slice){ none, sizeof(none) };
}

static const char *sql_parked_claim(struct q *q)
{
    int64_t most = arg_int(q, 0);

    for (int usage = 0; usage < 2; usage++)
        EACH_ROW(r, T_PARKED)
        {
            const struct parked *p = row_see(q->t, r);
            if (p == NULL || p->released || q->result->rows >= most ||
                (strcmp(p->kind, "usage") == 0) != usage ||
                find_account(q->t, slice_of(p->waits_for)) == NULL)
                continue;
            out_row(q, 11);
            out_int(q, 8, p->id);
            out_text(q, p->kind);
            out_text(q, p->topic);
            out_int(q, 4, p->partition);
            out_int(q, 8, p->offset);
            out_slice(q, p->message_time);
            out_slice(q, p->key);
            out_slice(q, p->value);
            out_slice(q, no_array());
            out_slice(q, no_array());
            out_text(q, p->reason);
        }
    return NULL;
}

static bool stands_this_month(struct q *q, struct hash128 key)
{
    EACH_ROW(r, T_KEY)
    {
        const struct event_key *k = row_see(q->t, r);
        if (k != NULL && k->month == books_month() && memcmp(&k->key, &key, sizeof(key)) == 0)
            return true;
    }
    return false;
}

static const char *sql_parked_lock(struct q *q)
{
    static struct slice id[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, id);

    EACH_ROW(r, T_PARKED)
    {
        const struct parked *p = row_see(q->t, r);
        if (p == NULL || p->released || !among(p->id, id, n, 0) ||
            (r->owner != NULL && r->owner != q->t))
            continue;
        const char *state = row_lock(q->t, r);
        if (state != NULL)
            return state;
        out_row(q, 2);
        out_int(q, 8, p->id);
        out_bool(q, stands_this_month(q, p->key_of_event));
    }
    return NULL;
}

static struct row *find_parked(int64_t id)
{
    EACH_ROW(r, T_PARKED)
    if (((const struct parked *)(r->written ? r->new : r->old))->id == id)
        return r;
    return NULL;
}

static const char *sql_parked_release(struct q *q)
{
    static struct slice id[ELEMENTS_MAX], outcome[ELEMENTS_MAX], entry[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, id);

    ASSERT(arg_elements(q, 1, outcome) == n && arg_elements(q, 2, entry) == n);
    for (int32_t i = 0; i < n; i++) {
        struct row *r = find_parked(int_of(id[i]));
        const char *state = row_lock(q->t, r);
        if (state != NULL)
            return state;
        struct parked *p = row_write(q->t, r);
        p->released = true;
        p->outcome = sim_copy(outcome[i].p, outcome[i].n);
        p->entry_id = entry[i].p ? int_of(entry[i]) : 0;
    }
    return NULL;
}

static const char *nothing(struct q *q)
{
    (void)q;
    return NULL;
}

static const char *sql_intern(struct q *q)
{
    static struct slice name[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, name);

    for (int32_t i = 0; i < n; i++) {
        int32_t id = store_name(name[i]);
        out_row(q, 2);
        out_text(q, store.names[id - 1]);
        out_int(q, 4, id);
    }
    return NULL;
}

/* ---- COPY */

const char *take_key(struct q *q, int32_t month, struct hash128 key, struct hash128 digest,
                     int64_t entry_id)
{
    struct event_key new = { month, key, digest, entry_id };

    for (struct row *r = sim.tooth == TOOTH_KEYS ? NULL : store.first[T_KEY]; r != NULL;
         r = r->next) {
        const struct event_key *k = r->written ? r->new : r->old;
        if (k->month != month || memcmp(&k->key, &key, sizeof(key)) != 0)
            continue;
        const char *state = row_await(q->t, r);
        if (state != NULL)
            return state;
        if (row_see(q->t, r) == NULL)
            continue;
        snprintf(q->message, sizeof(q->message), "duplicate key value violates unique constraint");
        return "23505";
    }
    row_insert(q->t, T_KEY, &new);
    return NULL;
}

static const char *copied_key(struct q *q, const struct slice *f)
{
    return take_key(q, (int32_t)int_of(f[0]) + PG_EPOCH_DAY, hash_of(f[1]), hash_of(f[2]),
                    f[3].p ? int_of(f[3]) : 0);
}

static const char *copied_entry(struct q *q, const struct slice *f)
{
    struct ledger_entry new = { .entry_id = int_of(f[0]),
                                .account_id = int_of(f[1]),
                                .payer_id = int_of(f[2]),
                                .is_usage = slice_is(f[3], "usage"),
                                .event_id = sim_copy(f[8].p, f[8].n),
                                .metric_id = (int32_t)int_of(f[11]),
                                .month = month_of_day((int32_t)int_of(f[6]) + PG_EPOCH_DAY),
                                .quantity = numeric_of(f[12]),
                                .amount = numeric_of(f[20]),
                                .balance_after = numeric_of(f[22]) };

    row_insert(q->t, T_ENTRY, &new);
    return NULL;
}

const char *sql_copy(struct q *q, const char *sql, struct slice rows)
{
    static const char signature[] = "PGCOPY\n\377\r\n";
    bool keys = strstr(sql, "debitd.event_key_") != NULL;
    const char *p = rows.p, *end = rows.p + rows.n;
    const char *state = NULL;

    if (rows.n >= 19 && memcmp(p, signature, sizeof(signature) - 1) == 0)
        p += 19;
    while (p < end && state == NULL) {
        struct slice f[40];
        uint16_t columns;
        uint32_t length;
        memcpy(&columns, p, 2);
        p += 2;
        if ((int16_t)be16toh(columns) < 0)
            break;
        for (int i = 0; i < be16toh(columns); i++) {
            memcpy(&length, p, 4);
            p += 4;
            int32_t n = (int32_t)be32toh(length);
            f[i] = n < 0 ? SLICE_ABSENT : (struct slice){ p, (size_t)n };
            p += n < 0 ? 0 : n;
        }
        ASSERT(be16toh(columns) == (keys ? 4 : 34));
        state = keys ? copied_key(q, f) : copied_entry(q, f);
    }
    return state;
}

const struct sql_handler sql_ledger[] = {
    { "open_books", sql_open_books },
    { "known_keys", sql_known_keys },
    { "void_keys", sql_known_keys },
    { "account_facts", sql_account_facts },
    { "lock_payers", sql_lock_payers },
    { "usage_rows", sql_usage_rows },
    { "reserve", sql_reserve },
    { "usage_upsert", sql_usage_upsert },
    { "payer_update", sql_payer_update },
    { "raise_alerts", sql_raise_alerts },
    { "reject", sql_reject },
    { "park", sql_park },
    { "parked_claim", sql_parked_claim },
    { "parked_lock", sql_parked_lock },
    { "parked_release", sql_parked_release },
    { "batch_insert", nothing },
    { "intern", sql_intern },
    { NULL, NULL },
};
