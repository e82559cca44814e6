/* Brings parked messages into the books. */
#include "ledger/release.h"

#include "base/fault.h"
#include "base/log.h"
#include "consumers/accounts.h"

#include <string.h>

static void take_headers(struct arena *arena, struct message *m, struct slice names,
                         struct slice values)
{
    int32_t n = pg_array_elements(names, NULL, 0);
    struct slice *name = arena_alloc(arena, 2 * (size_t)(n + 1) * sizeof *name),
                 *value = name + n + 1;
    struct header *h = arena_alloc(arena, (size_t)(n + 1) * sizeof *h);
    pg_array_elements(names, name, n);
    ASSERT(pg_array_elements(values, value, n) == n);
    for (int32_t i = 0; i < n; i++)
        h[i] = (struct header){ arena_copy(arena, name[i]), arena_copy(arena, value[i]) };
    m->header = h;
    m->headers = (size_t)n;
}

/* A message as it lies in debitd.parked. All memory is in the arena of the round. */
static struct message *parked_message(struct arena *arena, const struct pg_result *r, int row,
                                      enum topic_kind kind)
{
    struct message *m = arena_zalloc(arena, sizeof *m);
    m->kind = kind;
    m->topic = arena_text(arena, pg_bytes(r, row, 2));
    m->partition = (int32_t)pg_int(r, row, 3);
    m->offset = pg_int(r, row, 4);
    m->timestamp_us = pg_null(r, row, 5) ? -1 : pg_time(r, row, 5);
    m->key = arena_copy(arena, pg_bytes(r, row, 6));
    m->value = arena_copy(arena, pg_bytes(r, row, 7));
    take_headers(arena, m, pg_bytes(r, row, 8), pg_bytes(r, row, 9));
    return m;
}

static void add_usage(struct ingest *g, const struct pg_result *r, int row)
{
    ingest_add(g, parked_message(&g->event_arena, r, row, TOPIC_USAGE), pg_int(r, row, 0));
    g->item[g->items - 1].told_unpriced = slice_is(pg_bytes(r, row, 10), "unpriced");
}

static enum pg_outcome candidates(struct ingest *g, struct pg_result **ret)
{
    pg_args_reset(&g->args);
    pg_arg_int4(&g->args, RELEASE_MOST);
    return pg_single(g->pg, &g->st->parked_claim, &g->args, ret);
}

static enum pg_outcome apply_operation(struct ingest *g, int64_t parked_id,
                                       const struct account_op *op, const struct refusal *why,
                                       int *ret_released)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    pg_args_reset(&g->args);
    pg_arg_int8(&g->args, parked_id);
    if (why) {
        for (int i = 0; i < 3; i++)
            pg_arg_null(&g->args);
        pg_arg_text(&g->args, slice_of(reason_text(why->reason)));
        pg_arg_text(&g->args, slice_of(why->detail));
    } else {
        pg_arg_text(&g->args, op->type);
        pg_arg_time(&g->args, op->time_us);
        pg_arg_jsonb(&g->args, op->data);
        pg_arg_null(&g->args);
        pg_arg_null(&g->args);
    }
    enum pg_outcome o = pg_single(g->pg, &g->st->apply_parked, &g->args, &r);
    if (o == PG_DONE && pg_rows(r) == 1 && !pg_null(r, 0, 0) &&
        !slice_is(pg_bytes(r, 0, 0), "parked"))
        ++*ret_released;
    return o;
}

static void refused_by_database(struct ingest *g, int64_t parked_id, struct refusal *ret)
{
    log_error("defect: parked message %lld is refused by the database (%s): rejected as bad_data",
              (long long)parked_id, pg_last_error(g->pg));
    refuse(ret, REASON_BAD_DATA, "the database refuses it with SQLSTATE %s",
           pg_last_sqlstate(g->pg));
}

/* An operation decides and books in one statement, which is a transaction of its own. It is decoded
 * as when it came in: what was parked is what will be booked. */
static enum pg_outcome release_operation(struct ingest *g, int64_t parked_id,
                                         const struct message *m, int *ret_released)
{
    struct account_op op;
    struct refusal why;
    enum reason r = accounts_decode(m, g->settings.window_us, &g->doc, &g->event_arena, &op, &why);
    enum pg_outcome o =
        apply_operation(g, parked_id, &op, r == REASON_NONE ? NULL : &why, ret_released);
    if (o != PG_POISON || r != REASON_NONE)
        return o;
    refused_by_database(g, parked_id, &why);
    o = pg_rollback(g->pg);
    return o == PG_DONE ? apply_operation(g, parked_id, NULL, &why, ret_released) : o;
}

static enum pg_outcome run_range(struct ingest *g, size_t from, size_t to)
{
    g->from = from;
    g->to = to;
    enum pg_outcome o = ingest_run(g, NULL, 0);
    while (o == PG_RETRY && g->needs != NEED_NOTHING) {
        enum pg_outcome provided = ingest_provide(g);
        if (provided != PG_DONE)
            return provided;
        o = ingest_run(g, NULL, 0);
    }
    return o;
}

static int count_released(const struct ingest *g, size_t from, size_t to)
{
    int n = 0;
    for (size_t i = from; i < to; i++)
        n += !g->item[i].not_ours && g->item[i].fate != FATE_PARKED;
    return n;
}

/* What the database refuses is cut down to the one message, which is rejected, as a writer does. */
static enum pg_outcome release_range(struct ingest *g, size_t from, size_t to, int *ret_released)
{
    if (from == to)
        return PG_DONE;
    enum pg_outcome o = run_range(g, from, to);
    if (o == PG_DONE)
        *ret_released += count_released(g, from, to);
    if (o != PG_POISON)
        return o;
    if (to - from > 1) {
        size_t middle = from + (to - from) / 2;
        o = release_range(g, from, middle, ret_released);
        return o == PG_DONE ? release_range(g, middle, to, ret_released) : o;
    }
    struct item *it = &g->item[from];
    if (it->decode)
        return o;
    struct refusal why;
    refused_by_database(g, it->parked_id, &why);
    it->decode = refusal_keep(&g->event_arena, &why);
    return release_range(g, from, to, ret_released);
}

enum pg_outcome release_parked(struct ingest *g, int *ret_released, struct error *ret_error)
{
    *ret_released = 0;
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = candidates(g, &r);
    FAULT_POINT("release.found");
    ingest_clear(g);
    g->releasing = true;
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++) {
        int64_t id = pg_int(r, i, 0);
        if (slice_is(pg_bytes(r, i, 1), "accounts"))
            o = release_operation(g, id, parked_message(&g->event_arena, r, i, TOPIC_ACCOUNTS),
                                  ret_released);
        else
            add_usage(g, r, i);
    }
    if (o == PG_DONE)
        o = release_range(g, 0, g->items, ret_released);
    if (o != PG_DONE)
        error_set(ret_error, pg_exit_code(o), "releasing parked messages: PostgreSQL says %s",
                  pg_last_error(g->pg));
    ingest_clear(g);
    return o;
}
