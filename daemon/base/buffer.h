/* A growing byte buffer. Not thread safe. */
#ifndef DEBITD_BASE_BUFFER_H
#define DEBITD_BASE_BUFFER_H

#include "base/macros.h"
#include "base/slice.h"

#include <stdint.h>

struct buffer {
    char *p;
    size_t n, capacity;
};
#define BUFFER_NULL ((struct buffer){ NULL, 0, 0 })

void buffer_grow(struct buffer *b, size_t n); /* makes room for n more bytes */
/* Room for n more bytes behind p + n; returns that place; b->n is not moved. Inline: a row of COPY
 * asks some sixty times. */
static inline char *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->capacity - b->n < n)
        buffer_grow(b, n);
    return b->p + b->n;
}
void buffer_put(struct buffer *b, const void *bytes, size_t n);
void buffer_text(struct buffer *b, const char *text);
void buffer_slice(struct buffer *b, struct slice s);
void buffer_format(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* The slice as a JSON string with its quotes. Input must be UTF-8. Escapes what RFC 8259 section 7
 * demands, and what a terminal or a reader of lines may take for a command: DEL, U+0080-U+009F,
 * U+2028, U+2029. */
void buffer_json_string(struct buffer *b, struct slice s);
/* JSON as it is, but for these in its strings, which become \uXXXX. */
void buffer_json_text(struct buffer *b, struct slice json);
/* The slice as a person may see it, on one line: control characters, line breaks of Unicode and
 * bytes that are not UTF-8 become \xNN. At most max bytes are
 * written, cut between characters; false when it was cut. */
bool buffer_printable(struct buffer *b, struct slice s, size_t max);
const char *buffer_cstr(struct buffer *b); /* puts a NUL behind the end (not counted in n) */
void buffer_fini(struct buffer *b);

#endif
