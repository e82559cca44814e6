/* A message as Kafka handed it over. Everything points into memory of the source, until
 * message_release. */
#ifndef DEBITD_MODEL_MESSAGE_H
#define DEBITD_MODEL_MESSAGE_H

#include "base/slice.h"

#include <stdint.h>

#define MESSAGE_BYTES_MAX ((size_t)1048576) /* contract 1: over 1 MiB is too_large */

struct header {
    struct slice name, value; /* value absent: a null header */
};

enum topic_kind { TOPIC_USAGE, TOPIC_ACCOUNTS };

struct message {
    enum topic_kind kind;
    const char *topic; /* lives as long as the process */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us; /* the Kafka timestamp, see message_time_us; -1: the message has none */
    struct slice key, value; /* absent: null; a message without value is a tombstone */
    const struct header *header;
    size_t headers;
    uint64_t generation;  /* of the partition's assignment; one that is over is dropped */
    uint64_t fingerprint; /* of timestamp, key and value, for the continuity check */
    void (*release)(struct message *); /* frees all of it; any thread */
};

/* The first header of that name, or NULL. */
const struct header *message_header(const struct message *m, const char *name);
void message_release(struct message *m); /* NULL is fine */
/* A producer may write whatever it likes into a timestamp, nanoseconds for one. What is beyond the
 * year 9999 is MESSAGE_TIME_BEYOND, which is no time of an event; what is below 0 is -1. */
#define MESSAGE_TIME_BEYOND INT64_C(253402300799999999)
int64_t message_time_us(int64_t kafka_ms);

#endif
