/* What becomes of each message of a run, in its order: pure, on what batch_read brought. */
#include "ledger/batch.h"

#include "base/clock.h"
#include "rating/alert_rules.h"

#include <string.h>

/* What is released has its identity since it was parked. */
static void take_key(struct ingest *g, struct item *it)
{
    if (it->parked_id)
        return;
    struct known_key *k = arena_zalloc(&g->run_arena, sizeof *k);
    k->key = it->e.key;
    k->digest = it->e.digest;
    k->item = it;
    known_keys_add(&g->keys, k);
}

static void reject(struct ingest *g, struct item *it, const struct refusal *why)
{
    it->fate = FATE_REJECTED;
    it->refusal = refusal_keep(&g->run_arena, why);
}

static void park(struct ingest *g, struct item *it, const struct refusal *why)
{
    it->fate = FATE_PARKED;
    it->refusal = refusal_keep(&g->run_arena, why);
    it->waits_for = it->e.account; /* to open, or to be priced by another plan (change_account) */
    take_key(g, it);
}

static struct alert_row *add_alert(struct ingest *g, const char *type, const struct item *it)
{
    if (g->alerts == g->alerts_capacity) {
        g->alerts_capacity = g->alerts_capacity ? 2 * g->alerts_capacity : 256;
        g->alert = xrealloc(g->alert, g->alerts_capacity * sizeof *g->alert);
    }
    struct alert_row *a = &g->alert[g->alerts++];
    *a = (struct alert_row){ .type = type, .source = it->e.source, .event_id = it->e.id };
    return a;
}

/* One for each component without a price. */
static void alert_price_missing(struct ingest *g, const struct item *it, uint32_t missing)
{
    for (; missing; missing &= missing - 1) {
        struct alert_row *a = add_alert(g, "price.missing", it);
        a->service = it->e.service;
        a->model = it->e.model;
        a->metric = it->e.metric;
        a->component = it->e.component[__builtin_ctz(missing)].name;
        a->entry_id = it->entry ? it->entry->entry_id : 0;
    }
}

static void alert_thresholds(struct ingest *g, const struct item *it, const struct quota *q,
                             quantity_t before, quantity_t after, int32_t month)
{
    int32_t crossed[THRESHOLDS_MAX];
    int n = crossed_thresholds(q, before, after, crossed);
    for (int i = 0; i < n; i++) {
        struct alert_row *a = add_alert(g, "usage.threshold.reached", it);
        a->payer_id = it->entry->payer_id;
        a->metric_id = it->entry->metric_id;
        a->metric = it->entry->metric;
        a->period_start = month;
        a->has_usage = a->has_threshold = true;
        a->threshold = crossed[i] * AMOUNT_ONE;
        a->used = after;
        a->included = q->included;
        a->entry_id = it->entry->entry_id;
    }
}

static void alert_balance(struct ingest *g, const struct item *it, const struct payer_state *p,
                          amount_t before)
{
    enum balance_alert raised[3];
    int n = p->plan ? balance_alerts(p->plan, before, p->balance, p->had_charge || p->has_charge,
                                     raised)
                    : 0;
    for (int i = 0; i < n; i++) {
        struct alert_row *a = add_alert(g, balance_alert_type(raised[i]), it);
        a->payer_id = p->payer_id;
        a->has_balance = a->has_threshold = true;
        a->balance = p->balance;
        a->threshold = raised[i] == BALANCE_EXHAUSTED ? 0 : p->plan->low_balance;
        a->entry_id = it->entry->entry_id;
    }
}

static void add_to_summary(struct usage_state *u, const struct entry *e)
{
    u->touched = true;
    u->used += e->quantity;
    u->added += e->quantity;
    u->events += e->is_void ? -1 : 1;
    u->currency_id = e->currency_id;
    u->cost += e->cost_known ? e->cost : 0;
    u->charge -= e->amount;
    u->overage_charge -= e->kind == CHARGE_QUOTA ? e->amount : 0;
}

/* Adds an entry to the summaries; the quantity may be negative. */
static void summarize(struct ingest *g, const struct entry *e, struct usage_state *month,
                      const struct quota *quota)
{
    add_to_summary(month, e);
    if (quota && quota->has_day_limit)
        add_to_summary(run_usage(g, e->payer_id, e->metric_id, e->counted_on, true), e);
}

