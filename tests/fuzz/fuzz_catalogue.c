/* The catalogue file: no input crashes it; a refusal says how many findings there are, and something; what is
 * accepted keeps the contract's bounds, and nothing changes when it is applied over itself. */
#include "catalogue/compare.h"
#include "catalogue/file.h"
#include "tests/fuzz/input.h"

#define PRICE_LIMIT (1000000 * AMOUNT_ONE)

static void prices_check(const struct catalogue *c)
{
    for (size_t i = 0; i < c->prices.n; i++) {
        const struct price *p = c->prices.at[i];
        CLAIM(p->price >= 0 && p->price <= PRICE_LIMIT && p->per > 0 && p->from_us < p->until_us);
        CLAIM(p->metric.p && p->currency.p && p->line > 0);
        for (size_t k = 0; k < i; k++) {
            const struct price *q = c->prices.at[k];
            CLAIM(!price_same_series(p, q) || p->until_us <= q->from_us ||
                  q->until_us <= p->from_us);
        }
    }
    for (size_t i = 0; i < c->rates.n; i++)
        CLAIM(c->rates.at[i]->rate > 0 && c->rates.at[i]->from_us < c->rates.at[i]->until_us);
}

static void plans_check(const struct catalogue *c)
{
    for (size_t i = 0; i < c->plans.n; i++) {
        const struct plan *p = c->plans.at[i];
        CLAIM(p->unit && catalogue_plan(c, p->name) == p && p->markup >= 0);
        for (int q = 0; q < p->quotas; q++) {
            const struct quota *quota = &p->quota[q];
            CLAIM(plan_quota(p, quota->metric) == quota);
            CLAIM(!quota->has_overage || quota->overage_per > 0);
            for (int t = 0; t < quota->thresholds; t++)
                CLAIM(quota->threshold[t] > (t ? quota->threshold[t - 1] : 0));
        }
    }
    for (size_t i = 0; i < c->packages.n; i++)
        CLAIM(c->packages.at[i]->unit && c->packages.at[i]->amount > 0);
}

static void apply_over_itself(const struct catalogue *c, const char *path)
{
    struct comparison comparison = COMPARISON_NULL;
    struct catalogue *again = NULL;
    struct error e = { 0 };

    CLAIM(catalogue_read_file(path, &again, &e) == 0);
    catalogue_compare(c, again, &comparison);
    CLAIM(comparison.changes.n == 0);
    if (comparison.refused) /* a price file does not stand by itself */
        CLAIM(strstr(buffer_cstr(&comparison.findings), "a price file is named in") != NULL);
    comparison_fini(&comparison);
    catalogue_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalogue *c = NULL;
    struct error e = { 0 };

    if (input_includes(data, size))
        return 0;
    const char *path = input_file(data, size);
    int findings = catalogue_read_file(path, &c, &e);
    CLAIM(findings <= 0 && !findings == !e.text[0] && !findings == !!c);
    if (c) {
        prices_check(c);
        plans_check(c);
        apply_over_itself(c, path);
    }
    catalogue_unref(c);
    return 0;
}
