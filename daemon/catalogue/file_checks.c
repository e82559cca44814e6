/* What no single entry of a catalogue file shows: two prices or rates in force at once, fixed prices that can never
 * apply. Every finding names both lines. */
#include "catalogue/file_parts.h"

#include "base/clock.h"

static void format_time(int64_t us, char out[TIME_TEXT_MAX])
{
    if (us % US_PER_DAY == 0)
        day_format(day_of_time(us), out);
    else
        time_format(us, out);
}

static void overlap(struct reading *r, const char *what, int line, int64_t from_us, int other,
                    int64_t other_until_us)
{
    char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX] = "";
    format_time(from_us, from);
    if (other_until_us == TIME_FOREVER) {
        finding_at_line(
            r, line,
            "this %s is in force from %s, but the one of line %d has no end: end that by "
            "effective_until = \"%s\"",
            what, from, other, from);
        return;
    }
    format_time(other_until_us, until);
    finding_at_line(r, line, "this %s is in force from %s, but the one of line %d is until %s",
                    what, from, other, until);
}

static int order_prices(const void *a, const void *b)
{
    const struct price *l = *(const struct price *const *)a, *r = *(const struct price *const *)b;
    int order = price_compare(l, r);
    return order ? order : l->line - r->line;
}

static int order_rates(const void *a, const void *b)
{
    const struct fx_rate *l = *(const struct fx_rate *const *)a;
    const struct fx_rate *r = *(const struct fx_rate *const *)b;
    int order = fx_rate_compare(l, r);
    return order ? order : l->line - r->line;
}

static bool same_name(struct slice a, struct slice b)
{
    return (a.p == NULL) == (b.p == NULL) && slice_equal(a, b);
}

static bool same_key(const struct price *a, const struct price *b)
{
    return same_name(a->plan, b->plan) && same_name(a->metric, b->metric) &&
           same_name(a->service, b->service) && same_name(a->model, b->model) &&
           same_name(a->component, b->component);
}

/* Sorted, an overlap shows between a price and the one of its series that lasts longest so far. */
static void check_prices(struct reading *r)
{
    struct catalogue *c = r->catalogue;
    if (c->prices.n > 1)
        qsort(c->prices.at, c->prices.n, sizeof(*c->prices.at), order_prices);
    const struct price *longest = NULL;
    int currencies = 1;
    for (size_t i = 0; i < c->prices.n; i++) {
        const struct price *p = c->prices.at[i], *before = i ? c->prices.at[i - 1] : NULL;
        if (before && price_same_series(before, p)) {
            if (longest->until_us > p->from_us)
                overlap(r, "price", p->line, p->from_us, longest->line, longest->until_us);
            longest = longest->until_us >= p->until_us ? longest : p;
            continue;
        }
        longest = p;
        currencies = before && same_key(before, p) ? currencies + 1 : 1;
        if (currencies == PRICE_CURRENCIES_MAX + 1)
            finding_at_line(r, p->line, "one key is priced in more than %d currencies",
                            PRICE_CURRENCIES_MAX);
    }
}

static void check_rates(struct reading *r)
{
    struct catalogue *c = r->catalogue;
    if (c->rates.n > 1)
        qsort(c->rates.at, c->rates.n, sizeof(*c->rates.at), order_rates);
    const struct fx_rate *longest = NULL;
    for (size_t i = 0; i < c->rates.n; i++) {
        const struct fx_rate *x = c->rates.at[i];
        if (!longest || !fx_rate_same_series(longest, x)) {
            longest = x;
            continue;
        }
        if (longest->until_us > x->from_us)
            overlap(r, "rate", x->line, x->from_us, longest->line, longest->until_us);
        longest = longest->until_us >= x->until_us ? longest : x;
    }
}

/* A fixed price that has an end may stay as history when its plan's rules change. */
static void check_fixed_prices(struct reading *r)
{
    for (size_t i = 0; i < r->catalogue->prices.n; i++) {
        const struct price *p = r->catalogue->prices.at[i];
        const struct plan *plan = p->plan.p ? find_plan(r, p->plan) : NULL;
        if (!plan || p->until_us != TIME_FOREVER)
            continue;
        const struct quota *q = plan_quota(plan, p->metric);
        if (plan->tariff != TARIFF_FIXED)
            finding_at_line(
                r, p->line,
                "plan '%.*s' of line %d has not tariff = \"fixed\", so this fixed price "
                "never applies",
                SLICE_ARGS(plan->name), plan->line);
        else if (q && q->has_included)
            finding_at_line(r, p->line,
                            "plan '%.*s' of line %d has a month quota on '%.*s', which goes before "
                            "its tariff, so this fixed price never applies",
                            SLICE_ARGS(plan->name), plan->line, SLICE_ARGS(p->metric));
    }
}

void check_catalogue(struct reading *r)
{
    check_prices(r);
    check_rates(r);
    check_fixed_prices(r);
}
