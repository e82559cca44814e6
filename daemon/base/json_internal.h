/* What the scanner and the readers of a scanned document share: UTF-8, escapes, names. Only for
 * json_scan.c and json_read.c. */
#ifndef DEBITD_BASE_JSON_INTERNAL_H
#define DEBITD_BASE_JSON_INTERNAL_H

#include "base/json_scan.h"

/* Bytes of the UTF-8 character at p < end, 0 where there is none. */
size_t utf8_length(const char *p, const char *end);

/* The escape at p, which stands on a backslash. Returns its bytes; 0 where it is none
 * (*ret_point then: 1 for a lone surrogate, else 0). */
size_t escape_read(const char *p, const char *end, uint32_t *ret_point);

/* Unescapes the content of a scanned string. out has room for s.n bytes: an escape is never
 * shorter than its character. */
size_t json_unescape(struct slice s, char *out);

/* The content of a string as it stands, without the quotes. */
static inline struct slice json_raw(const struct json *doc, uint32_t string)
{
    const struct json_value *v = &doc->value[string];

    return (struct slice){ doc->text + v->start + 1, v->end - v->start - 2 };
}

/* Whether two strings mean the same. */
bool json_string_equal(const struct json *doc, uint32_t a, uint32_t b);

#endif
