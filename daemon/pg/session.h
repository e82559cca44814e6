/* One connection to PostgreSQL: the only users of libpq-fe.h are the files of this folder.
 *
 * A session belongs to one thread. Every struct pg_statement is prepared on first use and kept;
 * parameters and results are binary where struct pg_args is used, else text. Foreign errors are
 * translated once, here, by the table in sqlstate.c (research: reliability.md D "Retry classes"). */
#ifndef DEBITD_PG_SESSION_H
#define DEBITD_PG_SESSION_H

#include "base/buffer.h"
#include "base/decimal.h"
#include "base/error.h"
#include "base/hash.h"

#include <stdint.h>

struct pg_session;
struct pg_result;

enum pg_outcome {
    PG_DONE = 0,
    PG_RETRY,     /* 40*, 55P03, 57014: roll back and run the same again */
    PG_DUPLICATE, /* 23505 */
    PG_FENCED,    /* UF001, raised by debitd.advance(): the position is not ours */
    PG_LOST, /* 08*, 57P0*, 25006, 25P03, or no connection: what was sent last may have happened */
    PG_WAIT, /* 53*, 58*, XX*, "no partition of relation": pause, alarm, never skip */
    PG_POISON, /* 22*, 23* else: a value the database refuses */
    PG_DEFECT, /* 42*, 28*, 3D* and all else: wrong schema, rights, or a bug of ours */
};
const char *pg_outcome_text(enum pg_outcome o);
enum pg_outcome pg_classify(const char *sqlstate,
                            const char *message); /* the table; sqlstate NULL: PG_LOST */

/* Connects and sets what the guarantees rest on (UTC, READ COMMITTED, synchronous_commit as the
 * server has it but refusing off, time-outs, search_path = pg_catalog; so every
 * name in SQL is qualified). `role_of` names the session for people ("writer 0"); application_name
 * becomes "debitd/<role_of>". 0, or -1 with the error (EX_UNAVAILABLE; EX_NOPERM
 * on class 28 and for a password's file; EX_CONFIG when conninfo cannot be parsed). Besides libpq's
 * keywords conninfo may hold password_file and sslpassword_file, read at each connection. conninfo's password never appears in the
 * error. */
int pg_open(const char *conninfo, const char *role_of, struct pg_session **ret,
            struct error *ret_error) MUST_CHECK;
/* Can the connection string be used, and the secrets be read that it names by file (but for those
 * that only the service can find)? Offline. 0, or -1 with EX_CONFIG or EX_NOPERM. */
int pg_check_conninfo(const char *conninfo, struct error *ret_error) MUST_CHECK;
/* What of it is allowed but should be known: "" or one sentence. */
void pg_warning(const char *conninfo, char *ret, size_t size);
/* What of the server's own settings breaks the promise of COMMIT when the power fails: "" or one
 * sentence. */
enum pg_outcome pg_durability(struct pg_session *s, char *ret, size_t size,
                              struct error *ret_error) MUST_CHECK;
void pg_close(struct pg_session
                  *s); /* NULL is fine; a transaction that is open is rolled back by the server */
void pg_closep(struct pg_session **s);
bool pg_is_open(const struct pg_session *s);
/* The SQLSTATE and the message of the last failure, for rejections and logs: "22P02: invalid input
 * …". */
const char *pg_last_error(const struct pg_session *s);
const char *pg_last_sqlstate(const struct pg_session *s);

/* ---- one statement at a time, text parameters: for everything that is not the hot path.
 * params: nparams texts, NULL is SQL null. On PG_DONE *ret_result (may be NULL if not wanted) is
 * owned by the caller. On failure *ret_error says what was being done (`doing`, e.g.
 * "reading the balance") and why. */
enum pg_outcome pg_run(struct pg_session *s, const char *doing, const char *sql, int nparams,
                       const char *const *params, struct pg_result **ret_result,
                       struct error *ret_error) MUST_CHECK;
/* The same for a statement that is run again and again: planned once. */
struct pg_statement;
enum pg_outcome pg_run_prepared(struct pg_session *s, const char *doing,
                                const struct pg_statement *st, int nparams,
                                const char *const *params, struct pg_result **ret_result,
                                struct error *ret_error) MUST_CHECK;
/* Several statements in one text, no parameters, no rows: migrations. */
enum pg_outcome pg_script(struct pg_session *s, const char *doing, const char *sql,
                          struct error *ret_error) MUST_CHECK;
/* For PG_DONE 0, else the sysexits code a command ends with. */
int pg_exit_code(enum pg_outcome o);

int pg_rows(const struct pg_result *r);
int pg_columns(const struct pg_result *r);
const char *pg_column_name(const struct pg_result *r, int column);
unsigned pg_column_type(const struct pg_result *r, int column); /* the OID; enum pg_type has some */
bool pg_null(const struct pg_result *r, int row, int column);
const char *pg_text(const struct pg_result *r, int row,
                    int column); /* of a text result; "" where null; lives as long as r */
int64_t pg_text_int(const struct pg_result *r, int row,
                    int column); /* of a text result holding an integer */
struct slice pg_bytes(const struct pg_result *r, int row,
                      int column); /* raw field; absent where null */
/* of binary results */
int64_t pg_int(const struct pg_result *r, int row,
               int column); /* int2, int4, int8, bool by their length */
int64_t pg_time(const struct pg_result *r, int row, int column); /* timestamptz -> us since 1970 */
int32_t pg_day(const struct pg_result *r, int row, int column);  /* date -> days since 1970 */
amount_t pg_amount(const struct pg_result *r, int row,
                   int column); /* numeric scaled 1e12; asserts that it fits */