/* Gives the entry its place in the payer's chain. False: the balance would leave its bounds. */
static bool chain(struct ingest *g, struct entry *e, struct payer_state *p)
{
    amount_t after;
    if (!amount_add(p->balance, e->amount, &after))
        return false;
    p->balance = e->balance_after = after;
    p->spent -= e->amount;
    p->has_charge |= !e->is_void && e->amount != 0;
    p->touched = true;
    e->entry_id = g->entry_base + (int64_t)g->entries;
    e->payer_id = p->payer_id;
    e->unit_id = p->unit_id;
    e->plan_id = p->plan ? p->plan->plan_id : 0;
    g->entry[g->entries++] = e;
    return true;
}

static void fill_components(struct ingest *g, struct entry *e, const struct item *it,
                            const struct rated *r)
{
    const struct usage_event *u = &it->e;
    e->components = u->components;
    e->component = arena_alloc(&g->run_arena, u->components * sizeof *e->component);
    for (uint32_t i = 0; i < u->components; i++)
        e->component[i] = (struct entry_component){
            .component_id = it->component_id[i],
            .price_id = r->component[i].price_id,
            .quantity = u->component[i].quantity,
            .cost_known = r->component[i].cost_known,
            .cost = r->component[i].cost,
            .charge = r->component[i].charge,
        };
}

static struct entry *usage_entry(struct ingest *g, struct item *it, const struct payer_state *p,
                                 const struct rated *r)
{
    const struct usage_event *u = &it->e;
    struct entry *e = arena_alloc(&g->run_arena, sizeof *e);
    *e = (struct entry){
        .account_id = it->account->account_id,
        .occurred_us = u->time_us,
        .counted_on = day_of_time(u->time_us),
        .source_id = it->source_id,
        .event_id = u->id,
        .service_id = it->service_id,
        .model_id = it->model_id,
        .metric_id = it->metric_id,
        .metric = u->metric,
        .quantity = u->quantity,
        .cost_known = r->cost_known,
        .cost = r->cost,
        .amount = -r->charge,
        .currency_id = p->currency_id,
        .kind = r->kind,
        .price_source =
            r->source == PRICE_SOURCE_NONE ? SLICE_ABSENT : slice_of(price_source_text(r->source)),
        .user = u->user,
        .thread = u->thread,
        .execution = u->execution,
        .agent = u->agent,
        .metadata = u->metadata,
    };
    fill_components(g, e, it, r);
    return e;
}

/* Where the configuration says so, usage opens its account: outside this transaction, which then
 * runs again. Only here is it known that the event is none that was booked before. */
static bool opens_account(struct ingest *g, const struct item *it)
{
    if (it->account || !g->settings.open_unknown ||
        !catalogue_plan(g->catalogue, slice_of(g->settings.default_plan)))
        return false;
    if (!g->unknown_accounts)
        g->unknown_accounts =
            arena_alloc(&g->run_arena, (g->to - g->from) * sizeof *g->unknown_accounts);
    g->unknown_accounts[g->unknown_account_count++] = it->e.account;
    g->needs |= NEED_ACCOUNTS;
    return true;
}

