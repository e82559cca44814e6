/* Comparing the catalogue of a file with the one in force.
 *
 * Rows of prices and rates never change: they appear, and once they get an end. So the file must have every row of the
 * database that has no end yet, unchanged; rows that have ended may be left out of it. Plans and packages have versions, units and
 * metrics stay for ever because entries name them. */
#include "catalogue/compare.h"

#include <stdarg.h>

struct change *comparison_add(struct comparison *c, enum change_kind kind)
{
    struct change change = { .kind = kind };
    VECTOR_ADD(c->changes, change);
    return &c->changes.at[c->changes.n - 1];
}

void comparison_refuse(struct comparison *c, const struct catalogue *wanted, int line,
                       const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    buffer_format(&c->findings, "%s%s:", c->refused++ ? "\n" : "",
                  wanted->path ? wanted->path : "the catalogue");
    if (line)
        buffer_format(&c->findings, "%d:", line);
    buffer_format(&c->findings, " %s", text);
}

/* ---- units and metrics */

static void compare_units(const struct catalogue *current, const struct catalogue *wanted,
                          struct comparison *ret)
{
    char value[DECIMAL_TEXT_MAX];
    for (size_t i = 0; i < wanted->units.n; i++) {
        const struct unit *u = wanted->units.at[i], *now = catalogue_unit(current, u->code);
        if (now && now->value == u->value && slice_equal(now->valued_in, u->valued_in))
            continue;
        comparison_add(ret, now ? CHANGE_UNIT_VALUE : CHANGE_UNIT_NEW)->unit = u;
        decimal_format(u->value, AMOUNT_PLACES, value);
        buffer_format(&ret->text, "%c unit %.*s: one is %s %.*s\n", now ? '~' : '+',
                      SLICE_ARGS(u->code), value, SLICE_ARGS(u->valued_in));
    }
    for (size_t i = 0; i < current->units.n; i++) {
        const struct unit *u = current->units.at[i];
        if (catalogue_unit(wanted, u->code))
            continue;
        comparison_refuse(ret, wanted, 0,
                          "unit '%.*s' is in force but not in the file; units cannot be removed",
                          SLICE_ARGS(u->code));
    }
}

static void compare_metrics(const struct catalogue *current, const struct catalogue *wanted,
                            struct comparison *ret)
{
    for (size_t i = 0; i < wanted->metrics.n; i++) {
        const struct metric *m = wanted->metrics.at[i];
        if (catalogue_has_metric(current, m->name))
            continue;
        comparison_add(ret, CHANGE_METRIC_NEW)->metric = m;
        buffer_format(&ret->text, "+ metric %.*s\n", SLICE_ARGS(m->name));
    }
    for (size_t i = 0; i < current->metrics.n; i++) {
        const struct metric *m = current->metrics.at[i];
        if (catalogue_has_metric(wanted, m->name))
            continue;
        comparison_refuse(
            ret, wanted, 0,
            "metric '%.*s' is in force but not in the file; metrics cannot be removed",
            SLICE_ARGS(m->name));
    }
}

/* ---- plans and packages */

static void put_line(struct buffer *to, const char *sign, const char *line, size_t n)
{
    buffer_format(to, "    %s %.*s\n", sign, (int)n, line);
}

/* The lines of one text that the other has not. */
static void put_differences(struct buffer *to, const char *sign, const char *of, const char *in)
{
    for (size_t n; *of; of += n + 1) {
        n = strcspn(of, "\n");
        const char *at = in;
        while (*at && !(strcspn(at, "\n") == n && memcmp(at, of, n) == 0))
            at += strcspn(at, "\n") + 1;
        if (!*at)
            put_line(to, sign, of, n);
    }
}

static void compare_plan(const struct plan *now, const struct plan *p,
                         const struct catalogue *wanted, struct comparison *ret)
{
    struct buffer before = BUFFER_NULL, after = BUFFER_NULL;
    plan_describe(now, &before);
    plan_describe(p, &after);
    const char *old = buffer_cstr(&before), *new = buffer_cstr(&after);
    if (!slice_equal(now->unit->code, p->unit->code)) {
        comparison_refuse(
            ret, wanted, p->line,
            "plan '%.*s' cannot change its unit from %.*s to %.*s, because accounts on it have "
            "balances; make a plan of another name",
            SLICE_ARGS(p->name), SLICE_ARGS(now->unit->code), SLICE_ARGS(p->unit->code));
    } else if (strcmp(old, new) != 0) {
        comparison_add(ret, CHANGE_PLAN_NEXT)->plan = p;
        buffer_format(&ret->text, "~ plan %.*s\n", SLICE_ARGS(p->name));
        put_differences(&ret->text, "-", old, new);
        put_differences(&ret->text, "+", new, old);
    }
    buffer_fini(&before);
    buffer_fini(&after);
}

