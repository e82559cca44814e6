/* Exact decimals: text to scaled integer and back, and the one multiplication with rounding that
 * money goes through. Pure functions. */
#include "base/decimal.h"

typedef unsigned __int128 u128;

#define I128_MAX     ((u128)(((u128)1 << 127) - 1))
/* 10^38 fits 127 bits, 10^39 does not: a number of 40 digits before its point is above any max. */
#define DIGITS_MAX   39
/* An exponent beyond this is as good as infinite: no text is that long, so digits cannot make up
 * for it. */
#define EXPONENT_CAP (INT64_C(1) << 60)

/* A number taken apart: +-0.d1d2d3… without leading and trailing zeros. */
struct number {
    const char *first,
        *last;      /* significant digits, a '.' may be among them; NULL: the value is 0 */
    int64_t digits; /* how many */
    int64_t power;  /* of ten, of the last one */
    bool negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "e", "E" and what follows; p stands on it. NULL: not in the grammar. */
static const char *exponent_read(const char *p, const char *end, int64_t *ret)
{
    int64_t value = 0;
    bool negative = false;

    p++;
    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    if (p == end || !is_digit(*p))
        return NULL;
    for (; p < end && is_digit(*p); p++)
        if (value < EXPONENT_CAP / 10 - 1)
            value = value * 10 + (*p - '0');
        else
            value = EXPONENT_CAP;
    *ret = negative ? -value : value;
    return p;
}

/* One pass over the text. False: not in the JSON number grammar. */
static bool number_read(struct slice text, struct number *ret)
{
    struct number n = { NULL, NULL, 0, 0, false };
    const char *p = text.p, *end, *point = NULL, *mantissa_end;
    int64_t exponent = 0;

    if (text.n == 0)
        return false;
    end = p + text.n;
    if (*p == '-') {
        n.negative = true;
        p++;
    }
    if (p == end || !is_digit(*p) || (*p == '0' && p + 1 < end && is_digit(p[1])))
        return false;
    for (; p < end; p++) {
        if (*p == '.') {
            if (point || p + 1 == end || !is_digit(p[1]))
                return false;
            point = p;
        } else if (is_digit(*p)) {
            if (*p != '0') {
                n.first = n.first ? n.first : p;
                n.last = p;
            }
        } else {
            break;
        }
    }
    mantissa_end = p;
    if (p < end && (*p == 'e' || *p == 'E') && !(p = exponent_read(p, end, &exponent)))
        return false;
    if (p != end)
        return false;
    if (n.first) {
        if (!point)
            point = mantissa_end;
        n.digits = n.last - n.first + 1 - (n.first < point && point < n.last);
        n.power = n.last < point ? point - n.last - 1 : point - n.last;
        n.power += exponent;
    }
    *ret = n;
    return true;
}

/* The first `count` significant digits as an integer; false when it does not fit 128 bits. */
static bool number_head(const struct number *n, int64_t count, u128 *ret)
{
    u128 value = 0;

    for (const char *p = n->first; count > 0; p++) {
        if (*p == '.')
            continue;
        if (__builtin_mul_overflow(value, (u128)10, &value) ||
            __builtin_add_overflow(value, (u128)(*p - '0'), &value))
            return false;
        count--;
    }
    *ret = value;
    return true;
}

enum decimal_result decimal_parse(struct slice text, int places, __int128 max, __int128 *ret)
{
    struct number n;
    u128 value;
    int64_t shift, whole;

