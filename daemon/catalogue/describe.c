/* Prices and plans in words: for people, and to tell whether two plans say the same. */
#include "catalogue/compare.h"

#include "base/clock.h"

static void put_amount(struct buffer *to, const char *name, bool has, amount_t value)
{
    char text[DECIMAL_TEXT_MAX];
    if (!has)
        return;
    decimal_format(value, AMOUNT_PLACES, text);
    buffer_format(to, "%s = %s\n", name, text);
}

static void put_time(struct buffer *to, const char *word, int64_t us)
{
    char text[TIME_TEXT_MAX];
    if (us == TIME_FOREVER)
        return;
    if (us % US_PER_DAY == 0)
        day_format(day_of_time(us), text);
    else
        time_format(us, text);
    buffer_format(to, ", %s %s", word, text);
}

static struct slice or_star(struct slice name)
{
    return name.p ? name : SLICE("*");
}

void price_describe(const struct price *p, struct buffer *to)
{
    char price[DECIMAL_TEXT_MAX], per[DECIMAL_TEXT_MAX];
    decimal_format(p->price, AMOUNT_PLACES, price);
    decimal_format(p->per, QUANTITY_PLACES, per);
    struct slice service = or_star(p->service), model = or_star(p->model);
    struct slice component = or_star(p->component);
    if (p->plan.p)
        buffer_format(to, "plan %.*s ", SLICE_ARGS(p->plan));
    buffer_format(to, "%.*s/%.*s %.*s %.*s: %s %.*s per %s", SLICE_ARGS(service), SLICE_ARGS(model),
                  SLICE_ARGS(p->metric), component.n ? (int)component.n : 2,
                  component.n ? component.p : "''", price, SLICE_ARGS(p->currency), per);
    put_time(to, "from", p->from_us);
    put_time(to, "until", p->until_us);
}

void rate_describe(const struct fx_rate *r, struct buffer *to)
{
    char rate[DECIMAL_TEXT_MAX];
    decimal_format(r->rate, AMOUNT_PLACES, rate);
    buffer_format(to, "1 %.*s is %s %.*s", SLICE_ARGS(r->from), rate, SLICE_ARGS(r->to));
    put_time(to, "from", r->from_us);
    put_time(to, "until", r->until_us);
}

static int order_quotas(const void *a, const void *b)
{
    const struct quota *l = *(const struct quota *const *)a, *r = *(const struct quota *const *)b;
    return slice_compare(l->metric, r->metric);
}

static void describe_quota(const struct quota *q, struct buffer *to)
{
    char a[DECIMAL_TEXT_MAX], b[DECIMAL_TEXT_MAX];
    buffer_format(to, "quota on %.*s =", SLICE_ARGS(q->metric));
    if (q->has_included) {
        decimal_format(q->included, QUANTITY_PLACES, a);
        buffer_format(to, " %s a month", a);
        for (int i = 0; i < q->thresholds; i++)
            buffer_format(to, "%s%d", i ? ", " : " (thresholds ", q->threshold[i]);
        buffer_text(to, q->thresholds ? ")" : "");
    }
    if (q->has_overage) {
        decimal_format(q->overage_price, AMOUNT_PLACES, a);
        decimal_format(q->overage_per, QUANTITY_PLACES, b);
        buffer_format(to, ", beyond %s per %s", a, b);
    }
    if (q->has_day_limit) {
        decimal_format(q->day_limit, QUANTITY_PLACES, a);
        buffer_format(to, "%s at most %s a day", q->has_included ? "," : "", a);
    }
    buffer_text(to, "\n");
}

void plan_describe(const struct plan *p, struct buffer *to)
{
    static const char *const tariffs[] = { "none", "fixed", "cost_plus" };
    buffer_format(to, "unit = %.*s\n", SLICE_ARGS(p->unit->code));
    buffer_format(to, "kind = %s\n", p->kind == PLAN_PREPAID ? "prepaid" : "postpaid");
    buffer_format(to, "tariff = %s\n", tariffs[p->tariff]);
    put_amount(to, "markup", p->tariff == TARIFF_COST_PLUS, p->markup);
    buffer_format(to, "trust_cost = %s\n", p->trust_cost ? "true" : "false");
    put_amount(to, "credits_per_period", p->has_credits, p->credits_per_period);
    if (p->has_credits)
        buffer_format(to, "credits_policy = %s\n",
                      p->credits_policy == CREDITS_RESET ? "reset" : "rollover");
    put_amount(to, "welcome", p->has_welcome, p->welcome);
    put_amount(to, "low_balance", p->has_low_balance, p->low_balance);
    put_amount(to, "minimum_balance", p->has_minimum, p->minimum_balance);
    put_amount(to, "fee", true, p->fee);
    buffer_format(to, "enforce = %s\n", p->enforce ? "true" : "false");
    size_t n = (size_t)p->quotas;
    const struct quota **sorted = xcalloc(n, sizeof(*sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = &p->quota[i];
    qsort(sorted, n, sizeof(*sorted), order_quotas);
    for (size_t i = 0; i < n; i++)
        describe_quota(sorted[i], to);
    free(sorted);
}
