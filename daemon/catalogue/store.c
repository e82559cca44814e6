/* Reading the catalogue from the database.
 *
 * Whoever changes the tables by hand is a person, so what they hold is checked like other input: a value that is no
 * amount of ours is an error that names it. */
#include "catalogue/store_parts.h"

#include "base/embedded.h"

#include <sysexits.h>

enum pg_outcome catalogue_query(struct pg_session *s, const char *name, int nparams,
                                const char *const *params, struct pg_result **ret,
                                struct error *ret_error)
{
    char doing[96];
    snprintf(doing, sizeof(doing), "the catalogue in the database (%s)", name);
    return pg_run(s, doing, embedded_sql("queries", name), nparams, params, ret, ret_error);
}

/* ---- fields */

struct loader {
    struct pg_session *session;
    struct catalogue *catalogue;
    const struct pg_result *rows;
    int row;
    const char
        *bad; /* the column of the first value that is not as it should be; NULL: all are good */
    char value[64];
};

static void note_bad(struct loader *l, int column)
{
    if (l->bad)
        return;
    l->bad = pg_column_name(l->rows, column);
    snprintf(l->value, sizeof(l->value), "%s", pg_text(l->rows, l->row, column));
}

static struct slice name_field(struct loader *l, int column)
{
    if (pg_null(l->rows, l->row, column))
        return SLICE_ABSENT;
    return arena_copy(&l->catalogue->arena, slice_of(pg_text(l->rows, l->row, column)));
}

static bool decimal_field(struct loader *l, int column, int places, __int128 *ret)
{
    if (pg_null(l->rows, l->row, column))
        return false;
    if (decimal_parse(slice_of(pg_text(l->rows, l->row, column)), places, AMOUNT_LIMIT, ret) !=
        DECIMAL_OK)
        note_bad(l, column);
    return true;
}

static bool flag_field(struct loader *l, int column)
{
    return pg_text(l->rows, l->row, column)[0] == 't';
}

static int choice_field(struct loader *l, int column, const char *const *choices)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], pg_text(l->rows, l->row, column)) == 0)
            return i;
    note_bad(l, column);
    return 0;
}

static int64_t until_field(struct loader *l, int column)
{
    return pg_null(l->rows, l->row, column) ? TIME_FOREVER : pg_text_int(l->rows, l->row, column);
}

static const struct unit *unit_field(struct loader *l, int column)
{
    struct slice code = slice_of(pg_text(l->rows, l->row, column));
    for (size_t i = 0; i < l->catalogue->units.n; i++)
        if (slice_equal(l->catalogue->units.at[i]->code, code))
            return l->catalogue->units.at[i];
    note_bad(l, column);
    return NULL;
}

/* ---- rows */

static void load_unit(struct loader *l)
{
    struct unit *u = catalogue_add_unit(l->catalogue);
    u->code = name_field(l, 0);
    u->valued_in = name_field(l, 1);
    decimal_field(l, 2, AMOUNT_PLACES, &u->value);
}

static void load_metric(struct loader *l)
{
    struct metric *m = catalogue_add_metric(l->catalogue);
    m->name = name_field(l, 0);
    m->aggregation = name_field(l, 1);
}

static void load_price(struct loader *l)
{
    struct price *p = catalogue_add_price(l->catalogue);
    p->price_id = (int32_t)pg_text_int(l->rows, l->row, 0);
    p->plan = name_field(l, 1);
    p->service = name_field(l, 2);
    p->model = name_field(l, 3);
    p->metric = name_field(l, 4);
    p->component = name_field(l, 5);
    p->currency = name_field(l, 6);
    decimal_field(l, 7, AMOUNT_PLACES, &p->price);
    decimal_field(l, 8, QUANTITY_PLACES, &p->per);
    p->from_us = pg_text_int(l->rows, l->row, 9);
    p->until_us = until_field(l, 10);
}

static void load_rate(struct loader *l)
{
    struct fx_rate *r = catalogue_add_rate(l->catalogue);
    r->from = name_field(l, 0);
    r->to = name_field(l, 1);
    decimal_field(l, 2, AMOUNT_PLACES, &r->rate);
    r->from_us = pg_text_int(l->rows, l->row, 3);
    r->until_us = until_field(l, 4);
}

static void load_plan(struct loader *l)
{
    static const char *const kinds[] = { "prepaid", "postpaid", NULL };
    static const char *const tariffs[] = { "none", "fixed", "cost_plus", NULL };
    static const char *const policies[] = { "reset", "rollover", NULL };
    struct plan *p = catalogue_add_plan(l->catalogue, flag_field(l, 14));
    p->plan_id = (int32_t)pg_text_int(l->rows, l->row, 0);
    p->name = name_field(l, 1);
    p->unit = unit_field(l, 2);
    p->kind = (enum plan_kind)choice_field(l, 3, kinds);
    p->tariff = (enum tariff_kind)choice_field(l, 4, tariffs);
    decimal_field(l, 5, AMOUNT_PLACES, &p->markup);
    p->trust_cost = flag_field(l, 6);
    p->has_credits = decimal_field(l, 7, AMOUNT_PLACES, &p->credits_per_period);
    if (!pg_null(l->rows, l->row, 8))
        p->credits_policy = (enum credits_policy)choice_field(l, 8, policies);
    p->has_welcome = decimal_field(l, 9, AMOUNT_PLACES, &p->welcome);
    p->has_low_balance = decimal_field(l, 10, AMOUNT_PLACES, &p->low_balance);
    p->has_minimum = decimal_field(l, 11, AMOUNT_PLACES, &p->minimum_balance);
    decimal_field(l, 12, AMOUNT_PLACES, &p->fee);
    p->enforce = flag_field(l, 13);
}

