/* What comes in from Kafka: one consumer of the group on the two input topics, in one thread,
 * the only caller of rd_kafka_consumer_poll.
 *
 * Invariants (research: reliability.md A and R3-R4, architecture "Kafka in"):
 *  - offsets are kept in PostgreSQL alone; a partition is read only after its position has been
 *    claimed there, and only from that place on;
 *  - messages of a partition are handed over in offset order, each once for a generation, none
 *    left out: what cannot be told for certain halts the partition;
 *  - messages of `usage` are handed over only after the partitions of `accounts` that this
 *    instance was given with them have been read to their end and committed;
 *  - nothing is ever waited for but in a hook; what does not fit pauses its partition, and
 *    polling goes on.
 * The source knows neither PostgreSQL nor the ledger: it asks the hooks, which run on its thread
 * unless said otherwise. */
#ifndef DEBITD_CONSUMERS_SOURCE_H
#define DEBITD_CONSUMERS_SOURCE_H

#include "consumers/partition.h"
#include "model/message.h"

struct source;

/* A partition under one generation: generations rise, and no two claims share one. */
struct source_place {
    enum topic_kind kind;
    const char *topic; /* lives as long as the source */
    int32_t partition;
    uint64_t generation;
    int64_t epoch;
    bool has_next; /* false: nothing was ever consumed; advance() expects NULL */
    int64_t next_offset;
};

enum source_answer {
    SOURCE_DONE = 0,
    SOURCE_LATER,   /* PostgreSQL cannot be asked now: ask again in a second */
    SOURCE_REFUSED, /* the answer is no */
};

struct source_hooks {
    void *ctx;
    /* The cluster's id, before the first claim. REFUSED: the positions belong to another
     * cluster; why goes to stop(). */
    enum source_answer (*cluster)(void *ctx, const char *cluster_id, struct error *ret_error);
    /* debitd.claim(): raises the epoch and reads the position. May block some seconds, well
     * below max.poll.interval.ms. LATER with words in ret_error. */
    enum source_answer (*claim)(void *ctx, const char *topic, int32_t partition,
                                struct partition_claim *ret, struct error *ret_error);
    /* Writes why the partition is halted into its position. REFUSED: the epoch is no longer
     * ours. */
    enum source_answer (*halt)(void *ctx, const char *topic, int32_t partition, int64_t epoch,
                               const char *why, struct error *ret_error);
    /* These are ours from now on; comes before any message of theirs. */
    void (*assigned)(void *ctx, const struct source_place *place, size_t places);
    /* These are not ours any more: what was handed over under these generations and is not
     * committed is to be dropped. */
    void (*revoked)(void *ctx, const struct source_place *place, size_t places);
    /* Hands a message over. 0: it is the taker's now, to be ended by message_release on any
     * thread; 1: no room, it stays with the source. Never blocks. `bytes` is what it weighs. */
    int (*put)(void *ctx, struct message *m, size_t bytes);
    /* After put() has answered 1 for a message of this partition: is there room again, enough to
     * be worth a resume (say, the queue is down to a third)? */
    bool (*room)(void *ctx, enum topic_kind kind, int32_t partition);
    /* Has all of this kind that was handed over been committed or dropped? */
    bool (*drained)(void *ctx, enum topic_kind kind);
    /* Up to where all that was handed over under this generation is committed in PostgreSQL: the
     * offset behind it; -1: nothing was ever, or the generation is over. */
    int64_t (*booked)(void *ctx, enum topic_kind kind, int32_t partition, uint64_t generation);
    /* The source cannot go on: end the process with this exit code (75: to be started again; 78:
     * configuration). Called at most once; no message comes afterwards. */
    void (*stop)(void *ctx, int exit_code, const char *why);
};

struct source_settings {
    const struct kafka_settings *kafka;
    const char *usage_topic, *accounts_topic; /* different */
};

/* Makes the consumer and subscribes; no thread yet and no hook called. Settings and hooks are
 * copied, what they point to must outlive the source. 0, or -1 with EX_CONFIG or EX_OSERR. */
int source_new(const struct source_settings *settings, const struct source_hooks *hooks,
               struct source **ret, struct error *ret_error) MUST_CHECK;
int source_start(struct source *s, struct error *ret_error) MUST_CHECK;

/* No message is handed over once this has returned 0; the partitions stay ours, so that what was
 * handed over can still be committed. 1: a hook has not come back within timeout_us. Any thread. */
int source_stop(struct source *s, int64_t timeout_us) MUST_CHECK;
/* After source_stop: leaves the group, so that others take over at once. 1: not done within
 * timeout_us; the process may end all the same. revoked() is called on the way. */
int source_close(struct source *s, int64_t timeout_us) MUST_CHECK;
/* Frees all, after source_close has returned 0 and every message has been released; or when it
 * was never started. NULL is fine. */
void source_free(struct source *s);

/* The rest from any thread. */

/* A number that changes as long as the thread is not stuck; it may stand still for as long as a
 * hook takes. */
uint64_t source_heartbeat(const struct source *s);
/* The ledger was fenced there (its epoch has moved) though nobody revoked it: the partition is
 * claimed anew after a second, unless it is taken from us before. A generation that is over is
 * ignored. */
void source_fenced(struct source *s, enum topic_kind kind, int32_t partition, uint64_t generation);

struct source_status {
    bool joined;         /* the group has given us our share, be it none */
    bool reading;        /* the accounts are read to their end: usage flows */
    unsigned partitions; /* given to us */
    unsigned waiting;    /* of these: claimed not yet, or not yet verified */
    unsigned paused, halted;
    unsigned went_back;       /* behind what PostgreSQL has been at already (source_mirror.c) */
    int64_t lag;              /* messages on the topics behind our reading, as far as is known */
    uint64_t messages, bytes; /* handed over */
    uint64_t rewound;         /* dropped because they came twice */
    bool denied;              /* a topic may not be read: nothing of it is booked */
    char trouble[256];        /* what holds it up now, for people; "": nothing */
};
void source_status(struct source *s, struct source_status *ret);

#endif
