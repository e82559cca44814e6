/* What the thread (writer.c) and the settling of a batch (settle.c) share. */
#ifndef DEBITD_LEDGER_WRITER_INTERNAL_H
#define DEBITD_LEDGER_WRITER_INTERNAL_H

#include "base/log.h"
#include "base/queue.h"
#include "ledger/writer.h"

#include <pthread.h>
#include <stdatomic.h>

struct held { /* a partition that is ours */
    const char *topic;
    int32_t partition;
    uint64_t generation;
    int64_t epoch, next_offset;
};

struct writer {
    struct writer_settings
        settings; /* conninfo, name, default_plan are owned; the last ones change under lock */
    struct writer_hooks hooks;
    pthread_t thread;
    bool started;
    struct queue queue;
    atomic_size_t in_flight; /* put and not yet released */
    atomic_bool stopping, ended;
    atomic_ullong heartbeat;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* ends a pause early; CLOCK_MONOTONIC */
    struct held *held;   /* under lock */
    size_t held_count, held_capacity;
    bool reload;                 /* under lock: settings have changed */
    struct writer_status status; /* under lock */
    /* the thread's own */
    struct statements statements;
    struct pg_session *pg;
    struct ingest ingest;
    struct complaint complaint;
    int64_t watch_at_us; /* the next look at the positions */
};

/* The part's place as it stands now. False: its generation is over. */
bool writer_find(struct writer *w, int32_t partition, uint64_t generation, struct held *ret);
void writer_moved(struct writer *w,
                  const struct part *p); /* its next offset is p->next from now on */
void writer_trouble(struct writer *w, const char *text); /* "": none */
/* Waits, or less when the writer is to stop. */
void writer_pause(struct writer *w, int64_t us);
void writer_beat(struct writer *w);

/* Returns true with a session, however long it takes; false when the writer is to stop. With a new
 * one nothing is remembered of what the one before has read. */
bool writer_connect(struct writer *w);
void writer_recovered(struct writer *w); /* says so, where it had complained */

/* While there is nothing to book: are the positions where this writer left them? An owner that was
 * fenced, a position that a person has moved and a server that went back in time would else be
 * noticed by the next message only, which may be long in coming. Looks at most once in
 * WATCH_US. */
void writer_watch(struct writer *w);

/* Books the parts (of w->ingest), whatever it takes; parts that are not ours any more are dropped.
 * Returns when nothing of them is left to do, or the writer stops while PostgreSQL is
 * away. */
void settle(struct writer *w, struct part *part, int parts);

#endif
