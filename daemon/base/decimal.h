/* Exact decimals as scaled 128-bit integers. Amounts (money, prices, balances) have 12 places,
 * quantities 6 (contract 2.1). No function
 * here ever goes through binary floating point. */
#ifndef DEBITD_BASE_DECIMAL_H
#define DEBITD_BASE_DECIMAL_H

#include "base/macros.h"
#include "base/slice.h"

#include <stdint.h>

typedef __int128 amount_t;   /* scaled by AMOUNT_ONE: 1 unit = 1000000000000 */
typedef __int128 quantity_t; /* scaled by QUANTITY_ONE: 1 unit = 1000000 */

#define AMOUNT_PLACES   12
#define QUANTITY_PLACES 6
#define AMOUNT_ONE      ((amount_t)1000000000000LL)
#define QUANTITY_ONE    ((quantity_t)1000000)
#define AMOUNT_LIMIT                  \
    (AMOUNT_ONE * 1000000 * 1000000 * \
     1000000) /* amounts and balances stay below 1e18 units (contract 2.1) */
#define PRICE_MAX    (AMOUNT_ONE * 1000000)             /* a price is at most 1e6 */
#define QUANTITY_MAX (QUANTITY_ONE * 1000000 * 1000000) /* a quantity is at most 1e12 */
#define COST_MAX     (AMOUNT_ONE * 1000000 * 1000000)   /* a provider's cost is at most 1e12 */

enum decimal_result {
    DECIMAL_OK = 0,
    DECIMAL_NOT_A_NUMBER = 1, /* not in the JSON number grammar (RFC 8259 section 6) */
    DECIMAL_TOO_PRECISE = 2,  /* more places, by value, than asked for: 1.0000000 has none */
    DECIMAL_TOO_LARGE = 3,    /* absolute value above max */
};

/* Reads text in the JSON number grammar (sign, exponent allowed; no leading '+', no white space) as
 * an integer scaled by 10^places.
 * |value| must be <= max (already scaled). Time is linear in the text, whatever the exponent.
 * TOO_LARGE is looked for before TOO_PRECISE. -0 is 0.
 * *ret is untouched unless DECIMAL_OK. */
enum decimal_result decimal_parse(struct slice text, int places, __int128 max,
                                  __int128 *ret) MUST_CHECK;

/* In the number grammar and, by value, with no more than that many places, whatever its size. For
 * checks that ask for precision before size. */
bool decimal_within_places(struct slice text, int places) MUST_CHECK;

#define DECIMAL_TEXT_MAX 48
/* Writes the shortest plain form (no exponent, no trailing zeros, "0" for zero, "-0.5"),
 * NUL-terminated. Returns its length. */
size_t decimal_format(__int128 value, int places, char out[DECIMAL_TEXT_MAX]);

/* round(a * b / c), half-even, exact 256-bit intermediate. c > 0. False on a result that does not
 * fit 127 bits; *ret is then untouched. */
bool decimal_mul_div(__int128 a, __int128 b, __int128 c, __int128 *ret) MUST_CHECK;

/* round12(quantity * price / per): quantity scaled 1e6, price 1e12, per scaled 1e6 (> 0); the
 * result is an amount. False when it is not below
 * AMOUNT_LIMIT (contract: out_of_range). */
bool amount_of_quantity(quantity_t quantity, amount_t price, quantity_t per,
                        amount_t *ret) MUST_CHECK;

/* Sums that keep |result| < AMOUNT_LIMIT; false otherwise, *ret untouched. */
bool amount_add(amount_t a, amount_t b, amount_t *ret) MUST_CHECK;

#endif
