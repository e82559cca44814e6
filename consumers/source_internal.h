/* Shared by source.c (life, polling, messages), source_errors.c, source_denied.c, source_claims.c,
 * source_assign.c (assignment, pauses), source_mirror.c (offsets committed in Kafka) and
 * source_orphans.c (partitions that nobody was given). Everything here belongs to the consumer
 * thread, but for what stands under `lock` and the atomics. */
#ifndef DEBITD_CONSUMERS_SOURCE_INTERNAL_H
#define DEBITD_CONSUMERS_SOURCE_INTERNAL_H

#include "base/log.h"
#include "consumers/source.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

/* Limits. */
#define SOURCE_PARTITIONS_MAX 4096 /* of one instance; more are refused with words */
/* a sleeping poll ends after so long: bounds stop and heartbeat */
#define SOURCE_POLL_US        INT64_C(100000)
/* a full queue is waited for so long without polling; a pause costs all that librdkafka has
 * fetched ahead */
#define SOURCE_FULL_US        INT64_C(300000)
#define SOURCE_FULL_NAP_NS    2000000L /* between tries meanwhile */
/* between looks for room, while a partition is paused or the accounts are being read to their
 * end */
#define SOURCE_CHECK_US       INT64_C(5000)
#define SOURCE_RETRY_US       INT64_C(1000000) /* after a claim that failed */
/* between looks whether a person has released a halted partition */
#define SOURCE_HALTED_US      INT64_C(2000000)
/* between looks whether a partition stands still though its log goes on */
#define SOURCE_DRY_US         INT64_C(1000000)
#define SOURCE_MIRROR_US      INT64_C(5000000) /* between commits of offsets in Kafka */
/* for asking a broker where a log begins, how many partitions a topic has, or what the group has
 * committed */
#define SOURCE_LOW_MS         3000
/* between looks whether each partition belongs to a member of the group, from when we were given
 * ours until it is so: a request to each broker, and two more where the group is at rest */
#define SOURCE_ORPHANS_US     INT64_C(5000000)
#define SOURCE_GROUP_MS       1000 /* for asking all brokers who is in the group */
/* so many in a row must find one that does not before we join again */
#define SOURCE_ORPHANS_LOOKS  2
/* doublings of that number while joining again does not help: up to some 5 min */
#define SOURCE_ORPHANS_TRIES  5

enum source_phase {
    SOURCE_IDLE,     /* nothing assigned, or claims are open */
    SOURCE_ACCOUNTS, /* only the accounts are read, to their end */
    SOURCE_ALL,
};

enum source_life {
    SOURCE_NEW,
    SOURCE_RUNNING,
    SOURCE_STOPPING,
    SOURCE_STOPPED,
    SOURCE_CLOSING,
    SOURCE_CLOSED
};

struct source_fence {
    enum topic_kind kind;
    int32_t partition;
    uint64_t generation;
};

/* The looks at what the group gave to nobody. */
struct source_orphans {
    int64_t look_at_us; /* 0: no member now, or each partition belongs to one */
    unsigned looks;     /* in a row that found partitions without a member */
    unsigned tries;     /* joined again so often in vain */
};

struct source {
    struct source_hooks hooks;
    const struct kafka_settings *kafka;
    char *topic[2]; /* by enum topic_kind */
    struct kafka_client client;
    rd_kafka_t *rk;
    bool started; /* the owner's thread's */

    /* the consumer thread's */
    struct partition *partition; /* sorted by kind, then number */
    size_t partitions;
    enum source_phase phase;
    bool assign_due; /* the library's assignment differs from what it should be */
    bool cluster_known;
    struct partition *stuck; /* holds a message that did not fit, and is not paused yet */
    int64_t stuck_since_us;
    bool failed;         /* stop() was called: nothing is polled any more */
    uint64_t generation; /* the last one given */
    int64_t claim_at_us; /* no claim before then: the last one failed */
    int64_t check_at_us; /* when the next look at the state is due */
    bool dry;            /* the library had nothing to give, since the last look */
    int64_t dry_at_us;   /* when the next look at what stands still is due */
    int64_t status_at_us;
    int64_t mirror_at_us; /* when the next commit in Kafka is due */
    struct source_status seen;
    struct complaint claim_trouble, topic_trouble[2], broker_trouble, denied_trouble;
    bool mirror_denied; /* and told */
    bool denied;        /* by the brokers as a whole */
    bool topic_denied[2];
    int64_t denied_at_us; /* when it is looked at again */
    char denial[KAFKA_DENIAL_MAX];
    struct source_orphans orphans;

    pthread_t thread;
    _Atomic uint64_t beat;
    _Atomic int life_wanted; /* enum source_life; polled by the thread */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* life; CLOCK_MONOTONIC */
    enum source_life life;
    struct source_status status;
    struct source_fence *fence; /* reports waiting for the thread, none of which comes again */
    size_t fences, fences_capacity;
};

/* source_claims.c */
/* what others have claimed, what is to be claimed, what is to be halted */
void source_claim(struct source *s, int64_t now_us);
void source_tell_halt(const struct partition *p, const char *what);

/* source_mirror.c */
/* Of what has been claimed and not been announced: is Kafka ahead of the books? */
void source_mirror_read(struct source *s);
/* Commits in Kafka how far the books are, when that is due. */
void source_mirror(struct source *s, int64_t now_us);
/* Of those commits; called by rd_kafka_consumer_poll. */
void source_on_mirrored(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                        rd_kafka_topic_partition_list_t *list, void *opaque);

/* source_orphans.c */
/* We have our share of the group's partitions (member), or have not any more. */
void source_orphans_await(struct source *s, bool member);
/* Looks when that is due; joins the group again where it has left partitions out. */
void source_orphans(struct source *s, int64_t now_us);

/* source_assign.c */
void source_look_soon(struct source *s);
/* The generation of the partition is over. */
void source_revoke(struct source *s, struct partition *p);
struct partition *source_find(struct source *s, enum topic_kind kind, int32_t number);
/* ASSIGN: replaces everything */
void source_given(struct source *s, const rd_kafka_topic_partition_list_t *list);
/* REVOKE, lost, close */
void source_drop_all(struct source *s);
/* whatever is due */
void source_work(struct source *s, int64_t now_us);
void source_verdict(struct source *s, struct partition *p, enum partition_verdict v);
void source_hold(struct source *s, struct partition *p, struct message *m, int64_t now_us);
/* tries s->stuck once more, naps, or pauses it */
void source_unstick(struct source *s, int64_t now_us);
bool source_kind_of(const struct source *s, const char *topic, enum topic_kind *ret);

/* source_denied.c */
/* rkm: the error's message, NULL: an error of the client as a whole */
void source_on_denied(struct source *s, const rd_kafka_message_t *rkm, int code, const char *words);
/* The brokers talk to us. */
void source_let_in(struct source *s);
/* tells it, and tries what may end it */
void source_still_denied(struct source *s, int64_t now_us);

/* source_errors.c */
void source_on_error(struct source *s, const rd_kafka_message_t *rkm, int64_t now_us);
/* The error callback: of the client as a whole; called by rd_kafka_consumer_poll. */
void source_on_client_error(rd_kafka_t *rk, int code, const char *words, void *opaque);
/* Calls stop(), once. */
void source_fail(struct source *s, int exit_code, const char *why);

/* source.c */
int source_subscribe(struct source *s, struct error *ret_error) MUST_CHECK;
/* as the put hook; counts and moves the partition on */
int source_hand_over(struct source *s, struct partition *p, struct message *m);

#endif
