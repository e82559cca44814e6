/* What the files of this folder share. */
#ifndef DEBITD_PG_INTERNAL_H
#define DEBITD_PG_INTERNAL_H

#include "pg/session.h"

#include <libpq-fe.h>

#define PIPELINE_MAX 256 /* results awaited at once; a batch of 64 partitions needs about 160 */

struct pg_session {
    PGconn *conn;
    char last_error[512];
    char last_sqlstate[8];
    const struct pg_statement *prepared[64];
    int prepared_count;
    struct {
        const struct pg_statement *statement; /* NULL: the answer to a flush */
        bool is_prepare;
    } awaited[PIPELINE_MAX];
    bool unflushed; /* something was sent since the last flush */
    bool dead;      /* out of step with the server, or told to go: of no more use */
    int awaited_first, awaited_count;
    bool in_pipeline;
    enum pg_outcome pipeline_failed; /* the first failure since entering; PG_DONE: none */
    struct buffer copy;
};

/* Where to connect to, with what is read from files. */
struct pg_target {
    struct buffer conninfo;                 /* as libpq reads it: without our own keywords */
    char *password_file, *sslpassword_file; /* NULL: none was named */
    struct buffer password, sslpassword;
};
/* 0, or -1 with EX_CONFIG (the string) or EX_NOPERM (a file). */
int pg_target_init(const char *conninfo, struct pg_target *ret, struct error *ret_error) MUST_CHECK;
void pg_target_fini(struct pg_target *t);

/* Notes SQLSTATE and message of a result (or of the connection where r is NULL) and classifies
 * them. */
enum pg_outcome pg_note_failure(struct pg_session *s, const PGresult *r);
/* The connection is of no more use. Returns PG_LOST. */
enum pg_outcome pg_note_loss(struct pg_session *s);

static inline bool pg_is_prepared(const struct pg_session *s, const struct pg_statement *st)
{
    for (int i = 0; i < s->prepared_count; i++)
        if (s->prepared[i] == st)
            return true;
    return false;
}

static inline void pg_note_prepared(struct pg_session *s, const struct pg_statement *st)
{
    ASSERT(s->prepared_count < (int)ARRAY_SIZE(s->prepared));
    s->prepared[s->prepared_count++] = st;
}

static inline PGresult *pg_raw(const struct pg_result *r)
{
    return (PGresult *)(uintptr_t)r;
}

#endif
