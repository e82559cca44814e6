/* The server's end of the sessions: each has a fiber that takes what the client has sent, statement by statement, and answers. It
 * knows nothing of the client but that nothing more comes. */
#include "tests/sim/pq.h"

#include <string.h>

#define IDLE_IN_TRANSACTION_US (10 * SEC)

struct server server;

void server_init(void)
{
    server = (struct server){ .down = false };
}

static void answer(struct session *s, struct pg_result *r, bool starts_copy)
{
    struct answer *a = sim_alloc(sizeof(*a));

    if (r != NULL)
        r->in_transaction = s->txn != NULL;
    a->result = r;
    a->starts_copy = starts_copy;
    *s->answers_last = a;
    s->answers_last = &a->next;
    sim_wake(s);
}

static struct pg_result *result_of(ExecStatusType status)
{
    struct pg_result *r = sim_alloc(sizeof(*r));

    r->status = status;
    return r;
}

static struct pg_result *error_of(const char *sqlstate, const char *message)
{
    struct pg_result *r = result_of(PGRES_FATAL_ERROR);

    snprintf(r->sqlstate, sizeof(r->sqlstate), "%s", sqlstate);
    snprintf(r->message, sizeof(r->message), "%s", *message ? message : "simulated");
    return r;
}

/* ---- the end of a session */

static void finish(struct session *s)
{
    if (s->txn != NULL)
        txn_rollback(TAKE(s->txn));
    s->holds_relay_lock = false;
    s->gone = s->cut = true;
    sim_wake(s);
}

void server_terminate(struct session *s)
{
    if (s->gone)
        return;
    TRACE("session %s is ended", s->name);
    s->terminated = true;
    if (s->backend != sim.current)
        fiber_kill(s->backend);
    finish(s);
}

void server_crash(void)
{
    TRACE("PostgreSQL crashes");
    server.crashes++;
    server.down = true;
    for (struct session *s = server.sessions; s != NULL; s = s->next)
        server_terminate(s);
}

void server_client_gone(struct owner *client)
{
    for (struct session *s = server.sessions; s != NULL; s = s->next)
        if (s->client == client) {
            s->client = NULL;
            s->hung_up = s->cut = true;
            sim_wake(&s->first);
        }
}

void server_forget_client(struct owner *client)
{
    for (struct session *s = server.sessions; s != NULL; s = s->next)
        if (s->client == client && sim_one_in(2))
            server_terminate(s);
}

size_t server_sessions(void)
{
    size_t n = 0;

    for (struct session *s = server.sessions; s != NULL; s = s->next)
        n += !s->gone;
    return n;
}

/* ---- statements */

/* The connection breaks at the client's end; what it has sent may still be on its way. */
static void cut(struct session *s)
{
    TRACE("connection of %s is cut%s", s->name, s->first ? ", more of it is on its way" : "");
    server.cuts++;
    server.ghosts += s->first != NULL;
    s->cut = true;
    s->hung_up = true;
    sim_wake(s);
}

static const char *fault(void)
{
    static const char *const states[] = { "40001", "55P03", "57014" };

    if (sim_one_in(server.faults.slow))
        sim_pass(sim_between(0, server.faults.slow_us));
    return sim_one_in(server.faults.error) ? states[sim_below(ARRAY_SIZE(states))] : NULL;
}

