/* One topic: what a broker says of it, and its partitions paused and resumed. */
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
/* Ends the fetching of a partition. A pause belongs to the partition and not to its
 * assignment, so it outlives that. Any thread. */
void kafka_pause(rd_kafka_t *rk, const char *topic, int32_t partition);
/* One that is not paused goes back to where it was assigned (2.0.2). Any thread. */
void kafka_resume(rd_kafka_t *rk, const char *topic, int32_t partition);

#endif
