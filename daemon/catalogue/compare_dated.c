/* Comparing what is effective-dated: prices and rates. Both follow the same rules, so both are seen as `dated`. */
#include "catalogue/compare.h"

#include "base/clock.h"

struct dated {
    const struct price *price; /* one of the two */
    const struct fx_rate *rate;
    int64_t from_us, until_us;
    int line;
    bool gone; /* of the database only: it has ended, and the file has left it out */
};
struct dated_list {
    struct dated *at;
    size_t n, room;
};

static int order(const void *a, const void *b)
{
    const struct dated *l = a, *r = b;
    return l->price ? price_compare(l->price, r->price) : fx_rate_compare(l->rate, r->rate);
}

static bool same_series(const struct dated *a, const struct dated *b)
{
    return a->price ? price_same_series(a->price, b->price) : fx_rate_same_series(a->rate, b->rate);
}

static bool same_value(const struct dated *a, const struct dated *b)
{
    return a->price ? a->price->price == b->price->price && a->price->per == b->price->per
                    : a->rate->rate == b->rate->rate;
}

static void describe(const struct dated *d, struct buffer *to)
{
    if (d->price)
        price_describe(d->price, to);
    else
        rate_describe(d->rate, to);
}

static void note(struct comparison *c, const char *sign, const struct dated *d)
{
    buffer_format(&c->text, "%s %s ", sign, d->price ? "price" : "rate");
    describe(d, &c->text);
    buffer_text(&c->text, "\n");
}

static void refuse_dated(struct comparison *c, const struct catalogue *wanted, int line,
                         const struct dated *d, const char *why)
{
    struct buffer text = BUFFER_NULL;
    describe(d, &text);
    comparison_refuse(c, wanted, line, "%s %s: %s", d->price ? "price" : "rate", buffer_cstr(&text),
                      why);
    buffer_fini(&text);
}

static void add_new(struct comparison *c, const struct dated *d)
{
    struct change *change = comparison_add(c, d->price ? CHANGE_PRICE_NEW : CHANGE_RATE_NEW);
    if (d->price)
        change->price = d->price;
    else
        change->rate = d->rate;
    note(c, "+", d);
}

static void add_end(struct comparison *c, const struct dated *now, const struct dated *d)
{
    struct change *change = comparison_add(c, d->price ? CHANGE_PRICE_END : CHANGE_RATE_END);
    if (d->price) {
        change->price = d->price;
        change->price_id = now->price->price_id;
    } else {
        change->rate = d->rate;
    }
    note(c, "~", d);
}

/* The same key and beginning on both sides. */
static void compare_one(const struct dated *now, const struct dated *d,
                        const struct catalogue *wanted, struct comparison *ret)
{
    if (!same_value(now, d))
        refuse_dated(
            ret, wanted, d->line, now,
            "this one is in force and never changes; end it by effective_until and add its "
            "successor from then on");
    else if (now->until_us == TIME_FOREVER && d->until_us != TIME_FOREVER)
        add_end(ret, now, d);
    else if (now->until_us != d->until_us)
        refuse_dated(ret, wanted, d->line, now,
                     "its end has been applied and never changes; add a successor from then on");
}

/* A new one must not overlap one of the database that the file has left out. */
static void check_gone(struct dated *all, size_t n, const struct catalogue *wanted,
                       struct comparison *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (!all[i].gone)
            continue;
        for (size_t j = i; j-- > 0 && same_series(&all[j], &all[i]);)
            if (!all[j].gone && all[j].until_us > all[i].from_us)
                refuse_dated(ret, wanted, all[j].line, &all[i],
                             "applied before, overlaps this one");
        for (size_t j = i + 1; j < n && same_series(&all[j], &all[i]); j++)
            if (!all[j].gone && all[j].from_us < all[i].until_us)
                refuse_dated(ret, wanted, all[j].line, &all[i],
                             "applied before, overlaps this one");
    }
}

static void compare_dated(struct dated_list *now, struct dated_list *then,
                          const struct catalogue *wanted, struct comparison *ret)
{
    if (now->n > 1)
        qsort(now->at, now->n, sizeof(*now->at), order);
    if (then->n > 1)
        qsort(then->at, then->n, sizeof(*then->at), order);
    struct dated_list all = { NULL, 0, 0 };
    for (size_t i = 0, j = 0; i < now->n || j < then->n;) {
        int side = i == now->n ? 1 : j == then->n ? -1 : order(&now->at[i], &then->at[j]);
        if (side < 0 && now->at[i].until_us == TIME_FOREVER) {
            refuse_dated(ret, wanted, 0, &now->at[i],
                         "this one is in force but not in the file; keep it there and end it by "
                         "effective_until");
        } else if (side < 0) {
            now->at[i].gone = true;
            VECTOR_ADD(all, now->at[i]);
        } else {
            if (side == 0)
                compare_one(&now->at[i], &then->at[j], wanted, ret);
            else
                add_new(ret, &then->at[j]);
            VECTOR_ADD(all, then->at[j]);
        }
        i += side <= 0;
        j += side >= 0;
    }
    check_gone(all.at, all.n, wanted, ret);
    free(all.at);
}

static struct dated_list prices_of(const struct catalogue *c)
{
    struct dated_list list = { NULL, 0, 0 };
    for (size_t i = 0; i < c->prices.n; i++) {
        const struct price *p = c->prices.at[i];
        struct dated d = {
            .price = p, .from_us = p->from_us, .until_us = p->until_us, .line = p->line
        };
        VECTOR_ADD(list, d);
    }
    return list;
}

static struct dated_list rates_of(const struct catalogue *c)
{
    struct dated_list list = { NULL, 0, 0 };
    for (size_t i = 0; i < c->rates.n; i++) {
        const struct fx_rate *r = c->rates.at[i];
        struct dated d = {
            .rate = r, .from_us = r->from_us, .until_us = r->until_us, .line = r->line
        };
        VECTOR_ADD(list, d);
    }
    return list;
}

/* A price file refers to a catalogue elsewhere; what is applied must stand by itself. */
static void check_references(const struct catalogue *wanted, struct comparison *ret)
{
    for (size_t i = 0; i < wanted->prices.n; i++) {
        const struct price *p = wanted->prices.at[i];
        if (!catalogue_has_metric(wanted, p->metric) || !catalogue_unit(wanted, p->currency) ||
            (p->plan.p && !catalogue_plan(wanted, p->plan))) {
            comparison_refuse(
                ret, wanted, p->line,
                "its metric, unit or plan is not in this file; a price file is named in the "
                "configuration of debitd, not applied");
            return;
        }
    }
}

void compare_prices(const struct catalogue *current, const struct catalogue *wanted,
                    struct comparison *ret)
{
    check_references(wanted, ret);
    struct dated_list now = prices_of(current), then = prices_of(wanted);
    compare_dated(&now, &then, wanted, ret);
    free(now.at);
    free(then.at);
}

void compare_rates(const struct catalogue *current, const struct catalogue *wanted,
                   struct comparison *ret)
{
    struct dated_list now = rates_of(current), then = rates_of(wanted);
    compare_dated(&now, &then, wanted, ret);
    free(now.at);
    free(then.at);
}
