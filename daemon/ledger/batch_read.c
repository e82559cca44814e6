/* What a run reads: first what may be read without the payers' locks, then the locks, then what
 * they guard. */
#include "ledger/batch.h"

#include "base/clock.h"
#include "base/fault.h"

#include <string.h>

/* ---- flight 1: books, positions, identities, accounts */

static void send_positions(struct ingest *g, const struct part *part, int parts)
{
    for (int i = 0; i < parts; i++) {
        const struct part *p = &part[i];
        pg_args_reset(&g->args);
        pg_arg_text(&g->args, slice_of(p->topic));
        pg_arg_int4(&g->args, p->partition);
        pg_arg_int8(&g->args, p->epoch);
        if (p->expected < 0)
            pg_arg_null(&g->args);
        else
            pg_arg_int8(&g->args, p->expected);
        pg_arg_int8(&g->args, p->next);
        pg_arg_int8(&g->args, p->last);
        pg_arg_int8(&g->args, (int64_t)p->fingerprint);
        pg_pipeline_send(g->pg, &g->st->advance, &g->args);
    }
}

static void send_known_keys(struct ingest *g)
{
    pg_args_reset(&g->args);
    int keys = pg_arg_array(&g->args, PG_UUID);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (is_event(it) && !it->parked_id)
            pg_put_uuid(&g->args, keys, it->e.key);
    }
    pg_pipeline_send(g->pg, &g->st->known_keys, &g->args);
}

/* Keys of those that voids name. False: there are no voids. */
static bool send_void_keys(struct ingest *g)
{
    bool any = false;
    pg_args_reset(&g->args);
    int keys = pg_arg_array(&g->args, PG_UUID);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (!is_event(it) || it->e.kind != USAGE_VOIDED)
            continue;
        pg_put_uuid(&g->args, keys, it->e.void_key);
        any = true;
    }
    if (any)
        pg_pipeline_send(g->pg, &g->st->void_keys, &g->args);
    return any;
}

static bool send_account_facts(struct ingest *g)
{
    size_t asked = 0;
    pg_args_reset(&g->args);
    int names = pg_arg_array(&g->args, PG_TEXT);
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        if (!is_event(it))
            continue;
        it->account = account_cache_find(&g->accounts, it->e.account);
        if (!it->account) {
            pg_put_text(&g->args, names, it->e.account);
            asked++;
        }
    }
    if (asked)
        pg_pipeline_send(g->pg, &g->st->account_facts, &g->args);
    return asked > 0;
}

static enum pg_outcome take_books(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    if (o != PG_DONE)
        return o;
    ASSERT(pg_rows(r) == 1);
    g->month = pg_day(r, 0, 0);
    g->catalogue_version = (int32_t)pg_int(r, 0, 1);
    if ((pg_int(r, 0, 4) != 0) != g->timed_keys)
        g->needs |= NEED_KEYS;
    if (pg_int(r, 0, 5))
        g->needs |= NEED_MONTH;
    if (g->kind == TOPIC_ACCOUNTS)
        return PG_DONE;
    if (!g->catalogue || catalogue_version(g->catalogue) != g->catalogue_version)
        g->needs |= NEED_CATALOGUE;
    return PG_DONE;
}

static void add_known_keys(struct ingest *g, struct known_keys *keys, const struct pg_result *r)
{
    known_keys_init(keys, &g->run_arena, (size_t)pg_rows(r) + (g->to - g->from));
    for (int i = 0; i < pg_rows(r); i++) {
        struct known_key *k = arena_zalloc(&g->run_arena, sizeof *k);
        k->key = pg_uuid(r, i, 0);
        k->digest = pg_uuid(r, i, 1);
        k->entry_id = pg_null(r, i, 2) ? 0 : pg_int(r, i, 2);
        k->in_database = true;
        known_keys_add(keys, k);
    }
}

