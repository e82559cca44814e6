/* debitctl rate: rates events from standard input, one JSON line each, without a server and without a clock.
 *
 * Every account of the input pays for itself, on the one plan that was asked for. What the books remember between two events is kept here in two tables: what
 * was used in each month of each account and metric, and what came of every identity (duplicates, voids). */
#include "base/table.h"
#include "rating/rate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "catalogue/file.h"
#include "consumers/usage.h"
#include "ctl/ctl.h"
#include "model/catalogue_build.h"

#include <errno.h>
#include <sysexits.h>

struct month { /* of an account and a metric */
    struct hash128 key;
    quantity_t used;
    UT_hash_handle hh;
};

enum outcome { BOOKED, PARKED, VOIDED, VOID };

struct seen { /* an identity that was taken */
    struct hash128 key, digest;
    enum outcome outcome;
    struct usage_event event; /* copied; only what a void of it needs */
    struct rated rated;
    UT_hash_handle hh;
};

struct rater {
    const struct catalogue *catalogue;
    const struct plan *plan;
    struct month *months;
    struct seen *seen;
    struct arena kept;    /* of the two tables */
    struct arena passing; /* of one line */
    struct json doc;
    struct buffer out;
    int64_t last_us; /* the time of an event that has none */
};

/* ---- output */

