/* What applying one catalogue over another would change, and what of it is refused. Pure: no
 * server. */
#ifndef DEBITD_CATALOGUE_COMPARE_H
#define DEBITD_CATALOGUE_COMPARE_H

#include "base/buffer.h"
#include "model/catalogue_build.h"

enum change_kind {
    CHANGE_UNIT_NEW,
    CHANGE_UNIT_VALUE, /* only where nothing was ever booked in the unit */
    CHANGE_METRIC_NEW,
    CHANGE_PRICE_NEW,
    CHANGE_PRICE_END, /* effective_until is set */
    CHANGE_RATE_NEW,
    CHANGE_RATE_END,
    CHANGE_PLAN_NEW,
    CHANGE_PLAN_NEXT, /* a new version */
    CHANGE_PACKAGE_NEW,
    CHANGE_PACKAGE_NEXT,
    CHANGE_PACKAGE_GONE,
};

struct change {
    enum change_kind kind;
    union { /* by kind, all in the wanted catalogue, but the package that is gone */
        const struct unit *unit;
        const struct metric *metric;
        const struct price *price;
        const struct fx_rate *rate;
        const struct plan *plan;
        const struct package *package;
    };
    int32_t price_id; /* PRICE_END: the row in the database */
};

struct comparison {
    VECTOR(struct change) changes; /* in the order in which they must be made */
    struct buffer text;     /* of the changes, for people: a line each, ending with a newline */
    struct buffer findings; /* what is refused, a line each, without a newline at the end */
    int refused;
};
#define COMPARISON_NULL ((struct comparison){ .refused = 0 })

/* Both catalogues must outlive *ret, which must be COMPARISON_NULL before and comparison_fini'd
 * after. */
void catalogue_compare(const struct catalogue *current, const struct catalogue *wanted,
                       struct comparison *ret);
void comparison_fini(struct comparison *c);

/* Of the comparing itself. A finding; line 0: there is nothing in the file to point at. */
void comparison_refuse(struct comparison *c, const struct catalogue *wanted, int line,
                       const char *format, ...) PRINTF_LIKE(4, 5);
struct change *comparison_add(struct comparison *c, enum change_kind kind);
void compare_prices(const struct catalogue *current, const struct catalogue *wanted,
                    struct comparison *ret);
void compare_rates(const struct catalogue *current, const struct catalogue *wanted,
                   struct comparison *ret);

/* For people: "openai/gpt-4o ai_tokens input: 2.5 USD per 1000000, from 2025-01-01". */
void price_describe(const struct price *p, struct buffer *to);
void rate_describe(const struct fx_rate *r, struct buffer *to);
/* Every fact of a plan, a line each: equal plans have equal descriptions. */
void plan_describe(const struct plan *p, struct buffer *to);

#endif
