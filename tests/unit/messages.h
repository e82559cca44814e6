/* Messages for the decoders' tests: the parts that every row of a table has in common. */
#ifndef DEBITD_TESTS_UNIT_MESSAGES_H
#define DEBITD_TESTS_UNIT_MESSAGES_H

#include "base/clock.h"
#include "base/macros.h"
#include "model/message.h"
#include "model/reason.h"

/* The messages' Kafka timestamp, 2026-11-20T12:00:00Z, and the default acceptance window. */
#define SENT_US   INT64_C(1795176000000000)
#define WINDOW_US (35 * US_PER_DAY)

/* The four attributes that every event has, but type. */
#define WHO "\"specversion\":\"1.0\",\"id\":\"i1\",\"source\":\"/s\",\"subject\":\"acct-1\""

static inline struct message message_of(const char *text, size_t n)
{
    return (
        struct message){ .topic = "usage.events", .timestamp_us = SENT_US, .value = { text, n } };
}

/* A copy on the heap with nothing behind it, so that a sanitizer sees a read too far. */
static inline char *exact_copy(const void *bytes, size_t n)
{
    char *p = xmalloc(n);
    memcpy(p, bytes, n);
    return p;
}

#endif