static void put_string(struct buffer *b, const char *name, struct slice value)
{
    buffer_format(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
    if (value.p)
        buffer_json_string(b, value);
    else
        buffer_text(b, "null");
}

static void put_decimal(struct buffer *b, const char *name, bool known, __int128 value, int places)
{
    char text[DECIMAL_TEXT_MAX];
    size_t n = known ? decimal_format(value, places, text) : 0;
    put_string(b, name, known ? (struct slice){ text, n } : SLICE_ABSENT);
}

static void put_components(struct buffer *b, const struct usage_event *e, const struct rated *r)
{
    char text[DECIMAL_TEXT_MAX];
    buffer_text(b, ",\"components\":{");
    for (uint32_t i = 0; i < e->components; i++) {
        buffer_text(b, i ? "," : "");
        buffer_json_string(b, e->component[i].name);
        decimal_format(e->component[i].quantity, QUANTITY_PLACES, text);
        buffer_format(b, ":{\"quantity\":\"%s\"", text);
        put_decimal(b, "cost", r->component[i].cost_known, r->component[i].cost, AMOUNT_PLACES);
        put_decimal(b, "charge", true, r->component[i].charge, AMOUNT_PLACES);
        buffer_text(b, "}");
    }
    buffer_text(b, "}");
}

static void put_rated(struct rater *t, struct slice id, const struct usage_event *e,
                      const struct rated *r)
{
    struct buffer *b = &t->out;
    put_string(b, "id", id);
    put_string(b, "account", e->account);
    put_string(b, "metric", e->metric);
    put_decimal(b, "quantity", true, e->quantity, QUANTITY_PLACES);
    put_decimal(b, "cost", r->cost_known, r->cost, AMOUNT_PLACES);
    put_string(b, "currency", r->currency);
    put_decimal(b, "charge", true, r->charge, AMOUNT_PLACES);
    put_string(b, "unit", t->plan->unit->code);
    put_components(b, e, r);
}

static void put_reason(struct rater *t, struct slice id, struct slice account, const char *reason,
                       const char *detail)
{
    put_string(&t->out, "id", id);
    put_string(&t->out, "account", account);
    put_string(&t->out, "reason", slice_of(reason));
    if (*detail)
        put_string(&t->out, "detail", slice_of(detail));
}

/* ---- what is remembered */

static struct month *month_of(struct rater *t, struct slice account, struct slice metric,
                              int64_t time_us)
{
    int32_t first = month_of_day(day_of_time(time_us));
    const struct slice part[] = { account, metric, { (const char *)&first, sizeof(first) } };
    struct hash128 key = hash_parts(part, ARRAY_SIZE(part));
    struct month *m;
    HASH_FIND(hh, t->months, &key, sizeof(key), m);
    if (!m) {
        m = arena_zalloc(&t->kept, sizeof(*m));
        m->key = key;
        HASH_ADD(hh, t->months, key, sizeof(m->key), m);
    }
    return m;
}

static struct seen *find_seen(struct rater *t, const struct hash128 *key)
{
    struct seen *s;
    HASH_FIND(hh, t->seen, key, sizeof(*key), s);
    return s;
}

static void remember(struct rater *t, const struct usage_event *e, const struct rated *r,
                     enum outcome outcome)
{
    struct seen *s = arena_zalloc(&t->kept, sizeof(*s));
    s->key = e->key;
    s->digest = e->digest;
    s->outcome = outcome;
    s->event = *e;
    s->event.id = arena_copy(&t->kept, e->id);
    s->event.account = arena_copy(&t->kept, e->account);
    s->event.metric = arena_copy(&t->kept, e->metric);
    s->event.component = arena_zalloc(&t->kept, e->components * sizeof(*e->component));
    for (uint32_t i = 0; i < e->components; i++) {
        s->event.component[i] = e->component[i];
        s->event.component[i].name = arena_copy(&t->kept, e->component[i].name);
    }
    if (r)
        s->rated = *r;
    HASH_ADD(hh, t->seen, key, sizeof(s->key), s);
}

/* ---- one event */

static void rate_recorded(struct rater *t, const struct usage_event *e)
{
    struct month *m = month_of(t, e->account, e->metric, e->time_us);
    struct rating_context ctx = { .catalogue = t->catalogue,
                                  .plan = t->plan,
                                  .used_before = m->used };
    struct rated r;
    struct refusal refusal = { 0 };
    enum reason reason = rate_usage(&ctx, e, &r, &refusal);
    if (reason == REASON_NONE) {
        m->used += e->quantity;
        put_rated(t, e->id, e, &r);
        remember(t, e, &r, BOOKED);
        return;
    }
    put_reason(t, e->id, e->account, reason_text(reason), refusal.detail);
    if (reason_is_parked(reason))
        remember(t, e, NULL, PARKED);
}

/* The original with everything negated; the charge is what the void gives back. */
static void rate_voided(struct rater *t, const struct usage_event *e, struct seen *original)
{
    struct usage_event back = original->event;
    struct rated r = original->rated;
    back.component = arena_zalloc(&t->passing, back.components * sizeof(*back.component));
    struct month *m = month_of(t, back.account, back.metric, back.time_us);
    amount_t charge = rate_void(t->plan, back.metric, r.kind, r.charge, back.quantity, m->used);
    m->used -= back.quantity;
    back.quantity = -back.quantity;
    r.cost = -r.cost;
    r.charge = -charge;
    for (uint32_t i = 0; i < back.components; i++) {
        back.component[i].name = original->event.component[i].name;
        back.component[i].quantity = -original->event.component[i].quantity;
        r.component[i].cost = -r.component[i].cost;
        r.component[i].charge = -r.component[i].charge;
    }
    if (r.kind == CHARGE_QUOTA)
        split_charge(r.charge, r.component, back.components);
    put_rated(t, e->id, &back, &r);
    put_string(&t->out, "voids", original->event.id);
}

static void take_back(struct rater *t, const struct usage_event *e)
{
    struct seen *original = find_seen(t, &e->void_key);
    if (!original || original->outcome == VOID ||
        !slice_equal(original->event.account, e->account)) {
        put_reason(t, e->id, e->account, reason_text(REASON_UNKNOWN_EVENT),
                   "the input has no such usage event of this account before");
        return;
    }
    if (original->outcome == VOIDED) {
        put_reason(t, e->id, e->account, reason_text(REASON_ALREADY_VOIDED), "");
        return;
    }
    if (original->outcome == BOOKED) {
        rate_voided(t, e, original);
    } else { /* parked: it leaves no entry, and neither does its void */
        put_string(&t->out, "id", e->id);
        put_string(&t->out, "account", e->account);
        put_string(&t->out, "voids", original->event.id);
    }
    original->outcome = VOIDED;
    remember(t, e, NULL, VOID);
}

/* An attribute of an event that was refused, for people; absent where it cannot be had. */
static struct slice attribute(struct rater *t, enum reason reason, const char *name)
{
    if (reason == REASON_TOO_LARGE || reason == REASON_MALFORMED_JSON ||
        t->doc.value[0].type != JSON_IS_OBJECT)
        return SLICE_ABSENT;
    uint32_t at = json_member(&t->doc, 0, name);
    return at && t->doc.value[at].type == JSON_IS_STRING ? json_content(&t->doc, at, &t->passing)
                                                      : SLICE_ABSENT;
}

/* Without an acceptance window: the message has no timestamp. An event without a time takes that of the one before it. */
static enum reason decode(struct rater *t, struct slice line, struct usage_event *ret,
                          struct refusal *ret_refusal)
{
    struct message m = {
        .kind = TOPIC_USAGE, .topic = "usage.events", .timestamp_us = -1, .value = line
    };
    enum reason reason = usage_decode(&m, 0, &t->doc, &t->passing, ret, ret_refusal);
    if (reason != REASON_BAD_TIME || json_member(&t->doc, 0, "time"))
        return reason;
    m.timestamp_us = t->last_us;
    return usage_decode(&m, 0, &t->doc, &t->passing, ret, ret_refusal);
}

static void rate_line(struct rater *t, struct slice line)
{
    struct usage_event e;
    struct refusal refusal = { 0 };
    enum reason reason = decode(t, line, &e, &refusal);
    buffer_text(&t->out, "{");
    if (reason != REASON_NONE) {
        put_reason(t, attribute(t, reason, "id"), attribute(t, reason, "subject"),
                   reason_text(reason), refusal.detail);
        return;
    }
    t->last_us = e.time_us;
    struct seen *before = find_seen(t, &e.key);
    if (before && memcmp(&before->digest, &e.digest, sizeof(e.digest)) == 0)
        put_reason(t, e.id, e.account, "duplicate", "");
    else if (before)
        put_reason(t, e.id, e.account, reason_text(REASON_ID_REUSED),
                   "the same source and id came before with other type, subject or data");
    else if (e.kind == USAGE_RECORDED)
        rate_recorded(t, &e);
    else
        take_back(t, &e);
}

/* ---- the whole input */

static int rate_input(struct rater *t, FILE *in, FILE *out, struct error *ret_error)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    errno = 0;
    while ((n = getline(&line, &room, in)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n == 0)
            continue; /* an empty line is no event */
        rate_line(t, (struct slice){ line, (size_t)n });
        buffer_text(&t->out, "}\n");
        fwrite(t->out.p, 1, t->out.n, out);
        t->out.n = 0;
        arena_reset(&t->passing);
    }
    free(line);
    if (ferror(in))
        error_set(ret_error, EX_DATAERR, "reading the events from standard input: %s",
                  strerror(errno));
    else if (fflush(out) != 0 || ferror(out))
        error_set(ret_error, EX_IOERR, "writing to standard output: %s", strerror(errno));
    else
        return 0;
    return ctl_failed(ret_error);
}

