/* Plans, their quotas, and prices of both sorts: cost prices and the fixed prices of plans. */
#include "catalogue/file_parts.h"

/* ---- prices */

static void add_price(struct reading *r, const config_setting_t *at, const struct price *like,
                      struct slice component, amount_t amount)
{
    struct price *p = catalogue_add_price(r->catalogue);
    *p = *like;
    p->component = component;
    p->price = amount;
    p->line = (int)config_setting_source_line(at);
}

/* price = "1.00", of `component` or of any; or price = { input = "0.15"; output = "0.60"; }, where `*` stands for any other. */
static void read_amounts(struct reading *r, const config_setting_t *group, const struct price *like)
{
    const config_setting_t *member = config_setting_get_member(group, "price");
    struct slice component = SLICE_ABSENT;
    amount_t amount;
    if (!member) {
        finding(r, group, "'price' is missing here");
        return;
    }
    bool has_component = get_name(r, group, "component", NAME_STAR | NAME_EMPTY, &component);
    if (config_setting_type(member) != CONFIG_TYPE_GROUP) {
        if (read_decimal(r, member, &BOUNDS_PRICE, &amount))
            add_price(r, group, like, component, amount);
        return;
    }
    if (has_component)
        finding(r, group, "'component' contradicts a 'price' that names its components");
    if (config_setting_length(member) == 0)
        finding(r, member, "'price' names no component");
    for (int i = 0; i < config_setting_length(member); i++) {
        const config_setting_t *e = config_setting_get_elem(member, (unsigned)i);
        struct slice name = slice_of(config_setting_name(e));
        name = slice_is(name, "*") ? SLICE_ABSENT : arena_copy(&r->catalogue->arena, name);
        if (read_decimal(r, e, &BOUNDS_PRICE, &amount))
            add_price(r, e, like, name, amount);
    }
}

/* Whose price it is: of `plan` (NULL at the top level, where the key `plan` may name one), and in which currency. */
static bool get_owner(struct reading *r, const config_setting_t *group, const struct plan *plan,
                      struct price *p)
{
    if (plan) {
        p->plan = plan->name;
        p->currency = plan->unit->code;
        return true;
    }
    if (!get_name(r, group, "plan", 0, &p->plan))
        return get_currency(r, group, "currency", &p->currency);
    if (has_key(group, "currency"))
        finding(r, group, "a fixed price is in the unit of its plan: leave 'currency' out");
    plan = find_plan(r, p->plan);
    if (plan)
        p->currency = plan->unit->code;
    else if (r->has_plans)
        finding(r, group, "there is no plan '%.*s'", SLICE_ARGS(p->plan));
    return plan || !r->has_plans;
}

static void read_price(struct reading *r, const config_setting_t *group, const struct plan *plan)
{
    static const char *const keys[] = {
        "service",        "model",           "metric",   "component", "price", "per",
        "effective_from", "effective_until", "currency", "plan",      NULL
    };
    static const char *const plan_keys[] = { "service",        "model",           "metric",
                                             "component",      "price",           "per",
                                             "effective_from", "effective_until", NULL };
    struct price p = { .per = QUANTITY_ONE };
    check_keys(r, group, plan ? "a fixed price" : "a price", plan ? plan_keys : keys);
    get_name(r, group, "service", NAME_STAR, &p.service);
    get_name(r, group, "model", NAME_STAR, &p.model);
    get_decimal(r, group, "per", &BOUNDS_POSITIVE_QUANTITY, &p.per);
    bool good = get_metric(r, group, &p.metric);
    good = get_owner(r, group, plan, &p) && good;
    good = get_range(r, group, &p.from_us, &p.until_us) && good;
    if (good)
        read_amounts(r, group, &p);
}

void read_prices(struct reading *r, const config_setting_t *group, const struct plan *plan)
{
    config_setting_t *list = get_list(r, group, "prices");
    for (int i = 0; list && i < config_setting_length(list); i++)
        if (list_group(list, i))
            read_price(r, list_group(list, i), plan);
}

/* ---- quotas */

static void check_quota(struct reading *r, const config_setting_t *group, const struct quota *q)
{
    if (!has_key(group, "included") && !has_key(group, "day_limit"))
        finding(r, group, "a quota needs 'included' (a month) or 'day_limit'");
    if (q->has_included)
        return;
    static const char *const needs[] = { "overage_price", "overage_per", "thresholds" };
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        if (has_key(group, needs[i]) && !has_key(group, "included"))
            finding(r, group, "'%s' means nothing without 'included'", needs[i]);
}

static bool read_quota(struct reading *r, const config_setting_t *group, struct quota *q)
{
    static const char *const keys[] = { "metric",      "included",  "overage_price",
                                        "overage_per", "day_limit", "thresholds",
                                        NULL };
    *q = (struct quota){ .overage_per = QUANTITY_ONE };
    check_keys(r, group, "a quota", keys);
    bool good = get_metric(r, group, &q->metric);
    q->has_included = get_decimal(r, group, "included", &BOUNDS_QUANTITY, &q->included);
    q->has_overage = get_decimal(r, group, "overage_price", &BOUNDS_PRICE, &q->overage_price);
    bool has_per = get_decimal(r, group, "overage_per", &BOUNDS_POSITIVE_QUANTITY, &q->overage_per);
    q->has_day_limit = get_decimal(r, group, "day_limit", &BOUNDS_QUANTITY, &q->day_limit);
    if (has_per && !has_key(group, "overage_price"))
        finding(r, group, "'overage_per' means nothing without 'overage_price'");
    if (q->has_included && !get_thresholds(r, group, "thresholds", q->threshold, &q->thresholds)) {
        memcpy(q->threshold, r->threshold, sizeof(q->threshold));
        q->thresholds = r->thresholds;
    }
    check_quota(r, group, q);
    return good;
}

