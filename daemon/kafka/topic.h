/* What a broker says of one topic. */
#ifndef DEBITD_KAFKA_TOPIC_H
#define DEBITD_KAFKA_TOPIC_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

struct kafka_topic {
    rd_kafka_resp_err_t err; /* of the topic itself: unknown, denied */
    int32_t partitions;      /* 0 where there is such an error */
};

/* Asks a broker, for timeout_ms at most. An error returned is of the asking; *ret is zeros then. Any
 * thread. */
rd_kafka_resp_err_t kafka_topic_ask(rd_kafka_t *rk, const char *name, int timeout_ms,
                                    struct kafka_topic *ret);

#endif
