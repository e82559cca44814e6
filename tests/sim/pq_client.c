/* libpq as daemon/pg uses it: sessions of this thread's daemon, in and out of pipeline mode, COPY. */
#include "tests/sim/history.h"
#include "tests/sim/pq.h"

#include <stdlib.h>
#include <string.h>

struct pg_conn {       /* PGconn */
    struct session *s; /* NULL: never connected */
    bool bad, pipeline, in_transaction, copying;
    struct wish *first, **last; /* not sent yet */
    char error[200];
};

static void add(PGconn *c, struct wish w)
{
    struct wish *new = sim_copy(&w, sizeof(w));

    *c->last = new;
    c->last = &new->next;
}

static void lose(PGconn *c)
{
    c->bad = true;
    snprintf(c->error, sizeof(c->error), "server closed the connection unexpectedly");
}

static void send_all(PGconn *c)
{
    struct wish *first = c->first;

    c->first = NULL;
    c->last = &c->first;
    if (c->bad)
        return;
    if (c->s->cut) {
        lose(c);
        return;
    }
    if (sim_one_in(8))
        sim_yield();
    if (c->s->txn != NULL || sim_one_in(4)) /* the middle of a transaction is worth most */
        history_point("statements to PostgreSQL");

    if (sim_one_in(
            server.faults
                .cut)) { /* it breaks under way: the server gets the beginning, perhaps all, and no more */
        struct wish **at = &first;
        while (*at != NULL && !sim_one_in(6))
            at = &(*at)->next;
        *at = NULL;
        if (first != NULL)
            server_say(c->s, first);
        TRACE("connection of %s breaks while it sends", c->s->name);
        server.cuts++;
        server.ghosts++;
        c->s->cut = c->s->hung_up = true;
        sim_wake(&c->s->first);
        lose(c);
        return;
    }
    if (first != NULL)
        server_say(c->s, first);
}

/* ---- connecting */

PGconn *PQconnectdbParams(const char *const *keys, const char *const *values, int expand)
{
    PGconn *c = xcalloc(1, sizeof(*c));
    const char *name = "?";

    (void)expand;
    c->last = &c->first;
    for (int i = 0; keys[i] != NULL; i++)
        if (strcmp(keys[i], "application_name") == 0)
            name = values[i] + strlen("debitd/");
    sim_pass(sim_between(0, 2 * MS));
    if (server.down || sim_one_in(server.faults.refuse)) {
        c->bad = true;
        snprintf(c->error, sizeof(c->error), "connection refused");
        TRACE("connecting as %s: refused", name);
        return c;
    }
    c->s = server_connect(fiber_owner(), name);
    fiber_owner()->clients++;
    TRACE("connected as %s", c->s->name);
    return c;
}

void PQfinish(PGconn *c)
{
    if (c == NULL)
        return;
    if (c->s != NULL) {
        c->s->client = NULL;
        c->s->hung_up = c->s->cut = true;
        sim_wake(&c->s->first);
        fiber_owner()->clients--;
    }
    free(c);
}

ConnStatusType PQstatus(const PGconn *c)
{
    return c->bad ? CONNECTION_BAD : CONNECTION_OK;
}

PGTransactionStatusType PQtransactionStatus(const PGconn *c)
{
    return c->bad ? PQTRANS_UNKNOWN : c->in_transaction ? PQTRANS_INTRANS : PQTRANS_IDLE;
}

char *PQerrorMessage(const PGconn *c)
{
    return (char *)(uintptr_t)c->error;
}

const char *PQparameterStatus(const PGconn *c, const char *name)
{
    (void)c;
    (void)name;
    return "off"; /* in_hot_standby, default_transaction_read_only */
}

char *PQhost(const PGconn *c)
{
    (void)c;
    return NULL;
}

char *PQport(const PGconn *c)
{
    (void)c;
    return NULL;
}

char *PQdb(const PGconn *c)
{
    (void)c;
    return NULL;
}

