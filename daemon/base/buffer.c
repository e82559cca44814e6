/* A growing byte buffer: doubles, so that appending is linear in the end. */
#include "base/buffer.h"

#include "base/json_scan.h"

#include <stdarg.h>

void buffer_grow(struct buffer *b, size_t n)
{
    size_t capacity = b->capacity ? b->capacity : 64;

    ASSERT(n < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    while (capacity < b->n + n)
        capacity *= 2;
    b->p = xrealloc(b->p, capacity);
    b->capacity = capacity;
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

/* The code point at p, where it is one that a terminal or a reader of lines may take for a command:
 * DEL, U+0080-U+009F, U+2028, U+2029; else 0. *ret_n: its bytes. */
static unsigned disturbing(const unsigned char *p, size_t n, size_t *ret_n)
{
    *ret_n = 1;
    if (p[0] == 0x7f)
        return 0x7f;
    if (n >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
        *ret_n = 2;
        return p[1];
    }
    if (n >= 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
        *ret_n = 3;
        return 0x2028u + (p[2] & 1);
    }
    return 0;
}

void buffer_json_text(struct buffer *b, struct slice json)
{
    const unsigned char *p = (const unsigned char *)json.p;

    for (size_t i = 0, n; i < json.n; i += n) {
        unsigned code = disturbing(p + i, json.n - i, &n);
        if (code)
            buffer_format(b, "\\u%04x", code);
        else
            buffer_put(b, p + i, n);
    }
}

void buffer_json_string(struct buffer *b, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    char *out = buffer_reserve(b, s.n * 6 + 2),
         *p = out; /* the worst case is \u00XX for every byte */

    *p++ = '"';
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned code = disturbing((const unsigned char *)s.p + i, s.n - i, &n);
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c < 0x20 || code) {
            unsigned u = code ? code : c;
            *p++ = '\\';
            *p++ = 'u';
            for (int shift = 12; shift >= 0; shift -= 4)
                *p++ = hex[u >> shift & 15];
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
