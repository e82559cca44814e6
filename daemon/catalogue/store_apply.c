/* Applying a catalogue: one transaction that makes every change of a comparison, or none. */
#include "catalogue/compare.h"
#include "catalogue/store_parts.h"

#include "base/clock.h"
#include "base/hash.h"

#include <sysexits.h>

/* ---- parameters as text */

struct params {
    struct arena arena;
    const char *at[CATALOGUE_PARAMS_MAX];
    int n;
};

static void put(struct params *p, const char *text)
{
    ASSERT(p->n < CATALOGUE_PARAMS_MAX);
    p->at[p->n++] = text;
}

static void put_name(struct params *p, struct slice name) /* absent: null */
{
    put(p, name.p ? arena_text(&p->arena, name) : NULL);
}

static void put_decimal(struct params *p, bool has, __int128 value, int places)
{
    char text[DECIMAL_TEXT_MAX];
    if (has)
        decimal_format(value, places, text);
    put(p, has ? arena_text(&p->arena, slice_of(text)) : NULL);
}

static void put_time(struct params *p, int64_t us) /* TIME_FOREVER: null */
{
    char text[TIME_TEXT_MAX];
    if (us != TIME_FOREVER)
        time_format(us, text);
    put(p, us != TIME_FOREVER ? arena_text(&p->arena, slice_of(text)) : NULL);
}

static void put_int(struct params *p, int64_t v)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)v);
    put(p, arena_text(&p->arena, slice_of(text)));
}

static void put_flag(struct params *p, bool v)
{
    put(p, v ? "true" : "false");
}

/* Runs the query with what was put, and is ready for the next. */
static enum pg_outcome run(struct pg_session *s, const char *query, struct params *p,
                           struct pg_result **ret, struct error *ret_error)
{
    enum pg_outcome o = catalogue_query(s, query, p->n, p->at, ret, ret_error);
    arena_reset(&p->arena);
    p->n = 0;
    return o;
}

/* ---- one change */

struct applying {
    struct pg_session *session;
    int32_t version;
    struct params params;
    struct error *error;
};

static enum pg_outcome change_unit(struct applying *a, const struct unit *u)
{
    CLEANUP(pg_result_freep) struct pg_result *used = NULL;
    put_name(&a->params, u->code);
    enum pg_outcome o = run(a->session, "catalogue_unit_used", &a->params, &used, a->error);
    if (o != PG_DONE)
        return o;
    if (pg_text(used, 0, 0)[0] == 't') {
        error_set(a->error, EX_DATAERR,
                  "unit '%.*s' has balances or entries, so its value cannot change; make a unit "
                  "and plans of "
                  "other names",
                  SLICE_ARGS(u->code));
        return PG_POISON;
    }
    put_name(&a->params, u->code);
    put_name(&a->params, u->valued_in);
    put_decimal(&a->params, true, u->value, AMOUNT_PLACES);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_change_unit", &a->params, NULL, a->error);
}

static enum pg_outcome add_unit(struct applying *a, const struct unit *u)
{
    put_name(&a->params, u->code);
    put_name(&a->params, u->valued_in);
    put_decimal(&a->params, true, u->value, AMOUNT_PLACES);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_add_unit", &a->params, NULL, a->error);
}

static enum pg_outcome add_metric(struct applying *a, const struct metric *m)
{
    put_name(&a->params, m->name);
    put_name(&a->params, m->aggregation);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_add_metric", &a->params, NULL, a->error);
}

static enum pg_outcome add_price(struct applying *a, const struct price *p)
{
    const struct slice name[] = { p->plan,   p->service,   p->model,
                                  p->metric, p->component, p->currency };
    for (size_t i = 0; i < ARRAY_SIZE(name); i++)
        put_name(&a->params, name[i]);
    put_decimal(&a->params, true, p->price, AMOUNT_PLACES);
    put_decimal(&a->params, true, p->per, QUANTITY_PLACES);
    put_time(&a->params, p->from_us);
    put_time(&a->params, p->until_us);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_add_price", &a->params, NULL, a->error);
}

static enum pg_outcome end_price(struct applying *a, const struct change *c)
{
    put_int(&a->params, c->price_id);
    put_time(&a->params, c->price->until_us);
    return run(a->session, "catalogue_end_price", &a->params, NULL, a->error);
}

static enum pg_outcome add_rate(struct applying *a, const struct fx_rate *r)
{
    put_name(&a->params, r->from);
    put_name(&a->params, r->to);
    put_decimal(&a->params, true, r->rate, AMOUNT_PLACES);
    put_time(&a->params, r->from_us);
    put_time(&a->params, r->until_us);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_add_fx", &a->params, NULL, a->error);
}

static enum pg_outcome end_rate(struct applying *a, const struct fx_rate *r)
{
    put_name(&a->params, r->from);
    put_name(&a->params, r->to);
    put_time(&a->params, r->from_us);
    put_time(&a->params, r->until_us);
    return run(a->session, "catalogue_end_fx", &a->params, NULL, a->error);
}

