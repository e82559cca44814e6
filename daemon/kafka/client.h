/* What every Kafka client of the daemon has in common: its configuration, librdkafka's words in
 * our log, and what an error code means to us. This header names no type of rdkafka.h, so that
 * those who only configure need not include it: struct rd_kafka_conf_s is rd_kafka_conf_t, and
 * an `int code` is a rd_kafka_resp_err_t. */
#ifndef DEBITD_KAFKA_CLIENT_H
#define DEBITD_KAFKA_CLIENT_H

#include "base/error.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;
struct rd_kafka_conf_s;

struct kafka_property {
    const char *name, *value;
};
/* Not owned: everything it points to must outlive the clients made from it. */
struct kafka_settings {
    const char *bootstrap_servers;
    const char *group_id;
    /* passed on to librdkafka as they are, in this order, but for the refused ones */
    const struct kafka_property *property;
    size_t properties;
};

/* Checks the settings without connecting: the lists of brokers and the group are there, no
 * refused key, no unknown key, no bad value, and each client that is made of them can be made. 0,
 * or -1 with EX_CONFIG and the key, what is wrong with it and, where one is near, the name that
 * was meant. A secret's file is read too, but for one that only the service can find
 * (base/credential.h). */
int kafka_check(const struct kafka_settings *s, struct error *ret_error) MUST_CHECK;

enum kafka_role {
    KAFKA_CONSUMER, /* of the group, of the two input topics */
    KAFKA_PRODUCER, /* transactional: alerts and dead letters */
    KAFKA_READER,   /* reads back what the producer wrote; never joins a group */
};

/* One client's log and owner. It is the opaque of the client's callbacks; embedded in whatever
 * owns the client, and must outlive it. */
struct kafka_client {
    void *owner;           /* for the owner's own callbacks */
    pthread_mutex_t lock;  /* librdkafka logs from threads of its own */
    int64_t window_us;     /* start of the current window of the rate limit */
    unsigned lines, quiet; /* lines logged and kept quiet in it */
    int denied;            /* the last error that was KAFKA_DENIED; 0: none yet */
    char words[256];       /* librdkafka's about it */
    char certificate[256]; /* why the last certificate was not accepted; "": none was refused */
};
void kafka_client_init(struct kafka_client *c, void *owner);
void kafka_client_fini(struct kafka_client *c);

/* A configuration for one client: our defaults that may be changed, the properties of the
 * settings, then what the guarantees rest on. The caller owns it until rd_kafka_new has taken
 * it. transactional_id is for KAFKA_PRODUCER only. NULL on failure, with the error of
 * kafka_check. */
struct rd_kafka_conf_s *kafka_conf(const struct kafka_settings *s, enum kafka_role role,
                                   const char *transactional_id, struct kafka_client *c,
                                   struct error *ret_error) MUST_CHECK;

/* The transactional id of the relay of a group: one for the whole group, so that a new relay
 * fences the one before. */
#define KAFKA_TRANSACTIONAL_ID_MAX 300
void kafka_transactional_id(const char *group_id, char out[KAFKA_TRANSACTIONAL_ID_MAX]);

/* What an error means to us (research: reliability.md A5). */
enum kafka_trouble {
    KAFKA_FINE = 0, /* no error, or none worth a thought: end of partition */
    /* the network, a broker that restarts, a rebalance: the library goes on by itself */
    KAFKA_TRANSIENT,
    /* max.poll.interval.ms was exceeded: the partitions are lost, the next poll joins again */
    KAFKA_TOO_SLOW,
    KAFKA_OFFSET_GONE, /* the offset we asked for is not on the topic (any more) */
    KAFKA_NO_TOPIC,    /* topic or partition does not exist */
    KAFKA_BAD_BATCH,   /* the library skipped a batch that it could not read: ask for it again */
    KAFKA_TOO_LARGE,   /* the message itself is unacceptable for its size */
    KAFKA_DENIED,      /* authentication, authorization, TLS: needs a person, is retried */
    KAFKA_FENCED,      /* another instance has taken this one's place */
    KAFKA_FATAL,       /* the client is of no use any more: make a new one */
    KAFKA_DEFECT,      /* wrong use of the library: ours */
};
enum kafka_trouble kafka_classify(int code);
/* one word for logs and metrics, "no_topic" */
const char *kafka_trouble_text(enum kafka_trouble t);

/* The command that creates a topic, for messages to people. */
#define KAFKA_CREATE_MAX 512
void kafka_create_command(const struct kafka_settings *s, const char *topic,
                          char out[KAFKA_CREATE_MAX]);

/* Where a key goes: murmur2 as Kafka's own Java client computes it, so that every producer that
 * follows it puts the same key on the same partition. */
uint32_t kafka_murmur2(struct slice key);
int32_t kafka_partition_of(struct slice key, int32_t partitions); /* partitions > 0 */

/* ---- who the broker is, and who we are (trust.c) */

/* Sets the callbacks that keep, in the client, why a broker was not trusted or did not trust us. */
void kafka_watch(struct rd_kafka_conf_s *conf);
/* Keeps an error of the client as a whole, where it is KAFKA_DENIED. For owners whose error
 * callback is not that of kafka_watch. */
void kafka_note(struct kafka_client *c, int code, const char *words);
/* librdkafka calls a refused certificate a lost connection now and then: RD_KAFKA_RESP_ERR__SSL
 * where that is so, else the code. */
int kafka_true_code(struct kafka_client *c, int code);
/* The denial `code` (0: the last that was kept) for a person, as "why; what to do". False, and "",
 * where there is none. */
#define KAFKA_DENIAL_MAX 1000
bool kafka_denial(struct kafka_client *c, const struct kafka_settings *s, int code,
                  char ret[KAFKA_DENIAL_MAX]);
/* A password that stands in a file is read again, for the next time the client has to log in. 0,
 * also where there is no such file; or -1 with the error of credential_read. */
int kafka_login_again(struct rd_kafka_s *rk, const struct kafka_settings *s,
                      struct error *ret_error) MUST_CHECK;
/* What is allowed but should be known: "" or one sentence. */
void kafka_warning(const struct kafka_settings *s, char *ret, size_t size);

#endif
