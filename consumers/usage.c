/* Usage events: data to a plain struct. All of bad_data is looked for before any number is read,
 * as contract 5 orders. Pure; the hot path. */
#include "consumers/usage.h"

#include "base/clock.h"

#define METADATA_EXPONENT_MAX 10000

enum member {
    METRIC,
    SERVICE,
    MODEL,
    USER,
    THREAD,
    EXECUTION,
    AGENT,
    QUANTITY,
    QUANTITIES,
    COST,
    METADATA,
    MEMBERS
};

static const struct slice members[MEMBERS] = {
    [METRIC] = SLICE("metric"), [SERVICE] = SLICE("service"),   [MODEL] = SLICE("model"),
    [USER] = SLICE("user"),     [THREAD] = SLICE("thread"),     [EXECUTION] = SLICE("execution"),
    [AGENT] = SLICE("agent"),   [QUANTITY] = SLICE("quantity"), [QUANTITIES] = SLICE("quantities"),
    [COST] = SLICE("cost"),     [METADATA] = SLICE("metadata"),
};

struct reading {
    const struct json *doc;
    struct arena *arena;
    struct refusal *refusal;
    uint32_t at[MEMBERS];
};

static enum reason names_read(const struct reading *r, struct usage_event *e)
{
    struct slice *const target[QUANTITY] = {
        [METRIC] = &e->metric, [SERVICE] = &e->service,     [MODEL] = &e->model, [USER] = &e->user,
        [THREAD] = &e->thread, [EXECUTION] = &e->execution, [AGENT] = &e->agent,
    };

    if (!r->at[METRIC])
        return refuse(r->refusal, REASON_BAD_DATA, "data.metric is missing");
    for (int i = METRIC; i < QUANTITY; i++) {
        enum reason bad;
        if (!r->at[i])
            continue;
        bad = envelope_name_value(r->doc, r->at[i], members[i].p, r->arena, target[i], r->refusal);
        if (bad)
            return bad;
    }
    return REASON_NONE;
}

/* The names of the components; their quantities are read later. */
static enum reason components_read(const struct reading *r, struct usage_event *e)
{
    const struct json_value *v = &r->doc->value[r->at[QUANTITIES]];
    uint32_t at = r->at[QUANTITIES] + 1;

    if (!r->at[QUANTITY] == !r->at[QUANTITIES])
        return refuse(r->refusal, REASON_BAD_DATA, "data has %s of quantity and quantities",
                      r->at[QUANTITY] ? "both" : "neither");
    if (r->at[QUANTITY]) {
        e->components = 1;
        e->component = arena_zalloc(r->arena, sizeof(*e->component));
        e->component[0].name = SLICE("");
        return REASON_NONE;
    }
    if (v->type != JSON_IS_OBJECT)
        return refuse(r->refusal, REASON_BAD_DATA, "data.quantities is no object");
    if (v->count < 1 || v->count > COMPONENTS_MAX)
        return refuse(r->refusal, REASON_BAD_DATA, "data.quantities has %u components, not 1-%d",
                      v->count, COMPONENTS_MAX);
    e->components = v->count;
    e->component = arena_zalloc(r->arena, v->count * sizeof(*e->component));
    for (uint32_t i = 0; i < v->count; i++, at = r->doc->value[at + 1].next) {
        struct slice name = json_content(r->doc, at, r->arena);
        const char *fault = envelope_text_fault(name);
        if (fault)
            return refuse(r->refusal, REASON_BAD_DATA,
                          "data.quantities: the name of component %u %s", i + 1, fault);
        e->component[i].name = name;
    }
    return REASON_NONE;
}

/* Whether the power of ten of a number is one that a NUMERIC of PostgreSQL, and so a jsonb, can hold with
 * as many digits as metadata has room for. Here, because the database would refuse the whole batch. */
static bool number_can_be_kept(struct slice text)
{
    int64_t exponent = 0;
    size_t i = 0;

    while (i < text.n && text.p[i] != 'e' && text.p[i] != 'E')
        i++;
    for (; i < text.n && exponent <= METADATA_EXPONENT_MAX; i++)
        if (text.p[i] >= '0' && text.p[i] <= '9')
            exponent = exponent * 10 + (text.p[i] - '0');
    return exponent <= METADATA_EXPONENT_MAX;
}

static enum reason metadata_read(const struct reading *r, struct usage_event *e)
{
    if (!r->at[METADATA])
        return REASON_NONE;
    if (r->doc->value[r->at[METADATA]].type != JSON_IS_OBJECT)
        return refuse(r->refusal, REASON_BAD_DATA, "data.metadata is no object");
    e->metadata = json_text(r->doc, r->at[METADATA]);
    if (e->metadata.n > METADATA_BYTES_MAX)
        return refuse(r->refusal, REASON_BAD_DATA, "data.metadata has %zu bytes, more than %d",
                      e->metadata.n, METADATA_BYTES_MAX);
    for (uint32_t i = r->at[METADATA]; i < r->doc->value[r->at[METADATA]].next; i++)
        if (r->doc->value[i].type == JSON_IS_NUMBER && !number_can_be_kept(json_text(r->doc, i)))
            return refuse(r->refusal, REASON_BAD_DATA,
                          "data.metadata has a number with an exponent beyond %d",
                          METADATA_EXPONENT_MAX);
    return REASON_NONE;
}

