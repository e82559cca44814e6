/* What a run writes, and COMMIT. Everything is sorted by its key, so that two writers never wait
 * for each other in a circle. */
#include "ledger/batch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/sort.h"

#include <stdio.h>
#include <string.h>

#define STATEMENTS_IN_FLIGHT 100 /* of those that go out a row a statement */
#define FETCH_AHEAD          4   /* entries: the time that one takes to come from memory */

static const char ledger_columns[] =
    "entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, source_id, "
    "event_id, service_id, model_id, metric_id,"
    " quantity, component_ids, component_quantities, component_costs, component_charges, "
    "component_prices, currency_id, cost,"
    " amount, unit_id, balance_after, plan_id, charge_kind, price_source, late, corrects, reason, "
    "user_id, thread_id,"
    " execution_id, agent_id, metadata";
#define LEDGER_COLUMNS 34

void copy_statement(char *out, size_t n, const char *table, int32_t month, const char *columns)
{
    char day[TIME_TEXT_MAX];
    day_format(month, day);
    day[4] = '_'; /* 2026-11-01 -> 2026_11 */
    day[7] = '\0';
    snprintf(out, n, "COPY debitd.%s_%s (%s) FROM STDIN (FORMAT binary)", table, day, columns);
}

/* ---- entries */

static void put_id(struct buffer *b, int32_t id)
{
    if (id)
        pg_row_int4(b, id);
    else
        pg_row_null(b);
}

static void put_components(struct buffer *b, const struct entry *e)
{
    int32_t n = (int32_t)e->components;
    size_t mark = pg_row_array_begin(b, PG_INT4, n);
    for (int i = 0; i < n; i++)
        pg_row_int4(b, e->component[i].component_id);
    pg_row_array_end(b, mark);
    mark = pg_row_array_begin(b, PG_NUMERIC, n);
    for (int i = 0; i < n; i++)
        pg_row_numeric(b, e->component[i].quantity, QUANTITY_PLACES);
    pg_row_array_end(b, mark);
    mark = pg_row_array_begin(b, PG_NUMERIC, n);
    for (int i = 0; i < n; i++)
        if (e->component[i].cost_known)
            pg_row_numeric(b, e->component[i].cost, AMOUNT_PLACES);
        else
            pg_row_null(b);
    pg_row_array_end(b, mark);
    mark = pg_row_array_begin(b, PG_NUMERIC, n);
    for (int i = 0; i < n; i++)
        pg_row_numeric(b, e->component[i].charge, AMOUNT_PLACES);
    pg_row_array_end(b, mark);
    mark = pg_row_array_begin(b, PG_INT4, n);
    for (int i = 0; i < n; i++)
        put_id(b, e->component[i].price_id);
    pg_row_array_end(b, mark);
}

static void put_entry(struct buffer *b, const struct entry *e, int64_t now_us)
{
    pg_row_begin(b, LEDGER_COLUMNS);
    pg_row_int8(b, e->entry_id);
    pg_row_int8(b, e->account_id);
    pg_row_int8(b, e->payer_id);
    pg_row_text(b, e->is_void ? SLICE("void") : SLICE("usage"));
    pg_row_time(b, e->occurred_us);
    pg_row_time(b, now_us);
    pg_row_day(b, e->counted_on);
    put_id(b, e->source_id);
    pg_row_text(b, e->event_id);
    put_id(b, e->service_id);
    put_id(b, e->model_id);
    put_id(b, e->metric_id);
    pg_row_numeric(b, e->quantity, QUANTITY_PLACES);
    put_components(b, e);
    put_id(b, e->currency_id);
    if (e->cost_known)
        pg_row_numeric(b, e->cost, AMOUNT_PLACES);
    else
        pg_row_null(b);
    pg_row_numeric(b, e->amount, AMOUNT_PLACES);
    pg_row_int4(b, e->unit_id);
    pg_row_numeric(b, e->balance_after, AMOUNT_PLACES);
    put_id(b, e->plan_id);
    pg_row_text(b, slice_of(charge_kind_text(e->kind)));
    pg_row_text(b, e->price_source);
    pg_row_bool(b, false); /* late: no period closes in this version */
    if (e->corrects)
        pg_row_int8(b, e->corrects);
    else
        pg_row_null(b);
    pg_row_text(b, e->reason);
    pg_row_text(b, e->user);
    pg_row_text(b, e->thread);
    pg_row_text(b, e->execution);
    pg_row_text(b, e->agent);
    pg_row_jsonb(b, e->metadata);
}

