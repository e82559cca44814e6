/* Reads logs once from their beginning, as messages that are committed: what debitctl verify holds
 * the books against. Joins no group, moves no position. One thread. */
#ifndef DEBITD_CONSUMERS_SOURCE_LOG_H
#define DEBITD_CONSUMERS_SOURCE_LOG_H

#include "base/error.h"
#include "kafka/client.h"
#include "model/message.h"

#include <stdbool.h>

struct log_range {
    enum topic_kind kind; /* of the messages */
    const char *topic;    /* lives as long as the reading */
    int32_t partition;
    int64_t until; /* the first offset that is not read; INT64_MAX: up to the end of the log */
    /* filled in: the offset of the first message, or where the log ends if it has none; where reading
     * ended, behind the last message or at the end of the log */
    int64_t begin, end;
    bool read; /* it has been read as far as it goes */
};

/* Takes a message, which lives until it returns. 0, or -1 with the error. */
typedef int log_taker(void *ctx, const struct message *m, struct error *ret_error);

/* Hands every message of the ranges to `take`, of each partition in order of offsets. 0, or -1 with the
 * error of `take`, or EX_UNAVAILABLE where Kafka does not deliver. */
int source_log_read(const struct kafka_settings *s, struct log_range *range, size_t ranges,
                    log_taker *take, void *ctx, struct error *ret_error) MUST_CHECK;

/* How many partitions a topic has; 0: there is no such topic. */
int source_log_partitions(const struct kafka_settings *s, const char *topic, int32_t *ret,
                          struct error *ret_error) MUST_CHECK;

#endif
