/* What is known of accounts. */
#include "ledger/account_cache.h"

#include <string.h>

struct account_facts *account_cache_find(struct account_cache *c, struct slice name)
{
    struct account_facts *a;
    HASH_FIND(hh, c->by_name, name.p, name.n, a);
    return a;
}

static void forget(struct account_cache *c, struct account_facts *a)
{
    HASH_DEL(c->by_name, a);
    free(a->byok);
    free(a);
}

/* The services lie behind the name, separated by U+0001, which no name contains. */
static void take_byok(struct account_facts *a, struct slice list)
{
    char *text = a->name + a->name_length;
    memcpy(text, list.p, list.n);
    if (list.n == 0)
        return;
    a->byoks = 1;
    for (size_t i = 0; i < list.n; i++)
        a->byoks += text[i] == '\x01';
    a->byok = xcalloc((size_t)a->byoks, sizeof *a->byok);
    const char *from = text, *end = text + list.n;
    for (int i = 0; i < a->byoks; i++) {
        const char *to = memchr(from, '\x01', (size_t)(end - from));
        a->byok[i] = (struct slice){ from, (size_t)((to ? to : end) - from) };
        from = to ? to + 1 : end;
    }
}

struct account_facts *account_cache_take(struct account_cache *c, const struct pg_result *r,
                                         int row)
{
    struct slice name = pg_bytes(r, row, 0), byok = pg_bytes(r, row, 6);
    struct account_facts *a = account_cache_find(c, name);
    if (a)
        forget(c, a);
    a = xcalloc(1, sizeof *a + name.n + byok.n);
    a->account_id = pg_int(r, row, 1);
    a->payer_id = pg_int(r, row, 2);
    a->version = pg_int(r, row, 3);
    a->guest = !pg_int(r, row, 4);
    a->closed = pg_int(r, row, 5);
    a->name_length = name.n;
    memcpy(a->name, name.p, name.n);
    take_byok(a, byok);
    HASH_ADD_KEYPTR(hh, c->by_name, a->name, a->name_length, a);
    return a;
}

void account_cache_clear(struct account_cache *c)
{
    struct account_facts *a, *next;
    HASH_ITER(hh, c->by_name, a, next)
    forget(c, a);
}

void account_cache_trim(struct account_cache *c)
{
    if (HASH_COUNT(c->by_name) > ACCOUNT_CACHE_MAX)
        account_cache_clear(c);
}

bool account_has_byok(const struct account_facts *a, struct slice service)
{
    for (int i = 0; service.p && i < a->byoks; i++)
        if (slice_equal(a->byok[i], service))
            return true;
    return false;
}