/* Any 16 bits of its name: threads that share them lie among each other, no more. */
static uint64_t thread_bits(struct slice thread)
{
    uint64_t end = 0;
    size_t n = thread.n < sizeof end ? thread.n : sizeof end;

    if (n)
        memcpy(&end, thread.p + thread.n - n, n);
    return end * UINT64_C(0x9e3779b97f4a7c15) >> 48;
}

/* The history of an account lies together, and its indexes grow in runs; what a thread has used lies
 * together in it, in the order of ids: else each entry of a busy thread is on a page of its own. */
static const struct sort_row *by_account_and_thread(struct ingest *g)
{
    struct sort_row *order = arena_alloc(&g->run_arena, 2 * g->entries * sizeof *order);
    for (size_t i = 0; i < g->entries; i++) {
        const struct entry *e = g->entry[i];
        order[i] = (struct sort_row){ (uint64_t)e->account_id << 16 | thread_bits(e->thread),
                                      (uint32_t)i };
    }
    sort_rows(order, order + g->entries, g->entries);
    return order;
}

/* What was charged component by component, and what the balances moved by, are sums of the same
 * entries (reliability: pair the checks). */
static void check_sums(struct ingest *g)
{
    amount_t entries = 0, payers = 0;
    for (size_t i = 0; i < g->entries; i++) {
        const struct entry *e = g->entry[i];
        amount_t charges = 0;
        for (uint32_t c = 0; c < e->components; c++)
            charges += e->component[c].charge;
        ASSERT(charges == -e->amount);
        entries += e->amount;
    }
    for (const struct payer_state *p = g->payers; p; p = p->hh.next)
        payers -= p->spent;
    ASSERT(entries == payers);
}

/* Sorted, they lie anywhere in some megabytes: what is written next is on its way meanwhile. */
static void fetch_entry(const struct entry *e)
{
    for (const char *p = (const char *)e; p < (const char *)(e + 1); p += 64)
        __builtin_prefetch(p);
}

static enum pg_outcome copy_entries(struct ingest *g)
{
    if (g->entries == 0)
        return PG_DONE;
    check_sums(g);
    char sql[768];
    copy_statement(sql, sizeof sql, "ledger", g->month, ledger_columns);
    enum pg_outcome o = pg_copy_begin(g->pg, sql);
    if (o != PG_DONE)
        return o;
    const struct sort_row *order = by_account_and_thread(g);
    struct buffer *b = pg_copy_buffer(g->pg);
    for (size_t i = 0; o == PG_DONE && i < g->entries; i++) {
        if (i + FETCH_AHEAD < g->entries)
            fetch_entry(g->entry[order[i + FETCH_AHEAD].at]);
        put_entry(b, g->entry[order[i].at], g->now_us);
        o = pg_copy_flush(g->pg);
    }
    return o == PG_DONE ? pg_copy_end(g->pg) : o;
}

/* ---- summaries and balances */

static int send_summaries(struct ingest *g)
{
    static const enum pg_type type[10] = {
        PG_INT8,    PG_INT4, PG_BOOL,    PG_DATE,    PG_INT8,
        PG_NUMERIC, PG_INT4, PG_NUMERIC, PG_NUMERIC, PG_NUMERIC
    };
    struct pg_args *a = &g->args;
    pg_args_reset(a);
    for (int i = 0; i < 10; i++)
        pg_arg_array(a, type[i]);
    int n = 0;
    for (const struct usage_state *u = g->usage; u; u = u->hh.next) {
        if (!u->touched)
            continue;
        pg_put_int8(a, 0, u->key.payer_id);
        pg_put_int4(a, 1, u->key.metric_id);
        pg_put_bool(a, 2, u->key.is_day);
        pg_put_day(a, 3, u->key.start);
        pg_put_int8(a, 4, u->events);
        pg_put_numeric(a, 5, u->added, QUANTITY_PLACES);
        pg_put_int4(a, 6, u->currency_id);
        pg_put_numeric(a, 7, u->cost, AMOUNT_PLACES);
        pg_put_numeric(a, 8, u->charge, AMOUNT_PLACES);
        pg_put_numeric(a, 9, u->overage_charge, AMOUNT_PLACES);
        n++;
    }
    if (n)
        pg_pipeline_send(g->pg, &g->st->usage_upsert, a);
    return n > 0;
}

