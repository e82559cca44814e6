/* Which alerts one entry raises (contract 4): compares the state just before and just after it.
 * Pure. */
#ifndef DEBITD_RATING_ALERT_RULES_H
#define DEBITD_RATING_ALERT_RULES_H

#include "model/catalogue.h"

/* Thresholds (percent, ascending) that used crosses: used_before < T% of included <= used_after;
 * with included 0 the first quantity above 0 raises each.
 * ret has room for THRESHOLDS_MAX. Returns their number. */
int crossed_thresholds(const struct quota *quota, quantity_t used_before, quantity_t used_after,
                       int32_t *ret);

enum balance_alert { BALANCE_LOW, BALANCE_EXHAUSTED, BALANCE_RECOVERED };
const char *balance_alert_type(enum balance_alert a); /* "balance.low" … */
/* In the order in which they are published; at most 3. has_charge: the payer has had a usage entry
 * with an amount other than 0. None on a postpaid plan. */
int balance_alerts(const struct plan *plan, amount_t before, amount_t after, bool has_charge,
                   enum balance_alert ret[3]);

#endif
