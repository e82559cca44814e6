/* Reading results, text and binary. */
#include "pg/internal.h"

#include <endian.h>
#include <string.h>

#define PG_EPOCH_US \
    INT64_C(946684800000000) /* 2000-01-01, from which PostgreSQL counts, in us since 1970 */
#define PG_EPOCH_DAY 10957

int pg_rows(const struct pg_result *r)
{
    return PQntuples(pg_raw(r));
}
int pg_columns(const struct pg_result *r)
{
    return PQnfields(pg_raw(r));
}
const char *pg_column_name(const struct pg_result *r, int column)
{
    return PQfname(pg_raw(r), column);
}
unsigned pg_column_type(const struct pg_result *r, int column)
{
    return PQftype(pg_raw(r), column);
}
bool pg_null(const struct pg_result *r, int row, int column)
{
    return PQgetisnull(pg_raw(r), row, column);
}
const char *pg_text(const struct pg_result *r, int row, int column)
{
    ASSERT(PQfformat(pg_raw(r), column) == 0);
    return PQgetvalue(pg_raw(r), row, column);
}
int64_t pg_text_int(const struct pg_result *r, int row, int column)
{
    return strtoll(pg_text(r, row, column), NULL, 10);
}
struct slice pg_bytes(const struct pg_result *r, int row, int column)
{
    if (PQgetisnull(pg_raw(r), row, column))
        return SLICE_ABSENT;
    return (struct slice){ PQgetvalue(pg_raw(r), row, column),
                           (size_t)PQgetlength(pg_raw(r), row, column) };
}

static struct slice binary(const struct pg_result *r, int row, int column)
{
    ASSERT(PQfformat(pg_raw(r), column) == 1);
    struct slice s = pg_bytes(r, row, column);
    ASSERT(s.p != NULL);
    return s;
}

int64_t pg_int(const struct pg_result *r, int row, int column)
{
    struct slice s = binary(r, row, column);
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (s.n) {
    case 1:
        return (unsigned char)s.p[0];
    case 2:
        memcpy(&v16, s.p, 2);
        return (int16_t)be16toh(v16);
    case 4:
        memcpy(&v32, s.p, 4);
        return (int32_t)be32toh(v32);
    case 8:
        memcpy(&v64, s.p, 8);
        return (int64_t)be64toh(v64);
    }
    ASSERT(!"an integer of 1, 2, 4 or 8 bytes");
    return 0;
}

int64_t pg_time(const struct pg_result *r, int row, int column)
{
    return pg_int(r, row, column) + PG_EPOCH_US;
}

int32_t pg_day(const struct pg_result *r, int row, int column)
{
    return (int32_t)pg_int(r, row, column) + PG_EPOCH_DAY;
}

/* NUMERIC on the wire: ndigits, weight, sign, dscale (int16 each), then digits of base 10000; digit
 * i counts 10000^(weight - i). */
amount_t pg_amount(const struct pg_result *r, int row, int column)
{
    struct slice s = binary(r, row, column);
    uint16_t head[4], digit;
    memcpy(head, s.p, 8);
    int digits = be16toh(head[0]), weight = (int16_t)be16toh(head[1]), sign = be16toh(head[2]);
    ASSERT(sign == 0 || sign == 0x4000);
    ASSERT(digits == 0 || (weight <= 5 && weight - digits + 1 >= -3));
    amount_t v = 0;
    for (int i = 0; i < digits; i++) {
        memcpy(&digit, s.p + 8 + 2 * i, 2);
        v = v * 10000 + be16toh(digit);
    }
    for (int k = digits ? weight - digits + 1 + 3 : 0; k > 0; k--)
        v *= 10000;
    return sign ? -v : v;
}

struct hash128 pg_uuid(const struct pg_result *r, int row, int column)
{
    struct slice s = binary(r, row, column);
    struct hash128 h;
    ASSERT(s.n == sizeof h.byte);
    memcpy(h.byte, s.p, sizeof h.byte);
    return h;
}

/* Dimensions, has-null flag, element type; then per dimension its size and lower bound; then the
 * elements as fields. */
int32_t pg_array_elements(struct slice field, struct slice *ret, int32_t max)
{
    uint32_t v;
    memcpy(&v, field.p, 4);
    if (be32toh(v) == 0)
        return 0;
    ASSERT(be32toh(v) == 1);
    memcpy(&v, field.p + 12, 4);
    int32_t n = (int32_t)be32toh(v);
    const char *p = field.p + 20;
    for (int32_t i = 0; i < n; i++) {
        memcpy(&v, p, 4);
        int32_t length = (int32_t)be32toh(v);
        p += 4;
        if (i < max)
            ret[i] = length < 0 ? SLICE_ABSENT : (struct slice){ p, (size_t)length };
        p += length < 0 ? 0 : length;
    }
    return n;
}

void pg_result_free(struct pg_result *r)
{
    PQclear(pg_raw(r));
}
void pg_result_freep(struct pg_result **r)
{
    pg_result_free(*r);
}
