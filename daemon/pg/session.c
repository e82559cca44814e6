/* Connecting, statements one at a time, and what is said when one fails. */
#include "pg/internal.h"

#include "base/log.h"
#include "base/slice.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Applied after connecting, so that neither the role's nor the conninfo's settings can undo them.
 * Every value is one that an unprivileged role may set.
 * Time-outs: reliability.md D "Connection string". */
static const char session_settings[] =
    "SET search_path = pg_catalog; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET "
    "intervalstyle = 'iso_8601';"
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_encoding = 'UTF8'; SET "
    "standard_conforming_strings = on;"
    "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;"
    /* a stopped process holds its locks no longer than the wait for one lasts: whoever claims its
     * partitions gets them at the first or second try */
    "SET statement_timeout = '60s'; SET lock_timeout = '15s'; SET "
    "idle_in_transaction_session_timeout = '10s';"
    "SET client_connection_check_interval = '2s'; SET client_min_messages = warning;"
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"
    " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

enum pg_outcome pg_note_failure(struct pg_session *s, const PGresult *r)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL) : NULL;
    if (!text)
        text = PQerrorMessage(s->conn);
    enum pg_outcome o = pg_classify(state, text);
    if (PQstatus(s->conn) != CONNECTION_OK)
        o = PG_LOST;
    s->dead |= o == PG_LOST;
    snprintf(s->last_sqlstate, sizeof s->last_sqlstate, "%s", state ? state : "");
    int n = snprintf(s->last_error, sizeof s->last_error, "%s%s%s%s%s", state ? state : "",
                     state ? ": " : "", text, detail ? ": " : "", detail ? detail : "");
    for (n = n < (int)sizeof s->last_error ? n : (int)sizeof s->last_error - 1;
         n > 0 && (s->last_error[n - 1] == '\n' || s->last_error[n - 1] == ' '); n--)
        s->last_error[n - 1] = '\0';
    return o;
}

enum pg_outcome pg_note_loss(struct pg_session *s)
{
    pg_note_failure(s, NULL);
    s->dead = true;
    return PG_LOST;
}

const char *pg_last_error(const struct pg_session *s)
{
    return s->last_error;
}

const char *pg_last_sqlstate(const struct pg_session *s)
{
    return s->last_sqlstate;
}

/* Warnings only (client_min_messages). The one that matters: the wait for a synchronous standby was
 * cancelled. Its COMMIT has happened here, so entries and positions agree and the answer stands; but
 * a failover now would lose both, and a person has to know. */
static void tell_warning(void *arg, const PGresult *r)
{
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    const char *name = PQparameterStatus(arg, "application_name");
    log_warning("%s: PostgreSQL warns: %s%s%s", name ? name : "debitd", text ? text : "",
                detail ? ": " : "", detail ? detail : "");
}

/* libpq gives no SQLSTATE for a connection that was refused, so its words decide: only these mean
 * that asking again will not help. */
static int connect_exit_code(const char *message)
{
    static const char *const refused[] = { "password authentication failed",
                                           "no password supplied",
                                           "pg_hba.conf",
                                           "role \"",
                                           "permission denied",
                                           "Peer authentication failed" };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strstr(message, refused[i]))
            return EX_NOPERM;
    return EX_UNAVAILABLE;
}

static int open_failed(struct pg_session *s, struct error *ret_error)
{
    char where[256];
    const char *host = PQhost(s->conn), *port = PQport(s->conn), *db = PQdb(s->conn);
    snprintf(where, sizeof where, "host=%s port=%s dbname=%s", host && *host ? host : "(default)",
             port && *port ? port : "(default)", db && *db ? db : "(default)");
    char why[600]; /* in one line: libpq breaks it, and indents its hint */
    size_t n = 0;
    for (const char *p = PQerrorMessage(s->conn); *p && n + 1 < sizeof why; p++)
        if (*p != '\n' && *p != '\t')
            why[n++] = *p;
        else if (n && why[n - 1] != ' ')
            why[n++] = ' ';
    while (n && why[n - 1] == ' ')
        n--;
    why[n] = '\0';
    if (strstr(why, "certificate verify failed"))
        error_set(ret_error, connect_exit_code(why),
                  "cannot connect to PostgreSQL at %s: %s: the server's certificate is not of the "
                  "authority in sslrootcert, or its dates are over: openssl s_client -starttls "
                  "postgres -connect HOST:PORT shows it",
                  where, why);
    else
        error_set(ret_error, connect_exit_code(why),
                  "cannot connect to PostgreSQL at %s: %s; check postgres.conninfo with: psql "
                  "\"%s\"",
                  where, why, where);
    pg_close(s);
    return -1;
}