static void load_thresholds(struct loader *l, int column, struct quota *q)
{
    const char *at = pg_text(l->rows, l->row, column);
    while (*at && q->thresholds < THRESHOLDS_MAX) {
        char *end;
        long percent = strtol(at, &end, 10);
        if (end == at || (*end && *end != ' ') || percent <= 0 || percent > INT32_MAX) {
            note_bad(l, column);
            return;
        }
        q->threshold[q->thresholds++] = (int32_t)percent;
        at = *end ? end + 1 : end;
    }
}

static void load_quota(struct loader *l, struct quota *q)
{
    q->metric = name_field(l, 1);
    q->has_included = decimal_field(l, 2, QUANTITY_PLACES, &q->included);
    q->has_overage = decimal_field(l, 3, AMOUNT_PLACES, &q->overage_price);
    decimal_field(l, 4, QUANTITY_PLACES, &q->overage_per);
    q->has_day_limit = decimal_field(l, 5, QUANTITY_PLACES, &q->day_limit);
    if (q->has_included)
        load_thresholds(l, 6, q);
}

static void load_package(struct loader *l)
{
    struct package *p = catalogue_add_package(l->catalogue);
    p->name = name_field(l, 0);
    p->unit = unit_field(l, 1);
    decimal_field(l, 2, AMOUNT_PLACES, &p->amount);
    decimal_field(l, 3, AMOUNT_PLACES, &p->bonus);
    decimal_field(l, 4, AMOUNT_PLACES, &p->price);
    p->currency = name_field(l, 5);
}

static struct plan *plan_of_id(struct catalogue *c, int64_t plan_id)
{
    for (size_t i = 0; i < c->plans.n; i++)
        if (c->plans.at[i]->plan_id == plan_id)
            return c->plans.at[i];
    for (size_t i = 0; i < c->old_plans.n; i++)
        if (c->old_plans.at[i]->plan_id == plan_id)
            return c->old_plans.at[i];
    return NULL;
}

/* The rows come by plan; those of one plan become its array. */
static void load_quotas(struct loader *l)
{
    int rows = pg_rows(l->rows);
    for (int first = 0, end; first < rows; first = end) {
        int64_t plan_id = pg_text_int(l->rows, first, 0);
        for (end = first + 1; end < rows && pg_text_int(l->rows, end, 0) == plan_id;)
            end++;
        struct plan *plan = plan_of_id(l->catalogue, plan_id);
        ASSERT(plan != NULL); /* a foreign key, read in one snapshot */
        struct quota *q = arena_zalloc(&l->catalogue->arena, (size_t)(end - first) * sizeof(*q));
        for (l->row = first; l->row < end; l->row++)
            load_quota(l, &q[l->row - first]);
        plan->quota = q;
        plan->quotas = end - first;
    }
}

/* ---- the whole */

/* each: for every row; whole: once for all rows. */
static enum pg_outcome load_rows(struct loader *l, const char *query, void (*each)(struct loader *),
                                 void (*whole)(struct loader *), struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *rows = NULL;
    enum pg_outcome o = catalogue_query(l->session, query, 0, NULL, &rows, ret_error);
    if (o != PG_DONE)
        return o;
    l->rows = rows;
    if (whole)
        whole(l);
    for (l->row = 0; each && l->row < pg_rows(rows); l->row++)
        each(l);
    if (l->bad) {
        error_set(
            ret_error, EX_DATAERR,
            "reading the catalogue in the database: column %s of %s holds '%s', which debitd never "
            "writes there; correct that row",
            l->bad, query, l->value);
        o = PG_DEFECT;
    }
    l->rows = NULL;
    return o;
}

static enum pg_outcome load_all(struct loader *l, struct error *ret_error)
{
    static const struct {
        const char *query;
        void (*each)(struct loader *), (*whole)(struct loader *);
    } part[] = {
        { "catalogue_units", load_unit, NULL },       { "catalogue_metrics", load_metric, NULL },
        { "catalogue_prices", load_price, NULL },     { "catalogue_fx", load_rate, NULL },
        { "catalogue_plans", load_plan, NULL },       { "catalogue_quotas", NULL, load_quotas },
        { "catalogue_packages", load_package, NULL },
    };
    enum pg_outcome o = PG_DONE;
    for (size_t i = 0; i < ARRAY_SIZE(part) && o == PG_DONE; i++)
        o = load_rows(l, part[i].query, part[i].each, part[i].whole, ret_error);
    return o;
}

enum pg_outcome catalogue_read(struct pg_session *s, struct catalogue **ret, char ret_digest[65],
                               struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *version = NULL;
    CLEANUP(catalogue_unrefp) struct catalogue *c = catalogue_new();
    struct loader l = { .session = s, .catalogue = c };
    enum pg_outcome o = catalogue_query(s, "catalogue_version", 0, NULL, &version, ret_error);
    if (o == PG_DONE)
        o = load_all(&l, ret_error);
    if (o != PG_DONE)
        return o;
    catalogue_finish(c, (int32_t)pg_text_int(version, 0, 0));
    snprintf(ret_digest, 65, "%s", pg_text(version, 0, 1));
    *ret = TAKE(c);
    return PG_DONE;
}

enum pg_outcome catalogue_load(struct pg_session *s, struct catalogue **ret,
                               struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = NULL;
    char digest[65];
    enum pg_outcome o = pg_script(s, "reading the catalogue",
                                  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ret_error);
    if (o == PG_DONE)
        o = catalogue_read(s, &c, digest, ret_error);
    if (o == PG_DONE)
        o = pg_script(s, "reading the catalogue", "COMMIT", ret_error);
    if (o == PG_DONE)
        *ret = TAKE(c);
    else if (pg_rollback(s) != PG_DONE)
        return PG_LOST;
    return o;
}