PQnoticeReceiver PQsetNoticeReceiver(PGconn *c, PQnoticeReceiver proc, void *arg)
{
    (void)c;
    (void)proc;
    (void)arg;
    return NULL;
}

PQconninfoOption *PQconninfoParse(const char *conninfo, char **message)
{
    static PQconninfoOption none;

    (void)conninfo;
    (void)message;
    return &none;
}

void PQconninfoFree(PQconninfoOption *o)
{
    (void)o;
}

void PQfreemem(void *p)
{
    free(p);
}

/* ---- answers */

/* Into one block of the daemon's memory, so that what is not given back is found. */
static PGresult *hand_over(const struct pg_result *r)
{
    size_t fields = (size_t)(r->rows * r->columns), bytes = 0;

    for (size_t i = 0; i < fields; i++)
        bytes += r->field[i].p ? (size_t)r->field[i].n + 1 : 0;
    PGresult *copy = xmalloc(sizeof(*copy) + fields * sizeof(struct field) + bytes);
    *copy = *r;
    copy->field = (struct field *)(copy + 1);
    char *p = (char *)(copy->field + fields);
    for (size_t i = 0; i < fields; i++) {
        copy->field[i] = r->field[i];
        if (r->field[i].p == NULL)
            continue;
        memcpy(p, r->field[i].p, (size_t)r->field[i].n);
        p[r->field[i].n] = '\0';
        copy->field[i].p = p;
        p += r->field[i].n + 1;
    }
    return copy;
}

static PGresult *lost(PGconn *c)
{
    struct pg_result r = { .status = PGRES_FATAL_ERROR };

    lose(c);
    snprintf(r.message, sizeof(r.message), "%s", c->error);
    return hand_over(&r);
}

PGresult *PQgetResult(PGconn *c)
{
    struct session *s = c->s;

    if (c->bad)
        return NULL;
    if (c->copying) {
        struct pg_result r = { .status = PGRES_COPY_IN };
        return hand_over(&r);
    }
    /* What has arrived is read first; a connection that is cut gives nothing more. */
    while (s->answers == NULL && !s->cut)
        sim_wait(s, NEVER);
    if (s->cut && (s->answers == NULL || sim_one_in(2)))
        return lost(c);
    struct answer *a = s->answers;
    s->answers = a->next;
    if (s->answers == NULL)
        s->answers_last = &s->answers;
    if (a->result == NULL)
        return NULL;
    c->copying = a->starts_copy;
    if (!c->pipeline || a->result->status == PGRES_PIPELINE_SYNC)
        c->in_transaction = a->result->in_transaction;
    return hand_over(a->result);
}

void PQclear(PGresult *r)
{
    free(r);
}

/* ---- statements */

/* All results of what was sent, the last one returned. */
static PGresult *last_result(PGconn *c)
{
    PGresult *last = NULL, *r;

    send_all(c);
    if (c->bad)
        return lost(c);
    while ((r = PQgetResult(c)) != NULL) {
        PQclear(last);
        last = r;
        if (r->status == PGRES_COPY_IN || c->bad)
            return r;
    }
    return last ? last : lost(c);
}

PGresult *PQexec(PGconn *c, const char *sql)
{
    add(c, (struct wish){ .what = SAID_QUERY, .sql = sim_copy(sql, strlen(sql)), .text = true });
    return last_result(c);
}

static void put_params(struct wish *w, int n, const char *const *value, const int *length)
{
    w->params = n;
    w->param = sim_alloc((size_t)(n + 1) * sizeof(*w->param));
    for (int i = 0; i < n; i++) {
        size_t size = value[i] == NULL ? 0 : length != NULL ? (size_t)length[i] : strlen(value[i]);
        if (value[i] != NULL)
            w->param[i] = (struct slice){ sim_copy(value[i], size), size };
    }
}

PGresult *PQexecParams(PGconn *c, const char *sql, int n, const Oid *types,
                       const char *const *value, const int *length, const int *format,
                       int result_format)
{
    struct wish w = { .what = SAID_QUERY, .sql = sql, .text = true };

    (void)types;
    (void)format;
    ASSERT(result_format == 0);
    put_params(&w, n, value, length);
    add(c, w);
    return last_result(c);
}