static void commit(struct session *s, char tag[32])
{
    bool good = s->txn != NULL && !s->txn->failed;

    /* Synchronous replication, a slow disk: not visible yet, its locks held, whatever becomes of the client. */
    if (good && sim_one_in(server.faults.slow_commit)) {
        TRACE("COMMIT of %s takes its time", s->name);
        if (sim_one_in(2))
            cut(s);
        sim_pass(sim_between(0, 4 * server.faults.slow_us));
    }
    if (good)
        txn_commit(TAKE(s->txn));
    else if (s->txn != NULL)
        txn_rollback(TAKE(s->txn));
    snprintf(tag, 32, good ? "COMMIT" : "ROLLBACK");
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is(const struct wish *w, const char *name)
{
    return w->name != NULL && strcmp(w->name, name) == 0;
}

static struct pg_result *done(struct pg_result *r)
{
    r->status = PGRES_COMMAND_OK;
    return r;
}

static const char *sql_of(const struct session *s, const struct wish *w)
{
    for (int i = 0; w->name != NULL && i < s->prepared_count; i++)
        if (strcmp(s->prepared[i].name, w->name) == 0)
            return s->prepared[i].sql;
    MUST(w->sql != NULL, "statement %s is executed and was never prepared", w->name);
    return w->sql;
}

/* A transaction of its own where none is open. */
static struct pg_result *run(struct session *s, struct q *q, const struct wish *w)
{
    bool alone = s->txn == NULL;
    if (alone)
        s->txn = txn_begin(s->name);
    const char *state = fault();
    q->t = s->txn;
    if (state == NULL)
        state = sql_execute(q, w->name);
    if (state != NULL && !alone)
        s->txn->failed = true;
    if (alone && state == NULL)
        txn_commit(TAKE(s->txn));
    else if (alone)
        txn_rollback(TAKE(s->txn));
    if (state != NULL)
        TRACE("%s: %s fails with %s %s", s->name, w->name ? w->name : "statement", state,
              q->message);
    return state ? error_of(state, q->message) : q->result;
}

/* One statement. The result is answered by the caller. */
static struct pg_result *execute(struct session *s, const struct wish *w)
{
    struct pg_result *r = result_of(PGRES_TUPLES_OK);
    struct q q = { .s = s,
                   .sql = sql_of(s, w),
                   .params = w->params,
                   .param = w->param,
                   .text = w->text,
                   .result = r };

    r->format = !w->text;
    if (begins(q.sql, "SET ") || begins(q.sql, "ROLLBACK")) {
        if (s->txn != NULL)
            txn_rollback(TAKE(s->txn));
        return done(r);
    }
    if (is(w, "commit")) {
        commit(s, r->tag);
        TRACE("%s: %s", s->name, r->tag);
        return done(r);
    }
    if (s->txn != NULL && s->txn->failed)
        return error_of("25P02", "current transaction is aborted");
    if (!is(w, "begin"))
        return run(s, &q, w);
    s->txn = txn_begin(s->name);
    return done(r);
}

/* ---- the backend */

static struct wish *take(struct session *s)
{
    while (s->first == NULL) {
        if (s->hung_up)
            return NULL;
        s->silent_since_us = sim.now_us;
        int64_t until = s->txn != NULL ? sim.now_us + IDLE_IN_TRANSACTION_US : NEVER;
        if (sim_wait(&s->first, until) && s->first == NULL && s->txn != NULL && !s->hung_up) {
            TRACE("session %s was idle in a transaction for too long", s->name);
            s->terminated = true;
            return NULL;
        }
    }
    s->silent_since_us = NEVER;
    struct wish *w = s->first;
    s->first = w->next;
    if (s->first == NULL)
        s->last = &s->first;
    return w;
}

/* A COPY takes all that comes up to its end, as one statement. */
static struct pg_result *copy(struct session *s, const struct wish *begun)
{
    struct q q = { .s = s, .sql = begun->sql, .t = s->txn };
    struct pg_result *r = q.result = result_of(PGRES_COMMAND_OK);
    struct pg_result *in = result_of(PGRES_COPY_IN);
    const char *state = fault();
    struct wish *w;

    if (state != NULL || s->txn == NULL || s->txn->failed) {
        if (s->txn != NULL)
            s->txn->failed = true;
        return error_of(state ? state : "25P02", "");
    }
    answer(s, in, true);
    while ((w = take(s)) != NULL && w->what == SAID_COPY) {
        state = sql_copy(&q, begun->sql, w->param[0]);
        if (state != NULL)
            break;
    }
    while (state != NULL && w != NULL && w->what == SAID_COPY)
        w = take(s);
    if (w == NULL)
        return NULL;
    ASSERT(w->what == SAID_COPY_END);
    if (state != NULL)
        s->txn->failed = true;
    return state ? error_of(state, q.message) : r;
}

/* After an error in a pipeline all is skipped up to the sync. */
static void skip(struct session *s, struct wish **w)
{
    while ((*w = take(s)) != NULL && (*w)->what != SAID_SYNC) {
        answer(s, result_of(PGRES_PIPELINE_ABORTED), false);
        answer(s, NULL, false);
    }
}

static bool serve(struct session *s, struct wish *w)
{
    struct pg_result *r;

    if (server.faults.latency_us > 0)
        sim_pass(sim_between(0, server.faults.latency_us));
    bool breaks = w->what != SAID_SYNC && sim_one_in(server.faults.cut);
    bool lost = breaks && sim_one_in(3); /* it never arrived */
    if (breaks)
        cut(s);
    if (lost)
        return false;
    switch (w->what) {
    case SAID_SYNC:
        answer(s, result_of(PGRES_PIPELINE_SYNC), false);
        return true;
    case SAID_PARSE:
        ASSERT(s->prepared_count < (int)ARRAY_SIZE(s->prepared));
        s->prepared[s->prepared_count].name = w->name;
        s->prepared[s->prepared_count++].sql = w->sql;
        answer(s, result_of(PGRES_COMMAND_OK), false);
        answer(s, NULL, false);
        return true;
    case SAID_QUERY:
        r = w->sql != NULL && begins(w->sql, "COPY ") ? copy(s, w) : execute(s, w);
        if (r == NULL)
            return false;
        answer(s, r, false);
        answer(s, NULL, false);
        return true;
    case SAID_EXECUTE:
        r = execute(s, w);
        answer(s, r, false);
        answer(s, NULL, false);
        if (r->status != PGRES_FATAL_ERROR)
            return true;
        skip(s, &w);
        if (w == NULL)
            return false;
        answer(s, result_of(PGRES_PIPELINE_SYNC), false);
        return true;
    case SAID_COPY:
    case SAID_COPY_END: /* of a COPY that was refused */
        return true;
    }
    return true;
}

static void *backend(void *arg)
{
    struct session *s = arg;
    struct wish *w;

    while ((w = take(s)) != NULL)
        if (!serve(s, w))
            break;
    /* The end of the connection is noticed late. */
    if (!s->terminated && s->txn != NULL && sim_one_in(2))
        sim_pass(sim_between(0, 2 * SEC));
    finish(s);
    return NULL;
}

struct session *server_connect(struct owner *client, const char *name)
{
    struct session *s = sim_alloc(sizeof(*s));

    s->client = client;
    snprintf(s->name, sizeof(s->name), "%s/%s", client->name, name);
    s->last = &s->first;
    s->answers_last = &s->answers;
    s->silent_since_us = sim.now_us;
    s->next = server.sessions;
    server.sessions = s;
    s->backend = fiber_start(s->name, NULL, backend, s);
    return s;
}

void server_say(struct session *s, struct wish *first)
{
    *s->last = first;
    while (*s->last != NULL)
        s->last = &(*s->last)->next;
    sim_wake(&s->first);
}