static void book_usage(struct ingest *g, struct item *it)
{
    const struct usage_event *u = &it->e;
    struct refusal why = { 0 };
    if (opens_account(g, it)) {
        take_key(g, it);
        return;
    }
    if (!it->account || it->account->closed) {
        refuse(&why, it->account ? REASON_ACCOUNT_CLOSED : REASON_UNKNOWN_ACCOUNT,
               "account %.*s is not open", SLICE_ARGS(u->account));
        park(g, it, &why);
        return;
    }
    struct payer_state *p = it->payer;
    ASSERT(p && p->plan);
    int32_t month = month_of_day(day_of_time(u->time_us));
    struct usage_state *used = catalogue_has_metric(g->catalogue, u->metric)
                                   ? run_usage(g, p->payer_id, it->metric_id, month, false)
                                   : NULL;
    ASSERT(!used || used->wanted);
    quantity_t before = used ? used->used : 0;
    struct rating_context ctx = {
        .catalogue = g->catalogue,
        .price_file = g->price_file,
        .plan = p->plan,
        .guest = it->account->guest,
        .byok = account_has_byok(it->account, u->service),
        .used_before = before,
    };
    struct rated rated;
    enum reason r = rate_usage(&ctx, u, &rated, &why);
    if (r != REASON_NONE && !reason_is_parked(r)) {
        reject(g, it, &why);
        return;
    }
    if (r != REASON_NONE) {
        park(g, it, &why);
        if (!it->told_unpriced)
            alert_price_missing(g, it, rated.missing);
        return;
    }
    ASSERT(used != NULL); /* its metric is known */
    struct entry *e = usage_entry(g, it, p, &rated);
    amount_t balance_before = p->balance;
    if (!chain(g, e, p)) {
        refuse(&why, REASON_OUT_OF_RANGE, "the balance of the payer would be 1e18 or more");
        reject(g, it, &why);
        return;
    }
    it->fate = FATE_BOOKED;
    it->entry = e;
    const struct quota *q = plan_quota(p->plan, u->metric);
    summarize(g, e, used, q);
    take_key(g, it);
    alert_price_missing(g, it, rated.missing);
    if (q && q->has_included)
        alert_thresholds(g, it, q, before, before + e->quantity, month);
    alert_balance(g, it, p, balance_before);
}

/* ---- voids */

static const struct entry *booked_original(struct ingest *g, int64_t entry_id)
{
    struct original *n;
    HASH_FIND(hh, g->originals, &entry_id, sizeof entry_id, n);
    return n && n->is_usage ? &n->e : NULL;
}

/* What a void names: a booked entry (*ret), a parked event (*ret_parked), or nothing. */
static enum reason find_original(struct ingest *g, const struct item *it, const struct entry **ret,
                                 bool *ret_parked)
{
    const struct usage_event *u = &it->e;
    const struct known_key *taken = known_keys_find(&g->keys, &u->void_key),
                           *k = known_keys_find(&g->void_keys, &u->void_key);
    struct voided_key *v;
    HASH_FIND(hh, g->voided, &u->void_key, sizeof u->void_key, v);
    struct parked_original *p;
    HASH_FIND(hh, g->parked_originals, &u->void_key, sizeof u->void_key, p);
    if (taken && taken->item) { /* of this very run */
        const struct item *original = taken->item;
        if (original->e.kind != USAGE_RECORDED || !slice_equal(original->e.account, u->account))
            return REASON_UNKNOWN_EVENT;
        *ret = original->entry;
        *ret_parked = !original->entry;
    } else if (k && k->entry_id) {
        *ret = booked_original(g, k->entry_id);
        if (!*ret || !it->account || (*ret)->account_id != it->account->account_id)
            return REASON_UNKNOWN_EVENT;
    } else if (p) {
        if (!slice_equal(p->account, u->account))
            return REASON_UNKNOWN_EVENT;
        *ret = p->entry_id ? booked_original(g, p->entry_id) : NULL;
        *ret_parked = p->open;
        if (!*ret && !p->open && !p->was_voided)
            return REASON_UNKNOWN_EVENT;
    } else {
        return REASON_UNKNOWN_EVENT;
    }
    return v ? REASON_ALREADY_VOIDED : REASON_NONE;
}

static void mark_voided(struct ingest *g, const struct item *it)
{
    struct voided_key *v = arena_zalloc(&g->run_arena, sizeof *v);
    v->key = it->e.void_key;
    v->by = it->e.key;
    HASH_ADD(hh, g->voided, key, sizeof v->key, v);
}

/* What was given back as it was charged is given back component by component; at the margin of a
 * quota it is split anew. */
static void void_components(struct ingest *g, struct entry *e, const struct entry *o)
{
    struct rated_component split[COMPONENTS_MAX] = { 0 };
    e->component = arena_alloc(&g->run_arena, (o->components + 1) * sizeof *e->component);
    for (uint32_t i = 0; i < o->components; i++) {
        split[i].cost_known = o->component[i].cost_known;
        split[i].cost = o->component[i].cost;
    }
    split_charge(-e->amount, split, o->components);
    for (uint32_t i = 0; i < o->components; i++) {
        const struct entry_component *c = &o->component[i];
        e->component[i] = *c;
        e->component[i].quantity = -c->quantity;
        e->component[i].cost = -c->cost;
        e->component[i].charge = e->amount == -o->amount ? -c->charge : split[i].charge;
    }
}