static enum pg_outcome take_known_keys(struct ingest *g, struct known_keys *keys)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    if (o == PG_DONE)
        add_known_keys(g, keys, r);
    return o;
}

static enum pg_outcome take_account_facts(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++)
        account_cache_take(&g->accounts, r, i);
    return o;
}

void send_begin(struct ingest *g, const struct part *part, int parts)
{
    pg_pipeline_enter(g->pg);
    pg_pipeline_send(g->pg, &g->st->begin, NULL);
    pg_pipeline_send(g->pg, &g->st->open_books, NULL);
    send_positions(g, part, parts);
}

enum pg_outcome take_begin(struct ingest *g, int parts)
{
    enum pg_outcome o = pg_pipeline_result(g->pg, NULL, NULL);
    if (o == PG_DONE)
        o = take_books(g);
    for (int i = 0; o == PG_DONE && i < parts; i++)
        o = pg_pipeline_result(g->pg, NULL, NULL);
    FAULT_POINT("ingest.advanced");
    return o;
}

/* What is released is locked first: a row that another releaser holds, or has released, is left
 * alone. */
static void send_parked_lock(struct ingest *g)
{
    pg_args_reset(&g->args);
    int ids = pg_arg_array(&g->args, PG_INT8);
    for (size_t i = g->from; i < g->to; i++)
        pg_put_int8(&g->args, ids, g->item[i].parked_id);
    pg_pipeline_send(g->pg, &g->st->parked_lock, &g->args);
}

static enum pg_outcome take_parked_lock(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    if (o != PG_DONE)
        return o;
    for (size_t i = g->from; i < g->to; i++)
        g->item[i].not_ours = true;
    for (int row = 0; row < pg_rows(r); row++)
        for (size_t i = g->from; i < g->to; i++)
            if (g->item[i].parked_id == pg_int(r, row, 0)) {
                g->item[i].not_ours = false;
                g->item[i].takes_key = !pg_int(r, row, 1);
            }
    return PG_DONE;
}

static enum pg_outcome first_flight(struct ingest *g, const struct part *part, int parts)
{
    send_begin(g, part, parts);
    if (g->releasing)
        send_parked_lock(g);
    send_known_keys(g);
    bool voids = send_void_keys(g), asked = send_account_facts(g);
    pg_pipeline_flush(g->pg);
    enum pg_outcome o = take_begin(g, parts);
    if (o == PG_DONE && g->releasing)
        o = take_parked_lock(g);
    if (o == PG_DONE)
        o = take_known_keys(g, &g->keys);
    if (o == PG_DONE && voids)
        o = take_known_keys(g, &g->void_keys);
    FAULT_POINT("ingest.known");
    if (o == PG_DONE && asked)
        o = take_account_facts(g);
    return o;
}

static void resolve_accounts(struct ingest *g)
{
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        if (!is_event(it))
            it->account = NULL; /* of a parked one that turned out not to be ours */
        else if (!it->account)
            it->account = account_cache_find(&g->accounts, it->e.account);
    }
}

/* ---- originals of voids */

