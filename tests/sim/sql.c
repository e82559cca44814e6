/* Which statement is which, its parameters and results on the wire. The layouts are those of daemon/pg/encode.c, which writes the
 * parameters and is asked to write the results too. */
#include "tests/sim/pq.h"

#include "base/embedded.h"
#include "pg/session.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

/* ---- which one */

struct known {
    const char *sql; /* the pointer: texts are part of the program */
    const struct sql_handler *handler;
};
static struct known knowns[256];

static const struct sql_handler *find_handler(const char *name, const char *text)
{
    static const struct sql_handler *const lists[] = { sql_ledger, sql_positions, sql_relay,
                                                       sql_accounts };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct sql_handler *h = lists[i]; h->name != NULL; h++)
            if (name ? strcmp(h->name, name) == 0 : strncmp(h->name, text, strlen(h->name)) == 0)
                return h;
    return NULL;
}

/* The name of the file in schema/queries that the text is of; NULL: of none. */
static const char *file_of(const char *sql)
{
    static char name[64];

    for (const struct embedded_file *f = embedded_first(); f->path != NULL; f++)
        if (f->text == sql && strncmp(f->path, "schema/queries/", 15) == 0) {
            snprintf(name, sizeof(name), "%.*s", (int)(strlen(f->path) - 15 - 4), f->path + 15);
            return name;
        }
    return NULL;
}

const char *sql_execute(struct q *q, const char *name)
{
    size_t at = ((uintptr_t)q->sql >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 56;

    while (knowns[at].sql != NULL && knowns[at].sql != q->sql)
        at = (at + 1) % ARRAY_SIZE(knowns);
    if (knowns[at].sql == NULL) {
        const char *file = name ? name : file_of(q->sql);
        knowns[at] = (struct known){ q->sql, find_handler(file, q->sql) };
        if (knowns[at].handler == NULL) {
            knowns[at].sql = NULL;
            sim_fail("the simulated PostgreSQL does not know this statement; teach it in "
                     "tests/sim/sql_*.c: %s",
                     file ? file : q->sql);
        }
    }
    TRACE("%s executes %s", q->s->name, knowns[at].handler->name);
    return knowns[at].handler->run(q);
}

/* ---- parameters */

bool arg_null(const struct q *q, int i)
{
    ASSERT(i < q->params);
    return q->param[i].p == NULL;
}

int64_t int_of(struct slice s)
{
    uint32_t v32;
    uint64_t v64;

    switch (s.n) {
    case 1:
        return s.p[0];
    case 4:
        memcpy(&v32, s.p, 4);
        return (int32_t)be32toh(v32);
    case 8:
        memcpy(&v64, s.p, 8);
        return (int64_t)be64toh(v64);
    default:
        ASSERT(!"an integer has 1, 4 or 8 bytes");
        return 0;
    }
}

int64_t arg_int(const struct q *q, int i)
{
    ASSERT(!arg_null(q, i));
    return q->text ? strtoll(q->param[i].p, NULL, 10) : int_of(q->param[i]);
}

struct slice arg_text(const struct q *q, int i)
{
    ASSERT(i < q->params);
    return q->param[i]; /* it is the history's already, and ends with a zero */
}

const char *arg_cstr(const struct q *q, int i)
{
    return arg_text(q, i).p;
}

struct hash128 hash_of(struct slice s)
{
    struct hash128 h;

    ASSERT(s.n == sizeof(h.byte));
    memcpy(h.byte, s.p, sizeof(h.byte));
    return h;
}

amount_t numeric_of(struct slice s)
{
    uint16_t head[4], digit;

    ASSERT(s.n >= 8);
    memcpy(head, s.p, 8);
    int digits = be16toh(head[0]), weight = (int16_t)be16toh(head[1]);
    amount_t v = 0;
    for (int i = 0; i < digits; i++) {
        memcpy(&digit, s.p + 8 + 2 * i, 2);
        v = v * 10000 + be16toh(digit);
    }
    for (int k = digits ? weight - digits + 1 + 3 : 0; k > 0; k--)
        v *= 10000;
    return be16toh(head[2]) ? -v : v;
}

int32_t arg_elements(const struct q *q, int i, struct slice *ret)
{
    ASSERT(!arg_null(q, i) && !q->text);
    int32_t n = pg_array_elements(q->param[i], ret, ELEMENTS_MAX);
    ASSERT(n <= ELEMENTS_MAX);
    return n;
}

/* "{a,b}" */
int arg_list(const struct q *q, int i, const char **ret)
{
    char *p = (char *)(uintptr_t)q->param[i].p;
    int n = 0;

    ASSERT(q->text && *p == '{');
    for (p++; *p != '}' && *p != '\0'; p += *p == ',') {
        size_t length = strcspn(p, ",}");
        ASSERT(n < ELEMENTS_MAX);
        ret[n++] = sim_copy(p, length);
        p += length;
    }
    return n;
}

/* ---- results */

static struct buffer field; /* of one field: its length and its bytes */

void out_row(struct q *q, int columns)
{
    struct pg_result *r = q->result;

    ASSERT(r->rows == 0 || q->at == r->rows * columns);
    r->columns = columns;
    if ((r->rows & (r->rows - 1)) == 0) { /* grows by doubling */
        struct field *grown =
            sim_alloc((size_t)(r->rows ? 2 * r->rows : 1) * (size_t)columns * sizeof(*grown));
        if (r->rows > 0)
            memcpy(grown, r->field, (size_t)(r->rows * columns) * sizeof(*grown));
        r->field = grown;
    }
    r->rows++;
}

static void put(struct q *q, const char *p, size_t n)
{
    ASSERT(q->at < q->result->rows * q->result->columns);
    q->result->field[q->at++] = (struct field){ p, (int)n };
}

/* What encode.c has put into `field`. */
static void put_encoded(struct q *q)
{
    put(q, sim_copy(field.p + 4, field.n - 4), field.n - 4);
    field.n = 0;
}

void out_null(struct q *q)
{
    put(q, NULL, 0);
}

void out_slice(struct q *q, struct slice v)
{
    put(q, v.p, v.n);
}

void out_text(struct q *q, const char *v)
{
    put(q, v, v ? strlen(v) : 0);
}

void out_int(struct q *q, int bytes, int64_t v)
{
    if (q->text) {
        out_text(q, sim_text("%" PRId64, v));
        return;
    }
    if (bytes == 4)
        pg_row_int4(&field, (int32_t)v);
    else
        pg_row_int8(&field, v);
    put_encoded(q);
}

void out_bool(struct q *q, bool v)
{
    if (q->text) {
        out_text(q, v ? "t" : "f");
        return;
    }
    pg_row_bool(&field, v);
    put_encoded(q);
}

void out_hex(struct q *q, struct slice v)
{
    if (v.p == NULL) {
        out_null(q);
        return;
    }
    char *text = sim_alloc(2 * v.n + 1);
    for (size_t i = 0; i < v.n; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)v.p[i]);
    out_text(q, text);
}

void out_hash(struct q *q, struct hash128 v)
{
    ASSERT(!q->text);
    pg_row_uuid(&field, v);
    put_encoded(q);
}

void out_day(struct q *q, int32_t v)
{
    ASSERT(!q->text);
    pg_row_day(&field, v);
    put_encoded(q);
}

void out_time(struct q *q, int64_t us)
{
    ASSERT(!q->text);
    pg_row_time(&field, us);
    put_encoded(q);
}

void out_amount(struct q *q, amount_t v)
{
    ASSERT(!q->text);
    pg_row_numeric(&field, v, 12);
    put_encoded(q);
}