static int no_such_plan(const struct catalogue *c, const char *path, const char *plan,
                        struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer names = BUFFER_NULL;
    for (size_t i = 0; i < c->plans.n; i++)
        buffer_format(&names, "%s%.*s", i ? ", " : "", SLICE_ARGS(c->plans.at[i]->name));
    error_set(ret_error, EX_DATAERR, "%s has no plan '%s'; it has %s", path, plan,
              c->plans.n ? buffer_cstr(&names) : "none at all");
    return ctl_failed(ret_error);
}

/* Where the first event of the input has no time: the newest prices. */
static int64_t newest_price_us(const struct catalogue *c)
{
    int64_t newest = 0;
    for (size_t i = 0; i < c->prices.n; i++)
        if (c->prices.at[i]->from_us > newest)
            newest = c->prices.at[i]->from_us;
    return newest;
}

int ctl_rate(struct ctl *c, struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *catalogue = NULL;
    const char *path = ctl_option(c, "catalog"), *plan = ctl_option(c, "plan");
    if (!path || !plan)
        return ctl_wrong_use(ret_error, "rate needs --%s", path ? "plan PLAN" : "catalog FILE");
    if (catalogue_read_file(path, &catalogue, ret_error) < 0)
        return ctl_failed(ret_error);
    struct rater t = { .catalogue = catalogue,
                       .plan = catalogue_plan(catalogue, slice_of(plan)),
                       .last_us = newest_price_us(catalogue) };
    if (!t.plan)
        return no_such_plan(catalogue, path, plan, ret_error);
    int code = rate_input(&t, stdin, stdout, ret_error);
    HASH_CLEAR(hh, t.months);
    HASH_CLEAR(hh, t.seen);
    arena_fini(&t.kept);
    arena_fini(&t.passing);
    json_fini(&t.doc);
    buffer_fini(&t.out);
    return code;
}