static int send_balances(struct ingest *g)
{
    struct pg_args *a = &g->args;
    pg_args_reset(a);
    pg_arg_array(a, PG_INT8);
    pg_arg_array(a, PG_NUMERIC);
    pg_arg_array(a, PG_NUMERIC);
    pg_arg_array(a, PG_BOOL);
    int n = 0;
    for (const struct payer_state *p = g->payers; p; p = p->hh.next) {
        if (!p->touched)
            continue;
        pg_put_int8(a, 0, p->payer_id);
        pg_put_numeric(a, 1, p->balance, AMOUNT_PLACES);
        pg_put_numeric(a, 2, p->spent, AMOUNT_PLACES);
        pg_put_bool(a, 3, p->has_charge);
        n++;
    }
    pg_arg_time(a, g->now_us);
    if (n)
        pg_pipeline_send(g->pg, &g->st->payer_update, a);
    return n > 0;
}

static int send_voided(struct ingest *g)
{
    struct pg_args *a = &g->args;
    pg_args_reset(a);
    pg_arg_array(a, PG_UUID);
    pg_arg_array(a, PG_UUID);
    int n = 0;
    for (const struct voided_key *v = g->voided; v; v = v->hh.next) {
        if (v->in_database)
            continue;
        pg_put_uuid(a, 0, v->key);
        pg_put_uuid(a, 1, v->by);
        n++;
    }
    if (n)
        pg_pipeline_send(g->pg, &g->st->voided_insert, a);
    return n > 0;
}

/* ---- alerts */

static void put_optional_numeric(struct pg_args *a, int array, bool has, __int128 v, int places)
{
    if (has)
        pg_put_numeric(a, array, v, places);
    else
        pg_put_null(a, array);
}

static void put_alert(struct pg_args *a, const struct alert_row *r, int64_t seq)
{
    pg_put_int8(a, 0, seq);
    pg_put_text(a, 1, slice_of(r->type));
    if (r->payer_id)
        pg_put_int8(a, 2, r->payer_id);
    else
        pg_put_null(a, 2);
    if (r->metric_id) {
        pg_put_int4(a, 3, r->metric_id);
        pg_put_day(a, 4, r->period_start);
    } else {
        pg_put_null(a, 3);
        pg_put_null(a, 4);
    }
    put_optional_numeric(a, 5, r->has_threshold, r->threshold, AMOUNT_PLACES);
    if (r->entry_id)
        pg_put_int8(a, 6, r->entry_id);
    else
        pg_put_null(a, 6);
    put_optional_numeric(a, 7, r->has_usage, r->used, QUANTITY_PLACES);
    put_optional_numeric(a, 8, r->has_usage, r->included, QUANTITY_PLACES);
    put_optional_numeric(a, 9, r->has_balance, r->balance, AMOUNT_PLACES);
    pg_put_text(a, 10, r->source);
    pg_put_text(a, 11, r->event_id);
    pg_put_text(a, 12, r->service);
    pg_put_text(a, 13, r->model);
    pg_put_text(a, 14, r->metric);
    pg_put_text(a, 15, r->component);
}

static int send_alerts(struct ingest *g)
{
    static const enum pg_type type[16] = { PG_INT8,    PG_TEXT,    PG_INT8, PG_INT4,
                                           PG_DATE,    PG_NUMERIC, PG_INT8, PG_NUMERIC,
                                           PG_NUMERIC, PG_NUMERIC, PG_TEXT, PG_TEXT,
                                           PG_TEXT,    PG_TEXT,    PG_TEXT, PG_TEXT };
    if (g->alerts == 0)
        return 0;
    pg_args_reset(&g->args);
    for (int i = 0; i < 16; i++)
        pg_arg_array(&g->args, type[i]);
    for (size_t i = 0; i < g->alerts; i++)
        put_alert(&g->args, &g->alert[i], g->alert_base + (int64_t)i);
    pg_arg_time(&g->args, g->now_us);
    pg_pipeline_send(g->pg, &g->st->raise_alerts, &g->args);
    return 1;
}

/* ---- what was not booked */

static void message_args(struct pg_args *a, const struct message *m)
{
    if (m->timestamp_us >= 0)
        pg_arg_time(a, m->timestamp_us);
    else
        pg_arg_null(a);
    pg_arg_text(a, m->key);
    pg_arg_text(a, m->value);
    int names = pg_arg_array(a, PG_BYTEA), values = pg_arg_array(a, PG_BYTEA);
    for (size_t i = 0; i < m->headers; i++) {
        pg_put_text(a, names, m->header[i].name);
        pg_put_text(a, values, m->header[i].value);
    }
}

