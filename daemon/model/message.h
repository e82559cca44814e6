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
    int64_t timestamp_us;    /* the Kafka timestamp; -1: the message has none */
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

#endif
