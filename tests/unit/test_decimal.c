/* Exact decimals, against answers worked out by Python's decimal (decimal_cases.py) and some by
 * hand. */
#include "base/decimal.h"
#include "tests/unit/test.h"

#include "base/clock.h"

static __int128 int128_of(const char *text)
{
    bool negative = *text == '-';
    __int128 value = 0;

    for (text += negative; *text; text++)
        value = value * 10 - (*text - '0');
    return negative ? value : -value;
}

static const char *result_name(enum decimal_result r)
{
    static const char *const names[] = { "ok", "not_a_number", "too_precise", "too_large" };
    return names[r];
}

static void case_check(char *line, int number, unsigned *cases)
{
    char *field[6] = { NULL }, got[DECIMAL_TEXT_MAX];
    int fields = 0;
    __int128 value = 77;

    for (char *p = line; p && fields < 6;)
        field[fields++] = strsep(&p, "|");
    bool good = false;
    if (strcmp(field[0], "parse") == 0 && fields == 5) {
        enum decimal_result r =
            decimal_parse(slice_of(field[1]), atoi(field[2]), int128_of(field[3]), &value);
        if (r == DECIMAL_OK)
            decimal_format(value, 0, got);
        else
            snprintf(got, sizeof(got), "%s", result_name(r));
        good = CHECK_STR(got, field[4]) && CHECK(r == DECIMAL_OK || value == 77);
    } else if (strcmp(field[0], "mul_div") == 0 && fields == 5) {
        if (decimal_mul_div(int128_of(field[1]), int128_of(field[2]), int128_of(field[3]), &value))
            decimal_format(value, 0, got);
        else
            snprintf(got, sizeof(got), "%s", value == 77 ? "none" : "touched");
        good = CHECK_STR(got, field[4]);
    } else if (strcmp(field[0], "format") == 0 && fields == 4) {
        size_t n = decimal_format(int128_of(field[1]), atoi(field[2]), got);
        good = CHECK_STR(got, field[3]) && CHECK_INT(n, strlen(got));
    }
    if (!good)
        printf("# decimal_cases.txt:%d: %s of %.60s\n", number, field[0], field[1]);
    CHECK(good);
    ++*cases;
}

TEST("every answer is that of Python's decimal")
{
    FILE *f = fopen("tests/unit/decimal_cases.txt", "r");
    char *line = NULL;
    size_t room = 0;
    unsigned cases = 0;
    int number = 0;

    REQUIRE(f != NULL);
    while (getline(&line, &room, f) > 0) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#')
            case_check(line, number, &cases);
    }
    CHECK(cases > 1000);
    free(line);
    fclose(f);
}

static enum decimal_result parse(const char *text, size_t n, __int128 *ret)
{
    return decimal_parse((struct slice){ text, n }, QUANTITY_PLACES, QUANTITY_MAX, ret);
}

TEST("ten thousand digits are read in linear time and judged by their value")
{
    char text[10004];
    __int128 value = 77;

    memset(text, '9', sizeof(text));
    CHECK_INT(parse(text, 10000, &value), DECIMAL_TOO_LARGE);
    memset(text, '0', sizeof(text));
    text[1] = '.';
    CHECK_INT(parse(text, 10000, &value), DECIMAL_OK);
    CHECK(value == 0);
    text[0] = '5';
    CHECK_INT(parse(text, 10000, &value), DECIMAL_OK);
    CHECK(value == 5 * QUANTITY_ONE);
    text[9999] = '1';
    CHECK_INT(parse(text, 10000, &value), DECIMAL_TOO_PRECISE);
    /* 1 and 29,999 zeros, e-29998, is 10 */
    char longer[30007];
    memset(longer, '0', sizeof(longer));
    longer[0] = '1';
    memcpy(longer + 30000, "e-29998", 7);
    CHECK_INT(parse(longer, 30007, &value), DECIMAL_OK);
    CHECK(value == 10 * QUANTITY_ONE);
}

TEST("exponents of any length are saturated, not worked through")
{
    static const char digits[] = "99999999999999999999999999999999999999999999";
    char text[200];
    __int128 value = 77;
    int64_t start = monotonic_us();

    for (int i = 0; i < 100000; i++)
        CHECK_INT(parse("1e999999999", 11, &value), DECIMAL_TOO_LARGE);
    CHECK(monotonic_us() - start < 2 * US_PER_SECOND);
    snprintf(text, sizeof(text), "1e%s", digits);
    CHECK_INT(parse(text, strlen(text), &value), DECIMAL_TOO_LARGE);
    snprintf(text, sizeof(text), "-1e-%s", digits);
    CHECK_INT(parse(text, strlen(text), &value), DECIMAL_TOO_PRECISE);
    CHECK(value == 77);
    snprintf(text, sizeof(text), "-0.000e%s", digits);
    CHECK_INT(parse(text, strlen(text), &value), DECIMAL_OK);
    CHECK(value == 0);
}

