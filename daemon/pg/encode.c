/* Binary encoding of parameters, arrays and COPY rows. A field is its length (int32, big endian;
 * -1: null), then its bytes. */
#include "pg/internal.h"

#include <endian.h>
#include <string.h>

#define PG_EPOCH_US  INT64_C(946684800000000)
#define PG_EPOCH_DAY 10957

static char *w16(char *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, 2);
    return p + 2;
}
static char *w32(char *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, 4);
    return p + 4;
}
static char *w64(char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

void pg_row_begin(struct buffer *b, int16_t columns)
{
    w16(buffer_reserve(b, 2), (uint16_t)columns);
    b->n += 2;
}
void pg_row_null(struct buffer *b)
{
    w32(buffer_reserve(b, 4), UINT32_MAX);
    b->n += 4;
}
void pg_row_bool(struct buffer *b, bool v)
{
    char *p = w32(buffer_reserve(b, 5), 1);
    *p = v;
    b->n += 5;
}
void pg_row_int4(struct buffer *b, int32_t v)
{
    w32(w32(buffer_reserve(b, 8), 4), (uint32_t)v);
    b->n += 8;
}
void pg_row_int8(struct buffer *b, int64_t v)
{
    w64(w32(buffer_reserve(b, 12), 8), (uint64_t)v);
    b->n += 12;
}
void pg_row_text(struct buffer *b, struct slice v)
{
    if (!v.p) {
        pg_row_null(b);
        return;
    }
    ASSERT(v.n < INT32_MAX);
    char *p = w32(buffer_reserve(b, 4 + v.n), (uint32_t)v.n);
    memcpy(p, v.p, v.n);
    b->n += 4 + v.n;
}
void pg_row_jsonb(struct buffer *b, struct slice json)
{
    if (!json.p) {
        pg_row_null(b);
        return;
    }
    char *p = w32(buffer_reserve(b, 5 + json.n), (uint32_t)json.n + 1);
    *p++ = 1; /* the version of the wire format */
    memcpy(p, json.p, json.n);
    b->n += 5 + json.n;
}
void pg_row_uuid(struct buffer *b, struct hash128 v)
{
    memcpy(w32(buffer_reserve(b, 20), 16), v.byte, 16);
    b->n += 20;
}
void pg_row_time(struct buffer *b, int64_t us)
{
    pg_row_int8(b, us - PG_EPOCH_US);
}
void pg_row_day(struct buffer *b, int32_t day)
{
    pg_row_int4(b, day - PG_EPOCH_DAY);
}

/* Nearly all amounts fit into 64 bits, where a division by a constant is a multiplication. */
static inline void split(unsigned __int128 u, unsigned __int128 *ret_whole, uint64_t *ret_fraction)
{
    const uint64_t one = 1000000000000;
    if (u >> 64) {
        *ret_whole = u / one;
        *ret_fraction = (uint64_t)(u % one);
    } else {
        *ret_whole = (uint64_t)u / one;
        *ret_fraction = (uint64_t)u % one;
    }
}

/* The least number of decimals that holds a fraction of 12. */
static inline int fraction_scale(uint64_t fraction)
{
    int scale = 12;
    if (fraction == 0)
        return 0;
    for (; fraction % 10000 == 0; fraction /= 10000)
        scale -= 4;
    for (; fraction % 10 == 0; fraction /= 10)
        scale--;
    return scale;
}

/* Integer part in base 10000, then three digits for the 12 places; leading and trailing zero digits
 * are left out, and the display scale is the shortest. */
void pg_row_numeric(struct buffer *b, __int128 scaled, int places)
{
    ASSERT(places == 6 || places == 12);
    bool negative = scaled < 0;
    unsigned __int128 u = negative ? -(unsigned __int128)scaled : (unsigned __int128)scaled;
    unsigned __int128 whole;
    uint64_t fraction;
    if (places == 6) {
        ASSERT(u < (unsigned __int128)1 << 100);
        u *= 1000000;
    }
    split(u, &whole, &fraction);
    uint16_t digit[16];
    int n = 16, kept = 16, scale = fraction_scale(fraction);
    for (int i = 0; i < 3; i++, fraction /= 10000)
        digit[--n] = (uint16_t)(fraction % 10000);
    for (; whole >> 64; whole /= 10000)
        digit[--n] = (uint16_t)(whole % 10000);
    for (uint64_t w = (uint64_t)whole; w; w /= 10000) {
        ASSERT(n > 0);
        digit[--n] = (uint16_t)(w % 10000);
    }
    int weight = 12 - n; /* of digit[n]: digit[13] is the first of the fraction, weight -1 */
    while (kept > n && digit[kept - 1] == 0)
        kept--;
    while (n < kept && digit[n] == 0) {
        n++;
        weight--;
    }
    int digits = kept - n;
    if (digits == 0)
        weight = 0;
    char *p = w32(buffer_reserve(b, 12 + 2 * 16), (uint32_t)(8 + 2 * digits));
    p = w16(p, (uint16_t)digits);
    p = w16(p, (uint16_t)weight);
    p = w16(p, negative && digits ? 0x4000 : 0);
    p = w16(p, (uint16_t)scale);
    for (int i = n; i < kept; i++)
        p = w16(p, digit[i]);
    b->n += (size_t)(12 + 2 * digits);
}

/* One dimension: dimensions, has-null flag, element type, size, lower bound. An empty array has no
 * dimension. */
static void array_head(struct buffer *b, enum pg_type element, int32_t elements)
{
    char *p = buffer_reserve(b, 20);
    p = w32(p, elements ? 1 : 0);
    p = w32(p, 1);
    p = w32(p, element);
    b->n += 12;
    if (elements) {
        p = w32(p, (uint32_t)elements);
        w32(p, 1);
        b->n += 8;
    }
}

size_t pg_row_array_begin(struct buffer *b, enum pg_type element, int32_t elements)
{
    size_t mark = b->n;
    buffer_reserve(b, 4);
    b->n += 4;
    array_head(b, element, elements);
    return mark;
}
void pg_row_array_end(struct buffer *b, size_t mark)
{
    w32(b->p + mark, (uint32_t)(b->n - mark - 4));
}

/* ---- parameters: the bytes without the length in front */

void pg_args_reset(struct pg_args *a)
{
    a->count = 0;
}
void pg_args_fini(struct pg_args *a)
{
    for (int i = 0; i < PG_ARGS_MAX; i++)
        buffer_fini(&a->value[i]);
    a->count = 0;
}

static struct buffer *next_arg(struct pg_args *a, bool null)
{
    ASSERT(a->count < PG_ARGS_MAX);
    a->null[a->count] = null;
    struct buffer *b = &a->value[a->count++];
    b->n = 0;
    buffer_reserve(b, 64);
    return b;
}
void pg_arg_null(struct pg_args *a)
{
    next_arg(a, true);
}
void pg_arg_int4(struct pg_args *a, int32_t v)
{
    struct buffer *b = next_arg(a, false);
    w32(b->p, (uint32_t)v);
    b->n = 4;
}
void pg_arg_int8(struct pg_args *a, int64_t v)
{
    struct buffer *b = next_arg(a, false);
    w64(b->p, (uint64_t)v);
    b->n = 8;
}
void pg_arg_text(struct pg_args *a, struct slice v)
{
    struct buffer *b = next_arg(a, v.p == NULL);
    if (v.p)
        buffer_put(b, v.p, v.n);
}
void pg_arg_uuid(struct pg_args *a, struct hash128 v)
{
    buffer_put(next_arg(a, false), v.byte, 16);
}
void pg_arg_time(struct pg_args *a, int64_t us)
{
    pg_arg_int8(a, us - PG_EPOCH_US);
}
void pg_arg_jsonb(struct pg_args *a, struct slice json)
{
    struct buffer *b = next_arg(a, json.p == NULL);
    if (json.p) {
        buffer_put(b, "\1", 1);
        buffer_put(b, json.p, json.n);
    }
}

/* While an array is open its header counts no elements; each put raises the count in place. */
int pg_arg_array(struct pg_args *a, enum pg_type element)
{
    struct buffer *b = next_arg(a, false);
    array_head(b, element, 0);
    return a->count - 1;
}
static struct buffer *element(struct pg_args *a, int array)
{
    ASSERT(array >= 0 && array < a->count && !a->null[array]);
    struct buffer *b = &a->value[array];
    uint32_t count = 0;
    if (b->n == 12) { /* the first element gives it its dimension */
        char *p = buffer_reserve(b, 8);
        w32(b->p, 1);
        w32(w32(p, 0), 1);
        b->n += 8;
    }
    memcpy(&count, b->p + 12, 4);
    w32(b->p + 12, be32toh(count) + 1);
    return b;
}
void pg_put_null(struct pg_args *a, int array)
{
    pg_row_null(element(a, array));
}
void pg_put_int4(struct pg_args *a, int array, int32_t v)
{
    pg_row_int4(element(a, array), v);
}
void pg_put_int8(struct pg_args *a, int array, int64_t v)
{
    pg_row_int8(element(a, array), v);
}
void pg_put_bool(struct pg_args *a, int array, bool v)
{
    pg_row_bool(element(a, array), v);
}
void pg_put_text(struct pg_args *a, int array, struct slice v)
{
    pg_row_text(element(a, array), v);
}
void pg_put_uuid(struct pg_args *a, int array, struct hash128 v)
{
    pg_row_uuid(element(a, array), v);
}
void pg_put_time(struct pg_args *a, int array, int64_t us)
{
    pg_row_time(element(a, array), us);
}
void pg_put_day(struct pg_args *a, int array, int32_t day)
{
    pg_row_day(element(a, array), day);
}
void pg_put_numeric(struct pg_args *a, int array, __int128 scaled, int places)
{
    pg_row_numeric(element(a, array), scaled, places);
}
