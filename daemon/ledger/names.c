/* Ids of names, remembered. */
#include "ledger/names.h"

#include "base/table.h"

#include <string.h>

struct name_entry {
    UT_hash_handle hh;
    int32_t id; /* 0: asked for */
    size_t length;
    char text[];
};

static struct name_entry *find(struct names *n, struct slice text)
{
    struct name_entry *e;
    HASH_FIND(hh, n->by_text, text.p, text.n, e);
    return e;
}

static struct name_entry *add(struct names *n, struct slice text, int32_t id)
{
    struct name_entry *e = xmalloc(sizeof *e + text.n);
    e->id = id;
    e->length = text.n;
    memcpy(e->text, text.p, text.n);
    HASH_ADD_KEYPTR(hh, n->by_text, e->text, e->length, e);
    return e;
}

int32_t names_id(struct names *n, struct slice text)
{
    if (!text.p)
        return 0;
    struct name_entry *e = find(n, text);
    if (e)
        return e->id;
    e = add(n, text, 0);
    if (n->missing_count == n->missing_capacity) {
        n->missing_capacity = n->missing_capacity ? 2 * n->missing_capacity : 64;
        n->missing = xrealloc(n->missing, n->missing_capacity * sizeof *n->missing);
    }
    n->missing[n->missing_count++] = (struct slice){ e->text, e->length };
    return 0;
}

static void forget_all(struct names *n)
{
    struct name_entry *e, *next;
    HASH_ITER(hh, n->by_text, e, next)
    {
        HASH_DEL(n->by_text, e);
        free(e);
    }
    n->missing_count = 0;
}

enum pg_outcome names_fetch(struct names *n, struct pg_session *pg, const struct statements *st)
{
    if (n->missing_count == 0)
        return PG_DONE;
    struct pg_args *a = xcalloc(1, sizeof *a);
    int array = pg_arg_array(a, PG_TEXT);
    for (size_t i = 0; i < n->missing_count; i++)
        pg_put_text(a, array, n->missing[i]);
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_single(pg, &st->intern, a, &r);
    for (int i = 0; o == PG_DONE && i < pg_rows(r); i++) {
        struct name_entry *e = find(n, pg_bytes(r, i, 0));
        ASSERT(e != NULL);
        e->id = (int32_t)pg_int(r, i, 1);
    }
    pg_args_fini(a);
    free(a);
    if (o != PG_DONE)
        forget_all(n);
    n->missing_count = 0;
    return o;
}

void names_trim(struct names *n)
{
    if (HASH_COUNT(n->by_text) > NAMES_MAX)
        forget_all(n);
}

void names_fini(struct names *n)
{
    forget_all(n);
    free(n->missing);
    *n = NAMES_NULL;
}
