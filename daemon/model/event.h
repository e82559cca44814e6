/* What a message on usage.events says: a plain value in the arena of its batch. Slices point into
 * the message or the arena. */
#ifndef DEBITD_MODEL_EVENT_H
#define DEBITD_MODEL_EVENT_H

#include "base/decimal.h"
#include "base/hash.h"
#include "base/slice.h"

#include <stdint.h>

#define COMPONENTS_MAX     16
#define NAME_BYTES_MAX     256
#define METADATA_BYTES_MAX 4096

struct component {
    struct slice name; /* the empty string for `quantity` */
    quantity_t quantity;
};

enum usage_kind { USAGE_RECORDED, USAGE_VOIDED };

struct usage_event {
    enum usage_kind kind;
    struct slice id, source, account; /* account: the subject */
    int64_t time_us;
    struct hash128 key, digest;
    /* recorded */
    struct slice metric, service, model; /* service, model: absent where not given */
    struct slice user, thread, execution, agent;
    struct slice metadata; /* the JSON text as sent, absent where not given */
    struct component *component;
    uint32_t components; /* 1-16, in the order of the event */
    quantity_t quantity; /* their sum */
    bool has_cost;
    amount_t cost; /* what the provider charged */
    /* voided */
    struct slice void_source, void_id, reason;
    struct hash128 void_key;
};

#endif