/* A decimal >= 0, from a number or a string. NULL, or what is wrong with it. */
static const char *decimal_fault(const struct reading *r, uint32_t value, int places, __int128 max,
                                 __int128 *ret)
{
    enum json_type type = (enum json_type)r->doc->value[value].type;
    struct slice text;

    if (type != JSON_IS_NUMBER && type != JSON_IS_STRING)
        return "is no number";
    text =
        type == JSON_IS_NUMBER ? json_text(r->doc, value) : json_content(r->doc, value, r->arena);
    switch (decimal_parse(text, places, max, ret)) {
    case DECIMAL_OK:
        return *ret < 0 ? "is below 0" : NULL;
    case DECIMAL_NOT_A_NUMBER:
        return "is no number";
    case DECIMAL_TOO_PRECISE:
        return places == QUANTITY_PLACES ? "has more than 6 decimals" : "has more than 12 decimals";
    case DECIMAL_TOO_LARGE:
        return "is beyond 1e12";
    }
    ASSERT(false);
}

static enum reason numbers_read(const struct reading *r, struct usage_event *e)
{
    bool single = r->at[QUANTITY] != 0;
    uint32_t at = single ? r->at[QUANTITY] : r->at[QUANTITIES] + 2;
    const char *fault;

    for (uint32_t i = 0; i < e->components; i++, at = r->doc->value[at].next + 1) {
        struct component *c = &e->component[i];
        fault = decimal_fault(r, at, QUANTITY_PLACES, QUANTITY_MAX, &c->quantity);
        if (fault && single)
            return refuse(r->refusal, REASON_BAD_QUANTITY, "data.quantity %s", fault);
        if (fault)
            return refuse(r->refusal, REASON_BAD_QUANTITY, "data.quantities: \"%.*s\" %s",
                          (int)(c->name.n < 80 ? c->name.n : 80), c->name.p, fault);
        e->quantity += c->quantity; /* at most 16 times 1e18: no overflow */
    }
    if (e->quantity > QUANTITY_MAX)
        return refuse(r->refusal, REASON_BAD_QUANTITY, "the sum of data.quantities is beyond 1e12");
    if (r->at[COST]) {
        fault = decimal_fault(r, r->at[COST], AMOUNT_PLACES, COST_MAX, &e->cost);
        if (fault)
            return refuse(r->refusal, REASON_BAD_QUANTITY, "data.cost %s", fault);
        e->has_cost = true;
    }
    return REASON_NONE;
}

static enum reason recorded_read(struct reading *r, uint32_t data, struct usage_event *e)
{
    enum reason bad;

    json_members(r->doc, data, members, MEMBERS, r->arena, r->at);
    bad = names_read(r, e);
    if (!bad)
        bad = components_read(r, e);
    if (!bad)
        bad = metadata_read(r, e);
    return bad ? bad : numbers_read(r, e);
}

static enum reason voided_read(const struct reading *r, uint32_t data, struct usage_event *e)
{
    enum reason bad;

    bad = envelope_name(r->doc, data, "id", true, r->arena, &e->void_id, r->refusal);
    if (!bad)
        bad = envelope_name(r->doc, data, "source", false, r->arena, &e->void_source, r->refusal);
    if (!bad)
        bad = envelope_name(r->doc, data, "reason", false, r->arena, &e->reason, r->refusal);
    if (bad)
        return bad;
    if (!e->void_source.p)
        e->void_source = e->source;
    e->void_key = hash_identity(e->void_source, e->void_id);
    return REASON_NONE;
}

enum reason usage_decode(const struct message *m, int64_t window_us, struct json *doc,
                         struct arena *arena, struct usage_event *ret, struct refusal *ret_refusal)
{
    static const char *const types[] = { "usage.recorded", "usage.voided", NULL };
    struct reading r = { .doc = doc, .arena = arena, .refusal = ret_refusal };
    struct usage_event e = { 0 };
    struct envelope envelope;
    enum reason bad;

    bad = envelope_read(m, types, window_us, doc, arena, &envelope, &e.time_us, ret_refusal);
    if (bad)
        return bad;
    if (!envelope.data.p)
        return refuse(ret_refusal, REASON_BAD_DATA, "data is missing");
    if (doc->value[envelope.data_value].type != JSON_IS_OBJECT)
        return refuse(ret_refusal, REASON_BAD_DATA, "data is no object");
    if (doc->value[envelope.data_value].has_nul)
        return refuse(ret_refusal, REASON_BAD_DATA, "data has \\u0000 in a string");
    e.kind = slice_is(envelope.type, types[0]) ? USAGE_RECORDED : USAGE_VOIDED;
    e.id = envelope.id;
    e.source = envelope.source;
    e.account = envelope.subject;
    bad = e.kind == USAGE_RECORDED ? recorded_read(&r, envelope.data_value, &e)
                                   : voided_read(&r, envelope.data_value, &e);
    if (bad)
        return bad;
    e.key = hash_identity(e.source, e.id);
    e.digest = hash_digest(envelope.type, e.account, envelope.data);
    *ret = e;
    return REASON_NONE;
}
