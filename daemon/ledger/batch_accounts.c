/* A batch of operations on accounts: the same transaction around one call of debitd.account_event()
 * each, which decides, books and takes the key. */
#include "ledger/batch.h"

#define OPERATIONS_IN_FLIGHT 50

/* The payers of all accounts that are named, in order, before the first operation takes a key:
 * operations of one batch lock one after the other. */
static void send_locks(struct ingest *g)
{
    pg_args_reset(&g->args);
    int names = pg_arg_array(&g->args, PG_TEXT);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        if (!is_event(it))
            continue;
        pg_put_text(&g->args, names, it->op.account);
        if (it->op.reference_account.p)
            pg_put_text(&g->args, names, it->op.reference_account);
    }
    pg_pipeline_send(g->pg, &g->st->lock_accounts, &g->args);
}

static void send_operation(struct ingest *g, const struct account_op *op)
{
    pg_args_reset(&g->args);
    pg_arg_uuid(&g->args, op->key);
    pg_arg_uuid(&g->args, op->digest);
    pg_arg_text(&g->args, op->source);
    pg_arg_text(&g->args, op->id);
    pg_arg_text(&g->args, op->type);
    pg_arg_text(&g->args, op->account);
    pg_arg_time(&g->args, op->time_us);
    pg_arg_jsonb(&g->args, op->data);
    pg_pipeline_send(g->pg, &g->st->account_event, &g->args);
}

static enum pg_outcome take_operation(struct ingest *g, struct item *it)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_pipeline_result(g->pg, &r, NULL);
    if (o != PG_DONE)
        return o;
    struct slice outcome = pg_bytes(r, 0, 0), detail = pg_bytes(r, 0, 2);
    if (slice_is(outcome, "done")) {
        it->fate = FATE_BOOKED;
        return PG_DONE;
    }
    if (slice_is(outcome, "duplicate")) {
        it->fate = FATE_DUPLICATE;
        return PG_DONE;
    }
    struct refusal why;
    enum reason reason = REASON_NONE;
    bool known = reason_of_text(pg_bytes(r, 0, 1), &reason);
    ASSERT(known && (slice_is(outcome, "parked") || slice_is(outcome, "rejected")));
    if (slice_is(outcome, "parked")) {
        it->fate = FATE_PARKED;
        it->waits_for = arena_copy(&g->run_arena, detail);
        refuse(&why, reason, "account %.*s is not open", SLICE_ARGS(detail));
    } else {
        it->fate = FATE_REJECTED;
        refuse(&why, reason, "%.*s", SLICE_ARGS(detail));
    }
    it->refusal = refusal_keep(&g->run_arena, &why);
    return PG_DONE;
}

static enum pg_outcome run_operations(struct ingest *g)
{
    enum pg_outcome o = PG_DONE;
    for (size_t i = g->from; o == PG_DONE && i < g->to;) {
        size_t first = i, sent = 0;
        for (; i < g->to && sent < OPERATIONS_IN_FLIGHT; i++) {
            struct item *it = &g->item[i];
            if (is_event(it)) {
                send_operation(g, &it->op);
                sent++;
            } else if (it->decode) {
                it->fate = FATE_REJECTED;
                it->refusal = it->decode;
            } else {
                it->fate = FATE_SKIPPED;
            }
        }
        pg_pipeline_flush(g->pg);
        for (size_t k = first; o == PG_DONE && k < i; k++)
            if (is_event(&g->item[k]))
                o = take_operation(g, &g->item[k]);
    }
    return o;
}

enum pg_outcome batch_operations(struct ingest *g, const struct part *part, int parts)
{
    send_begin(g, part, parts);
    send_locks(g);
    pg_pipeline_flush(g->pg);
    enum pg_outcome o = take_begin(g, parts);
    if (o == PG_DONE)
        o = pg_pipeline_result(g->pg, NULL, NULL);
    if (o == PG_DONE && g->needs != NEED_NOTHING)
        return PG_RETRY;
    if (o == PG_DONE)
        o = run_operations(g);
    return o == PG_DONE ? write_outcome(g, part, parts, 0) : o;
}
