/* The rules of money (contract 2): what an event costs, what it is charged, what a void gives back.
 *
 * Every product is exact until the one place where the contract rounds: decimal_mul_div() has a 256-bit intermediate. */
#include "rating/rate.h"

static const struct slice ABSENT = { NULL, 0 };

const char *charge_kind_text(enum charge_kind k)
{
    switch (k) {
    case CHARGE_FREE:
        return "free";
    case CHARGE_QUOTA:
        return "quota";
    case CHARGE_FIXED:
        return "fixed";
    case CHARGE_COST_PLUS:
        return "cost_plus";
    }
    ASSERT(!"a charge kind");
    return "";
}

const char *price_source_text(enum price_source s)
{
    switch (s) {
    case PRICE_SOURCE_NONE:
        return "";
    case PRICE_SOURCE_CATALOGUE:
        return "catalogue";
    case PRICE_SOURCE_FILE:
        return "file";
    case PRICE_SOURCE_EVENT:
        return "event";
    }
    ASSERT(!"a price source");
    return "";
}

static bool in_range(amount_t a)
{
    return -AMOUNT_LIMIT < a && a < AMOUNT_LIMIT;
}

/* The file is named as soon as anything came from it. */
static void note_source(struct rated *r, enum price_source s)
{
    if (r->source != PRICE_SOURCE_FILE)
        r->source = s;
}

static void note_missing(struct rated *r, const struct usage_event *event, uint32_t missing)
{
    r->missing |= missing;
    if (r->missing == 0)
        return;
    r->price_missing = true;
    r->missing_component = event->component[__builtin_ctz(r->missing)].name;
}

/* ---- cost */

struct cost_price {
    const struct price *price;
    amount_t rate; /* into the currency asked for */
    enum price_source source;
};

static bool convert(const struct rating_context *ctx, const struct price *price,
                    struct slice currency, int64_t time_us, struct cost_price *ret)
{
    ret->price = price;
    if (catalogue_fx(ctx->catalogue, price->currency, currency, time_us, &ret->rate))
        return true;
    if (!ctx->price_file ||
        !catalogue_fx(ctx->price_file, price->currency, currency, time_us, &ret->rate))
        return false;
    ret->source = PRICE_SOURCE_FILE;
    return true;
}

/* The price in the currency itself goes before one that must be converted; with neither the cost is unknown, and the
 * price file is not asked: the catalogue has a price. */
static bool find_cost_price(const struct rating_context *ctx, const struct usage_event *e,
                            struct slice component, struct slice currency, struct cost_price *ret)
{
    const struct price *found[PRICE_CURRENCIES_MAX];
    int n = catalogue_prices(ctx->catalogue, ABSENT, e->service, e->model, e->metric, component,
                             e->time_us, found);
    ret->source = PRICE_SOURCE_CATALOGUE;
    if (n == 0 && ctx->price_file) {
        n = catalogue_prices(ctx->price_file, ABSENT, e->service, e->model, e->metric, component,
                             e->time_us, found);
        ret->source = PRICE_SOURCE_FILE;
    }
    for (int i = 0; i < n; i++)
        if (slice_equal(found[i]->currency, currency))
            return convert(ctx, found[i], currency, e->time_us, ret);
    for (int i = 0; i < n; i++)
        if (convert(ctx, found[i], currency, e->time_us, ret))
            return true;
    return false;
}

/* round12(quantity x price x rate / per), rounded once: it is the price that is converted (contract 2.2).
 * quantity x price is at most 1e18 x 1e18, which 127 bits hold. */
static bool price_quantity(quantity_t quantity, const struct cost_price *p, amount_t *ret)
{
    amount_t cost;
    if (p->rate == AMOUNT_ONE)
        return amount_of_quantity(quantity, p->price->price, p->price->per, ret);
    if (!decimal_mul_div(quantity * p->price->price, p->rate, p->price->per * AMOUNT_ONE, &cost) ||
        !in_range(cost))
        return false;
    *ret = cost;
    return true;
}

/* The provider's own word, over the components in proportion to quantity; the last takes the rest. */
static void cost_of_event(const struct usage_event *e, struct rated *r)
{
    amount_t left = e->cost;
    for (uint32_t i = 0; i < e->components; i++) {
        amount_t part = left;
        if (i + 1 < e->components &&
            (e->quantity == 0 ||
             !decimal_mul_div(e->cost, e->component[i].quantity, e->quantity, &part)))
            part = 0;
        r->component[i].cost = part;
        r->component[i].cost_known = true;
        left -= part;
    }
    r->cost = e->cost;
    r->cost_known = true;
    r->source = PRICE_SOURCE_EVENT;
}

/* Fills cost, source, price ids. Returns false where a sum is out of range; *ret_missing has a bit for each component
 * without a price. */
