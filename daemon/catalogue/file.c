/* The catalogue file: its lists, in the order in which they refer to each other. Plans are in file_plans.c, what
 * compares one entry with another in file_checks.c. */
#include "catalogue/file.h"

#include "catalogue/file_parts.h"

#include <errno.h>
#include <sysexits.h>

static const char *const ROOT_KEYS[] = { "defaults", "units", "metrics",  "prices",
                                         "fx",       "plans", "packages", NULL };

static void read_defaults(struct reading *r, const config_setting_t *root)
{
    static const char *const keys[] = { "effective_from", "markup", "thresholds", NULL };
    r->threshold[0] = 80;
    r->threshold[1] = 100;
    r->thresholds = 2;
    const config_setting_t *group = config_setting_get_member(root, "defaults");
    if (!group)
        return;
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        finding(r, group, "'defaults' must be a group: defaults = { ... };");
        return;
    }
    check_keys(r, group, "the defaults", keys);
    r->has_from = get_time(r, group, "effective_from", &r->from_us);
    r->has_markup = get_decimal(r, group, "markup", &BOUNDS_PRICE, &r->markup);
    get_thresholds(r, group, "thresholds", r->threshold, &r->thresholds);
}

const struct unit *find_unit(const struct reading *r, struct slice code)
{
    for (size_t i = 0; i < r->catalogue->units.n; i++)
        if (slice_equal(r->catalogue->units.at[i]->code, code))
            return r->catalogue->units.at[i];
    return NULL;
}

static bool has_metric(const struct reading *r, struct slice name)
{
    for (size_t i = 0; i < r->catalogue->metrics.n; i++)
        if (slice_equal(r->catalogue->metrics.at[i]->name, name))
            return true;
    return false;
}

const struct plan *find_plan(const struct reading *r, struct slice name)
{
    for (size_t i = 0; i < r->catalogue->plans.n; i++)
        if (slice_equal(r->catalogue->plans.at[i]->name, name))
            return r->catalogue->plans.at[i];
    return NULL;
}

const struct unit *get_unit(struct reading *r, const config_setting_t *group, const char *key)
{
    struct slice code;
    if (!get_name(r, group, key, NAME_REQUIRED, &code))
        return NULL;
    const struct unit *u = find_unit(r, code);
    if (!u)
        finding(r, config_setting_get_member(group, key),
                "there is no unit '%.*s'; add it to 'units'", SLICE_ARGS(code));
    return u;
}

bool get_currency(struct reading *r, const config_setting_t *group, const char *key,
                  struct slice *ret)
{
    if (!get_name(r, group, key, NAME_REQUIRED, ret))
        return false;
    if (!r->has_units)
        return true;
    const struct unit *u = find_unit(r, *ret);
    if (u && slice_equal(u->code, u->valued_in))
        return true;
    finding(r, config_setting_get_member(group, key),
            u ? "'%.*s' is no currency: it is valued in another unit itself"
              : "there is no unit '%.*s'; add it to 'units'",
            SLICE_ARGS(*ret));
    return false;
}

bool get_metric(struct reading *r, const config_setting_t *group, struct slice *ret)
{
    if (!get_name(r, group, "metric", NAME_REQUIRED, ret))
        return false;
    if (!r->has_metrics || has_metric(r, *ret))
        return true;
    finding(r, config_setting_get_member(group, "metric"),
            "there is no metric '%.*s'; add it to 'metrics'", SLICE_ARGS(*ret));
    return false;
}

bool get_range(struct reading *r, const config_setting_t *group, int64_t *ret_from,
               int64_t *ret_until)
{
    int64_t from = r->from_us, until = TIME_FOREVER;
    bool has_until = get_time(r, group, "effective_until", &until);
    if (!get_time(r, group, "effective_from", &from) && !r->has_from &&
        !has_key(group, "effective_from")) {
        finding(r, group, "'effective_from' is missing here, and the defaults have none");
        return false;
    }
    if (has_until && until <= from) {
        finding(r, config_setting_get_member(group, "effective_until"),
                "'effective_until' is not after 'effective_from'");
        return false;
    }
    *ret_from = from;
    *ret_until = until;
    return true;
}

static void read_unit(struct reading *r, const config_setting_t *group)
{
    static const char *const keys[] = { "code", "valued_in", "value", NULL };
    check_keys(r, group, "a unit", keys);
    struct unit u = { .value = AMOUNT_ONE };
    if (!get_name(r, group, "code", NAME_REQUIRED, &u.code))
        return;
    if (find_unit(r, u.code)) {
        finding(r, group, "unit '%.*s' is here a second time", SLICE_ARGS(u.code));
        return;
    }
    u.valued_in = u.code;
    get_name(r, group, "valued_in", 0, &u.valued_in);
    bool has_value = get_decimal(r, group, "value", &BOUNDS_POSITIVE_PRICE, &u.value);
    if (slice_equal(u.code, u.valued_in)) {
        if (has_value && u.value != AMOUNT_ONE)
            finding(r, group,
                    "a currency is worth one of itself: leave 'value' out, or say in what "
                    "it is valued ('valued_in')");
    } else if (!has_value && !has_key(group, "value")) {
        finding(r, group, "'value' is missing here: how much of %.*s one %.*s is worth",
                SLICE_ARGS(u.valued_in), SLICE_ARGS(u.code));
    }
    *catalogue_add_unit(r->catalogue) = u;
}

static void read_units(struct reading *r, const config_setting_t *root)
{
    config_setting_t *list = get_list(r, root, "units");
    r->has_units = has_key(root, "units");
    for (int i = 0; list && i < config_setting_length(list); i++)
        if (list_group(list, i))
            read_unit(r, list_group(list, i));
    for (size_t i = 0; i < r->catalogue->units.n; i++) {
        const struct unit *u = r->catalogue->units.at[i], *in = find_unit(r, u->valued_in);
        if (!in || !slice_equal(in->code, in->valued_in))
            finding(r, list, "unit '%.*s' is valued in '%.*s', which is no currency of 'units'",
                    SLICE_ARGS(u->code), SLICE_ARGS(u->valued_in));
    }
}

