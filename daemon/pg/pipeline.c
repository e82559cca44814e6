/* Pipeline mode: statements are queued, answered in order; a statement that the session has not
 * prepared yet is prepared in the same stream. */
#include "pg/internal.h"

#include <string.h>

void pg_pipeline_enter(struct pg_session *s)
{
    ASSERT(!s->in_pipeline && s->awaited_count == 0);
    s->pipeline_failed = PG_DONE;
    if (PQenterPipelineMode(s->conn) != 1)
        s->pipeline_failed = pg_note_failure(s, NULL);
    s->in_pipeline = true;
}

static void await(struct pg_session *s, const struct pg_statement *st, bool is_prepare)
{
    ASSERT(s->awaited_count < PIPELINE_MAX);
    int at = (s->awaited_first + s->awaited_count++) % PIPELINE_MAX;
    s->awaited[at].statement = st;
    s->awaited[at].is_prepare = is_prepare;
}

static bool will_be_prepared(const struct pg_session *s, const struct pg_statement *st)
{
    if (pg_is_prepared(s, st))
        return true;
    for (int i = 0; i < s->awaited_count; i++) {
        int at = (s->awaited_first + i) % PIPELINE_MAX;
        if (s->awaited[at].is_prepare && s->awaited[at].statement == st)
            return true;
    }
    return false;
}

void pg_pipeline_send(struct pg_session *s, const struct pg_statement *st, const struct pg_args *a)
{
    ASSERT(s->in_pipeline);
    if (s->pipeline_failed == PG_LOST) {
        await(s, st, false);
        return;
    }
    int ok = 1;
    if (!will_be_prepared(s, st)) {
        ok = PQsendPrepare(s->conn, st->name, st->sql, 0, NULL);
        if (ok)
            await(s, st, true);
    }
    const char *value[PG_ARGS_MAX];
    int length[PG_ARGS_MAX], format[PG_ARGS_MAX], n = a ? a->count : 0;
    for (int i = 0; i < n; i++) {
        value[i] = a->null[i] ? NULL : a->value[i].p;
        length[i] = (int)a->value[i].n;
        format[i] = 1;
    }
    if (ok)
        ok = PQsendQueryPrepared(s->conn, st->name, n, value, length, format, 1);
    await(s, st, false);
    s->unflushed = true;
    if (!ok) /* libpq refuses to queue only when the connection is of no more use */
        s->pipeline_failed = pg_note_loss(s);
}

/* A sync, not a mere flush: it ends no explicit transaction, but between two of them the server
 * counts as idle in transaction, so that its time-out ends a client that was stopped in
 * the middle and sets its locks free. */
void pg_pipeline_flush(struct pg_session *s)
{
    if (s->pipeline_failed == PG_LOST || !s->unflushed)
        return;
    await(s, NULL, false);
    s->unflushed = false;
    if (PQpipelineSync(s->conn) != 1)
        s->pipeline_failed = pg_note_loss(s);
}

static void take_sync(struct pg_session *s)
{
    if (s->pipeline_failed == PG_LOST)
        return;
    PGresult *r = PQgetResult(s->conn);
    if (!r || PQresultStatus(r) != PGRES_PIPELINE_SYNC)
        s->pipeline_failed = pg_note_loss(s);
    PQclear(r);
}

/* Takes the result of one queued command and the NULL behind it. */
static enum pg_outcome take(struct pg_session *s, PGresult **ret)
{
    if (s->pipeline_failed == PG_LOST)
        return PG_LOST;
    PGresult *r = PQgetResult(s->conn);
    if (!r) {
        s->pipeline_failed = pg_note_loss(s);
        return PG_LOST;
    }
    ExecStatusType st = PQresultStatus(r);
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK) {
        *ret = r;
    } else {
        if (st != PGRES_PIPELINE_ABORTED && s->pipeline_failed == PG_DONE)
            s->pipeline_failed = pg_note_failure(s, r);
        if (PQstatus(s->conn) != CONNECTION_OK)
            s->pipeline_failed = pg_note_loss(s);
        ASSERT(s->pipeline_failed != PG_DONE);
        PQclear(r);
        if (s->pipeline_failed == PG_LOST)
            return PG_LOST;
    }
    PGresult *end = PQgetResult(s->conn);
    if (end) { /* libpq gives one result a command here; anything else is a lost protocol */
        PQclear(end);
        s->pipeline_failed = pg_note_loss(s);
        if (*ret)
            PQclear(TAKE(*ret));
    }
    return s->pipeline_failed;
}

enum pg_outcome pg_pipeline_result(struct pg_session *s, struct pg_result **ret_result,
                                   char ret_tag[32])
{
    for (;;) {
        ASSERT(s->awaited_count > 0);
        int at = s->awaited_first;
        const struct pg_statement *st = s->awaited[at].statement;
        bool is_prepare = s->awaited[at].is_prepare;
        s->awaited_first = (at + 1) % PIPELINE_MAX;
        s->awaited_count--;
        if (!st) {
            take_sync(s);
            continue;
        }
        PGresult *r = NULL;
        enum pg_outcome o = take(s, &r);
        if (is_prepare) {
            if (o == PG_DONE)
                pg_note_prepared(s, st);
            PQclear(r);
            continue;
        }
        if (o != PG_DONE) {
            PQclear(r);
            return o;
        }
        if (ret_tag)
            snprintf(ret_tag, 32, "%s", PQcmdStatus(r));
        if (ret_result)
            *ret_result = (struct pg_result *)r;
        else
            PQclear(r);
        return PG_DONE;
    }
}

enum pg_outcome pg_pipeline_leave(struct pg_session *s)
{
    ASSERT(s->in_pipeline);
    pg_pipeline_flush(s);
    while (s->awaited_count > 0) {
        struct pg_result *r = NULL;
        if (!s->awaited[s->awaited_first].statement) {
            s->awaited_first = (s->awaited_first + 1) % PIPELINE_MAX;
            s->awaited_count--;
            take_sync(s);
        } else if (pg_pipeline_result(s, &r, NULL) == PG_DONE) {
            pg_result_free(r);
        }
    }
    s->in_pipeline = s->unflushed = false;
    if (s->pipeline_failed != PG_LOST && PQexitPipelineMode(s->conn) != 1)
        s->pipeline_failed = pg_note_loss(s);
    return s->pipeline_failed;
}

enum pg_outcome pg_single(struct pg_session *s, const struct pg_statement *st,
                          const struct pg_args *a, struct pg_result **ret_result)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    pg_pipeline_enter(s);
    pg_pipeline_send(s, st, a);
    pg_pipeline_flush(s);
    enum pg_outcome o = pg_pipeline_result(s, &r, NULL);
    enum pg_outcome left = pg_pipeline_leave(s);
    if (o == PG_DONE)
        o = left;
    if (o == PG_DONE && ret_result)
        *ret_result = TAKE(r);
    return o;
}
