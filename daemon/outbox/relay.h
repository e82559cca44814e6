/* From the database to Kafka, once: alerts and dead letters. One thread, with a session, a
 * producer and now and then a consumer of its own.
 *
 * The rows of debitd.alert and debitd.rejected are the outbox, each with its state; there is no
 * cursor. The protocol (architecture "The outbox", research: reliability.md C, R6):
 *  1. raise the epoch in PostgreSQL; init_transactions: both fence the relay before;
 *  2. read the topics from where they are known: mark what rows in state 1 left there, open the
 *     rest again, keep what the database does not know (it has gone back in time);
 *  3. again and again: claim (state 1, with partition and floor), produce in one Kafka transaction,
 *     commit, mark (state 2) and note how far the topics are known.
 * Whatever goes wrong, the producer is destroyed and all of it begins anew: there is no other
 * path, but for a message that the broker refuses for its size. That one is marked, sent without
 * its value, and the rest goes on. Several daemons may run; a lock lets one of them be the relay,
 * the epoch and the transactional id make sure of it.
 *
 * A topic that does not exist keeps its own messages waiting, never those of the other topic.
 *
 * Where a message goes is computed here, as Kafka's Java client would (murmur2 of the key, modulo
 * the number of partitions), so that the same key keeps its order and read-back knows where to
 * look. The number of partitions is taken anew with every beginning. A dead letter without key
 * goes by its number. */
#ifndef DEBITD_OUTBOX_RELAY_H
#define DEBITD_OUTBOX_RELAY_H

#include "kafka/client.h"

#include <stdbool.h>
#include <stdint.h>

struct relay;

struct relay_settings { /* what it points to must outlive the relay */
    const struct kafka_settings *kafka;
    const char *alerts_topic, *dead_letter_topic; /* different */
    const char *conninfo;
    const char *owner; /* who we are, for people: "host:pid" */
    /* how long a relay may be silent before another ends its session; 0: 20 s. Not below 15 s: a
     * commit may take 10 s */
    int64_t takeover_us;
};

/* 0, or -1 with EX_CONFIG. Nothing runs yet. */
int relay_new(const struct relay_settings *settings, struct relay **ret,
              struct error *ret_error) MUST_CHECK;
int relay_start(struct relay *r, struct error *ret_error) MUST_CHECK; /* -1: EX_OSERR */
/* Asks it to end after the round it is in. 0: it has ended; 1: not within timeout_us; the
 * process may end all the same. Any thread. */
int relay_stop(struct relay *r, int64_t timeout_us) MUST_CHECK;
/* after relay_stop has returned 0, or when it was never started; NULL is fine */
void relay_free(struct relay *r);

/* The rest from any thread. */

/* Something has been committed that may be in the outbox: look now, not in 50 ms. Cheap. */
void relay_wake(struct relay *r);
/* A number that changes as long as the thread is not stuck. A single step may take 15 s, a
 * statement as long as its time-out. */
uint64_t relay_heartbeat(const struct relay *r);

enum relay_state {
    RELAY_STARTING,   /* not yet, or not again, in touch with both servers */
    RELAY_STANDBY,    /* another daemon is the relay */
    RELAY_RECOVERING, /* reading back */
    RELAY_ACTIVE,
    RELAY_WAITING, /* something failed: about to start over */
    RELAY_ENDED,
};
const char *relay_state_text(enum relay_state s);

struct relay_status {
    enum relay_state state;
    uint64_t alerts, letters; /* published by this process */
    uint64_t truncated;       /* letters sent without their value */
    /* by reading back: published by a relay that could not mark them any more */
    uint64_t found;
    uint64_t starts; /* how often it began anew */
    bool alerts_topic_missing, dead_letter_topic_missing;
    char trouble[512]; /* what holds it up now, for people; "": nothing */
};
void relay_status(struct relay *r, struct relay_status *ret);

#endif