static void take_original_row(struct ingest *g, const struct pg_result *r, int row,
                              struct original **last)
{
    int64_t id = pg_int(r, row, 0);
    if (!*last || (*last)->e.entry_id != id) {
        struct original *n = *last = arena_zalloc(&g->run_arena, sizeof *n);
        struct entry *e = &n->e;
        struct arena *a = &g->run_arena;
        e->entry_id = id;
        e->account_id = pg_int(r, row, 1);
        e->payer_id = pg_int(r, row, 2);
        n->is_usage = slice_is(pg_bytes(r, row, 3), "usage");
        e->occurred_us = pg_time(r, row, 4);
        e->counted_on = pg_day(r, row, 5);
        e->service_id = pg_null(r, row, 6) ? 0 : (int32_t)pg_int(r, row, 6);
        e->model_id = pg_null(r, row, 7) ? 0 : (int32_t)pg_int(r, row, 7);
        e->metric_id = pg_null(r, row, 8) ? 0 : (int32_t)pg_int(r, row, 8);
        e->metric = arena_copy(a, pg_bytes(r, row, 9));
        e->quantity = pg_null(r, row, 10) ? 0 : pg_amount(r, row, 10) / (AMOUNT_ONE / QUANTITY_ONE);
        e->cost_known = !pg_null(r, row, 11);
        e->cost = e->cost_known ? pg_amount(r, row, 11) : 0;
        e->amount = pg_amount(r, row, 12);
        for (int k = CHARGE_FREE; k <= CHARGE_COST_PLUS; k++)
            if (slice_is(pg_bytes(r, row, 13), charge_kind_text((enum charge_kind)k)))
                e->kind = (enum charge_kind)k;
        e->currency_id = pg_null(r, row, 14) ? 0 : (int32_t)pg_int(r, row, 14);
        e->user = arena_copy(a, pg_bytes(r, row, 15));
        e->thread = arena_copy(a, pg_bytes(r, row, 16));
        e->execution = arena_copy(a, pg_bytes(r, row, 17));
        e->agent = arena_copy(a, pg_bytes(r, row, 18));
        e->price_source = arena_copy(a, pg_bytes(r, row, 19));
        e->component = arena_zalloc(a, COMPONENTS_MAX * sizeof *e->component);
        HASH_ADD(hh, g->originals, e.entry_id, sizeof e->entry_id, n);
    }
    struct entry *e = &(*last)->e;
    if (pg_null(r, row, 20))
        return;
    ASSERT(e->components < COMPONENTS_MAX);
    struct entry_component *c = &e->component[e->components++];
    c->component_id = (int32_t)pg_int(r, row, 20);
    c->quantity = pg_amount(r, row, 21) / (AMOUNT_ONE / QUANTITY_ONE);
    c->cost_known = !pg_null(r, row, 22);
    c->cost = c->cost_known ? pg_amount(r, row, 22) : 0;
    c->price_id = pg_null(r, row, 23) ? 0 : (int32_t)pg_int(r, row, 23);
    c->charge = pg_amount(r, row, 24);
}

static enum pg_outcome take_originals(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    struct original *last = NULL;
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++)
        take_original_row(g, r, i, &last);
    return o;
}

static enum pg_outcome take_parked_originals(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++) {
        struct parked_original *p = arena_zalloc(&g->run_arena, sizeof *p);
        p->key = pg_uuid(r, i, 0);
        p->account = arena_copy(&g->run_arena, pg_bytes(r, i, 2));
        p->open = pg_int(r, i, 3);
        p->was_voided = slice_is(pg_bytes(r, i, 4), "voided");
        p->entry_id = pg_null(r, i, 5) ? 0 : pg_int(r, i, 5);
        HASH_ADD(hh, g->parked_originals, key, sizeof p->key, p);
    }
    return o;
}

static enum pg_outcome take_voided(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++) {
        struct voided_key *v = arena_zalloc(&g->run_arena, sizeof *v);
        v->key = pg_uuid(r, i, 0);
        v->in_database = true;
        HASH_ADD(hh, g->voided, key, sizeof v->key, v);
    }
    return o;
}

/* The entry that a void names, or 0. */
static int64_t original_entry(struct ingest *g, const struct item *it)
{
    if (!is_event(it) || it->e.kind != USAGE_VOIDED || !it->account)
        return 0;
    const struct known_key *k = known_keys_find(&g->void_keys, &it->e.void_key);
    const struct parked_original *p;
    HASH_FIND(hh, g->parked_originals, &it->e.void_key, sizeof it->e.void_key, p);
    return k && k->entry_id ? k->entry_id : p ? p->entry_id : 0;
}