struct hash128 pg_uuid(const struct pg_result *r, int row, int column);
/* The elements of a one-dimensional binary array field, as raw fields pointing into it (absent:
 * null), up to max of them; returns how many it holds. */
int32_t pg_array_elements(struct slice field, struct slice *ret, int32_t max);
void pg_result_free(struct pg_result *r);
void pg_result_freep(struct pg_result **r);

/* ---- binary parameters: a list of values and arrays, kept and reused from batch to batch */
#define PG_ARGS_MAX 32
enum pg_type {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_DATE = 1082,
    PG_TIMESTAMPTZ = 1184,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_JSONB = 3802
};
struct pg_args {
    struct buffer value[PG_ARGS_MAX]; /* without the 4-byte length */
    bool null[PG_ARGS_MAX];
    int count;
};
void pg_args_reset(struct pg_args *a);
void pg_args_fini(struct pg_args *a);
/* Each adds a parameter; an absent slice is NULL. */
void pg_arg_null(struct pg_args *a);
void pg_arg_int4(struct pg_args *a, int32_t v);
void pg_arg_int8(struct pg_args *a, int64_t v);
void pg_arg_text(struct pg_args *a, struct slice v); /* text, bytea */
void pg_arg_uuid(struct pg_args *a, struct hash128 v);
void pg_arg_time(struct pg_args *a, int64_t us);
void pg_arg_jsonb(struct pg_args *a, struct slice json);
/* Starts an array parameter and returns its index; elements are added to that index by pg_put_*, in
 * any interleaving of the open arrays. */
int pg_arg_array(struct pg_args *a, enum pg_type element);
void pg_put_null(struct pg_args *a, int array);
void pg_put_int4(struct pg_args *a, int array, int32_t v);
void pg_put_int8(struct pg_args *a, int array, int64_t v);
void pg_put_bool(struct pg_args *a, int array, bool v);
void pg_put_text(struct pg_args *a, int array, struct slice v); /* absent: null */
void pg_put_uuid(struct pg_args *a, int array, struct hash128 v);
void pg_put_time(struct pg_args *a, int array, int64_t us);
void pg_put_day(struct pg_args *a, int array, int32_t day);
void pg_put_numeric(struct pg_args *a, int array, __int128 scaled,
                    int places); /* places: 6 or 12 */

/* ---- pipeline: statements are sent in a row and answered in a row; the first error aborts all
 * that follow up to the flush */
struct pg_statement {
    const char *name; /* unique; under which it is prepared */
    const char *sql;
};
void pg_pipeline_enter(struct pg_session *s);
/* Queues one statement. Failures show up at pg_pipeline_result. */
void pg_pipeline_send(struct pg_session *s, const struct pg_statement *st,
                      const struct pg_args *a /* or NULL */);
/* Asks the server to answer all sent so far; does not end the (explicit) transaction. */
void pg_pipeline_flush(struct pg_session *s);
/* The next result, in the order of sending. After an error all later ones answer PG_RETRY's
 * sibling: the same outcome as the first error. tag: e.g. "COMMIT"; may be NULL. */
enum pg_outcome pg_pipeline_result(struct pg_session *s, struct pg_result **ret_result,
                                   char ret_tag[32]) MUST_CHECK;
/* Leaves pipeline mode; whatever was not fetched is discarded. Outcome of the sync. */
enum pg_outcome pg_pipeline_leave(struct pg_session *s) MUST_CHECK;
/* A prepared statement with binary parameters by itself, outside pipeline mode and outside a
 * transaction. ret_result may be NULL; it is set, and the caller's, only on PG_DONE. */
enum pg_outcome pg_single(struct pg_session *s, const struct pg_statement *st,
                          const struct pg_args *a, struct pg_result **ret_result) MUST_CHECK;
/* ROLLBACK, in or out of pipeline mode, and be ready for a new transaction; PG_LOST when the
 * connection is gone. */
enum pg_outcome pg_rollback(struct pg_session *s) MUST_CHECK;

/* ---- binary COPY FROM STDIN, outside pipeline mode */
enum pg_outcome pg_copy_begin(struct pg_session *s, const char *sql) MUST_CHECK;
/* The buffer to encode rows into (pg_row_*, below); pg_copy_flush sends it on when it has grown
 * (call it once a row). */
struct buffer *pg_copy_buffer(struct pg_session *s);
enum pg_outcome pg_copy_flush(struct pg_session *s) MUST_CHECK;
enum pg_outcome pg_copy_end(struct pg_session *s) MUST_CHECK;

void pg_row_begin(struct buffer *b, int16_t columns);
void pg_row_null(struct buffer *b);
void pg_row_bool(struct buffer *b, bool v);
void pg_row_int4(struct buffer *b, int32_t v);
void pg_row_int8(struct buffer *b, int64_t v);
void pg_row_text(struct buffer *b, struct slice v); /* text, bytea, enum labels; absent: null */
void pg_row_jsonb(struct buffer *b, struct slice json);
void pg_row_uuid(struct buffer *b, struct hash128 v);
void pg_row_time(struct buffer *b, int64_t us);
void pg_row_day(struct buffer *b, int32_t day);
void pg_row_numeric(struct buffer *b, __int128 scaled, int places);
/* an array field: begin, then elements by the functions above (with their lengths), then end */
size_t pg_row_array_begin(struct buffer *b, enum pg_type element,
                          int32_t elements); /* returns a mark */
void pg_row_array_end(struct buffer *b, size_t mark);

#endif
