/* What an event costs and what it is charged (contract 2, rules 2, 3, 7, 8). Pure functions: no
 * clock, no I/O, no state but what is handed in. */
#ifndef DEBITD_RATING_RATE_H
#define DEBITD_RATING_RATE_H

#include "model/catalogue.h"
#include "model/event.h"
#include "model/reason.h"

enum charge_kind {
    CHARGE_FREE,
    CHARGE_QUOTA,
    CHARGE_FIXED,
    CHARGE_COST_PLUS
}; /* debitd.charge_kind has the same labels */
const char *charge_kind_text(enum charge_kind k);

enum price_source {
    PRICE_SOURCE_NONE,
    PRICE_SOURCE_CATALOGUE,
    PRICE_SOURCE_FILE,
    PRICE_SOURCE_EVENT
};
const char *price_source_text(enum price_source s); /* "" for NONE */

struct rating_context {
    const struct catalogue *catalogue;
    const struct catalogue
        *price_file; /* of the configuration, where the catalogue has no price; NULL: none */
    const struct plan *plan; /* the payer's */
    bool guest;              /* the using account is not charged */
    bool byok;               /* the event's service is in the using account's byok */
    /* the payer's, of the metric in the month it counts in; asked only where the plan has a quota */
    quantity_t used_before;
};

struct rated_component {
    bool cost_known;
    amount_t cost;    /* in the plan's currency */
    amount_t charge;  /* its part of the charge, in the plan's unit */
    int32_t price_id; /* of the cost price; 0: none of the database's */
};

struct rated {
    struct slice currency; /* of cost: the plan's unit, or what that is valued in */
    bool cost_known;
    amount_t cost;
    amount_t charge; /* >= 0; the entry's amount is -charge */
    enum charge_kind kind;
    /* of the cost prices, or of the fixed ones where no cost price served; FILE once one is from it */
    enum price_source source;
    /* the first component without a price: what price.missing names, when parked as unpriced or
     * booked with cost unknown */
    bool price_missing;
    struct slice missing_component;
    /* bit i: component i lacks a price, of its cost or fixed: one price.missing each */
    uint32_t missing;
    struct rated_component component[COMPONENTS_MAX]; /* as many as the event has */
};

/* A cost is round12(quantity x price x rate / per), rounded once: the price is converted, not the
 * rounded cost. Of prices in several currencies under one key
 * the plan's own goes first. Rates of the price file serve where the catalogue has none. A
 * fixed-tariff plan that has prices on a metric, but none that fits the event, leaves it
 * unpriced even where the metric has a day limit too: unpriced usage is never booked at 0.
 *
 * REASON_NONE, or REASON_UNKNOWN_METRIC, REASON_UNPRICED (both parked; *ret then tells
 * price_missing for UNPRICED), REASON_OUT_OF_RANGE (rejected).
 * event->kind is USAGE_RECORDED. */
enum reason rate_usage(const struct rating_context *ctx, const struct usage_event *event,
                       struct rated *ret, struct refusal *ret_refusal) MUST_CHECK;

/* What a void gives back, >= 0: at the margin where the original was charged as quota and the plan
 * has a month quota on the metric now, else the original's own amount.
 * used_before is the month's use with the original in it. */
amount_t rate_void(const struct plan *plan_now, struct slice metric, enum charge_kind original_kind,
                   amount_t original_charge, quantity_t original_quantity, quantity_t used_before);

/* Splits a charge over components in proportion to their costs (half-even at 12 places; unknown
 * costs count as 0), the last taking the rest (all of it where the costs are 0). Also of negative
 * ones. */
void split_charge(amount_t charge, struct rated_component *component, uint32_t components);

#endif