PGresult *PQprepare(PGconn *c, const char *name, const char *sql, int n, const Oid *types)
{
    (void)n;
    (void)types;
    add(c, (struct wish){ .what = SAID_PARSE, .name = name, .sql = sql });
    return last_result(c);
}

PGresult *PQexecPrepared(PGconn *c, const char *name, int n, const char *const *value,
                         const int *length, const int *format, int result_format)
{
    struct wish w = { .what = SAID_QUERY, .name = name, .text = true };

    (void)format;
    ASSERT(result_format == 0);
    put_params(&w, n, value, length);
    add(c, w);
    return last_result(c);
}

int PQenterPipelineMode(PGconn *c)
{
    c->pipeline = true;
    return !c->bad;
}

int PQexitPipelineMode(PGconn *c)
{
    c->pipeline = false;
    return !c->bad;
}

int PQsendPrepare(PGconn *c, const char *name, const char *sql, int n, const Oid *types)
{
    (void)n;
    (void)types;
    add(c, (struct wish){ .what = SAID_PARSE, .name = name, .sql = sql });
    return !c->bad;
}

int PQsendQueryPrepared(PGconn *c, const char *name, int n, const char *const *value,
                        const int *length, const int *format, int result_format)
{
    struct wish w = { .what = SAID_EXECUTE, .name = name };

    (void)format;
    ASSERT(result_format == 1);
    put_params(&w, n, value, length);
    add(c, w);
    return !c->bad;
}

int PQpipelineSync(PGconn *c)
{
    add(c, (struct wish){ .what = SAID_SYNC });
    send_all(c);
    return !c->bad;
}

/* ---- COPY */

int PQputCopyData(PGconn *c, const char *data, int n)
{
    if (c->bad)
        return -1;
    struct wish w = { .what = SAID_COPY };
    put_params(&w, 1, &data, &n);
    add(c, w);
    if (sim_one_in(2))
        send_all(c);
    return c->bad ? -1 : 1;
}

int PQputCopyEnd(PGconn *c, const char *message)
{
    (void)message;
    if (c->bad)
        return -1;
    c->copying = false;
    add(c, (struct wish){ .what = SAID_COPY_END });
    send_all(c);
    return c->bad ? -1 : 1;
}

/* ---- results */

ExecStatusType PQresultStatus(const PGresult *r)
{
    return r ? r->status : PGRES_FATAL_ERROR;
}

char *PQresultErrorField(const PGresult *r, int field)
{
    const char *text = field == PG_DIAG_SQLSTATE          ? r->sqlstate
                       : field == PG_DIAG_MESSAGE_PRIMARY ? r->message
                                                          : "";

    return *text ? (char *)(uintptr_t)text : NULL;
}

char *PQcmdStatus(PGresult *r)
{
    return r->tag;
}

int PQntuples(const PGresult *r)
{
    return r->rows;
}

int PQnfields(const PGresult *r)
{
    return r->columns;
}

char *PQfname(const PGresult *r, int column)
{
    (void)r;
    (void)column;
    return (char *)(uintptr_t) "?";
}

Oid PQftype(const PGresult *r, int column)
{
    (void)r;
    (void)column;
    return 0;
}

int PQfformat(const PGresult *r, int column)
{
    (void)column;
    return r->format;
}

static const struct field *field_of(const PGresult *r, int row, int column)
{
    ASSERT(row >= 0 && row < r->rows && column >= 0 && column < r->columns);
    return &r->field[row * r->columns + column];
}

int PQgetisnull(const PGresult *r, int row, int column)
{
    return field_of(r, row, column)->p == NULL;
}

char *PQgetvalue(const PGresult *r, int row, int column)
{
    const struct field *f = field_of(r, row, column);

    return (char *)(uintptr_t)(f->p ? f->p : "");
}

int PQgetlength(const PGresult *r, int row, int column)
{
    return field_of(r, row, column)->n;
}
