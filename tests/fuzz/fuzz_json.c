/* The scanner against jansson: both accept or both refuse, and both read the same. Known
 * differences, where nothing is compared: our nesting limit, numbers that jansson cannot hold,
 * names with \u0000, which it refuses, and NUL bytes: jansson takes one outside a string for the
 * end of the text, JSON has none. */
#include "base/buffer.h"
#include "base/json_scan.h"
#include "tests/fuzz/input.h"

#include <jansson.h>

static void string_compare(const struct json *doc, uint32_t at, const char *text, size_t n,
                           struct arena *arena)
{
    struct slice s = json_content(doc, at, arena);

    CLAIM(s.n == n && memcmp(s.p, text, n) == 0);
    CLAIM(utf8_valid(s));
    CLAIM(doc->value[at].has_nul == (memchr(text, 0, n) != NULL));
}

static void number_compare(const struct json *doc, uint32_t at, const json_t *other,
                           struct arena *arena)
{
    const char *text = arena_text(arena, json_text(doc, at));

    if (json_is_integer(other))
        CLAIM(strtoll(text, NULL, 10) == json_integer_value(other) && !strpbrk(text, ".eE"));
    else
        CLAIM(json_is_real(other) && strtod(text, NULL) == json_real_value(other));
}

/* Returns whether there is a \u0000 in it. */
static bool value_compare(const struct json *doc, uint32_t at, const json_t *other,
                          struct arena *arena)
{
    const struct json_value *v = &doc->value[at];
    uint32_t next = at + 1;
    bool has_nul = false;

    switch ((enum json_type)v->type) {
    case JSON_IS_NULL:
        CLAIM(json_is_null(other));
        break;
    case JSON_IS_FALSE:
        CLAIM(json_is_false(other));
        break;
    case JSON_IS_TRUE:
        CLAIM(json_is_true(other));
        break;
    case JSON_IS_NUMBER:
        number_compare(doc, at, other, arena);
        break;
    case JSON_IS_STRING:
        CLAIM(json_is_string(other));
        string_compare(doc, at, json_string_value(other), json_string_length(other), arena);
        has_nul = v->has_nul;
        break;
    case JSON_IS_ARRAY:
        CLAIM(json_is_array(other) && json_array_size(other) == v->count);
        for (uint32_t i = 0; i < v->count; i++, next = doc->value[next].next)
            has_nul |= value_compare(doc, next, json_array_get(other, i), arena);
        break;
    case JSON_IS_OBJECT:
        CLAIM(json_is_object(other) && json_object_size(other) == v->count);
        for (uint32_t i = 0; i < v->count; i++, next = doc->value[next + 1].next) {
            char *name = arena_text(arena, json_content(doc, next, arena));
            const json_t *member = json_object_get(other, name);
            CLAIM(member != NULL);
            CLAIM(json_member(doc, at, name) == next + 1);
            string_compare(doc, next, name, strlen(name), arena);
            has_nul |= value_compare(doc, next + 1, member, arena);
        }
        break;
    }
    CLAIM(v->next == next && v->start < v->end && v->has_nul == has_nul);
    return has_nul;
}

/* What we write ourselves is read back as the same. */
static void strings_rewrite(const struct json *doc, struct arena *arena)
{
    struct json again = JSON_NULL_DOC;
    struct buffer b = BUFFER_NULL;

    for (uint32_t i = 0; i < doc->values; i++) {
        struct slice s;
        if (doc->value[i].type != JSON_IS_STRING)
            continue;
        s = json_content(doc, i, arena);
        b.n = 0;
        buffer_json_string(&b, s);
        CLAIM(json_scan(&again, b.p, b.n) == 0);
        CLAIM(slice_equal(json_content(&again, 0, arena), s));
    }
    buffer_fini(&b);
    json_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    json_error_t error;
    int refused = json_scan(&doc, (const char *)data, size);
    json_t *other = json_loadb((const char *)data, size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    enum json_error_code code = other ? json_error_unknown : json_error_code(&error);

    CLAIM(!refused == !doc.reason[0] && doc.at <= size);
    if (memchr(data, 0, size)) {
        CLAIM(refused);
    } else if (code == json_error_numeric_overflow || code == json_error_null_byte_in_key) {
        /* not to be compared */
    } else if (refused) {
        CLAIM(!other || strcmp(doc.reason, "nested deeper than 64") == 0);
    } else {
        CLAIM(other != NULL);
        value_compare(&doc, 0, other, &arena);
    }
    if (!refused)
        strings_rewrite(&doc, &arena);
    json_decref(other);
    json_fini(&doc);
    arena_fini(&arena);
    return 0;
}
