/* A strict JSON reader that keeps the text of numbers. One pass over the bytes makes a flat array
 * of values; nothing is copied.
 *
 * Accepts RFC 8259 and refuses, as contract 1 says: a repeated member name at any level (compared
 * after unescaping), nesting deeper than
 * JSON_DEPTH_MAX (arrays and objects together; the outermost is depth 1), bytes that are not UTF-8,
 * lone surrogate escapes, a byte order mark, anything after the
 * value but white space. \u0000 is accepted here and reported per string (has_nul). Any value may
 * be the top one.
 * Not thread safe: one struct json per thread, reused. */
#ifndef DEBITD_BASE_JSON_SCAN_H
#define DEBITD_BASE_JSON_SCAN_H

#include "base/arena.h"
#include "base/macros.h"
#include "base/slice.h"

#include <stdint.h>

#define JSON_DEPTH_MAX 64

/* Neither these names nor any function here is one of jansson, which other files use beside this: a
 * function of the same name would silently take its place. */
enum json_type {
    JSON_IS_NULL,
    JSON_IS_FALSE,
    JSON_IS_TRUE,
    JSON_IS_NUMBER,
    JSON_IS_STRING,
    JSON_IS_ARRAY,
    JSON_IS_OBJECT
};

struct json_value {
    uint8_t type; /* enum json_type */
    bool escaped; /* a string with a backslash in it */
    /* a string with \u0000, or a container with such a string (names included) anywhere in it */
    bool has_nul;
    uint32_t start, end; /* its text in the document, quotes or brackets included */
    uint32_t next;       /* index of the value behind it and all it holds */
    uint32_t count;      /* members of an object, elements of an array */
};
/* An object's members stand behind it as name, value, name, value …; an array's elements as value,
 * value …: step with .next. */

struct json {
    const char *text;
    struct json_value *value; /* value[0] is the top */
    uint32_t values, capacity;
    char reason[96]; /* why json_scan refused, for a person */
    size_t at;       /* and at which byte */
    uint64_t key[2]; /* seed of the duplicate check */
    uint32_t *slot;  /* its table, kept for reuse */
    uint32_t slots;
};
#define JSON_NULL_DOC ((struct json){ 0 })

/* 0, or 1: refused (reason and at are set). text must live as long as the document is used; n <
 * 2^31. */
int json_scan(struct json *doc, const char *text, size_t n) MUST_CHECK;
void json_fini(struct json *doc);

/* The value of a member, or 0 where there is none (0 is the top, never a member). object: index of
 * an object. */
uint32_t json_member(const struct json *doc, uint32_t object, const char *name);
/* The values of several members in one pass: ret[i] is that of names[i], or 0. The arena is for
 * names with escapes only. */
void json_members(const struct json *doc, uint32_t object, const struct slice *names, size_t count,
                  struct arena *arena, uint32_t *ret);
/* The text as it stands (strings with their quotes). */
struct slice json_text(const struct json *doc, uint32_t value);
/* The content of a string, unescaped; in the arena only where it had escapes, else pointing into
 * the text. */
struct slice json_content(const struct json *doc, uint32_t value, struct arena *arena);

/* UTF-8 as RFC 3629 has it (no surrogates, no overlong forms). */
bool utf8_valid(struct slice s);
/* Contains U+0000-U+001F, U+007F or U+0080-U+009F. s must be valid UTF-8. */
bool utf8_has_control(struct slice s);

#endif