int pg_open(const char *conninfo, const char *role_of, struct pg_session **ret,
            struct error *ret_error)
{
    CLEANUP(pg_target_fini) struct pg_target target = { 0 };
    if (pg_target_init(conninfo, &target, ret_error) < 0)
        return -1;
    char name[64];
    snprintf(name, sizeof name, "debitd/%s", role_of);
    /* Later entries win: the conninfo may set the time-outs, not the name. */
    const char *const keys[] = { "connect_timeout",
                                 "tcp_user_timeout",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "target_session_attrs",
                                 "dbname",
                                 "password",
                                 "sslpassword",
                                 "application_name",
                                 NULL };
    const char *const values[] = { "5",
                                   "15000",
                                   "10",
                                   "5",
                                   "3",
                                   "read-write",
                                   buffer_cstr(&target.conninfo),
                                   target.password_file ? buffer_cstr(&target.password) : NULL,
                                   target.sslpassword_file ? buffer_cstr(&target.sslpassword)
                                                           : NULL,
                                   name,
                                   NULL };
    struct pg_session *s = xcalloc(1, sizeof *s);
    s->conn = PQconnectdbParams(keys, values, 1);
    ASSERT(s->conn != NULL);
    if (PQstatus(s->conn) != CONNECTION_OK)
        return open_failed(s, ret_error);
    PQsetNoticeReceiver(s->conn, tell_warning, s->conn);
    if (pg_script(s, "setting up the session", session_settings, ret_error) != PG_DONE) {
        pg_close(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void pg_close(struct pg_session *s)
{
    if (!s)
        return;
    PQfinish(s->conn);
    buffer_fini(&s->copy);
    free(s);
}

void pg_closep(struct pg_session **s)
{
    pg_close(*s);
}

bool pg_is_open(const struct pg_session *s)
{
    return s && !s->dead && PQstatus(s->conn) == CONNECTION_OK;
}

static enum pg_outcome finish(struct pg_session *s, const char *doing, PGresult *r,
                              struct pg_result **ret_result, struct error *ret_error)
{
    ExecStatusType st = PQresultStatus(r);
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK || st == PGRES_EMPTY_QUERY) {
        if (ret_result)
            *ret_result = (struct pg_result *)r;
        else
            PQclear(r);
        return PG_DONE;
    }
    enum pg_outcome o = pg_note_failure(s, r);
    int code = !strncmp(s->last_sqlstate, "42501", 5) ? EX_NOPERM : pg_exit_code(o);
    error_set(ret_error, code, "%s: PostgreSQL says %s", doing, s->last_error);
    PQclear(r);
    return o;
}

enum pg_outcome pg_run(struct pg_session *s, const char *doing, const char *sql, int nparams,
                       const char *const *params, struct pg_result **ret_result,
                       struct error *ret_error)
{
    ASSERT(!s->in_pipeline);
    PGresult *r = PQexecParams(s->conn, sql, nparams, NULL, params, NULL, NULL, 0);
    return finish(s, doing, r, ret_result, ret_error);
}

enum pg_outcome pg_run_prepared(struct pg_session *s, const char *doing,
                                const struct pg_statement *st, int nparams,
                                const char *const *params, struct pg_result **ret_result,
                                struct error *ret_error)
{
    ASSERT(!s->in_pipeline);
    if (!pg_is_prepared(s, st)) {
        PGresult *p = PQprepare(s->conn, st->name, st->sql, 0, NULL);
        enum pg_outcome o = finish(s, doing, p, NULL, ret_error);
        if (o != PG_DONE)
            return o;
        pg_note_prepared(s, st);
    }
    PGresult *r = PQexecPrepared(s->conn, st->name, nparams, params, NULL, NULL, 0);
    return finish(s, doing, r, ret_result, ret_error);
}

enum pg_outcome pg_script(struct pg_session *s, const char *doing, const char *sql,
                          struct error *ret_error)
{
    ASSERT(!s->in_pipeline);
    return finish(s, doing, PQexec(s->conn, sql), NULL, ret_error);
}

enum pg_outcome pg_rollback(struct pg_session *s)
{
    if (s->in_pipeline) {
        enum pg_outcome left = pg_pipeline_leave(s);
        if (left == PG_LOST)
            return PG_LOST;
    }
    if (!pg_is_open(s))
        return PG_LOST;
    if (PQtransactionStatus(s->conn) == PQTRANS_IDLE)
        return PG_DONE;
    PGresult *r = PQexec(s->conn, "ROLLBACK");
    enum pg_outcome o = PQresultStatus(r) == PGRES_COMMAND_OK ? PG_DONE : pg_note_failure(s, r);
    PQclear(r);
    return o;
}