TEST("what is both too large and too precise is too large")
{
    __int128 value;

    CHECK_INT(parse("1000000000000.0000001", 21, &value), DECIMAL_TOO_LARGE);
    CHECK_INT(parse("999999999999.9999999", 20, &value), DECIMAL_TOO_PRECISE);
    CHECK_INT(decimal_parse(SLICE("0.1"), 0, 0, &value), DECIMAL_TOO_LARGE);
}

TEST("precision alone can be asked for, whatever the size")
{
    CHECK(decimal_within_places(SLICE("1e400"), 12));
    CHECK(decimal_within_places(SLICE("-0e-400"), 12));
    CHECK(decimal_within_places(SLICE("1.0000000000000"), 12));
    CHECK(decimal_within_places(
        SLICE("10000000000000000000000000000000000000000000000.123456789012"), 12));
    CHECK(!decimal_within_places(
        SLICE("10000000000000000000000000000000000000000000000.1234567890123"), 12));
    CHECK(!decimal_within_places(SLICE("1e-13"), 12));
    CHECK(!decimal_within_places(SLICE("abc"), 12));
}

TEST("a text with a NUL, or with nothing, is no number")
{
    __int128 value;

    CHECK_INT(parse("1\0", 2, &value), DECIMAL_NOT_A_NUMBER);
    CHECK_INT(parse("", 0, &value), DECIMAL_NOT_A_NUMBER);
    CHECK_INT(decimal_parse(SLICE_ABSENT, 6, QUANTITY_MAX, &value), DECIMAL_NOT_A_NUMBER);
}

TEST("an amount is quantity times price per so many, rounded half to even at twelve places")
{
    amount_t amount = 77;

    /* 512 tokens at 0.15 per 1,000,000: 0.0000768 */
    REQUIRE(amount_of_quantity(512 * QUANTITY_ONE, AMOUNT_ONE * 15 / 100, 1000000 * QUANTITY_ONE,
                               &amount));
    CHECK(amount == 76800000);
    /* 1 at 0.000000000001 per 2: half of the last place goes to the even neighbour, 0; 3: 1.5
     * goes to 2 */
    REQUIRE(amount_of_quantity(QUANTITY_ONE, 1, 2 * QUANTITY_ONE, &amount));
    CHECK(amount == 0);
    REQUIRE(amount_of_quantity(3 * QUANTITY_ONE, 1, 2 * QUANTITY_ONE, &amount));
    CHECK(amount == 2);
    REQUIRE(amount_of_quantity(-3 * QUANTITY_ONE, 1, 2 * QUANTITY_ONE, &amount));
    CHECK(amount == -2);
    /* 1e12 at 1e6 is 1e18: beyond; a millionth less is not */
    CHECK(!amount_of_quantity(QUANTITY_MAX, PRICE_MAX, QUANTITY_ONE, &amount));
    CHECK(!amount_of_quantity(-QUANTITY_MAX, PRICE_MAX, QUANTITY_ONE, &amount));
    CHECK(!amount_of_quantity(QUANTITY_MAX, PRICE_MAX, 1, &amount));
    CHECK(amount == -2);
    CHECK(amount_of_quantity(QUANTITY_MAX - 1, PRICE_MAX, QUANTITY_ONE, &amount));
    CHECK(amount == AMOUNT_LIMIT - AMOUNT_ONE);
}

TEST("a sum keeps below 1e18 on both sides")
{
    amount_t sum = 77;

    CHECK(amount_add(AMOUNT_LIMIT - 2, 1, &sum) && sum == AMOUNT_LIMIT - 1);
    CHECK(!amount_add(AMOUNT_LIMIT - 1, 1, &sum));
    CHECK(!amount_add(-AMOUNT_LIMIT + 1, -1, &sum));
    CHECK(amount_add(-AMOUNT_LIMIT + 2, -1, &sum) && sum == -AMOUNT_LIMIT + 1);
    CHECK(amount_add(5, -7, &sum) && sum == -2);
}