static void place_args(struct pg_args *a, const struct message *m)
{
    pg_arg_text(a, slice_of(m->topic));
    pg_arg_int4(a, m->partition);
    pg_arg_int8(a, m->offset);
}

void reject_args(struct pg_args *a, const struct message *m, const struct refusal *why)
{
    pg_args_reset(a);
    place_args(a, m);
    pg_arg_text(a, slice_of(reason_text(why->reason)));
    pg_arg_text(a, slice_of(why->detail));
    message_args(a, m);
}

void park_args(struct pg_args *a, const struct message *m, const struct refusal *why,
               struct slice waits_for, int32_t catalogue_version, struct slice account,
               struct slice source, struct slice id, struct hash128 key)
{
    pg_args_reset(a);
    pg_arg_text(a, m->kind == TOPIC_USAGE ? SLICE("usage") : SLICE("accounts"));
    place_args(a, m);
    pg_arg_text(a, slice_of(reason_text(why->reason)));
    pg_arg_text(a, slice_of(why->detail));
    pg_arg_text(a, waits_for);
    pg_arg_int4(a, catalogue_version);
    pg_arg_text(a, account);
    pg_arg_text(a, source);
    pg_arg_text(a, id);
    pg_arg_uuid(a, key);
    message_args(a, m);
}

static void parked_again_args(struct ingest *g, const struct item *it)
{
    pg_args_reset(&g->args);
    pg_arg_int8(&g->args, it->parked_id);
    pg_arg_text(&g->args, slice_of(reason_text(it->refusal->reason)));
    pg_arg_text(&g->args, slice_of(it->refusal->detail));
    pg_arg_text(&g->args, it->waits_for);
    pg_arg_int4(&g->args, g->catalogue_version);
}

enum pg_outcome take_sent(struct ingest *g, int *sent)
{
    enum pg_outcome o = PG_DONE;
    pg_pipeline_flush(g->pg);
    for (; o == PG_DONE && *sent > 0; (*sent)--)
        o = pg_pipeline_result(g->pg, NULL, NULL);
    return o;
}

static enum pg_outcome write_unbooked(struct ingest *g, int *sent)
{
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (it->fate != FATE_REJECTED && it->fate != FATE_PARKED)
            continue;
        if (it->fate == FATE_REJECTED) {
            reject_args(&g->args, it->m, it->refusal);
            pg_pipeline_send(g->pg, &g->st->reject, &g->args);
        } else if (it->parked_id) {
            parked_again_args(g, it);
            pg_pipeline_send(g->pg, &g->st->parked_again, &g->args);
        } else {
            bool usage = g->kind == TOPIC_USAGE;
            park_args(&g->args, it->m, it->refusal, it->waits_for, g->catalogue_version,
                      usage ? it->e.account : it->op.account, usage ? it->e.source : it->op.source,
                      usage ? it->e.id : it->op.id, usage ? it->e.key : it->op.key);
            pg_pipeline_send(g->pg, &g->st->park, &g->args);
        }
        if (++*sent >= STATEMENTS_IN_FLIGHT) {
            enum pg_outcome o = take_sent(g, sent);
            if (o != PG_DONE)
                return o;
        }
    }
    return PG_DONE;
}

/* After the rows of this run were parked: a void may name one of them. */
static int send_unparked(struct ingest *g)
{
    int voids = 0, released = 0;
    pg_args_reset(&g->args);
    pg_arg_array(&g->args, PG_UUID);
    for (size_t i = g->from; i < g->to; i++)
        if (g->item[i].fate == FATE_BOOKED && g->item[i].voids_parked) {
            pg_put_uuid(&g->args, 0, g->item[i].e.void_key);
            voids++;
        }
    if (voids)
        pg_pipeline_send(g->pg, &g->st->parked_void, &g->args);
    pg_args_reset(&g->args);
    pg_arg_array(&g->args, PG_INT8);
    pg_arg_array(&g->args, PG_TEXT);
    pg_arg_array(&g->args, PG_INT8);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (!it->parked_id || it->not_ours || it->fate == FATE_PARKED)
            continue;
        pg_put_int8(&g->args, 0, it->parked_id);
        pg_put_text(&g->args, 1, it->fate == FATE_BOOKED ? SLICE("booked") : SLICE("rejected"));
        if (it->entry)
            pg_put_int8(&g->args, 2, it->entry->entry_id);
        else
            pg_put_null(&g->args, 2);
        released++;
    }
    if (released)
        pg_pipeline_send(g->pg, &g->st->parked_release, &g->args);
    return (voids > 0) + (released > 0);
}