/* The parked rows first, as one that was booked since tells the entry that it became. */
static enum pg_outcome read_originals(struct ingest *g)
{
    bool any = false;
    pg_args_reset(&g->args);
    int keys = pg_arg_array(&g->args, PG_UUID);
    for (size_t i = g->from; i < g->to; i++)
        if (is_event(&g->item[i]) && g->item[i].e.kind == USAGE_VOIDED) {
            pg_put_uuid(&g->args, keys, g->item[i].e.void_key);
            any = true;
        }
    if (!any)
        return PG_DONE;
    pg_pipeline_send(g->pg, &g->st->void_parked, &g->args);
    pg_pipeline_send(g->pg, &g->st->voided_known, &g->args);
    pg_pipeline_flush(g->pg);
    enum pg_outcome o = take_parked_originals(g);
    if (o == PG_DONE)
        o = take_voided(g);
    if (o != PG_DONE)
        return o;
    pg_args_reset(&g->args);
    pg_arg_array(&g->args, PG_INT8);
    pg_arg_array(&g->args, PG_INT8);
    for (size_t i = g->from; i < g->to; i++) {
        int64_t entry_id = original_entry(g, &g->item[i]);
        if (!entry_id)
            continue;
        pg_put_int8(&g->args, 0, entry_id);
        pg_put_int8(&g->args, 1, g->item[i].account->account_id);
    }
    pg_pipeline_send(g->pg, &g->st->void_originals, &g->args);
    pg_pipeline_flush(g->pg);
    return take_originals(g);
}

/* ---- flight 2: the payers' locks and what they guard */

static struct payer_state *want_payer(struct ingest *g, int64_t payer_id)
{
    struct payer_state *p = run_payer(g, payer_id);
    if (p)
        return p;
    p = arena_zalloc(&g->run_arena, sizeof *p);
    p->payer_id = payer_id;
    HASH_ADD(hh, g->payers, payer_id, sizeof p->payer_id, p);
    return p;
}

static void want_usage(struct ingest *g, int64_t payer_id, int32_t metric_id, int32_t day)
{
    run_usage(g, payer_id, metric_id, month_of_day(day), false)->wanted = true;
}

/* What the payers have used, of the metrics and in the months that may be added to. */
static void send_usage_rows(struct ingest *g)
{
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (is_event(it) && it->e.kind == USAGE_RECORDED && it->payer &&
            catalogue_has_metric(g->catalogue, it->e.metric)) /* else it will be parked */
            want_usage(g, it->payer->payer_id, it->metric_id, day_of_time(it->e.time_us));
    }
    for (struct original *n = g->originals; n; n = n->hh.next)
        want_usage(g, n->e.payer_id, n->e.metric_id, n->e.counted_on);
    pg_args_reset(&g->args);
    int payers = pg_arg_array(&g->args, PG_INT8);
    int metrics = pg_arg_array(&g->args, PG_INT4);
    int months = pg_arg_array(&g->args, PG_DATE);
    for (const struct usage_state *u = g->usage; u; u = u->hh.next) {
        pg_put_int8(&g->args, payers, u->key.payer_id);
        pg_put_int4(&g->args, metrics, u->key.metric_id);
        pg_put_day(&g->args, months, u->key.start);
    }
    pg_pipeline_send(g->pg, &g->st->usage_rows, &g->args);
}

static enum pg_outcome take_payers(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++) {
        struct payer_state *p = run_payer(g, pg_int(r, i, 0));
        ASSERT(p != NULL);
        p->version = pg_int(r, i, 1);
        p->plan = pg_null(r, i, 2) ? NULL : catalogue_plan(g->catalogue, pg_bytes(r, i, 2));
        if (!p->plan && !pg_null(r, i, 2)) { /* assigned since the catalogue was looked at */
            g->needs |= NEED_CATALOGUE;
            o = PG_RETRY;
        }
        p->unit_id = pg_null(r, i, 3) ? 0 : (int32_t)pg_int(r, i, 3);
        p->currency_id = pg_null(r, i, 4) ? 0 : (int32_t)pg_int(r, i, 4);
        p->balance = pg_amount(r, i, 5);
        p->had_charge = pg_int(r, i, 6);
        /* another plan since the statement began, and not all of it is seen */
        if (!pg_int(r, i, 7))
            o = PG_RETRY;
    }
    return o;
}

