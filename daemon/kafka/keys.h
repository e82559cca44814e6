/* What becomes of each property of librdkafka in kafka.properties. Pure. */
#ifndef DEBITD_KAFKA_KEYS_H
#define DEBITD_KAFKA_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum kafka_key {
    KAFKA_KEY_FREE,    /* handed on as it is */
    KAFKA_KEY_SECRET,  /* handed on; NAME_file is the name of a file that holds it */
    KAFKA_KEY_GUARDED, /* only one value is handed on */
    KAFKA_KEY_REFUSED,
    KAFKA_KEY_UNKNOWN, /* nobody has decided about it yet, or librdkafka has no such property */
};

/* The verdict on a property by its name alone, compared as librdkafka does, exactly. */
enum kafka_key kafka_key(const char *name);

/* Why this property may not have this value, and what to use instead; NULL: it may. */
const char *kafka_refused(const char *name, const char *value);

/* "sasl.password_file" -> true, the name without _file in ret (at most size - 1 bytes). */
bool kafka_key_is_file(const char *name, char *ret, size_t size);

#endif
