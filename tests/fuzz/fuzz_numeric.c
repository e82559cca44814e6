/* NUMERIC on the wire: what we write is in PostgreSQL's normal form and is read back as the same number. */
#include "base/buffer.h"
#include "pg/session.h"
#include "tests/fuzz/input.h"

#include <endian.h>
#include <libpq-fe.h>

#define SHIFTS 128

static uint16_t word(const char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

/* No digit of base 10000 at either end is 0, and nothing but its own digits follows the head. */
static void form_check(struct slice field)
{
    CLAIM(field.n >= 8);
    size_t digits = word(field.p);
    CLAIM(field.n == 8 + 2 * digits && (word(field.p + 4) == 0 || word(field.p + 4) == 0x4000));
    CLAIM(word(field.p + 6) <= 12);
    for (size_t i = 0; i < digits; i++)
        CLAIM(word(field.p + 8 + 2 * i) < 10000);
    if (digits == 0)
        CLAIM(word(field.p + 2) == 0 && word(field.p + 4) == 0);
    else
        CLAIM(word(field.p + 8) != 0 && word(field.p + 6 + 2 * digits) != 0);
}

static amount_t read_back(struct slice field)
{
    PGresAttDesc column = { .name = (char *)"n", .typid = 1700, .format = 1, .typlen = -1 };
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    CLAIM(r && PQsetResultAttrs(r, 1, &column) &&
          PQsetvalue(r, 0, 0, (char *)(uintptr_t)field.p, (int)field.n));
    amount_t value = pg_amount((const struct pg_result *)r, 0, 0);
    PQclear(r);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        int places;
        __int128 limit, unit; /* of amounts */
    } kinds[] = { { QUANTITY_PLACES, QUANTITY_MAX, AMOUNT_ONE / QUANTITY_ONE },
                  { AMOUNT_PLACES, AMOUNT_LIMIT - 1, 1 } };
    __int128 value;

    if (size < 17)
        return 0;
    memcpy(&value, data, 16);
    value >>= data[16] % SHIFTS; /* of all sizes */
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        __int128 within = value % (kinds[i].limit + 1);
        struct buffer b = BUFFER_NULL;
        pg_row_numeric(&b, within, kinds[i].places);
        struct slice field = { b.p + 4, b.n - 4 }; /* behind its length */
        CLAIM(word(b.p) == 0 && word(b.p + 2) == field.n);
        form_check(field);
        CLAIM(read_back(field) == within * kinds[i].unit);
        buffer_fini(&b);
    }
    return 0;
}
