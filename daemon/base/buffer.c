/* A growing byte buffer: doubles, so that appending is linear in the end. */
#include "base/buffer.h"

#include "base/json_scan.h"

#include <stdarg.h>

char *buffer_reserve(struct buffer *b, size_t n)
{
    ASSERT(n < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    if (b->capacity - b->n < n) {
        size_t capacity = b->capacity ? b->capacity : 64;
        while (capacity < b->n + n)
            capacity *= 2;
        b->p = xrealloc(b->p, capacity);
        b->capacity = capacity;
    }
    return b->p + b->n;
}

void buffer_put(struct buffer *b, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    memcpy(buffer_reserve(b, n), bytes, n);
    b->n += n;
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_put(b, text, strlen(text));
}

void buffer_slice(struct buffer *b, struct slice s)
{
    buffer_put(b, s.p, s.n);
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(buffer_reserve(b, 128), 128, format, args);
    va_end(args);
    ASSERT(n >= 0);
    if (n >= 128) {
        va_start(args, format);
        vsnprintf(buffer_reserve(b, (size_t)n + 1), (size_t)n + 1, format, args);
        va_end(args);
    }
    b->n += (size_t)n;
}

void buffer_json_string(struct buffer *b, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    char *out = buffer_reserve(b, s.n * 6 + 2),
         *p = out; /* the worst case is \u00XX for every byte */

    *p++ = '"';
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c < 0x20) {
            memcpy(p, "\\u00", 4);
            p[4] = hex[c >> 4];
            p[5] = hex[c & 15];
            p += 6;
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    b->n += (size_t)(p - out);
}

/* Bytes of the character at p that can be shown to a person as they are; 0: not UTF-8, or a
 * control or a line break. */
static size_t printable(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    struct slice s = { p, length };

    if (length > n || !utf8_valid(s) || utf8_has_control(s))
        return 0;
    if (length == 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
        return 0;
    return length;
}

bool buffer_printable(struct buffer *b, struct slice s, size_t max)
{
    size_t start = b->n;

    for (size_t i = 0; i < s.n;) {
        size_t length = printable(s.p + i, s.n - i);
        if (b->n - start + (length ? length : 4) > max)
            return false;
        if (length)
            buffer_put(b, s.p + i, length);
        else
            buffer_format(b, "\\x%02x", (unsigned char)s.p[i]);
        i += length ? length : 1;
    }
    return true;
}

const char *buffer_cstr(struct buffer *b)
{
    *buffer_reserve(b, 1) = '\0';
    return b->p;
}

void buffer_fini(struct buffer *b)
{
    free(b->p);
    *b = BUFFER_NULL;
}