static bool cost_of_prices(const struct rating_context *ctx, const struct usage_event *e,
                           struct rated *r, uint32_t *ret_missing)
{
    uint32_t missing = 0;
    amount_t sum = 0;
    for (uint32_t i = 0; i < e->components; i++) {
        struct rated_component *c = &r->component[i];
        struct cost_price p;
        if (!find_cost_price(ctx, e, e->component[i].name, r->currency, &p)) {
            missing |= UINT32_C(1) << i;
            continue;
        }
        if (!price_quantity(e->component[i].quantity, &p, &c->cost) ||
            !amount_add(sum, c->cost, &sum))
            return false;
        c->cost_known = true;
        c->price_id = p.source == PRICE_SOURCE_CATALOGUE ? p.price->price_id : 0;
        note_source(r, p.source);
    }
    r->cost_known = missing == 0;
    r->cost = r->cost_known ? sum : 0;
    *ret_missing = missing;
    return true;
}

/* ---- charge */

/* C(used) of contract 2.3. */
static bool overage(const struct quota *q, quantity_t used, amount_t *ret)
{
    *ret = 0;
    if (!q->has_overage || used <= q->included)
        return true;
    return decimal_mul_div(used - q->included, q->overage_price, q->overage_per, ret);
}

/* Not C(u) but the difference is the amount that must stay in range. */
static bool overage_between(const struct quota *q, quantity_t before, quantity_t after,
                            amount_t *ret)
{
    amount_t lower, upper;
    if (!overage(q, before, &lower) || !overage(q, after, &upper) || !in_range(upper - lower))
        return false;
    *ret = upper - lower;
    return true;
}

static const struct price *find_fixed_price(const struct rating_context *ctx,
                                            const struct usage_event *e, struct slice component,
                                            enum price_source *ret_source)
{
    *ret_source = PRICE_SOURCE_CATALOGUE;
    const struct price *p = catalogue_price(ctx->catalogue, ctx->plan->name, e->service, e->model,
                                            e->metric, component, e->time_us);
    if (p || !ctx->price_file)
        return p;
    *ret_source = PRICE_SOURCE_FILE;
    return catalogue_price(ctx->price_file, ctx->plan->name, e->service, e->model, e->metric,
                           component, e->time_us);
}

static bool has_fixed_prices(const struct rating_context *ctx, struct slice metric)
{
    return catalogue_plan_prices_metric(ctx->catalogue, ctx->plan->name, metric) ||
           (ctx->price_file &&
            catalogue_plan_prices_metric(ctx->price_file, ctx->plan->name, metric));
}

/* As cost_of_prices, for the charge: each component has its own. */
static bool charge_fixed(const struct rating_context *ctx, const struct usage_event *e,
                         struct rated *r, uint32_t *ret_missing)
{
    uint32_t missing = 0;
    bool cost_has_source = r->source != PRICE_SOURCE_NONE;
    amount_t sum = 0;
    for (uint32_t i = 0; i < e->components; i++) {
        enum price_source source;
        const struct price *p = find_fixed_price(ctx, e, e->component[i].name, &source);
        if (!p) {
            missing |= UINT32_C(1) << i;
            continue;
        }
        amount_t charge;
        if (!amount_of_quantity(e->component[i].quantity, p->price, p->per, &charge) ||
            !amount_add(sum, charge, &sum))
            return false;
        r->component[i].charge = charge;
        if (!cost_has_source || source == PRICE_SOURCE_FILE)
            note_source(r, source);
    }
    r->charge = sum;
    r->kind = CHARGE_FIXED;
    *ret_missing = missing;
    return true;
}

/* round12(cost x (100 + markup) / 100 / value of one unit) with a single rounding: all three figures are scaled 1e12,
 * so the scales of (100 + markup) and of the value cancel and only the 100 stays below the line. Below 2^100 each,
 * their product within the 256 bits. */
static bool charge_cost_plus(const struct plan *plan, amount_t cost, amount_t *ret)
{
    amount_t charge;
    if (!decimal_mul_div(cost, 100 * AMOUNT_ONE + plan->markup, 100 * plan->unit->value, &charge) ||
        !in_range(charge))
        return false;
    *ret = charge;
    return true;
}

static amount_t magnitude(amount_t a)
{
    return a < 0 ? -a : a;
}

void split_charge(amount_t charge, struct rated_component *component, uint32_t components)
{
    amount_t total = 0, left = charge;
    for (uint32_t i = 0; i < components; i++)
        total += component[i].cost_known ? magnitude(component[i].cost) : 0;
    for (uint32_t i = 0; i < components; i++) {
        amount_t part = left;
        amount_t cost = component[i].cost_known ? magnitude(component[i].cost) : 0;
        if (i + 1 < components && (total == 0 || !decimal_mul_div(charge, cost, total, &part)))
            part = 0;
        component[i].charge = part;
        left -= part;
    }
}

