/* Account events. One table says which members a type has and what they must be; what the table
 * cannot say (one of two, not its own parent) stands in pairs_check. Pure. */
#include "consumers/accounts.h"

#include "base/decimal.h"
#include "model/event.h"

enum kind {
    NAME,   /* a string within the bounds of contract 1 */
    NAMES,  /* a list of such */
    FLAG,   /* true or false */
    AMOUNT, /* a decimal above 0 */
    SIGNED, /* a decimal other than 0 */
    PERIOD, /* "2026-11" */
    LATER,  /* part of the contract, but not taken yet */
};

struct member {
    const char *name;
    enum kind kind;
    bool required;
};

#define MEMBERS_MAX 6

static const struct operation {
    const char *type;
    struct member member[MEMBERS_MAX]; /* the last may be empty */
} operations[] = {
    { "account.opened",
      { { "plan", NAME, false },
        { "parent", NAME, false },
        { "charged", FLAG, false },
        { "name", NAME, false },
        { "byok", NAMES, false } } },
    { "account.updated",
      { { "plan", NAME, false },
        { "parent", NAME, false },
        { "charged", FLAG, false },
        { "name", NAME, false },
        { "byok", NAMES, false } } },
    { "account.closed", { { "reason", NAME, false } } },
    { "plan.assigned", { { "plan", NAME, true }, { "until", LATER, false } } },
    { "credits.purchased",
      { { "amount", AMOUNT, false }, { "package", NAME, false }, { "reference", NAME, false } } },
    { "credits.granted",
      { { "amount", AMOUNT, true }, { "reason", NAME, false }, { "expires", LATER, false } } },
    { "credits.refunded",
      { { "amount", AMOUNT, true },
        { "reference", NAME, false },
        { "reason", NAME, false },
        { "event_source", LATER, false },
        { "event_id", LATER, false } } },
    { "credits.adjusted", { { "amount", SIGNED, true }, { "reason", NAME, false } } },
    { "invoice.paid",
      { { "period", PERIOD, true }, { "amount", AMOUNT, true }, { "reference", NAME, false } } },
};

/* The same names, as envelope_read wants them. */
static const char *const types[] = {
    "account.opened",  "account.updated",  "account.closed",   "plan.assigned", "credits.purchased",
    "credits.granted", "credits.refunded", "credits.adjusted", "invoice.paid",  NULL
};
_Static_assert(ARRAY_SIZE(types) == ARRAY_SIZE(operations) + 1, "the two lists are one");

struct reading {
    const struct json *doc;
    struct arena *arena;
    struct refusal *refusal;
    bool out_of_range; /* an amount is: said after all that is bad_data */
    struct slice data; /* the normalised object; its room was cut from the arena at once */
};

static enum reason bad(struct refusal *refusal, const char *member, const char *fault)
{
    return refuse(refusal, REASON_BAD_DATA, "data.%s %s", member, fault);
}

static void data_put(struct reading *r, const void *bytes, size_t n)
{
    memcpy((char *)r->data.p + r->data.n, bytes, n);
    r->data.n += n;
}

static void member_put(struct reading *r, const char *name, struct slice text)
{
    data_put(r, r->data.n == 1 ? "\"" : ",\"", r->data.n == 1 ? 1 : 2);
    data_put(r, name, strlen(name));
    data_put(r, "\":", 2);
    data_put(r, text.p, text.n);
}

static enum reason amount_read(struct reading *r, const struct member *m, uint32_t value)
{
    enum json_type type = (enum json_type)r->doc->value[value].type;
    char text[DECIMAL_TEXT_MAX + 2] = "\"";
    struct slice given;
    amount_t amount;
    size_t n;

