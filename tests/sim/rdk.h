/* What the files of the imitated librdkafka share. */
#ifndef DEBITD_TESTS_SIM_RDK_H
#define DEBITD_TESTS_SIM_RDK_H

#include "tests/sim/broker.h"

#define READS_MAX   (TOPICS * PARTITIONS_MAX)
#define OPS_MAX     16
#define PENDING_MAX 1024

struct rd_kafka_conf_s {
    void *opaque;
    void (*on_rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *,
                         void *);
    void (*on_error)(rd_kafka_t *, int, const char *, void *);
    void (*on_commit)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *);
    void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *);
};

struct reading { /* one partition of the assignment */
    struct log *log;
    int64_t start, at, due_us;
    bool told_end, stuck;
    int64_t behind_until_us; /* its leader does not know yet what lies from `start` on */
    int64_t
        leftover; /* messages of the assignment before that still come, from this offset on; -1: none */
    int leftovers;
};

struct op {
    enum client_op what;
    struct share share[2 * PARTITIONS_MAX];
    int shares;
    rd_kafka_resp_err_t err; /* of a commit */
};

struct parcel_sent { /* on its way, and back as a report */
    struct log *log;
    struct slice key, value, id;
    const struct record_header *header;
    int headers;
    void *opaque;
    int64_t offset;
    rd_kafka_resp_err_t err;
};

struct rd_kafka_s {
    struct rd_kafka_s *next;
    rd_kafka_type_t type;
    struct rd_kafka_conf_s conf;
    struct owner *owner;
    uint64_t id; /* not used twice */
    /* a consumer */
    bool subscribed, lost, closed, rebalancing;
    bool leaving; /* once it has given up what it has */
    int64_t polled_us;
    struct reading read[READS_MAX], before[READS_MAX];
    int reads, reads_before;
    bool paused[TOPICS][PARTITIONS_MAX];
    struct op op[OPS_MAX];
    int ops;
    /* a producer */
    bool ready, in_transaction, fatal, abortable; /* abortable: a message was not delivered */
    int64_t epoch;
    uint64_t transaction;
    struct parcel_sent
        sent[PENDING_MAX]; /* [0, arrived) are reports to be served, the rest is on its way */
    int sents, arrived;
};

struct rd_kafka_error_s {
    rd_kafka_resp_err_t code;
    bool retriable, fatal;
};

struct rd_kafka_headers_s {
    int n;
    struct {
        char *name, *value;
        size_t size;
        bool null;
    } header[24];
};

struct sim_message {
    rd_kafka_message_t m; /* first */
    int64_t time_ms;
    struct rd_kafka_headers_s *headers; /* NULL: none */
};

struct rd_kafka_s *client_of(uint64_t id); /* NULL: gone */
rd_kafka_message_t *message_new(struct log *l, const struct record *r, int64_t offset,
                                rd_kafka_resp_err_t err);

#endif
