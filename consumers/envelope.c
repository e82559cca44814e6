/* The envelope of an event. The attributes of both content modes are gathered into one table
 * first, so that the checks, their order and their words are the same for both. Pure. */
#include "consumers/envelope.h"

#include "base/clock.h"
#include "model/event.h"

#define AHEAD_MAX_US (INT64_C(3600) * US_PER_SECOND)

enum attribute_name {
    SPECVERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    TIME,
    DATASCHEMA,
    DATACONTENTTYPE,
    ATTRIBUTES,
    DATA = ATTRIBUTES, /* in the structured mode a member like the others */
    MEMBERS
};

static const struct slice members[MEMBERS] = {
    [SPECVERSION] = SLICE("specversion"),
    [ID] = SLICE("id"),
    [SOURCE] = SLICE("source"),
    [TYPE] = SLICE("type"),
    [SUBJECT] = SLICE("subject"),
    [TIME] = SLICE("time"),
    [DATASCHEMA] = SLICE("dataschema"),
    [DATACONTENTTYPE] = SLICE("datacontenttype"),
    [DATA] = SLICE("data"),
};

static const char *const headers[ATTRIBUTES] = {
    [SPECVERSION] = "ce_specversion", [ID] = "ce_id",
    [SOURCE] = "ce_source",           [TYPE] = "ce_type",
    [SUBJECT] = "ce_subject",         [TIME] = "ce_time",
    [DATASCHEMA] = "ce_dataschema",   [DATACONTENTTYPE] = "ce_datacontenttype",
};

struct attribute {
    bool present;
    const char *wrong_type; /* why it is no text, NULL: it is one */
    struct slice text;
};

const char *envelope_text_fault(struct slice text)
{
    if (text.n == 0)
        return "is empty";
    if (text.n > NAME_BYTES_MAX)
        return "has more than 256 bytes";
    return utf8_has_control(text) ? "has a control character" : NULL;
}

/* The attributes from the headers; the value, whatever is in it, is data. */
static void binary_gather(const struct message *m, struct attribute *a)
{
    for (int i = 0; i < ATTRIBUTES; i++) {
        const struct header *h = message_header(m, headers[i]);
        if (!h)
            continue;
        a[i].present = true;
        if (!h->value.p)
            a[i].wrong_type = "is null";
        else if (!utf8_valid(h->value))
            a[i].wrong_type = "is not UTF-8";
        else
            a[i].text = h->value;
    }
}

static void structured_gather(const struct json *doc, struct arena *arena, struct attribute *a,
                              struct envelope *e)
{
    uint32_t at[MEMBERS];

    json_members(doc, 0, members, MEMBERS, arena, at);
    for (int i = 0; i < ATTRIBUTES; i++) {
        a[i].present = at[i] != 0;
        if (!at[i])
            continue;
        if (doc->value[at[i]].type != JSON_IS_STRING)
            a[i].wrong_type = "is no string";
        else
            a[i].text = json_content(doc, at[i], arena);
    }
    if (at[DATA]) {
        e->data = json_text(doc, at[DATA]);
        e->data_value = at[DATA];
    }
}

static enum reason attributes_check(const struct attribute *a, struct refusal *ret_refusal)
{
    if (!a[SPECVERSION].present)
        return refuse(ret_refusal, REASON_NOT_A_CLOUDEVENT, "attribute specversion is missing");
    if (a[SPECVERSION].wrong_type)
        return refuse(ret_refusal, REASON_NOT_A_CLOUDEVENT, "attribute specversion %s, not \"1.0\"",
                      a[SPECVERSION].wrong_type);
    if (!slice_is(a[SPECVERSION].text, "1.0"))
        return refuse(
            ret_refusal, REASON_NOT_A_CLOUDEVENT, "attribute specversion is \"%.*s\", not \"1.0\"",
            (int)(a[SPECVERSION].text.n < 40 ? a[SPECVERSION].text.n : 40), a[SPECVERSION].text.p);
    for (int i = ID; i <= SUBJECT; i++)
        if (!a[i].present)
            return refuse(ret_refusal, REASON_NOT_A_CLOUDEVENT, "attribute %s is missing",
                          members[i].p);
    for (int i = ID; i < ATTRIBUTES; i++) {
        /* dataschema and datacontenttype say nothing here: their type is all that is asked of
         * them */
        const char *fault = a[i].wrong_type;
        if (a[i].present && !fault && i <= TIME)
            fault = envelope_text_fault(a[i].text);
        if (fault)
            return refuse(ret_refusal, REASON_BAD_ATTRIBUTE, "attribute %s %s", members[i].p,
                          fault);
    }
    return REASON_NONE;
}