static enum pg_outcome take_usage_rows(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++)
        run_usage(g, pg_int(r, i, 0), (int32_t)pg_int(r, i, 1), pg_day(r, i, 2), false)->used =
            pg_amount(r, i, 3) / (AMOUNT_ONE / QUANTITY_ONE);
    return o;
}

static enum pg_outcome take_reserved(struct ingest *g)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    if (o != PG_DONE)
        return o;
    g->entry_base = pg_int(r, 0, 0);
    g->alert_base = pg_int(r, 0, 1);
    g->now_us = pg_time(r, 0, 2);
    int32_t month = month_of_day(day_of_time(g->now_us));
    if (month > g->month) { /* the month ended since the books were opened */
        g->needs |= NEED_MONTH;
        return PG_RETRY;
    }
    if (month < g->month) /* a clock that went back never books into a month that is over */
        g->now_us = (int64_t)g->month * US_PER_DAY;
    return PG_DONE;
}

/* Facts that are older than their payer's row are read again, now under its lock; an account that
 * has moved to another payer makes the batch run again. */
static enum pg_outcome refresh_stale(struct ingest *g)
{
    size_t stale = 0;
    pg_args_reset(&g->args);
    int names = pg_arg_array(&g->args, PG_TEXT);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (it->account && it->payer->version != it->account->version) {
            pg_put_text(&g->args, names, it->e.account);
            stale++;
        }
    }
    if (!stale)
        return PG_DONE;
    for (size_t i = g->from; i < g->to; i++)
        g->item[i].account = NULL; /* taking rows in frees what was known */
    pg_pipeline_send(g->pg, &g->st->account_facts, &g->args);
    pg_pipeline_flush(g->pg);
    enum pg_outcome o = take_account_facts(g);
    if (o != PG_DONE)
        return o;
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        if (!is_event(it))
            continue;
        it->account = account_cache_find(&g->accounts, it->e.account);
        struct payer_state *p = it->account ? run_payer(g, it->account->payer_id) : NULL;
        if (p != it->payer || (p && p->version != it->account->version))
            return PG_RETRY;
    }
    return PG_DONE;
}

static enum pg_outcome second_flight(struct ingest *g)
{
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        it->payer = it->account ? want_payer(g, it->account->payer_id) : NULL;
    }
    for (struct original *n = g->originals; n; n = n->hh.next)
        want_payer(g, n->e.payer_id);
    pg_args_reset(&g->args);
    int ids = pg_arg_array(&g->args, PG_INT8);
    for (struct payer_state *p = g->payers; p; p = p->hh.next)
        pg_put_int8(&g->args, ids, p->payer_id);
    pg_pipeline_send(g->pg, &g->st->lock_payers, &g->args);
    send_usage_rows(g);
    pg_pipeline_send(g->pg, &g->st->reserve, NULL);
    pg_pipeline_flush(g->pg);
    enum pg_outcome o = take_payers(g);
    if (o == PG_DONE)
        o = take_usage_rows(g);
    if (o == PG_DONE)
        o = take_reserved(g);
    return o == PG_DONE ? refresh_stale(g) : o;
}

enum pg_outcome batch_read(struct ingest *g, const struct part *part, int parts)
{
    enum pg_outcome o = first_flight(g, part, parts);
    if (o != PG_DONE)
        return o;
    resolve_accounts(g);
    if (g->needs != NEED_NOTHING)
        return PG_RETRY;
    o = read_originals(g);
    return o == PG_DONE ? second_flight(g) : o;
}
