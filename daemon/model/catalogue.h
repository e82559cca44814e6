/* A catalogue: prices, plans, packages, rates of one version. Immutable once built, shared between
 * threads by reference count. Read from a file (daemon/catalogue/file.h) or from
 * the database (daemon/catalogue/store.h); rating knows no difference. All text lies in the
 * catalogue's arena. */
#ifndef DEBITD_MODEL_CATALOGUE_H
#define DEBITD_MODEL_CATALOGUE_H

#include "base/arena.h"
#include "base/decimal.h"
#include "base/slice.h"

#include <stdint.h>

#define TIME_FOREVER         INT64_MAX
#define THRESHOLDS_MAX       16
#define PRICE_CURRENCIES_MAX 8 /* in which one key may be priced at the same time */

struct unit {
    struct slice code;      /* "USD", "CREDIT" */
    struct slice valued_in; /* the currency; of a currency: itself */
    amount_t value;         /* of one unit in that currency, scaled 1e12 */
};

struct price {
    struct slice plan; /* absent: a cost price; else the plan whose fixed price it is */
    struct slice service, model, component; /* absent: '*' */
    struct slice metric;
    struct slice currency; /* of a fixed price: the plan's unit */
    amount_t price;        /* of `per` units of quantity */
    quantity_t per;
    int64_t from_us, until_us; /* [from, until) */
    int32_t price_id;          /* in the database; 0: from a file */
    int line;                  /* in the file; 0: from the database */
};

struct fx_rate { /* one `from` is worth `rate` of `to` */
    struct slice from, to;
    amount_t rate;
    int64_t from_us, until_us;
    int line;
};

struct quota {
    struct slice metric;
    bool has_included;
    quantity_t included; /* a month */
    bool has_overage;
    amount_t overage_price;
    quantity_t overage_per;
    bool has_day_limit;
    quantity_t day_limit;
    int32_t threshold[THRESHOLDS_MAX]; /* percent, ascending */
    int thresholds;
};

enum plan_kind { PLAN_PREPAID, PLAN_POSTPAID };
enum tariff_kind { TARIFF_NONE, TARIFF_FIXED, TARIFF_COST_PLUS };
enum credits_policy { CREDITS_RESET, CREDITS_ROLLOVER };

struct plan {
    struct slice name;
    int32_t plan_id; /* of this version, in the database; 0: from a file */
    const struct unit *unit;
    enum plan_kind kind;
    enum tariff_kind tariff;
    amount_t markup; /* percent, scaled 1e12 */
    bool trust_cost;
    bool has_credits;
    amount_t credits_per_period;
    enum credits_policy credits_policy;
    bool has_welcome;
    amount_t welcome;
    bool has_low_balance;
    amount_t low_balance;
    bool has_minimum;
    amount_t minimum_balance;
    amount_t fee;
    bool enforce;
    const struct quota *quota;
    int quotas;
    int line;
};

struct package {
    struct slice name;
    const struct unit *unit; /* sold on plans of this unit */
    amount_t amount, bonus, price;
    struct slice currency; /* of price */
    int line;
};

struct metric {
    struct slice name;
    struct slice aggregation; /* "sum" */
    int line;
};

struct catalogue; /* opaque: arrays of the above and the indexes over them */

struct catalogue *catalogue_ref(struct catalogue *c);
void catalogue_unref(struct catalogue *c); /* NULL is fine */
void catalogue_unrefp(struct catalogue **c);
int32_t catalogue_version(const struct catalogue *c); /* 0: from a file */

const struct plan *catalogue_plan(const struct catalogue *c,
                                  struct slice name); /* in force; NULL: none */
const struct plan *
catalogue_plan_version(const struct catalogue *c,
                       int32_t plan_id); /* any version of the database's; NULL: none */
const struct unit *catalogue_unit(const struct catalogue *c, struct slice code);
bool catalogue_has_metric(const struct catalogue *c, struct slice name);
const struct quota *plan_quota(const struct plan *p, struct slice metric); /* NULL: none */
/* The first that exists in the order of contract 2.7, in force at time_us. plan absent: cost
 * prices. NULL: none. */
const struct price *catalogue_price(const struct catalogue *c, struct slice plan,
                                    struct slice service, struct slice model, struct slice metric,
                                    struct slice component, int64_t time_us);
/* The same, but all currencies in which the first key that exists is priced at that time, ordered
 * by currency. Returns their number. */
int catalogue_prices(const struct catalogue *c, struct slice plan, struct slice service,
                     struct slice model, struct slice metric, struct slice component,
                     int64_t time_us, const struct price *ret[PRICE_CURRENCIES_MAX]);
/* The plan has some fixed price on the metric, whatever its key and time. */
bool catalogue_plan_prices_metric(const struct catalogue *c, struct slice plan,
                                  struct slice metric);
/* False: no rate from one to the other in force (a currency to itself is always 1). */
bool catalogue_fx(const struct catalogue *c, struct slice from, struct slice to, int64_t time_us,
                  amount_t *ret_rate);

#endif
