/* Binary COPY FROM STDIN. */
#include "pg/internal.h"

#include <string.h>

#define COPY_CHUNK ((size_t)65536)

static const char signature[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";

enum pg_outcome pg_copy_begin(struct pg_session *s, const char *sql)
{
    ASSERT(!s->in_pipeline);
    PGresult *r = PQexec(s->conn, sql);
    enum pg_outcome o = PQresultStatus(r) == PGRES_COPY_IN ? PG_DONE : pg_note_failure(s, r);
    PQclear(r);
    s->copy.n = 0;
    if (o == PG_DONE)
        buffer_put(&s->copy, signature, sizeof signature);
    return o;
}

struct buffer *pg_copy_buffer(struct pg_session *s)
{
    return &s->copy;
}

static enum pg_outcome send_copied(struct pg_session *s)
{
    int sent = PQputCopyData(s->conn, s->copy.p, (int)s->copy.n);
    s->copy.n = 0;
    return sent == 1 ? PG_DONE : pg_note_loss(s);
}

enum pg_outcome pg_copy_flush(struct pg_session *s)
{
    return s->copy.n < COPY_CHUNK ? PG_DONE : send_copied(s);
}

enum pg_outcome pg_copy_end(struct pg_session *s)
{
    buffer_put(&s->copy, "\377\377", 2); /* the trailer: a row of -1 columns */
    enum pg_outcome o = send_copied(s);
    if (o == PG_DONE && PQputCopyEnd(s->conn, NULL) != 1)
        o = pg_note_loss(s);
    PGresult *r;
    while ((r = PQgetResult(s->conn))) {
        if (PQresultStatus(r) == PGRES_COPY_IN) { /* libpq repeats it when the connection broke */
            PQclear(r);
            return pg_note_loss(s);
        }
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            o = pg_note_failure(s, r);
        PQclear(r);
    }
    return o;
}