static struct entry *void_entry(struct ingest *g, const struct item *it, const struct entry *o,
                                amount_t back)
{
    struct entry *e = arena_alloc(&g->run_arena, sizeof *e);
    *e = *o; /* what it was about: service, model, metric, user, thread … */
    e->is_void = true;
    e->corrects = o->entry_id;
    e->occurred_us = it->e.time_us;
    e->source_id = it->source_id;
    e->event_id = it->e.id;
    e->reason = it->e.reason;
    e->metadata = SLICE_ABSENT;
    e->quantity = -o->quantity;
    e->cost = -o->cost;
    e->amount = back;
    void_components(g, e, o);
    return e;
}

static void book_void(struct ingest *g, struct item *it)
{
    const struct entry *o = NULL;
    bool parked = false;
    struct refusal why = { 0 };
    enum reason r = find_original(g, it, &o, &parked);
    if (r != REASON_NONE) {
        refuse(&why, r,
               r == REASON_UNKNOWN_EVENT
                   ? "no usage event of this account with source %.*s and id %.*s"
                   : "the event with source %.*s and id %.*s is voided already",
               SLICE_ARGS(it->e.void_source), SLICE_ARGS(it->e.void_id));
        reject(g, it, &why);
        return;
    }
    if (parked) { /* out of parking, without an entry */
        it->fate = FATE_BOOKED;
        it->voids_parked = true;
        mark_voided(g, it);
        take_key(g, it);
        return;
    }
    struct payer_state *p = run_payer(g, o->payer_id);
    ASSERT(p != NULL);
    int32_t month = month_of_day(o->counted_on);
    struct usage_state *used = run_usage(g, o->payer_id, o->metric_id, month, false);
    ASSERT(used->wanted);
    amount_t back =
        p->plan ? rate_void(p->plan, o->metric, o->kind, -o->amount, o->quantity, used->used)
                : -o->amount;
    struct entry *e = void_entry(g, it, o, back);
    amount_t before = p->balance;
    if (!chain(g, e, p)) {
        refuse(&why, REASON_OUT_OF_RANGE, "the balance of the payer would be 1e18 or more");
        reject(g, it, &why);
        return;
    }
    it->fate = FATE_BOOKED;
    it->entry = e;
    summarize(g, e, used, p->plan ? plan_quota(p->plan, o->metric) : NULL);
    mark_voided(g, it);
    take_key(g, it);
    alert_balance(g, it, p, before);
}

static bool is_repeated(struct ingest *g, struct item *it)
{
    const struct known_key *k = it->parked_id ? NULL : known_keys_find(&g->keys, &it->e.key);
#if MUTANT == 8 /* identities are left to the primary key of the month they are booked in */
    k = NULL;
#endif
    if (!k)
        return false;
    bool same = memcmp(&k->digest, &it->e.digest, sizeof k->digest) == 0;
#if MUTANT == 2 /* a known identity is a duplicate, whatever it stands for */
    same = true;
#endif
    if (same) {
        it->fate = FATE_DUPLICATE;
        return true;
    }
    struct refusal why = { 0 };
    refuse(&why, REASON_ID_REUSED,
           "source %.*s and id %.*s stand for an event with other type, subject or data",
           SLICE_ARGS(it->e.source), SLICE_ARGS(it->e.id));
    reject(g, it, &why);
    return true;
}

void batch_book(struct ingest *g)
{
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        if (it->tombstone || it->not_ours)
            it->fate = FATE_SKIPPED;
        else if (it->decode)
            reject(g, it, it->decode);
        else if (is_repeated(g, it))
            continue;
        else if (it->e.kind == USAGE_VOIDED)
            book_void(g, it);
        else
            book_usage(g, it);
    }
    ASSERT(g->entries < IDS_OF_A_RUN);
}