static void read_quotas(struct reading *r, const config_setting_t *group, struct plan *plan)
{
    config_setting_t *list = get_list(r, group, "quotas");
    if (!list)
        return;
    size_t most = (size_t)config_setting_length(list);
    struct quota *quota = arena_zalloc(&r->catalogue->arena, (most ? most : 1) * sizeof(*quota));
    plan->quota = quota;
    for (int i = 0; i < (int)most; i++) {
        const config_setting_t *g = list_group(list, i);
        struct quota q;
        if (!g || !read_quota(r, g, &q))
            continue;
        if (plan_quota(plan, q.metric))
            finding(r, g, "plan '%.*s' has a quota on '%.*s' already", SLICE_ARGS(plan->name),
                    SLICE_ARGS(q.metric));
        else
            quota[plan->quotas++] = q;
    }
}

/* ---- plans */

static void read_tariff(struct reading *r, const config_setting_t *group, struct plan *p)
{
    static const char *const tariffs[] = { "none", "fixed", "cost_plus", NULL };
    int tariff = TARIFF_NONE;
    _Static_assert(TARIFF_NONE == 0 && TARIFF_FIXED == 1 && TARIFF_COST_PLUS == 2,
                   "order of tariffs");
    get_choice(r, group, "tariff", tariffs, &tariff);
    p->tariff = (enum tariff_kind)tariff;
    if (p->tariff != TARIFF_COST_PLUS) {
        if (has_key(group, "markup"))
            finding(r, group, "'markup' means nothing unless tariff = \"cost_plus\"");
        return;
    }
    p->markup = r->markup;
    if (!get_decimal(r, group, "markup", &BOUNDS_PRICE, &p->markup) && !r->has_markup &&
        !has_key(group, "markup"))
        finding(r, group, "'markup' (percent) is missing here, and the defaults have none");
}

static void read_balance(struct reading *r, const config_setting_t *group, struct plan *p)
{
    static const char *const policies[] = { "reset", "rollover", NULL };
    int policy = CREDITS_RESET;
    _Static_assert(CREDITS_RESET == 0 && CREDITS_ROLLOVER == 1, "order of policies");
    p->has_credits = get_decimal(r, group, "credits_per_period", &BOUNDS_POSITIVE_AMOUNT,
                                 &p->credits_per_period);
    get_choice(r, group, "credits_policy", policies, &policy);
    p->credits_policy = (enum credits_policy)policy;
    if (has_key(group, "credits_policy") && !has_key(group, "credits_per_period"))
        finding(r, group, "'credits_policy' means nothing without 'credits_per_period'");
    p->has_welcome = get_decimal(r, group, "welcome", &BOUNDS_POSITIVE_AMOUNT, &p->welcome);
    p->has_low_balance = get_decimal(r, group, "low_balance", &BOUNDS_AMOUNT, &p->low_balance);
    if (p->has_low_balance && p->kind == PLAN_POSTPAID)
        finding(r, group,
                "'low_balance' means nothing on a postpaid plan: it raises no balance alerts");
    p->has_minimum = get_decimal(r, group, "minimum_balance", &BOUNDS_AMOUNT, &p->minimum_balance);
    get_decimal(r, group, "fee", &BOUNDS_AMOUNT, &p->fee);
    get_flag(r, group, "trust_cost", &p->trust_cost);
    get_flag(r, group, "enforce", &p->enforce);
}

static void read_plan(struct reading *r, const config_setting_t *group)
{
    static const char *const keys[] = { "name",    "unit",        "kind",
                                        "tariff",  "markup",      "trust_cost",
                                        "welcome", "low_balance", "minimum_balance",
                                        "fee",     "enforce",     "credits_per_period",
                                        "quotas",  "prices",      "credits_policy",
                                        NULL };
    static const char *const kinds[] = { "prepaid", "postpaid", NULL };
    struct slice name;
    int kind = PLAN_PREPAID;
    _Static_assert(PLAN_PREPAID == 0 && PLAN_POSTPAID == 1, "order of kinds");
    check_keys(r, group, "a plan", keys);
    bool good = get_name(r, group, "name", NAME_REQUIRED, &name);
    const struct unit *unit = get_unit(r, group, "unit");
    if (!has_key(group, "kind"))
        finding(r, group, "'kind' is missing here: \"prepaid\" or \"postpaid\"");
    get_choice(r, group, "kind", kinds, &kind);
    if (!good || !unit)
        return;
    if (find_plan(r, name)) {
        finding(r, group, "plan '%.*s' is here a second time", SLICE_ARGS(name));
        return;
    }
    struct plan *p = catalogue_add_plan(r->catalogue, true);
    p->name = name;
    p->unit = unit;
    p->kind = (enum plan_kind)kind;
    p->line = (int)config_setting_source_line(group);
    read_tariff(r, group, p);
    read_balance(r, group, p);
    read_quotas(r, group, p);
    read_prices(r, group, p);
}

void read_plans(struct reading *r, const config_setting_t *root)
{
    config_setting_t *list = get_list(r, root, "plans");
    r->has_plans = has_key(root, "plans");
    for (int i = 0; list && i < config_setting_length(list); i++)
        if (list_group(list, i))
            read_plan(r, list_group(list, i));
}
