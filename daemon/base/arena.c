/* A list of blocks; pieces are cut from the current one. Blocks behind the current one are
 * empty. */
#include "base/arena.h"

#include "base/macros.h"

#include <stdint.h>

#define BLOCK_BYTES ((size_t)65536)
#define KEEP_BYTES \
    ((size_t)16777216) /* about a full batch: what is freed comes back page by page */

struct arena_block {
    struct arena_block *next;
    size_t capacity, used;
    _Alignas(16) char bytes[];
};

static struct arena_block *block_new(size_t capacity, struct arena_block *next)
{
    struct arena_block *b = xmalloc(sizeof(*b) + capacity);

    b->next = next;
    b->capacity = capacity;
    b->used = 0;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_block *b = a->current;
    void *p;

    ASSERT(n < SIZE_MAX / 2);
    n = (n + 15) & ~(size_t)15;
    if (!b || b->capacity - b->used < n) {
        if (b && b->next && b->next->capacity >= n) {
            b = b->next;
        } else {
            struct arena_block *fresh =
                block_new(n > BLOCK_BYTES ? n : BLOCK_BYTES, b ? b->next : NULL);
            if (b)
                b->next = fresh;
            else
                a->first = fresh;
            b = fresh;
        }
        a->current = b;
    }
    p = b->bytes + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p;

    if (!s.p)
        return SLICE_ABSENT;
    p = arena_alloc(a, s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct slice){ p, s.n };
}

char *arena_text(struct arena *a, struct slice s)
{
    char *p;

    if (!s.p)
        return NULL;
    p = arena_alloc(a, s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

void arena_reset(struct arena *a)
{
    struct arena_block **at = &a->first;
    size_t kept = 0;

    while (*at) {
        struct arena_block *b = *at;
        if (kept + b->capacity <= KEEP_BYTES) {
            kept += b->capacity;
            b->used = 0;
            at = &b->next;
        } else {
            *at = b->next;
            free(b);
        }
    }
    a->current = a->first;
    a->used = 0;
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = ARENA_NULL;
}
