/* Bytes that somebody else owns. A slice with p == NULL is "absent"; one with n == 0 and p != NULL
 * is "empty". Never NUL-terminated. */
#ifndef DEBITD_BASE_SLICE_H
#define DEBITD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){ (literal), sizeof(literal) - 1 })
#define SLICE_ABSENT   ((struct slice){ NULL, 0 })
#define SLICE_ARGS(s)  (int)(s).n, (s).p /* for "%.*s" */

static inline struct slice slice_of(const char *text)
{
    return (struct slice){ text, text ? strlen(text) : 0 };
}
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}
/* Byte order, as memcmp; a shorter prefix comes first. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

#endif
