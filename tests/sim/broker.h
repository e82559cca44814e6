/* The simulated Kafka: logs with transactions, the transaction coordinator, one consumer group. What librdkafka makes of it for the
 * daemon is in rdk_*.c. */
#ifndef DEBITD_TESTS_SIM_BROKER_H
#define DEBITD_TESTS_SIM_BROKER_H

#include "base/slice.h"
#include "tests/sim/sim.h"

#include <librdkafka/rdkafka.h>

enum topic_name { USAGE, ACCOUNTS, ALERTS_TOPIC, LETTERS_TOPIC, TOPICS };
#define PARTITIONS_MAX 4
#define RECORDS_MAX    2048
#define MEMBERS_MAX    8

enum visibility { RECORD_COMMITTED, RECORD_OPEN, RECORD_ABORTED, RECORD_CONTROL };

struct record_header {
    const char *name;
    struct slice value;
};

struct record {
    int64_t offset; /* of an input topic not all are taken: control records lie between */
    enum visibility visibility;
    int64_t time_ms;
    struct slice key, value, id; /* id: of the header debitd-id */
    const struct record_header *header;
    int headers;
    int event; /* of an input topic: its number in events.c */
};

struct log {
    struct rd_kafka_topic_s *topic;
    int32_t number;
    struct record record[RECORDS_MAX];
    int records;
    int64_t end;
};

struct rd_kafka_topic_s {
    const char *name;
    enum topic_name which;
    int32_t partitions;
    struct log *log[PARTITIONS_MAX];
};

/* One transactional id: there is one relay's. */
struct coordinator {
    int64_t epoch;
    bool ongoing;
    uint64_t transaction; /* number of the last one begun */
    int64_t begun_us;
};

struct share {
    enum topic_name topic;
    int32_t partition;
};

struct member {                /* of the group, as the coordinator knows it */
    struct rd_kafka_s *client; /* NULL: its process is gone */
    bool used, joining;
    int64_t heard_us, session_us;
    uint64_t id;
    struct share share[2 * PARTITIONS_MAX]; /* given out last */
    int shares;
};

struct broker_faults { /* one in so many; 0: never */
    uint64_t rewind, bad_batch, leftover, stuck, behind, transient, commit_unknown, slow,
        produce_fails, new_topic;
    int64_t latency_us, slow_us;
};

struct broker {
    struct rd_kafka_topic_s topic[TOPICS];
    struct coordinator coordinator;
    struct member member[MEMBERS_MAX];
    uint64_t member_ids, generation;
    bool preparing;
    int64_t prepare_until_us;
    struct rd_kafka_s *clients; /* alive */
    /* the group's committed offsets: what debitd mirrors there */
    struct {
        int64_t offset; /* -1: none */
        const char *note;
    } mirror[2][PARTITIONS_MAX];
    uint64_t client_ids;
    int64_t arrival_us; /* of the message that was produced last */
    struct broker_faults faults;
    uint64_t refused, rebalances, rewinds, skips, leftovers, stuck, behind, unknown_commits, fenced,
        orphaned;
};
extern struct broker broker;

void broker_init(const int32_t partitions[TOPICS]);
struct rd_kafka_topic_s *broker_topic(const char *name);
/* Appends to an input topic. */
void broker_send(enum topic_name which, int32_t partition, struct slice key, struct slice value,
                 int event, int gap);
struct record *log_append(struct log *l, enum visibility v, struct slice key, struct slice value,
                          struct slice id);
int64_t
log_stable_end(const struct log *l); /* behind it a read_committed consumer sees nothing yet */
/* The first record from that offset on; NULL: none yet. */
const struct record *log_at(const struct log *l, int64_t offset);

void coordinator_finish(bool commit); /* of the transaction that is open */
int64_t coordinator_fence(void);      /* init_transactions: the new epoch */

/* ---- the group (group.c) */
void group_join(struct rd_kafka_s *c);
void group_leave(struct rd_kafka_s *c);
void group_joined_again(struct rd_kafka_s *c); /* it has given up what it had */
void group_poll(struct rd_kafka_s *c);         /* notes that the client polls */

/* ---- clients */
enum client_op { OP_ASSIGN, OP_REVOKE, OP_LOST, OP_TOO_SLOW, OP_COMMITTED };

/* From the group to a client, to be served by its next poll. */
void client_tell(struct rd_kafka_s *c, enum client_op op, const struct share *share, int shares);
void client_wake_all(void);
void clients_gone(struct owner *o); /* its process was killed */
struct owner *client_owner(const struct rd_kafka_s *c);
int64_t client_polled_us(const struct rd_kafka_s *c);
struct member *client_member(struct rd_kafka_s *c);

#endif
