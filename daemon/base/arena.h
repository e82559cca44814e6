/* Memory for one batch: allocated piece by piece, freed at once. Not thread safe. */
#ifndef DEBITD_BASE_ARENA_H
#define DEBITD_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *first, *current;
    size_t used; /* bytes handed out since the last reset */
};

#define ARENA_NULL ((struct arena){ NULL, NULL, 0 })

void *arena_alloc(struct arena *a, size_t n);  /* 16-byte aligned, not cleared, never NULL */
void *arena_zalloc(struct arena *a, size_t n); /* cleared */
struct slice
arena_copy(struct arena *a,
           struct slice s); /* an absent slice stays absent; the copy has a NUL behind it */
char *arena_text(struct arena *a, struct slice s); /* the same as a C string */
void arena_reset(
    struct arena *a); /* everything handed out is gone; up to 16 MiB are kept for reuse */
void arena_fini(struct arena *a);

#endif