static enum reason time_check(const struct message *m, const struct envelope *e, int64_t window_us,
                              int64_t *ret_us, struct refusal *ret_refusal)
{
    char sent[TIME_TEXT_MAX];
    bool stamped = m->timestamp_us >= 0;
    int64_t us;

    if (m->timestamp_us >= MESSAGE_TIME_BEYOND)
        return refuse(ret_refusal, REASON_BAD_TIME,
                      "the message's timestamp is beyond the year 9999: Kafka counts milliseconds");
    if (!e->has_time) {
        if (!stamped)
            return refuse(ret_refusal, REASON_BAD_TIME,
                          "neither the event has a time nor the message a timestamp");
        *ret_us = m->timestamp_us;
        return REASON_NONE;
    }
    if (!time_parse(e->time, &us))
        return refuse(ret_refusal, REASON_BAD_TIME,
                      "attribute time is \"%.*s\", not as in 2026-11-20T12:34:56.789Z",
                      (int)(e->time.n < 60 ? e->time.n : 60), e->time.p);
    if (stamped && (us > m->timestamp_us + AHEAD_MAX_US || us < m->timestamp_us - window_us)) {
        time_format(m->timestamp_us, sent);
        if (us > m->timestamp_us)
            return refuse(ret_refusal, REASON_TIME_IN_FUTURE,
                          "attribute time is %.*s, over 1 h after the message's timestamp %s",
                          (int)(e->time.n < 60 ? e->time.n : 60), e->time.p, sent);
        return refuse(ret_refusal, REASON_TOO_OLD,
                      "attribute time is %.*s, over %lld days before the message's timestamp %s",
                      (int)(e->time.n < 60 ? e->time.n : 60), e->time.p,
                      (long long)(window_us / US_PER_DAY), sent);
    }
    *ret_us = us;
    return REASON_NONE;
}

/* The value as JSON, in either mode: no bytes at all are none. */
static enum reason value_scan(const struct message *m, bool binary, struct json *doc,
                              struct refusal *ret_refusal)
{
    if (m->value.n > MESSAGE_BYTES_MAX)
        return refuse(ret_refusal, REASON_TOO_LARGE, "the value has %zu bytes, more than 1 MiB",
                      m->value.n);
    if (json_scan(doc, m->value.p, m->value.n) != 0)
        return refuse(ret_refusal, REASON_MALFORMED_JSON, "at byte %zu: %s", doc->at, doc->reason);
    if (!binary && doc->value[0].type != JSON_IS_OBJECT)
        return refuse(ret_refusal, REASON_NOT_A_CLOUDEVENT,
                      "the value is no JSON object, and there is no header ce_specversion");
    return REASON_NONE;
}

enum reason envelope_read(const struct message *m, const char *const *types, int64_t window_us,
                          struct json *doc, struct arena *arena, struct envelope *ret,
                          int64_t *ret_time_us, struct refusal *ret_refusal)
{
    bool binary = message_header(m, "ce_specversion") != NULL;
    struct attribute a[ATTRIBUTES] = { 0 };
    struct envelope e = { 0 };
    enum reason r;

    r = value_scan(m, binary, doc, ret_refusal);
    if (r)
        return r;
    if (binary) {
        binary_gather(m, a);
        e.data = m->value;
    } else {
        structured_gather(doc, arena, a, &e);
    }
    r = attributes_check(a, ret_refusal);
    if (r)
        return r;
    e.id = a[ID].text;
    e.source = a[SOURCE].text;
    e.type = a[TYPE].text;
    e.subject = a[SUBJECT].text;
    e.has_time = a[TIME].present;
    e.time = a[TIME].text;
    while (*types && !slice_is(e.type, *types))
        types++;
    if (!*types)
        return refuse(ret_refusal, REASON_UNKNOWN_TYPE, "topic %s has no type \"%.*s\"",
                      m->topic ? m->topic : "", (int)(e.type.n < 80 ? e.type.n : 80), e.type.p);
    r = time_check(m, &e, window_us, ret_time_us, ret_refusal);
    if (r)
        return r;
    *ret = e;
    return REASON_NONE;
}

enum reason envelope_name_value(const struct json *doc, uint32_t value, const char *member,
                                struct arena *arena, struct slice *ret, struct refusal *ret_refusal)
{
    const char *fault;
    struct slice text;

    if (doc->value[value].type != JSON_IS_STRING)
        return refuse(ret_refusal, REASON_BAD_DATA, "data.%s is no string", member);
    text = json_content(doc, value, arena);
    fault = envelope_text_fault(text);
    if (fault)
        return refuse(ret_refusal, REASON_BAD_DATA, "data.%s %s", member, fault);
    *ret = text;
    return REASON_NONE;
}

enum reason envelope_name(const struct json *doc, uint32_t data, const char *member, bool required,
                          struct arena *arena, struct slice *ret, struct refusal *ret_refusal)
{
    uint32_t value = json_member(doc, data, member);

    if (value)
        return envelope_name_value(doc, value, member, arena, ret, ret_refusal);
    if (required)
        return refuse(ret_refusal, REASON_BAD_DATA, "data.%s is missing", member);
    *ret = SLICE_ABSENT;
    return REASON_NONE;
}