    if (type != JSON_IS_NUMBER && type != JSON_IS_STRING)
        return bad(r->refusal, m->name, "is no decimal");
    given =
        type == JSON_IS_NUMBER ? json_text(r->doc, value) : json_content(r->doc, value, r->arena);
    switch (decimal_parse(given, AMOUNT_PLACES, AMOUNT_LIMIT - 1, &amount)) {
    case DECIMAL_OK:
        break;
    case DECIMAL_NOT_A_NUMBER:
        return bad(r->refusal, m->name, "is no decimal");
    case DECIMAL_TOO_PRECISE:
        return bad(r->refusal, m->name, "has more than 12 decimals");
    case DECIMAL_TOO_LARGE:
        if (!decimal_within_places(given, AMOUNT_PLACES))
            return bad(r->refusal, m->name, "has more than 12 decimals");
        if (given.p[0] == '-' && m->kind != SIGNED)
            return bad(r->refusal, m->name, "is not above 0");
        r->out_of_range = true;
        return REASON_NONE;
    }
    if (amount == 0 || (amount < 0 && m->kind != SIGNED))
        return bad(r->refusal, m->name, m->kind == SIGNED ? "is 0" : "is not above 0");
    n = 1 + decimal_format(amount, AMOUNT_PLACES, text + 1);
    text[n++] = '"';
    member_put(r, m->name, (struct slice){ text, n });
    return REASON_NONE;
}

static enum reason names_read(struct reading *r, const struct member *m, uint32_t value)
{
    const struct json_value *v = &r->doc->value[value];
    struct slice ignored;

    if (v->type != JSON_IS_ARRAY)
        return bad(r->refusal, m->name, "is no list");
    for (uint32_t i = 0, at = value + 1; i < v->count; i++, at = r->doc->value[at].next)
        if (envelope_name_value(r->doc, at, m->name, r->arena, &ignored, r->refusal))
            return refuse(
                r->refusal, REASON_BAD_DATA,
                "data.%s: element %u is no string of 1-256 bytes without control characters",
                m->name, i + 1);
    return REASON_NONE;
}

