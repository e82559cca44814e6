/* libpq and the server behind it: what a client (pq_client.c), a session's backend (pq_server.c) and the statements (sql_*.c) share.
 * Every session has a fiber at the server's end, which goes on with what was sent also when the client is gone. */
#ifndef DEBITD_TESTS_SIM_PQ_H
#define DEBITD_TESTS_SIM_PQ_H

#include "base/buffer.h"
#include "tests/sim/store.h"

#include <libpq-fe.h>

struct field {
    const char *p; /* NULL: null */
    int n;
};

struct pg_result { /* PGresult */
    ExecStatusType status;
    int rows, columns, format;
    struct field *field;
    bool in_transaction; /* behind it */
    char sqlstate[6], message[200], tag[32];
};

enum said { SAID_QUERY, SAID_PARSE, SAID_EXECUTE, SAID_SYNC, SAID_COPY, SAID_COPY_END };

struct wish { /* from the client */
    struct wish *next;
    enum said what;
    const char *name, *sql;
    int params;
    struct slice *param;
    bool text; /* parameters and results */
};

struct answer { /* to the client */
    struct answer *next;
    struct pg_result *result; /* NULL: the end of one statement's */
    bool starts_copy;
};

struct session {
    struct session *next;
    struct owner *client; /* NULL: gone */
    char name[40];
    struct fiber *backend;
    struct wish *first, **last;
    struct answer *answers, **answers_last;
    bool cut;        /* the client has noticed that the connection is gone */
    bool hung_up;    /* nothing comes from the client any more */
    bool terminated; /* by another session, a time-out or a crash */
    bool gone;       /* the backend has ended */
    struct txn *txn;
    struct {
        const char *name, *sql;
    } prepared[64];
    int prepared_count;
    int64_t silent_since_us; /* it waits for its client since; NEVER: it is at work */
    bool holds_relay_lock;
};

struct q { /* a statement that runs */
    struct session *s;
    struct txn *t;
    const char *sql;
    int params;
    const struct slice *param;
    bool text;
    struct pg_result *result;
    int at; /* fields filled of the last row */
    char message[200];
};

struct faults { /* one in so many; 0: never */
    uint64_t cut, error, slow, refuse;
    uint64_t slow_commit;
    bool weak_lock; /* the relay's lock is given to all who ask: nothing may rest on it */
    int64_t latency_us, slow_us;
};

struct server {
    struct session *sessions;
    bool down;
    struct faults faults;
    uint64_t cuts, crashes, ghosts, fenced; /* counted */
};
extern struct server server;

void server_init(void);
void server_crash(
    void); /* all sessions end, what is not committed is gone; it is down until server.down is cleared */
struct session *server_connect(struct owner *client, const char *name);
void server_say(struct session *s, struct wish *first);
void server_terminate(struct session *s);
void server_client_gone(struct owner *client);
/* The sessions of a client that does not stir are ended at the server's end: a router, an administrator. */
void server_forget_client(struct owner *client);
size_t server_sessions(void);

/* Executes. NULL: done; else the SQLSTATE. */
const char *sql_execute(struct q *q, const char *name);
const char *sql_copy(struct q *q, const char *sql, struct slice rows);

/* ---- for statements: parameters … */
int64_t arg_int(const struct q *q, int i);
bool arg_null(const struct q *q, int i);
struct slice arg_text(const struct q *q, int i); /* copied */
const char *arg_cstr(const struct q *q, int i);
struct hash128 hash_of(struct slice s);
int64_t int_of(struct slice s);
amount_t numeric_of(struct slice s);
#define ELEMENTS_MAX 512
int32_t arg_elements(const struct q *q, int i, struct slice *ret); /* of a binary array */
int arg_list(const struct q *q, int i, const char **ret);          /* of an array literal */
/* … and results, in the format that was asked for */
void out_row(struct q *q, int columns);
void out_int(struct q *q, int bytes, int64_t v);
void out_bool(struct q *q, bool v);
void out_text(struct q *q, const char *v); /* NULL: null */
void out_slice(struct q *q, struct slice v);
void out_hex(struct q *q, struct slice v);
void out_hash(struct q *q, struct hash128 v);
void out_day(struct q *q, int32_t v);
void out_time(struct q *q, int64_t us);
void out_amount(struct q *q, amount_t v);
void out_null(struct q *q);

typedef const char *(*sql_run)(struct q *q);
struct sql_handler {
    const char *name; /* of schema/queries, or how the text begins */
    sql_run run;
};
extern const struct sql_handler sql_ledger[], sql_positions[], sql_relay[], sql_accounts[];

struct row *find_account(const struct txn *t, struct slice name);
struct row *find_payer(int64_t payer_id);
const char *take_key(struct q *q, int32_t month, struct hash128 key, struct hash128 digest,
                     int64_t entry_id);
int32_t books_month(void);

#endif