static enum pg_outcome end_named(struct applying *a, const char *query, struct slice name)
{
    put_name(&a->params, name);
    put_int(&a->params, a->version);
    return run(a->session, query, &a->params, NULL, a->error);
}

static enum pg_outcome add_quota(struct applying *a, const char *plan_id, const struct quota *q)
{
    char thresholds[THRESHOLDS_MAX * 12 + 3] = "{";
    size_t n = 1;
    for (int i = 0; i < q->thresholds; i++)
        n += (size_t)snprintf(thresholds + n, sizeof(thresholds) - n, "%s%d", i ? "," : "",
                              q->threshold[i]);
    thresholds[n] = '}';
    put(&a->params, plan_id);
    put_name(&a->params, q->metric);
    put_decimal(&a->params, q->has_included, q->included, QUANTITY_PLACES);
    put_decimal(&a->params, q->has_overage, q->overage_price, AMOUNT_PLACES);
    put_decimal(&a->params, true, q->overage_per, QUANTITY_PLACES);
    put_decimal(&a->params, q->has_day_limit, q->day_limit, QUANTITY_PLACES);
    put(&a->params, thresholds);
    return run(a->session, "catalogue_add_quota", &a->params, NULL, a->error);
}

static enum pg_outcome add_plan(struct applying *a, const struct plan *p)
{
    static const char *const tariffs[] = { "none", "fixed", "cost_plus" };
    CLEANUP(pg_result_freep) struct pg_result *row = NULL;
    put_name(&a->params, p->name);
    put_name(&a->params, p->unit->code);
    put(&a->params, p->kind == PLAN_PREPAID ? "prepaid" : "postpaid");
    put(&a->params, tariffs[p->tariff]);
    put_decimal(&a->params, p->tariff == TARIFF_COST_PLUS, p->markup, AMOUNT_PLACES);
    put_flag(&a->params, p->trust_cost);
    put_decimal(&a->params, p->has_credits, p->credits_per_period, AMOUNT_PLACES);
    put(&a->params, !p->has_credits                      ? NULL
                    : p->credits_policy == CREDITS_RESET ? "reset"
                                                         : "rollover");
    put_decimal(&a->params, p->has_welcome, p->welcome, AMOUNT_PLACES);
    put_decimal(&a->params, p->has_low_balance, p->low_balance, AMOUNT_PLACES);
    put_decimal(&a->params, p->has_minimum, p->minimum_balance, AMOUNT_PLACES);
    put_decimal(&a->params, true, p->fee, AMOUNT_PLACES);
    put_flag(&a->params, p->enforce);
    put_int(&a->params, a->version);
    enum pg_outcome o = run(a->session, "catalogue_add_plan", &a->params, &row, a->error);
    for (int i = 0; o == PG_DONE && i < p->quotas; i++)
        o = add_quota(a, pg_text(row, 0, 0), &p->quota[i]);
    return o;
}

static enum pg_outcome add_package(struct applying *a, const struct package *p)
{
    put_name(&a->params, p->name);
    put_name(&a->params, p->unit->code);
    put_decimal(&a->params, true, p->amount, AMOUNT_PLACES);
    put_decimal(&a->params, true, p->bonus, AMOUNT_PLACES);
    put_decimal(&a->params, true, p->price, AMOUNT_PLACES);
    put_name(&a->params, p->currency);
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_add_package", &a->params, NULL, a->error);
}

static enum pg_outcome make_change(struct applying *a, const struct change *c)
{
    enum pg_outcome o;
    switch (c->kind) {
    case CHANGE_UNIT_NEW:
        return add_unit(a, c->unit);
    case CHANGE_UNIT_VALUE:
        return change_unit(a, c->unit);
    case CHANGE_METRIC_NEW:
        return add_metric(a, c->metric);
    case CHANGE_PRICE_NEW:
        return add_price(a, c->price);
    case CHANGE_PRICE_END:
        return end_price(a, c);
    case CHANGE_RATE_NEW:
        return add_rate(a, c->rate);
    case CHANGE_RATE_END:
        return end_rate(a, c->rate);
    case CHANGE_PLAN_NEW:
        return add_plan(a, c->plan);
    case CHANGE_PLAN_NEXT:
        o = end_named(a, "catalogue_end_plan", c->plan->name);
        return o == PG_DONE ? add_plan(a, c->plan) : o;
    case CHANGE_PACKAGE_NEW:
        return add_package(a, c->package);
    case CHANGE_PACKAGE_NEXT:
        o = end_named(a, "catalogue_end_package", c->package->name);
        return o == PG_DONE ? add_package(a, c->package) : o;
    case CHANGE_PACKAGE_GONE:
        return end_named(a, "catalogue_end_package", c->package->name);
    }
    ASSERT(!"a kind of change");
    return PG_DEFECT;
}

/* ---- the whole */

static void put_json_name(struct buffer *b, struct slice name)
{
    if (!name.p)
        return;
    buffer_text(b, b->n > 1 ? "," : "");
    buffer_json_string(b, name);
}