static void compare_plans(const struct catalogue *current, const struct catalogue *wanted,
                          struct comparison *ret)
{
    for (size_t i = 0; i < wanted->plans.n; i++) {
        const struct plan *p = wanted->plans.at[i], *now = catalogue_plan(current, p->name);
        if (now) {
            compare_plan(now, p, wanted, ret);
            continue;
        }
        struct buffer text = BUFFER_NULL;
        plan_describe(p, &text);
        comparison_add(ret, CHANGE_PLAN_NEW)->plan = p;
        buffer_format(&ret->text, "+ plan %.*s\n", SLICE_ARGS(p->name));
        put_differences(&ret->text, "+", buffer_cstr(&text), "");
        buffer_fini(&text);
    }
    for (size_t i = 0; i < current->plans.n; i++) {
        const struct plan *p = current->plans.at[i];
        if (catalogue_plan(wanted, p->name))
            continue;
        comparison_refuse(
            ret, wanted, 0,
            "plan '%.*s' is in force but not in the file; plans cannot be removed, because "
            "accounts may be on them",
            SLICE_ARGS(p->name));
    }
}

static const struct package *find_package(const struct catalogue *c, struct slice name)
{
    for (size_t i = 0; i < c->packages.n; i++)
        if (slice_equal(c->packages.at[i]->name, name))
            return c->packages.at[i];
    return NULL;
}

static bool same_package(const struct package *a, const struct package *b)
{
    return slice_equal(a->unit->code, b->unit->code) && a->amount == b->amount &&
           a->bonus == b->bonus && a->price == b->price && slice_equal(a->currency, b->currency);
}

static void describe_package(struct buffer *to, char sign, const struct package *p)
{
    char amount[DECIMAL_TEXT_MAX], bonus[DECIMAL_TEXT_MAX], price[DECIMAL_TEXT_MAX];
    decimal_format(p->amount, AMOUNT_PLACES, amount);
    decimal_format(p->bonus, AMOUNT_PLACES, bonus);
    decimal_format(p->price, AMOUNT_PLACES, price);
    buffer_format(to, "%c package %.*s: %s %.*s and %s more for %s %.*s\n", sign,
                  SLICE_ARGS(p->name), amount, SLICE_ARGS(p->unit->code), bonus, price,
                  SLICE_ARGS(p->currency));
}

static void compare_packages(const struct catalogue *current, const struct catalogue *wanted,
                             struct comparison *ret)
{
    for (size_t i = 0; i < wanted->packages.n; i++) {
        const struct package *p = wanted->packages.at[i], *now = find_package(current, p->name);
        if (now && same_package(now, p))
            continue;
        comparison_add(ret, now ? CHANGE_PACKAGE_NEXT : CHANGE_PACKAGE_NEW)->package = p;
        describe_package(&ret->text, now ? '~' : '+', p);
    }
    for (size_t i = 0; i < current->packages.n; i++) {
        const struct package *p = current->packages.at[i];
        if (find_package(wanted, p->name))
            continue;
        comparison_add(ret, CHANGE_PACKAGE_GONE)->package = p;
        describe_package(&ret->text, '-', p);
    }
}

/* ---- the whole */

void catalogue_compare(const struct catalogue *current, const struct catalogue *wanted,
                       struct comparison *ret)
{
    compare_units(current, wanted, ret);
    compare_metrics(current, wanted, ret);
    compare_plans(current, wanted, ret);
    compare_prices(current, wanted, ret);
    compare_rates(current, wanted, ret);
    compare_packages(current, wanted, ret);
}

void comparison_fini(struct comparison *c)
{
    free(c->changes.at);
    buffer_fini(&c->text);
    buffer_fini(&c->findings);
    *c = COMPARISON_NULL;
}