/* ---- the whole */

static enum reason refuse_range(const struct usage_event *e, const char *what,
                                struct refusal *ret_refusal)
{
    return refuse(ret_refusal, REASON_OUT_OF_RANGE,
                  "the %s of this usage of '%.*s' is 1e18 or more", what, SLICE_ARGS(e->metric));
}

static enum reason refuse_unpriced(const struct rating_context *ctx, const struct usage_event *e,
                                   const char *kind, uint32_t missing, struct rated *r,
                                   struct refusal *ret_refusal)
{
    note_missing(r, e, missing);
    return refuse(
        ret_refusal, REASON_UNPRICED,
        "plan '%.*s' has no %s for metric '%.*s', service '%.*s', model '%.*s', component '%.*s'",
        SLICE_ARGS(ctx->plan->name), kind, SLICE_ARGS(e->metric), SLICE_ARGS(e->service),
        SLICE_ARGS(e->model), SLICE_ARGS(r->missing_component));
}

/* Contract 2.3 for usage that is charged at all: quota, then tariff, then "only a day limit". */
static enum reason charge_usage(const struct rating_context *ctx, const struct usage_event *e,
                                uint32_t cost_missing, struct rated *r, struct refusal *ret_refusal)
{
    const struct plan *plan = ctx->plan;
    const struct quota *quota = plan_quota(plan, e->metric);
    const uint32_t all = (UINT32_C(1) << e->components) - 1;
    if (quota && quota->has_included) {
        r->kind = CHARGE_QUOTA;
        if (!overage_between(quota, ctx->used_before, ctx->used_before + e->quantity, &r->charge))
            return refuse_range(e, "charge", ret_refusal);
        split_charge(r->charge, r->component, e->components);
        return REASON_NONE;
    }
    if (plan->tariff == TARIFF_COST_PLUS) {
        r->kind = CHARGE_COST_PLUS;
        if (!r->cost_known)
            return refuse_unpriced(ctx, e, "cost price", cost_missing, r, ret_refusal);
        if (!charge_cost_plus(plan, r->cost, &r->charge))
            return refuse_range(e, "charge", ret_refusal);
        split_charge(r->charge, r->component, e->components);
        return REASON_NONE;
    }
    if (plan->tariff == TARIFF_FIXED && (!quota || has_fixed_prices(ctx, e->metric))) {
        uint32_t missing;
        if (!charge_fixed(ctx, e, r, &missing))
            return refuse_range(e, "charge", ret_refusal);
        if (missing)
            return refuse_unpriced(ctx, e, "fixed price", missing | cost_missing, r, ret_refusal);
        return REASON_NONE;
    }
    if (quota) /* only a day limit: the check's business, not the charge's */
        return REASON_NONE;
    return refuse_unpriced(ctx, e, "tariff", all, r, ret_refusal);
}

enum reason rate_usage(const struct rating_context *ctx, const struct usage_event *event,
                       struct rated *ret, struct refusal *ret_refusal)
{
    ASSERT(event->kind == USAGE_RECORDED && event->components > 0 &&
           event->components <= COMPONENTS_MAX);
    memset(ret, 0,
           offsetof(struct rated, component) + event->components * sizeof ret->component[0]);
    ret->kind = CHARGE_FREE;
    ret->currency = ctx->plan->unit->valued_in;
    if (!catalogue_has_metric(ctx->catalogue, event->metric))
        return refuse(ret_refusal, REASON_UNKNOWN_METRIC, "the catalogue has no metric '%.*s'",
                      SLICE_ARGS(event->metric));
    uint32_t missing = 0;
    if (ctx->byok) {
        ret->cost_known = true;
        for (uint32_t i = 0; i < event->components; i++)
            ret->component[i].cost_known = true;
        return REASON_NONE;
    }
    if (event->has_cost && ctx->plan->trust_cost)
        cost_of_event(event, ret);
    else if (!cost_of_prices(ctx, event, ret, &missing))
        return refuse_range(event, "cost", ret_refusal);
    if (!ctx->guest) {
        enum reason reason = charge_usage(ctx, event, missing, ret, ret_refusal);
        if (reason != REASON_NONE)
            return reason;
    }
    note_missing(ret, event, missing);
    return REASON_NONE;
}

amount_t rate_void(const struct plan *plan_now, struct slice metric, enum charge_kind original_kind,
                   amount_t original_charge, quantity_t original_quantity, quantity_t used_before)
{
    const struct quota *quota = plan_quota(plan_now, metric);
    amount_t back;
    if (original_kind == CHARGE_QUOTA && quota && quota->has_included &&
        overage_between(quota, used_before - original_quantity, used_before, &back))
        return back;
    return original_charge;
}
