/* The alert rules of contract 4 that one entry can trip. Pure: each compares a value just before the entry with the
 * value just after it, so that how events fell into batches can never show. */
#include "rating/alert_rules.h"

/* used < T% of included, without dividing: used * 100 < T * included. Quantities are below 2^70, so nothing here
 * comes near 128 bits. With nothing included every quantity above 0 is beyond every threshold. */
static bool below(const struct quota *quota, quantity_t used, int32_t threshold)
{
    if (quota->included == 0)
        return used <= 0;
    return used * 100 < quota->included * threshold;
}

int crossed_thresholds(const struct quota *quota, quantity_t used_before, quantity_t used_after,
                       int32_t *ret)
{
    int n = 0;
    if (!quota->has_included)
        return 0;
    for (int i = 0; i < quota->thresholds; i++) {
        int32_t threshold = quota->threshold[i];
        if (below(quota, used_before, threshold) && !below(quota, used_after, threshold))
            ret[n++] = threshold;
    }
    return n;
}

const char *balance_alert_type(enum balance_alert a)
{
    switch (a) {
    case BALANCE_LOW:
        return "balance.low";
    case BALANCE_EXHAUSTED:
        return "balance.exhausted";
    case BALANCE_RECOVERED:
        return "balance.recovered";
    }
    ASSERT(!"a balance alert");
    return "";
}

int balance_alerts(const struct plan *plan, amount_t before, amount_t after, bool has_charge,
                   enum balance_alert ret[3])
{
    int n = 0;
    if (plan->kind == PLAN_POSTPAID)
        return 0;
    if (plan->has_low_balance && before >= plan->low_balance && plan->low_balance > after)
        ret[n++] = BALANCE_LOW;
    if (before > 0 && after <= 0)
        ret[n++] = BALANCE_EXHAUSTED;
    if (plan->has_low_balance && has_charge && before < plan->low_balance &&
        plan->low_balance <= after)
        ret[n++] = BALANCE_RECOVERED;
    return n;
}
