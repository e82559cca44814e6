/* A writer: one thread, one connection, one queue. It books what arrives for the partitions that
 * belong to it, a batch being whatever has arrived when it is free.
 *
 * Every message that was put is released exactly once: after the COMMIT that settled it, or because
 * its generation is over. A batch is never given up while its partitions are ours: what
 * the database cannot do now is tried again, for as long as it takes; what it refuses is cut down
 * to the single message, which is rejected.
 * Concurrency: one thread runs; all functions below may be called from any other. */
#ifndef DEBITD_LEDGER_WRITER_H
#define DEBITD_LEDGER_WRITER_H

#include "base/error.h"
#include "ledger/batch.h"

struct writer;

struct writer_settings {
    enum topic_kind kind;  /* usage, or operations on accounts */
    const char *conninfo;  /* copied */
    const char *name;      /* "writer 0": for PostgreSQL and the log; copied */
    size_t queue_messages; /* what may wait, beside the batch that is being booked */
    size_t queue_bytes;
    /* may change by writer_reload */
    size_t max_events; /* of one batch */
    /* a writer that comes straight from a batch lets the next one fill, but no message waits longer
     * than this for others */
    int64_t max_delay_us;
    struct ingest_settings ingest; /* default_plan is copied */
    struct catalogue *price_file;  /* a reference of its own is taken; NULL: none */
};

struct writer_hooks {
    void *ctx;                    /* both run on the writer's thread */
    void (*committed)(void *ctx); /* something may be in the outbox */
    void (*fenced)(void *ctx, enum topic_kind kind, int32_t partition, uint64_t generation);
};

struct writer_place {
    const char *topic; /* must live as long as the writer */
    int32_t partition;
    uint64_t generation;
    int64_t epoch;
    int64_t next_offset; /* -1: nothing was ever consumed */
};

int writer_new(const struct writer_settings *settings, const struct writer_hooks *hooks,
               struct writer **ret) MUST_CHECK;
int writer_start(struct writer *w, struct error *ret_error) MUST_CHECK;
void writer_assigned(struct writer *w, const struct writer_place *place);
void writer_revoked(struct writer *w, int32_t partition, uint64_t generation);
/* 0: taken; 1: no room now. Never blocks. */
int writer_put(struct writer *w, struct message *m, size_t bytes) MUST_CHECK;
bool writer_has_room(struct writer *w);   /* the queue is down to a third */
bool writer_is_drained(struct writer *w); /* all that was put has been released */
/* The offset behind the last message of this generation that is committed; -1: none, or it is
 * over. */
int64_t writer_booked(struct writer *w, int32_t partition, uint64_t generation);
void writer_reload(struct writer *w, const struct writer_settings *settings);
/* Books what is queued, then ends; what cannot be booked because PostgreSQL is away is dropped: it
 * is read again at the next start. 1: not done in time. */
int writer_stop(struct writer *w, int64_t timeout_us) MUST_CHECK;
void writer_free(
    struct writer *w); /* after writer_stop returned 0, or when never started; NULL is fine */

uint64_t writer_heartbeat(
    const struct writer *
        w); /* changes as long as the thread is not stuck; it may stand still for as long as one transaction may take */

struct writer_status {
    uint64_t fate[FATES]; /* messages settled since the start, by enum fate */
    uint64_t batches;
    size_t queued;
    int64_t last_commit_us; /* monotonic; 0: none yet */
    char trouble[256];      /* what holds it up now; "": nothing */
};
void writer_status(struct writer *w, struct writer_status *ret);

#endif
