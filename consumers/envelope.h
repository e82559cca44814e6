/* CloudEvents 1.0 in both content modes of its Kafka binding (contract 1). */
#ifndef DEBITD_CONSUMERS_ENVELOPE_H
#define DEBITD_CONSUMERS_ENVELOPE_H

#include "base/json_scan.h"
#include "model/message.h"
#include "model/reason.h"

struct envelope {
    struct slice id, source, type, subject; /* in the message or the arena */
    bool has_time;
    struct slice time;   /* as sent; still unchecked */
    struct slice data;   /* the bytes of data as sent; absent where there is none */
    uint32_t data_value; /* index of data in the document; meaningless where data is absent */
};

/* Reads a message that has a value. Checks too_large, malformed_json, not_a_cloudevent and
 * bad_attribute, in this order; `types` (NULL-terminated) then decides
 * unknown_type; time then decides bad_time, time_in_future, too_old against the message's timestamp
 * (window_us back, 1 h ahead); ret_time_us is the event's time.
 * The document stays valid as long as the message does. */
enum reason envelope_read(const struct message *m, const char *const *types, int64_t window_us,
                          struct json *doc, struct arena *arena, struct envelope *ret,
                          int64_t *ret_time_us, struct refusal *ret_refusal) MUST_CHECK;

/* A required or optional string member of data within the bounds of contract 1 (1-256 bytes, no
 * control characters, no \u0000): bad_data otherwise.
 * An absent optional one leaves *ret absent. */
enum reason envelope_name(const struct json *doc, uint32_t data, const char *member, bool required,
                          struct arena *arena, struct slice *ret,
                          struct refusal *ret_refusal) MUST_CHECK;

/* The same for one value: `member` is what it is called in the refusal. */
enum reason envelope_name_value(const struct json *doc, uint32_t value, const char *member,
                                struct arena *arena, struct slice *ret,
                                struct refusal *ret_refusal) MUST_CHECK;

/* NULL, or what is wrong with a text (valid UTF-8) that must keep to the bounds of contract 1: "is
 * empty", "has more than 256 bytes" … */
const char *envelope_text_fault(struct slice text);

#endif
