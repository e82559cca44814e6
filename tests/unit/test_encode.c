/* NUMERIC as it goes to PostgreSQL: int16 each of digits, weight, sign, scale, then digits of base 10000. */
#include "pg/session.h"
#include "tests/unit/test.h"

#include <endian.h>
#include <string.h>

static int word(const struct buffer *b, size_t at)
{
    uint16_t v;
    memcpy(&v, b->p + 4 + 2 * at, 2);
    return (int16_t)be16toh(v);
}

/* The value of what was written, scaled 1e12, where it is written the one way it should be. */
static __int128 read_back(const struct buffer *b)
{
    uint32_t length;
    memcpy(&length, b->p, 4);
    int digits = word(b, 0), weight = word(b, 1), scale = word(b, 3), least = 0;
    CHECK_INT(be32toh(length), 8 + 2 * digits);
    CHECK_INT(b->n, 12 + 2 * digits);
    CHECK(digits == 0 || (word(b, 4) != 0 && word(b, 4 + (size_t)digits - 1) != 0));
    __int128 value = 0;
    for (int i = 0; i < digits; i++) {
        __int128 part = word(b, 4 + (size_t)i);
        CHECK(part < 10000);
        for (int k = weight - i + 3; k > 0; k--)
            part *= 10000;
        value += part;
    }
    for (__int128 left = value % AMOUNT_ONE; left; left = left * 10 % AMOUNT_ONE)
        least++;
    CHECK_INT(scale, least);
    return word(b, 2) ? -value : value;
}

static void written(__int128 scaled, int places)
{
    struct buffer b = BUFFER_NULL;
    pg_row_numeric(&b, scaled, places);
    CHECK(read_back(&b) == scaled * (places == AMOUNT_PLACES ? 1 : AMOUNT_ONE / QUANTITY_ONE));
    buffer_fini(&b);
}

TEST(
    "a number is written with as few digits as it has, on either side of 64 bits and of each digit")
{
    for (__int128 power = 1; power < AMOUNT_LIMIT; power *= 10)
        for (int off = -2; off <= 2; off++) {
            written(power + off, AMOUNT_PLACES);
            written(-power - off, AMOUNT_PLACES);
            if (power <= QUANTITY_MAX)
                written(power + off, QUANTITY_PLACES);
        }
    for (int off = -2; off <= 2; off++)
        written(((__int128)1 << 64) + off, AMOUNT_PLACES);
    written(AMOUNT_LIMIT - 1, AMOUNT_PLACES);
    written(1 - AMOUNT_LIMIT, AMOUNT_PLACES);
}

TEST("the bytes are those that PostgreSQL itself sends")
{
    static const struct {
        __int128 scaled;
        int places;
        const char *bytes;
        size_t n;
    } cases[] = {
        /* SELECT numeric_send(…) of PostgreSQL 15 */
        { 0, AMOUNT_PLACES, "\0\0\0\0\0\0\0\0", 8 },
        { 500000000000, AMOUNT_PLACES, "\0\1\xff\xff\0\0\0\1\x13\x88", 10 }, /* 0.5 */
        { -1, AMOUNT_PLACES, "\0\1\xff\xfd\x40\0\0\x0c\0\1", 10 },           /* -0.000000000001 */
        { 10000000000, QUANTITY_PLACES, "\0\1\0\1\0\0\0\0\0\1", 10 },        /* 10000 */
        { 123456789, QUANTITY_PLACES, "\0\3\0\0\0\0\0\6\0\x7b\x11\xd7\x22\xc4",
          14 }, /* 123.456789 */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer b = BUFFER_NULL;
        pg_row_numeric(&b, cases[i].scaled, cases[i].places);
        CHECK_INT(b.n, 4 + cases[i].n);
        CHECK(memcmp(b.p + 4, cases[i].bytes, cases[i].n) == 0);
        buffer_fini(&b);
    }
}