static bool is_period(struct slice s)
{
    int month;

    if (s.n != 7 || s.p[4] != '-')
        return false;
    for (int i = 0; i < 7; i++)
        if (i != 4 && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    month = (s.p[5] - '0') * 10 + s.p[6] - '0';
    return month >= 1 && month <= 12 && memcmp(s.p, "0000", 4) != 0;
}

/* Checks one member that was given, and adds it to the normalised object. */
static enum reason member_read(struct reading *r, const struct member *m, uint32_t value,
                               struct slice *ret_name)
{
    enum json_type type = (enum json_type)r->doc->value[value].type;
    enum reason reason = REASON_NONE;

    switch (m->kind) {
    case NAME:
        reason = envelope_name_value(r->doc, value, m->name, r->arena, ret_name, r->refusal);
        break;
    case NAMES:
        reason = names_read(r, m, value);
        break;
    case FLAG:
        if (type != JSON_IS_TRUE && type != JSON_IS_FALSE)
            return bad(r->refusal, m->name, "is neither true nor false");
        break;
    case AMOUNT:
    case SIGNED:
        return amount_read(r, m, value);
    case PERIOD:
        if (type != JSON_IS_STRING || !is_period(json_content(r->doc, value, r->arena)))
            return bad(r->refusal, m->name, "is no month as in \"2026-11\"");
        break;
    case LATER:
        return bad(r->refusal, m->name,
                   "is not supported by this version; nothing was done, so that nothing else than "
                   "was meant is booked");
    }
    if (!reason)
        member_put(r, m->name, json_text(r->doc, value));
    return reason;
}

/* What one member alone does not tell. */
static enum reason pairs_check(const struct operation *o, const uint32_t *at, struct slice parent,
                               struct slice account, struct refusal *refusal)
{
    if (o == &operations[0] && !at[0] && !at[1])
        return refuse(refusal, REASON_BAD_DATA,
                      "data.plan is missing: an account without a parent needs one");
    if (parent.p && slice_equal(parent, account))
        return refuse(refusal, REASON_BAD_DATA, "data.parent is the account itself");
    if (slice_is(slice_of(o->type), "credits.purchased") && !at[0] == !at[1])
        return refuse(refusal, REASON_BAD_DATA, "data has %s of amount and package",
                      at[0] ? "both" : "neither");
    return REASON_NONE;
}

static enum reason data_read(struct reading *r, const struct operation *o, uint32_t data,
                             struct account_op *op)
{
    struct slice parent = SLICE_ABSENT;
    uint32_t at[MEMBERS_MAX] = { 0 };
    enum reason reason;

    if (r->doc->value[data].type != JSON_IS_OBJECT)
        return refuse(r->refusal, REASON_BAD_DATA, "data is no object");
    if (r->doc->value[data].has_nul)
        return refuse(r->refusal, REASON_BAD_DATA, "data has \\u0000 in a string");
    /* no longer than data as given, but for a decimal written out and the punctuation */
    r->data = (struct slice){ arena_alloc(r->arena, json_text(r->doc, data).n + 256), 0 };
    data_put(r, "{", 1);
    for (int i = 0; i < MEMBERS_MAX && o->member[i].name; i++) {
        const struct member *m = &o->member[i];
        struct slice name = SLICE_ABSENT;
        at[i] = json_member(r->doc, data, m->name);
        if (!at[i] && m->required)
            return bad(r->refusal, m->name, "is missing");
        if (!at[i])
            continue;
        reason = member_read(r, m, at[i], &name);
        if (reason)
            return reason;
        if (strcmp(m->name, "parent") == 0)
            parent = name;
    }
    reason = pairs_check(o, at, parent, op->account, r->refusal);
    if (reason)
        return reason;
    if (r->out_of_range)
        return refuse(r->refusal, REASON_OUT_OF_RANGE, "data.amount is not below 1e18");
    data_put(r, "}", 1);
    op->data = r->data;
    op->reference_account = parent;
    return REASON_NONE;
}

static const struct operation *operation_find(struct slice type)
{
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
        if (slice_is(type, operations[i].type))
            return &operations[i];
    return NULL;
}

enum reason accounts_decode(const struct message *m, int64_t window_us, struct json *doc,
                            struct arena *arena, struct account_op *ret,
                            struct refusal *ret_refusal)
{
    struct reading r = { .doc = doc, .arena = arena, .refusal = ret_refusal };
    struct account_op op = { 0 };
    struct envelope e;
    enum reason reason;

    reason = envelope_read(m, types, window_us, doc, arena, &e, &op.time_us, ret_refusal);
    if (reason)
        return reason;
    if (!e.data.p)
        return refuse(ret_refusal, REASON_BAD_DATA, "data is missing");
    op.id = e.id;
    op.source = e.source;
    op.type = e.type;
    op.account = e.subject;
    reason = data_read(&r, operation_find(e.type), e.data_value, &op);
    if (reason)
        return reason;
    op.key = hash_identity(op.source, op.id);
    op.digest = hash_digest(op.type, op.account, e.data);
    *ret = op;
    return REASON_NONE;
}

enum reason account_op_of_data(struct slice type, struct slice source, struct slice id,
                               struct slice account, int64_t time_us, struct slice data,
                               struct json *doc, struct arena *arena, struct account_op *ret,
                               struct refusal *ret_refusal)
{
    const struct {
        const char *name;
        struct slice text;
    } attribute[] = { { "id", id }, { "source", source }, { "subject", account } };
    struct reading r = { .doc = doc, .arena = arena, .refusal = ret_refusal };
    struct account_op op = { .id = id, .source = source, .type = type, .account = account };
    const struct operation *o = operation_find(type);
    enum reason reason;

    if (data.n > MESSAGE_BYTES_MAX)
        return refuse(ret_refusal, REASON_TOO_LARGE, "data has %zu bytes, more than 1 MiB", data.n);
    if (json_scan(doc, data.p, data.n) != 0)
        return refuse(ret_refusal, REASON_MALFORMED_JSON, "at byte %zu of data: %s", doc->at,
                      doc->reason);
    for (size_t i = 0; i < ARRAY_SIZE(attribute); i++) {
        const char *fault =
            utf8_valid(attribute[i].text) ? envelope_text_fault(attribute[i].text) : "is not UTF-8";
        if (fault)
            return refuse(ret_refusal, REASON_BAD_ATTRIBUTE, "attribute %s %s", attribute[i].name,
                          fault);
    }
    if (!o)
        return refuse(ret_refusal, REASON_UNKNOWN_TYPE, "there is no account event \"%.*s\"",
                      (int)(type.n < 80 ? type.n : 80), type.p);
    op.time_us = time_us;
    reason = data_read(&r, o, 0, &op);
    if (reason)
        return reason;
    op.key = hash_identity(source, id);
    op.digest = hash_digest(type, account, data);
    *ret = op;
    return REASON_NONE;
}
