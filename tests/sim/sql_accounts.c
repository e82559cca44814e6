/* Operations on accounts, as far as histories have them (account.opened, credits.purchased), and the keeper's statements. */
#include "tests/sim/pq.h"

#include "base/clock.h"

#include <string.h>

static const char *lock_payer_of(struct q *q, struct slice name, struct row **ret)
{
    struct row *a = find_account(q->t, name);

    *ret = a ? find_payer(((const struct account *)row_see(q->t, a))->payer_id) : NULL;
    return *ret ? row_lock(q->t, *ret) : NULL;
}

static const char *sql_lock_accounts(struct q *q)
{
    static struct slice name[ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, name);

    EACH_ROW(r, T_PAYER) /* they stand in the order of their ids */
    {
        const struct payer *p = row_see(q->t, r);
        for (int32_t i = 0; p != NULL && i < n; i++) {
            struct row *a = find_account(q->t, name[i]);
            if (a == NULL || ((const struct account *)row_see(q->t, a))->payer_id != p->payer_id)
                continue;
            const char *state = row_lock(q->t, r);
            if (state != NULL)
                return state;
            break;
        }
    }
    out_row(q, 1);
    out_text(q, "");
    return NULL;
}

static const char *answer(struct q *q, const char *outcome, const char *reason, const char *detail,
                          int64_t entry_id)
{
    out_row(q, 4);
    out_text(q, outcome);
    out_text(q, reason);
    out_text(q, detail);
    if (entry_id)
        out_int(q, 8, entry_id);
    else
        out_null(q);
    return NULL;
}

/* Two that open the same account at once: the second waits for the first and finds it open. */
static const char *open_account(struct q *q, struct slice name, struct row **ret)
{
    EACH_ROW(r, T_ACCOUNT)
    if (slice_is(name, ((const struct account *)(r->written ? r->new : r->old))->name)) {
        const char *state = row_await(q->t, r);
        if (state != NULL)
            return state;
        if (row_see(q->t, r) != NULL)
            return lock_payer_of(q, name, ret);
    }
    int64_t id = ++store.account_ids;
    struct account a = { .name = sim_copy(name.p, name.n), .account_id = id, .payer_id = id };
    struct payer p = { .payer_id = id, .version = 1 };
    row_insert(q->t, T_ACCOUNT, &a);
    row_insert(q->t, T_PAYER, &p);
    *ret = find_payer(id);
    return NULL;
}

static amount_t amount_in(struct slice json)
{
    const char *p = memmem(json.p, json.n, "\"amount\"", 8);

    ASSERT(p != NULL);
    return (amount_t)strtoll(p + strcspn(p + 8, "0123456789") + 8, NULL, 10) * AMOUNT_ONE;
}

static int64_t purchase(struct q *q, struct row *payer, struct slice json, const char *event_id)
{
    struct payer *p = row_write(q->t, payer);
    amount_t amount = amount_in(json);
    struct ledger_entry e = { .entry_id = store.entry_seq += 1048576,
                              .account_id = p->payer_id,
                              .payer_id = p->payer_id,
                              .event_id = event_id,
                              .amount = amount,
                              .balance_after = p->balance + amount };

    p->balance += amount;
    p->version++;
    row_insert(q->t, T_ENTRY, &e);
    return e.entry_id;
}

static struct row *known_key(struct q *q, struct hash128 key)
{
    EACH_ROW(r, T_KEY)
    {
        const struct event_key *k = row_see(q->t, r);
        if (k != NULL && memcmp(&k->key, &key, sizeof(key)) == 0)
            return r;
    }
    return NULL;
}

static const char *sql_account_event(struct q *q)
{
    struct hash128 key = hash_of(arg_text(q, 0)), digest = hash_of(arg_text(q, 1));
    struct slice name = arg_text(q, 5), json = arg_text(q, 7);
    bool opens = slice_is(arg_text(q, 4), "account.opened");
    struct row *payer = NULL, *known;
    const char *state = books_share(q->t);

    if (state == NULL)
        state = lock_payer_of(q, name, &payer);
    if (state != NULL)
        return state;
    known = known_key(q, key);
    if (known != NULL) {
        const struct event_key *k = row_see(q->t, known);
        return memcmp(&k->digest, &digest, sizeof(digest)) == 0
                   ? answer(q, "duplicate", "", "", 0)
                   : answer(q, "rejected", "id_reused", "another event", 0);
    }
    state = take_key(q, books_month(), key, digest, 0);
    if (state == NULL && opens)
        state = open_account(q, name, &payer);
    if (state != NULL)
        return state;
    if (payer == NULL)
        return answer(q, "parked", "unknown_account", arg_cstr(q, 5), 0);
    if (opens) {
        ((struct payer *)row_write(q->t, payer))->version++;
        return answer(q, "done", "", "", 0);
    }
    return answer(q, "done", "", "", purchase(q, payer, json, arg_cstr(q, 3)));
}

static const char *sql_apply_parked(struct q *q)
{
    EACH_ROW(r, T_PARKED)
    {
        const struct parked *p = row_see(q->t, r);
        if (p == NULL || p->id != arg_int(q, 0) || p->released)
            continue;
        const char *state = row_lock(q->t, r);
        struct row *payer = NULL;
        if (state == NULL)
            state = books_share(q->t);
        if (state != NULL)
            return state;
        if (((const struct parked *)row_see(q->t, r))->released)
            break;
        state = lock_payer_of(q, slice_of(p->waits_for), &payer);
        if (state != NULL)
            return state;
        if (payer == NULL)
            return answer(q, "parked", "unknown_account", p->waits_for, 0);
        struct parked *mine = row_write(q->t, r);
        const char *id = memmem(mine->value.p, mine->value.n, "\"id\":\"", 6);
        mine->released = true;
        mine->outcome = "booked";
        mine->entry_id =
            purchase(q, payer, arg_text(q, 3), sim_copy(id + 6, strcspn(id + 6, "\"")));
        return answer(q, "done", "", "", mine->entry_id);
    }
    return answer(q, "duplicate", "", "", 0);
}

/* ---- the keeper */

static bool month_is_over(void)
{
    return month_of_day(day_of_time(store_clock_us())) > books_month();
}

static const char *sql_month_ended(struct q *q)
{
    if (month_is_over()) {
        out_row(q, 1);
        out_int(q, 4, 1);
    }
    return NULL;
}

static const char *sql_switch_month(struct q *q)
{
    if (month_is_over()) {
        const char *state = books_exclude(q->t);
        if (state == NULL)
            state = row_lock(q->t, store.first[T_BOOKS]);
        if (state != NULL)
            return state;
        struct books *b = row_write(q->t, store.first[T_BOOKS]);
        b->month = month_of_day(day_of_time(store_clock_us()));
    }
    out_row(q, 1);
    out_bool(q, true);
    return NULL;
}

static const char *sql_one_zero(struct q *q)
{
    out_row(q, 1);
    out_int(q, 4, 0);
    return NULL;
}

const struct sql_handler sql_accounts[] = {
    { "lock_accounts", sql_lock_accounts },
    { "account_event", sql_account_event },
    { "apply_parked", sql_apply_parked },
    { "SELECT 1 FROM debitd.books b WHERE (b.month", sql_month_ended },
    { "SELECT debitd.switch_month()", sql_switch_month },
    { "SELECT debitd.ensure_months()", sql_one_zero },
    { "SELECT debitd.purge_batches()", sql_one_zero },
    { "SELECT coalesce(max(b.batch_id), 0) FROM debitd.batch b WHERE NOT b.folded", sql_one_zero },
    { NULL, NULL },
};