    ASSERT(places >= 0 && places <= 38 && max >= 0);
    if (!number_read(text, &n))
        return DECIMAL_NOT_A_NUMBER;
    if (!n.first) {
        *ret = 0;
        return DECIMAL_OK;
    }
    shift = n.power + places; /* value = digits * 10^shift */
    whole = n.digits + shift; /* digits before the point of the scaled value */
    if (whole > DIGITS_MAX)
        return DECIMAL_TOO_LARGE;
    if (shift < 0) {
        /* What is left out is not 0, as the last digit is not: equal to max is above it. */
        if (whole > 0 && (!number_head(&n, whole, &value) || value >= (u128)max))
            return DECIMAL_TOO_LARGE;
        return whole <= 0 && max == 0 ? DECIMAL_TOO_LARGE : DECIMAL_TOO_PRECISE;
    }
    if (!number_head(&n, n.digits, &value))
        return DECIMAL_TOO_LARGE;
    for (; shift > 0; shift--)
        if (__builtin_mul_overflow(value, (u128)10, &value))
            return DECIMAL_TOO_LARGE;
    if (value > (u128)max)
        return DECIMAL_TOO_LARGE;
    *ret = n.negative ? -(__int128)value : (__int128)value;
    return DECIMAL_OK;
}

bool decimal_within_places(struct slice text, int places)
{
    struct number n;

    return number_read(text, &n) && (!n.first || n.power >= -places);
}

size_t decimal_format(__int128 value, int places, char out[DECIMAL_TEXT_MAX])
{
    char reversed[DECIMAL_TEXT_MAX];
    u128 rest = value < 0 ? -(u128)value : (u128)value;
    size_t n = 0, length = 0;
    bool shown = false; /* a digit behind the point that is not a trailing zero was written */

    ASSERT(places >= 0 && places <= 38);
    for (int i = 0; i < places; i++) {
        int digit = (int)(rest % 10);
        rest /= 10;
        if (shown || digit) {
            reversed[n++] = (char)('0' + digit);
            shown = true;
        }
    }
    if (shown)
        reversed[n++] = '.';
    do {
        reversed[n++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    if (value < 0)
        out[length++] = '-';
    while (n)
        out[length++] = reversed[--n];
    out[length] = '\0';
    return length;
}

/* high:low = a * b */
static void multiply(u128 a, u128 b, u128 *high, u128 *low)
{
    const u128 mask = ~(uint64_t)0;
    u128 a0 = a & mask, a1 = a >> 64, b0 = b & mask, b1 = b >> 64;
    u128 p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
    u128 middle = (p00 >> 64) + (p01 & mask) + (p10 & mask);

    *low = (p00 & mask) | middle << 64;
    *high = p11 + (p01 >> 64) + (p10 >> 64) + (middle >> 64);
}

/* high:low / c for high < c < 2^127: the quotient fits 128 bits. Bit by bit: only products
 * beyond 128 bits, far above any real usage, come here. */
static u128 divide_long(u128 high, u128 low, u128 c, u128 *ret_rest)
{
    u128 quotient = 0;

    for (int i = 127; i >= 0; i--) {
        high = high << 1 | (low >> i & 1);
        quotient <<= 1;
        if (high >= c) {
            high -= c;
            quotient |= 1;
        }
    }
    *ret_rest = high;
    return quotient;
}

bool decimal_mul_div(__int128 a, __int128 b, __int128 c, __int128 *ret)
{
    u128 high, low, quotient, rest;
    bool negative = (a < 0) != (b < 0);

    ASSERT(c > 0);
    multiply(a < 0 ? -(u128)a : (u128)a, b < 0 ? -(u128)b : (u128)b, &high, &low);
    if (high >= (u128)c)
        return false;
    if (high == 0) {
        quotient = low / (u128)c;
        rest = low % (u128)c;
    } else {
        quotient = divide_long(high, low, (u128)c, &rest);
    }
    if (quotient > I128_MAX)
        return false;
    /* rest < c < 2^127, so twice the rest does not overflow */
    if (rest * 2 > (u128)c || (rest * 2 == (u128)c && (quotient & 1)))
        quotient++;
    if (quotient > I128_MAX)
        return false;
    *ret = negative ? -(__int128)quotient : (__int128)quotient;
    return true;
}

bool amount_of_quantity(quantity_t quantity, amount_t price, quantity_t per, amount_t *ret)
{
    __int128 value;

    if (!decimal_mul_div(quantity, price, per, &value) || value >= AMOUNT_LIMIT ||
        value <= -AMOUNT_LIMIT)
        return false;
    *ret = value;
    return true;
}

bool amount_add(amount_t a, amount_t b, amount_t *ret)
{
    __int128 sum;

    if (__builtin_add_overflow(a, b, &sum) || sum >= AMOUNT_LIMIT || sum <= -AMOUNT_LIMIT)
        return false;
    *ret = sum;
    return true;
}