static void read_metrics(struct reading *r, const config_setting_t *root)
{
    static const char *const keys[] = { "name", "aggregation", NULL };
    config_setting_t *list = get_list(r, root, "metrics");
    r->has_metrics = has_key(root, "metrics");
    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *group = list_group(list, i);
        if (!group)
            continue;
        struct metric m = { .aggregation = SLICE("sum"),
                            .line = (int)config_setting_source_line(group) };
        check_keys(r, group, "a metric", keys);
        get_name(r, group, "aggregation", 0, &m.aggregation);
        if (slice_is(m.aggregation, "max"))
            finding(r, group, "aggregation \"max\" is not booked by this version, only \"sum\"");
        else if (!slice_is(m.aggregation, "sum"))
            finding(r, group, "'aggregation' must be \"sum\"");
        if (!get_name(r, group, "name", NAME_REQUIRED, &m.name))
            continue;
        if (has_metric(r, m.name))
            finding(r, group, "metric '%.*s' is here a second time", SLICE_ARGS(m.name));
        else
            *catalogue_add_metric(r->catalogue) = m;
    }
}

static void read_fx(struct reading *r, const config_setting_t *root)
{
    static const char *const keys[] = { "from", "to", "rate", "effective_from", "effective_until",
                                        NULL };
    config_setting_t *list = get_list(r, root, "fx");
    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *group = list_group(list, i);
        if (!group)
            continue;
        struct fx_rate x = { .line = (int)config_setting_source_line(group) };
        check_keys(r, group, "an exchange rate", keys);
        bool good = get_currency(r, group, "from", &x.from);
        good = get_currency(r, group, "to", &x.to) && good;
        if (good && slice_equal(x.from, x.to)) {
            finding(r, group, "a rate leads from one currency to another");
            good = false;
        }
        if (!has_key(group, "rate"))
            finding(r, group, "'rate' is missing here");
        good = get_decimal(r, group, "rate", &BOUNDS_POSITIVE_PRICE, &x.rate) && good;
        good = get_range(r, group, &x.from_us, &x.until_us) && good;
        if (good)
            *catalogue_add_rate(r->catalogue) = x;
    }
}

static bool has_package(const struct reading *r, struct slice name)
{
    for (size_t i = 0; i < r->catalogue->packages.n; i++)
        if (slice_equal(r->catalogue->packages.at[i]->name, name))
            return true;
    return false;
}

static void read_packages(struct reading *r, const config_setting_t *root)
{
    static const char *const keys[] = {
        "name", "unit", "amount", "bonus", "price", "currency", NULL
    };
    config_setting_t *list = get_list(r, root, "packages");
    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *group = list_group(list, i);
        if (!group)
            continue;
        struct package p = { .line = (int)config_setting_source_line(group) };
        check_keys(r, group, "a package", keys);
        bool good = get_name(r, group, "name", NAME_REQUIRED, &p.name);
        p.unit = get_unit(r, group, "unit");
        if (!has_key(group, "amount") || !has_key(group, "price"))
            finding(r, group, "a package needs 'amount' and 'price'");
        good = get_decimal(r, group, "amount", &BOUNDS_POSITIVE_AMOUNT, &p.amount) && good;
        get_decimal(r, group, "bonus", &BOUNDS_AMOUNT, &p.bonus);
        good = get_decimal(r, group, "price", &BOUNDS_PRICE, &p.price) && good;
        good = get_currency(r, group, "currency", &p.currency) && good;
        if (good && has_package(r, p.name))
            finding(r, group, "package '%.*s' is here a second time", SLICE_ARGS(p.name));
        else if (good && p.unit)
            *catalogue_add_package(r->catalogue) = p;
    }
}

static void read_root(struct reading *r, const config_setting_t *root)
{
    check_keys(r, root, "a catalogue", ROOT_KEYS);
    read_defaults(r, root);
    read_units(r, root);
    read_metrics(r, root);
    read_plans(r, root);
    read_prices(r, root, NULL);
    read_fx(r, root);
    read_packages(r, root);
    check_catalogue(r);
}

static int read_config(const char *path, config_t *config, struct error *ret_error)
{
    if (config_read_file(config, path) == CONFIG_TRUE)
        return 0;
    const char *file = config_error_file(config);
    if (config_error_type(config) == CONFIG_ERR_FILE_IO)
        return error_set(ret_error, EX_DATAERR, "reading the catalogue '%s' failed: %s", path,
                         errno ? strerror(errno) : "it is no readable file");
    return error_set(ret_error, EX_DATAERR, "%s:%d: %s", file ? file : path,
                     config_error_line(config), config_error_text(config));
}

int catalogue_read_file(const char *path, struct catalogue **ret, struct error *ret_error)
{
    config_t config;
    config_init(&config);
    errno = 0;
    int result = read_config(path, &config, ret_error);
    if (result == 0) {
        struct reading r = { .path = path, .catalogue = catalogue_new() };
        r.catalogue->path = arena_text(&r.catalogue->arena, slice_of(path));
        read_root(&r, config_root_setting(&config));
        if (r.findings) {
            error_set(ret_error, EX_DATAERR, "%s", buffer_cstr(&r.text));
            result = -r.findings;
            catalogue_unref(r.catalogue);
        } else {
            catalogue_finish(r.catalogue, 0);
            *ret = r.catalogue;
        }
        buffer_fini(&r.text);
    }
    config_destroy(&config);
    return result;
}
