/* The usage decoder: no input crashes it; a refusal has a proper reason; what it accepts keeps
 * the contract's bounds and, written anew as a plain structured event, is accepted again as the
 * same. */
#include "base/buffer.h"
#include "consumers/usage.h"
#include "tests/fuzz/input.h"

static void name_check(struct slice s, bool required)
{
    CLAIM(s.p || !required);
    CLAIM(!s.p || (utf8_valid(s) && !envelope_text_fault(s)));
}

static void bounds_check(const struct usage_event *e)
{
    quantity_t sum = 0;

    name_check(e->id, true);
    name_check(e->source, true);
    name_check(e->account, true);
    if (e->kind == USAGE_VOIDED) {
        name_check(e->void_id, true);
        name_check(e->void_source, true);
        name_check(e->reason, false);
        return;
    }
    name_check(e->metric, true);
    name_check(e->service, false);
    name_check(e->model, false);
    name_check(e->user, false);
    name_check(e->thread, false);
    name_check(e->execution, false);
    name_check(e->agent, false);
    CLAIM(e->components >= 1 && e->components <= COMPONENTS_MAX);
    for (uint32_t i = 0; i < e->components; i++) {
        if (e->component[i].name.n || e->components > 1)
            name_check(e->component[i].name, true);
        CLAIM(e->component[i].quantity >= 0);
        sum += e->component[i].quantity;
    }
    CLAIM(sum == e->quantity && sum <= QUANTITY_MAX);
    CLAIM(e->cost >= 0 && e->cost <= COST_MAX && (e->has_cost || e->cost == 0));
    CLAIM(e->metadata.n <= METADATA_BYTES_MAX);
}

static void member_put(struct buffer *b, const char *name, struct slice value)
{
    if (!value.p)
        return;
    buffer_format(b, ",\"%s\":", name);
    buffer_json_string(b, value);
}

static void decimal_put(struct buffer *b, __int128 value, int places)
{
    char text[DECIMAL_TEXT_MAX];

    decimal_format(value, places, text);
    buffer_format(b, "\"%s\"", text);
}

/* The event written anew; its time goes in as the message's. */
static void event_write(struct buffer *b, const struct usage_event *e)
{
    buffer_format(b, "{\"specversion\":\"1.0\",\"type\":\"%s\"",
                  e->kind == USAGE_RECORDED ? "usage.recorded" : "usage.voided");
    member_put(b, "id", e->id);
    member_put(b, "source", e->source);
    member_put(b, "subject", e->account);
    buffer_text(b, ",\"data\":{\"x\":0");
    member_put(b, "metric", e->metric);
    member_put(b, "service", e->service);
    member_put(b, "model", e->model);
    member_put(b, "user", e->user);
    member_put(b, "thread", e->thread);
    member_put(b, "execution", e->execution);
    member_put(b, "agent", e->agent);
    member_put(b, "id", e->void_id);
    member_put(b, "source", e->void_source);
    member_put(b, "reason", e->reason);
    if (e->metadata.p) {
        buffer_text(b, ",\"metadata\":");
        buffer_slice(b, e->metadata);
    }
    if (e->has_cost) {
        buffer_text(b, ",\"cost\":");
        decimal_put(b, e->cost, AMOUNT_PLACES);
    }
    for (uint32_t i = 0; i < e->components; i++) {
        if (e->component[0].name.n == 0) {
            buffer_text(b, ",\"quantity\":");
        } else {
            buffer_text(b, i ? "," : ",\"quantities\":{");
            buffer_json_string(b, e->component[i].name);
            buffer_text(b, ":");
        }
        decimal_put(b, e->component[i].quantity, QUANTITY_PLACES);
    }
    buffer_text(b, e->components && e->component[0].name.n ? "}}}" : "}}");
}

static bool same(struct slice a, struct slice b)
{
    return !a.p == !b.p && slice_equal(a, b);
}

static void event_compare(const struct usage_event *a, const struct usage_event *b)
{
    CLAIM(a->kind == b->kind && a->time_us == b->time_us && a->components == b->components);
    CLAIM(same(a->id, b->id) && same(a->source, b->source) && same(a->account, b->account));
    CLAIM(same(a->metric, b->metric) && same(a->service, b->service) && same(a->model, b->model));
    CLAIM(same(a->user, b->user) && same(a->thread, b->thread) && same(a->agent, b->agent));
    CLAIM(same(a->execution, b->execution) && same(a->metadata, b->metadata));
    CLAIM(same(a->void_id, b->void_id) && same(a->void_source, b->void_source) &&
          same(a->reason, b->reason));
    CLAIM(a->quantity == b->quantity && a->has_cost == b->has_cost && a->cost == b->cost);
    CLAIM(memcmp(&a->key, &b->key, sizeof(a->key)) == 0);
    CLAIM(memcmp(&a->void_key, &b->void_key, sizeof(a->void_key)) == 0);
    for (uint32_t i = 0; i < a->components; i++)
        CLAIM(same(a->component[i].name, b->component[i].name) &&
              a->component[i].quantity == b->component[i].quantity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json doc = JSON_NULL_DOC, doc_again = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct buffer b = BUFFER_NULL;
    struct message m = input_message(data, size, &arena);
    struct usage_event e, again;
    struct refusal refusal = { 0 };
    enum reason r = usage_decode(&m, INPUT_WINDOW_US, &doc, &arena, &e, &refusal);

    if (r) {
        input_refusal_check(r, &refusal);
    } else {
        bounds_check(&e);
        event_write(&b, &e);
        struct message anew = { .topic = "fuzz", .timestamp_us = e.time_us, .value = { b.p, b.n } };
        CLAIM(usage_decode(&anew, INPUT_WINDOW_US, &doc_again, &arena, &again, &refusal) ==
              REASON_NONE);
        event_compare(&e, &again);
    }
    buffer_fini(&b);
    json_fini(&doc);
    json_fini(&doc_again);
    arena_fini(&arena);
    return 0;
}