static int send_forgotten(struct ingest *g)
{
    int forgotten = 0;
    pg_args_reset(&g->args);
    pg_arg_array(&g->args, PG_INT8);
    for (size_t i = g->from; i < g->to; i++)
        if (g->item[i].parked_id && g->item[i].fate == FATE_REJECTED) {
            pg_put_int8(&g->args, 0, g->item[i].parked_id);
            forgotten++;
        }
    if (forgotten)
        pg_pipeline_send(g->pg, &g->st->parked_forget, &g->args);
    return forgotten > 0;
}

static int send_batch_row(struct ingest *g)
{
    if (g->entries == 0)
        return 0;
    pg_args_reset(&g->args);
    pg_arg_int8(&g->args, g->entry_base);
    pg_arg_int8(&g->args, g->entry_base + (int64_t)g->entries - 1);
    pg_arg_time(&g->args, g->now_us);
    pg_pipeline_send(g->pg, &g->st->batch_insert, &g->args);
    return 1;
}

/* Each offset counts in exactly one of the five. */
static int send_counts(struct ingest *g, const struct part *part, int parts)
{
    struct pg_args *a = &g->args;
    if (parts == 0)
        return 0;
    pg_args_reset(a);
    pg_arg_array(a, PG_TEXT);
    pg_arg_array(a, PG_INT4);
    for (int f = 0; f < FATES; f++)
        pg_arg_array(a, PG_INT8);
    pg_arg_array(a, PG_TIMESTAMPTZ);
    for (int i = 0; i < parts; i++) {
        int64_t count[FATES] = { 0 }, last_event = INT64_MIN;
        for (size_t k = part[i].first; k < part[i].first + part[i].count; k++) {
            count[g->item[k].fate]++;
            int64_t time_us = g->kind == TOPIC_USAGE ? g->item[k].e.time_us : g->item[k].op.time_us;
            if (g->item[k].fate == FATE_BOOKED && time_us > last_event)
                last_event = time_us;
        }
        pg_put_text(a, 0, slice_of(part[i].topic));
        pg_put_int4(a, 1, part[i].partition);
        for (int f = 0; f < FATES; f++)
            pg_put_int8(a, 2 + f, count[f]);
        if (last_event == INT64_MIN)
            pg_put_null(a, 2 + FATES);
        else
            pg_put_time(a, 2 + FATES, last_event);
    }
    pg_pipeline_send(g->pg, &g->st->count_positions, a);
    return 1;
}

enum pg_outcome write_outcome(struct ingest *g, const struct part *part, int parts, int sent)
{
    enum pg_outcome o = write_unbooked(g, &sent);
    if (o != PG_DONE)
        return o;
    sent += send_unparked(g);
    sent += send_forgotten(g);
    sent += send_batch_row(g);
    sent += send_counts(g, part, parts);
    FAULT_POINT("ingest.commit");
    pg_pipeline_send(g->pg, &g->st->commit, NULL);
    pg_pipeline_flush(g->pg);
    FAULT_POINT("ingest.commit_sent");
    o = take_sent(g, &sent);
    FAULT_POINT("ingest.written");
    if (o != PG_DONE)
        return o;
    char tag[32] = "";
    o = pg_pipeline_result(g->pg, NULL, tag);
    FAULT_POINT("ingest.committed");
    if (o == PG_DONE && strcmp(tag, "COMMIT") != 0)
        return PG_RETRY; /* the server rolled back instead */
    enum pg_outcome left = pg_pipeline_leave(g->pg);
    return o == PG_DONE ? left : o;
}

enum pg_outcome batch_write(struct ingest *g, const struct part *part, int parts)
{
    enum pg_outcome o = pg_pipeline_leave(g->pg); /* COPY is forbidden in pipeline mode */
    FAULT_POINT("ingest.copy");
    if (o == PG_DONE)
        o = batch_copy_keys(g);
    FAULT_POINT("ingest.keys");
    if (o == PG_DONE)
        o = copy_entries(g);
    FAULT_POINT("ingest.entries");
    if (o != PG_DONE)
        return o;
    pg_pipeline_enter(g->pg);
    int sent = send_summaries(g);
    sent += send_balances(g);
    sent += send_voided(g);
    sent += send_alerts(g);
    return write_outcome(g, part, parts, sent);
}
