/* Where the logs of partitions end, and whether Kafka compacts them: what `debitctl status` holds
 * positions against. */
#ifndef DEBITD_KAFKA_ENDS_H
#define DEBITD_KAFKA_ENDS_H

#include "kafka/client.h"

struct kafka_place {
    const char *topic;
    int32_t partition;
    /* filled in */
    int64_t end; /* the offset behind the last message; -1: not known */
    bool
        compacted; /* by cleanup.policy; false also where nobody asked, or Kafka does not tell us */
};

/* Asks the brokers, with a client that belongs to no group, for timeout_ms at most. 0, also where
 * some ends stay unknown (no such topic), or -1 with EX_UNAVAILABLE where nobody answers and
 * EX_CONFIG where the settings are bad. */
int kafka_ends(const struct kafka_settings *s, int timeout_ms, struct kafka_place *place,
               size_t places, struct error *ret_error) MUST_CHECK;
/* The same, and then, for as long once more, which topics are compacted. */
int kafka_ends_and_policies(const struct kafka_settings *s, int timeout_ms,
                            struct kafka_place *place, size_t places,
                            struct error *ret_error) MUST_CHECK;

#endif