/* All names of the catalogue in one call, however many of them are new. */
static enum pg_outcome intern_names(struct applying *a, const struct catalogue *c)
{
    struct buffer names = BUFFER_NULL;
    buffer_text(&names, "[");
    for (size_t i = 0; i < c->units.n; i++)
        put_json_name(&names, c->units.at[i]->code);
    for (size_t i = 0; i < c->metrics.n; i++)
        put_json_name(&names, c->metrics.at[i]->name);
    for (size_t i = 0; i < c->plans.n; i++)
        put_json_name(&names, c->plans.at[i]->name);
    for (size_t i = 0; i < c->prices.n; i++) {
        put_json_name(&names, c->prices.at[i]->service);
        put_json_name(&names, c->prices.at[i]->model);
        put_json_name(&names, c->prices.at[i]->component);
    }
    buffer_text(&names, "]");
    put(&a->params, buffer_cstr(&names));
    enum pg_outcome o = run(a->session, "catalogue_intern", &a->params, NULL, a->error);
    buffer_fini(&names);
    return o;
}

/* Each version's digest rests on the one before, so that going back to earlier content is a version of its own. */
static void chain_digest(const char *before, struct slice changes, char ret[33])
{
    const struct slice part[] = { SLICE("debitd/catalogue/v1"), slice_of(before), changes };
    struct hash128 h = hash_parts(part, ARRAY_SIZE(part));
    for (int i = 0; i < 16; i++)
        snprintf(ret + 2 * i, 3, "%02x", h.byte[i]);
}

static enum pg_outcome make_version(struct applying *a, const struct catalogue *wanted,
                                    const struct comparison *c, const char *applied_by,
                                    const char *digest_before)
{
    char digest[33];
    chain_digest(digest_before, (struct slice){ c->text.p, c->text.n }, digest);
    enum pg_outcome o = intern_names(a, wanted);
    if (o != PG_DONE)
        return o;
    put_int(&a->params, a->version);
    put(&a->params, applied_by);
    put(&a->params, digest);
    o = run(a->session, "catalogue_add_version", &a->params, NULL, a->error);
    for (size_t i = 0; o == PG_DONE && i < c->changes.n; i++)
        o = make_change(a, &c->changes.at[i]);
    if (o != PG_DONE)
        return o;
    put_int(&a->params, a->version);
    o = run(a->session, "catalogue_set_version", &a->params, NULL, a->error);
    if (o != PG_DONE)
        return o;
    put_int(&a->params, a->version);
    return run(a->session, "catalogue_notify", &a->params, NULL, a->error);
}

static enum pg_outcome refused(const struct comparison *c, struct error *ret_error)
{
    error_set(ret_error, EX_DATAERR, "%.*s", (int)c->findings.n, c->findings.p);
    return PG_POISON;
}

static enum pg_outcome apply(struct applying *a, const struct catalogue *wanted,
                             const char *applied_by, int *ret_changes)
{
    CLEANUP(catalogue_unrefp) struct catalogue *current = NULL;
    CLEANUP(comparison_fini) struct comparison c = COMPARISON_NULL;
    char digest[65];
    enum pg_outcome o = catalogue_query(a->session, "catalogue_lock", 0, NULL, NULL, a->error);
    if (o == PG_DONE)
        o = catalogue_read(a->session, &current, digest, a->error);
    if (o != PG_DONE)
        return o;
    catalogue_compare(current, wanted, &c);
    if (c.refused)
        return refused(&c, a->error);
    *ret_changes = (int)c.changes.n;
    a->version = catalogue_version(current);
    if (c.changes.n == 0)
        return PG_DONE;
    a->version++;
    return make_version(a, wanted, &c, applied_by, digest);
}

enum pg_outcome catalogue_apply(struct pg_session *s, const struct catalogue *wanted,
                                const char *applied_by, int32_t *ret_version, int *ret_changes,
                                struct error *ret_error)
{
    struct applying a = { .session = s, .error = ret_error };
    int changes = 0;
    enum pg_outcome o = pg_script(s, "applying the catalogue", "BEGIN", ret_error);
    if (o == PG_DONE)
        o = apply(&a, wanted, applied_by, &changes);
    if (o == PG_DONE)
        o = pg_script(s, "applying the catalogue", "COMMIT", ret_error);
    arena_fini(&a.params.arena);
    if (o == PG_DONE) {
        *ret_version = a.version;
        *ret_changes = changes;
    } else if (pg_rollback(s) != PG_DONE) {
        return PG_LOST;
    }
    return o;
}

enum pg_outcome catalogue_diff(struct pg_session *s, const struct catalogue *wanted,
                               struct buffer *ret_text, int *ret_changes, struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *current = NULL;
    CLEANUP(comparison_fini) struct comparison c = COMPARISON_NULL;
    enum pg_outcome o = catalogue_load(s, &current, ret_error);
    if (o != PG_DONE)
        return o;
    catalogue_compare(current, wanted, &c);
    if (c.refused)
        return refused(&c, ret_error);
    buffer_slice(ret_text, (struct slice){ c.text.p, c.text.n });
    *ret_changes = (int)c.changes.n;
    return PG_DONE;
}
