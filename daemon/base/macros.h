/* What every file may need: ownership, asserts, attributes. Header only. */
#ifndef DEBITD_BASE_MACROS_H
#define DEBITD_BASE_MACROS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(f)        __attribute__((cleanup(f)))

/* Hands the value of an owning variable over and leaves NULL behind. */
#define TAKE(p)                    \
    ({                             \
        __typeof__(p) take_ = (p); \
        (p) = NULL;                \
        take_;                     \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* An invariant of ours. Kept in release builds: a wrong book is worse than a stopped daemon, and
 * state is only in PostgreSQL, so stopping
 * is safe at every instruction. Never for input. */
#define ASSERT(expr)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(expr), 0)) {                                                        \
            fprintf(stderr, "debitd: assertion failed at %s:%d: %s\n", __FILE__, __LINE__, #expr); \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Memory that cannot be had ends the process with EX_TEMPFAIL and words, for its service manager to start again:
 * nothing is lost, start-up is recovery. */
_Noreturn void memory_exhausted(size_t n);

static inline void *xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        memory_exhausted(n);
    return p;
}
static inline void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        memory_exhausted(n * size);
    return p;
}
static inline void *xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);
    if (!p)
        memory_exhausted(n);
    return p;
}
static inline char *xstrdup(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(xmalloc(n), text, n);
}

#endif
