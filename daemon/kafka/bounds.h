/* What the log of one partition holds now: what `debitctl position set` holds an offset against. */
#ifndef DEBITD_KAFKA_BOUNDS_H
#define DEBITD_KAFKA_BOUNDS_H

#include "kafka/client.h"

struct kafka_bounds {
    bool exists;        /* the broker knows the topic and the partition; else the rest is not set */
    int64_t begin, end; /* its first offset, and the one behind its last */
    int64_t at_time; /* its first offset with that timestamp or a later one; `end` where none is */
};

/* Asks the brokers, with a client that belongs to no group, for timeout_ms a question at most.
 * `time_ms` since 1970. 0, or -1 with EX_UNAVAILABLE where nobody answers and EX_CONFIG where the
 * settings are bad. */
int kafka_bounds(const struct kafka_settings *s, int timeout_ms, const char *topic,
                 int32_t partition, int64_t time_ms, struct kafka_bounds *ret,
                 struct error *ret_error) MUST_CHECK;

#endif
