/* Decimals against arithmetic on digits: the text is moved about as text, products are
 * multiplied by hand. The first bytes of the input are the numbers of a mul_div, all of it is
 * the text of a number. */
#include "base/decimal.h"
#include "tests/fuzz/input.h"

#include <ctype.h>

#define TEXT_MAX  64
#define POWER_MAX 99

/* The plain form of a number in the JSON grammar: "-12.5e1" -> "-125". False: not in the
 * grammar, or too long for this. */
static bool plain_form(const char *text, char out[2 * (TEXT_MAX + POWER_MAX)])
{
    char digits[TEXT_MAX + 1] = "", *o = out;
    int n = 0, whole = 0, first;
    long power = 0;
    const char *p = text;
    bool negative = *p == '-';

    p += negative;
    if (!isdigit((unsigned char)*p) || (p[0] == '0' && isdigit((unsigned char)p[1])))
        return false;
    for (; isdigit((unsigned char)*p); p++, whole++)
        digits[n++] = *p;
    if (*p == '.') {
        if (!isdigit((unsigned char)*++p))
            return false;
        for (; isdigit((unsigned char)*p); p++)
            digits[n++] = *p;
    }
    if (*p == 'e' || *p == 'E') {
        char *rest;
        p++;
        if (!isdigit((unsigned char)p[*p == '+' || *p == '-']))
            return false;
        power = strtol(p, &rest, 10); /* the largest where it does not fit */
        p = rest;
    }
    if (*p || power > POWER_MAX || power < -POWER_MAX)
        return false;
    /* put zeros on either side, then the point in its place */
    char wide[TEXT_MAX + 2 * POWER_MAX + 1];
    memset(wide, '0', sizeof(wide));
    memcpy(wide + POWER_MAX, digits, (size_t)n);
    whole += POWER_MAX + (int)power;
    int end = POWER_MAX + n > whole ? POWER_MAX + n : whole;
    while (end > whole && wide[end - 1] == '0')
        end--;
    for (first = 0; first < whole - 1 && wide[first] == '0'; first++)
        ;
    if (negative && strspn(digits, "0") < (size_t)n)
        *o++ = '-';
    if (whole <= first)
        *o++ = '0';
    for (int i = first; i < end; i++) {
        if (i == whole)
            *o++ = '.';
        *o++ = wide[i];
    }
    *o = '\0';
    return true;
}

static void parse_check(const uint8_t *data, size_t size)
{
    static const struct {
        int places;
        __int128 max;
    } kinds[] = { { QUANTITY_PLACES, QUANTITY_MAX }, { AMOUNT_PLACES, AMOUNT_LIMIT - 1 } };
    char text[TEXT_MAX + 1], plain[2 * (TEXT_MAX + POWER_MAX)], got[DECIMAL_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        __int128 value = 77;
        enum decimal_result r = decimal_parse((struct slice){ (const char *)data, size },
                                              kinds[i].places, kinds[i].max, &value);
        CLAIM(r == DECIMAL_OK || value == 77);
        CLAIM(value <= kinds[i].max && value >= -kinds[i].max);
        if (size > TEXT_MAX || memchr(data, 0, size))
            continue;
        memcpy(text, data, size);
        text[size] = '\0';
        if (!plain_form(text, plain))
            continue;
        CLAIM(r != DECIMAL_NOT_A_NUMBER);
        const char *point = strchr(plain, '.');
        size_t places = point ? strlen(point + 1) : 0,
               whole = strcspn(plain, ".") - (plain[0] == '-');
        CLAIM(decimal_within_places((struct slice){ text, size }, kinds[i].places) ==
              (places <= (size_t)kinds[i].places));
        if (r == DECIMAL_OK) {
            decimal_format(value, kinds[i].places, got);
            CLAIM(strcmp(got, plain) == 0);
        } else if (r == DECIMAL_TOO_PRECISE) {
            CLAIM(places > (size_t)kinds[i].places && whole < 20);
        } else {
            CLAIM(whole >= (i == 0 ? 13 : 18)); /* above 1e12, or above 1e18 less the last place */
        }
    }
}

/* Numbers of 512 bits in digits of 16. */
struct big {
    uint32_t digit[32];
};

static struct big big_of(unsigned __int128 value)
{
    struct big b = { { 0 } };
    for (int i = 0; i < 8; i++)
        b.digit[i] = (uint32_t)(value >> 16 * i) & 0xffff;
    return b;
}

static struct big big_multiply(struct big a, struct big b)
{
    struct big out = { { 0 } };
    for (int i = 0; i < 32; i++) {
        uint32_t carry = 0;
        for (int j = 0; i + j < 32; j++) {
            uint32_t x = out.digit[i + j] + a.digit[i] * b.digit[j] + carry;
            out.digit[i + j] = x & 0xffff;
            carry = x >> 16;
        }
    }
    return out;
}

static int big_compare(const struct big *a, const struct big *b)
{
    for (int i = 31; i >= 0; i--)
        if (a->digit[i] != b->digit[i])
            return a->digit[i] < b->digit[i] ? -1 : 1;
    return 0;
}

/* |a - b| */
static struct big big_distance(struct big a, struct big b)
{
    const struct big *high = big_compare(&a, &b) >= 0 ? &a : &b, *low = high == &a ? &b : &a;
    struct big out;
    int32_t borrow = 0;
    for (int i = 0; i < 32; i++) {
        int32_t x = (int32_t)high->digit[i] - (int32_t)low->digit[i] - borrow;
        borrow = x < 0;
        out.digit[i] = (uint32_t)(x + (borrow << 16));
    }
    return out;
}

static unsigned __int128 magnitude(__int128 v)
{
    return v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
}

static void mul_div_check(const uint8_t *data)
{
    __int128 number[3], q = 77;
    for (int i = 0; i < 3; i++) {
        memcpy(&number[i], data + 16 * i, 16);
        number[i] >>= data[48 + i] % 120; /* of all sizes */
    }
    if (number[2] < 0)
        number[2] = ~number[2];
    if (number[2] == 0)
        number[2] = 1;
    struct big product = big_multiply(big_of(magnitude(number[0])), big_of(magnitude(number[1])));
    struct big c = big_of((unsigned __int128)number[2]), two = big_of(2);
    if (!decimal_mul_div(number[0], number[1], number[2], &q)) {
        /* at least 2^127 - 1/2: twice the product is at least (2^128 - 1) * c */
        struct big least = big_multiply(big_of(~(unsigned __int128)0), c),
                   twice = big_multiply(product, two);
        CLAIM(q == 77 && big_compare(&twice, &least) >= 0);
        return;
    }
    CLAIM(q == 0 || (q < 0) == ((number[0] < 0) != (number[1] < 0)));
    /* the nearest: twice the distance is at most c; where it is c, the quotient is even */
    struct big back = big_multiply(big_of(magnitude(q)), c);
    struct big twice = big_multiply(big_distance(product, back), two);
    int order = big_compare(&twice, &c);
    CLAIM(order < 0 || (order == 0 && (q & 1) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse_check(data, size);
    if (size >= 51)
        mul_div_check(data);
    return 0;
}
