/* The JSON scanner: one loop over the bytes, an explicit stack of open containers, a flat array of
 * values.
 *
 * Small objects are checked for repeated names pair by pair, large ones with a table hashed by a
 * secret key, so that no input costs more than linear time. Nothing is allocated once the arrays
 * have grown to the size of the usual event. */
#include "base/json_internal.h"

#include "base/buffer.h"
#include "base/hash.h"

#include <sys/random.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "eight bytes at a time are read so below");

#define PAIRWISE_MAX 16 /* members up to which names are compared pair by pair */

struct frame {
    uint32_t index; /* of the open container */
    uint32_t count;
    bool object, has_nul;
};

struct scan {
    struct json *doc;
    const char *p, *end;
    unsigned depth;
    struct frame frame[JSON_DEPTH_MAX];
};

/* ---- the scan ---- */

static bool fail(struct scan *s, const char *at, const char *reason)
{
    snprintf(s->doc->reason, sizeof(s->doc->reason), "%s", reason);
    s->doc->at = (size_t)(at - s->doc->text);
    return false;
}

static void __attribute__((noinline)) values_grow(struct json *doc)
{
    doc->capacity = doc->capacity ? doc->capacity * 2 : 128;
    doc->value = xrealloc(doc->value, doc->capacity * sizeof(*doc->value));
}

static inline struct json_value *value_add(struct json *doc, enum json_type type, const char *start,
                                           const char *end)
{
    uint32_t index = doc->values++;
    struct json_value *v;

    if (index == doc->capacity)
        values_grow(doc);
    v = &doc->value[index];
    *v = (struct json_value){ .type = (uint8_t)type,
                              .start = (uint32_t)(start - doc->text),
                              .end = (uint32_t)(end - doc->text),
                              .next = index + 1 };
    return v;
}

static inline const char *blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* The first byte from p on that is not plain inside a string: a quote, a backslash, a control,
 * beyond ASCII. Eight bytes at a time; a borrow runs only upwards, so the lowest mark is a true
 * one. */
static inline const char *plain_end(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101;

    for (; end - p >= 8; p += 8) {
        uint64_t w, marks;
        memcpy(&w, p, 8);
        marks = ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones) | (w - ones * 0x20) | w;
        marks &= ones * 0x80;
        if (marks)
            return p + (__builtin_ctzll(marks) >> 3);
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* The rest of a string, from its first byte that is not plain. */
static bool string_rest(struct scan *s, const char *p)
{
    const char *start = s->p;
    bool escaped = false, has_nul = false;
    struct json_value *v;

    for (; p < s->end && *p != '"'; p = plain_end(p, s->end)) {
        uint32_t point;
        size_t n;
        if (*p == '\\') {
            n = escape_read(p, s->end, &point);
            if (n == 0)
                return fail(s, p, point ? "a lone surrogate" : "an unknown escape");
            escaped = true;
            has_nul |= point == 0;
        } else {
            if ((unsigned char)*p < 0x20)
                return fail(s, p, "a control character in a string");
            n = utf8_length(p, s->end);
            if (n == 0)
                return fail(s, p, "bytes that are not UTF-8");
        }
        p += n;
    }
    if (p == s->end)
        return fail(s, start, "a string does not end");
    s->p = p + 1;
    v = value_add(s->doc, JSON_IS_STRING, start, s->p);
    v->escaped = escaped;
    v->has_nul = has_nul;
    if (has_nul && s->depth)
        s->frame[s->depth - 1].has_nul = true;
    return true;
}

static inline bool string_read(struct scan *s)
{
    const char *p = plain_end(s->p + 1, s->end);

    if (p == s->end || *p != '"')
        return string_rest(s, p);
    value_add(s->doc, JSON_IS_STRING, s->p, p + 1);
    s->p = p + 1;
    return true;
}

static inline const char *digits_end(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool number_read(struct scan *s)
{
    const char *p = s->p + (*s->p == '-'), *first = p, *end = s->end;

    p = digits_end(p, end);
    if (p == first || (*first == '0' && p - first > 1))
        return fail(s, s->p,
                    p == first ? "a minus without a number" : "a number with a leading zero");
    if (p < end && *p == '.') {
        first = p + 1;
        p = digits_end(first, end);
        if (p == first)
            return fail(s, p, "no digit behind the point of a number");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        first = p;
        p = digits_end(first, end);
        if (p == first)
            return fail(s, p, "no digit in the exponent of a number");
    }
    value_add(s->doc, JSON_IS_NUMBER, s->p, p);
    s->p = p;
    return true;
}

static bool word_read(struct scan *s, const char *word, size_t n, enum json_type type)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return fail(s, s->p, "no JSON value");
    value_add(s->doc, type, s->p, s->p + n);
    s->p += n;
    return true;
}

/* A member's name and its colon. */
static bool name_read(struct scan *s)
{
    s->p = blank(s->p, s->end);
    if (s->p == s->end || *s->p != '"')
        return fail(s, s->p, s->p == s->end ? "the text ends within an object" : "no member name");
    if (!string_read(s))
        return false;
    s->frame[s->depth - 1].count++;
    s->p = blank(s->p, s->end);
    if (s->p == s->end || *s->p != ':')
        return fail(s, s->p, "no colon behind a member name");
    s->p++;
    return true;
}

/* ---- repeated names ---- */

static uint64_t name_hash(struct json *doc, uint32_t i)
{
    struct slice raw = json_raw(doc, i);
    uint64_t hash;
    char *text;

    if (!doc->value[i].escaped)
        return hash_siphash(doc->key, raw.p, raw.n);
    text = xmalloc(raw.n);
    hash = hash_siphash(doc->key, text, json_unescape(raw, text));
    free(text);
    return hash;
}

/* The first eight bytes of a name (less where it is shorter), so that most pairs differ in one
 * comparison. */
static inline uint64_t name_tag(struct slice name, const char *text_end)
{
    uint64_t tag = 0;

    if (text_end - name.p >= 8) {
        memcpy(&tag, name.p, 8);
        if (name.n < 8)
            tag &= ((uint64_t)1 << 8 * name.n) - 1;
    } else {
        memcpy(&tag, name.p, name.n < 8 ? name.n : 8);
    }
    return tag;
}

/* The index of the first name that stood there before, 0: none. */
static uint32_t repeated_small(const struct scan *s, uint32_t object, uint32_t count)
{
    const struct json *doc = s->doc;
    uint32_t index[PAIRWISE_MAX];
    uint64_t tag[PAIRWISE_MAX];
    bool escaped = false;

    for (uint32_t i = 0, at = object + 1; i < count; i++, at = doc->value[at + 1].next) {
        index[i] = at;
        tag[i] = name_tag(json_raw(doc, at), s->end);
        escaped |= doc->value[at].escaped;
        for (uint32_t j = 0; j < i; j++)
            if ((tag[i] == tag[j] || escaped) && json_string_equal(doc, at, index[j]))
                return at;
    }
    return 0;
}

static uint32_t repeated_large(struct json *doc, uint32_t object, uint32_t count)
{
    uint32_t slots = PAIRWISE_MAX * 4;

    while (slots < count * 2)
        slots *= 2;
    if (doc->slots < slots) {
        free(doc->slot);
        doc->slot = xmalloc(slots * sizeof(*doc->slot));
        doc->slots = slots;
    }
    memset(doc->slot, 0, slots * sizeof(*doc->slot));
    if (!doc->key[0] && !doc->key[1])
        ASSERT(getrandom(doc->key, sizeof(doc->key), 0) == sizeof(doc->key));
    for (uint32_t i = 0, at = object + 1; i < count; i++, at = doc->value[at + 1].next) {
        uint32_t slot = (uint32_t)name_hash(doc, at) & (slots - 1);
        for (; doc->slot[slot]; slot = (slot + 1) & (slots - 1))
            if (json_string_equal(doc, at, doc->slot[slot]))
                return at;
        doc->slot[slot] = at;
    }
    return 0;
}

static bool names_check(struct scan *s, uint32_t object, uint32_t count)
{
    struct json *doc = s->doc;
    uint32_t at = count <= PAIRWISE_MAX ? repeated_small(s, object, count)
                                        : repeated_large(doc, object, count);
    struct buffer shown = BUFFER_NULL;

    if (!at)
        return true;
    buffer_text(&shown, "a member name stands there twice: ");
    if (!buffer_printable(&shown, json_text(doc, at), 48))
        buffer_text(&shown, "...");
    fail(s, doc->text + doc->value[at].start, buffer_cstr(&shown));
    buffer_fini(&shown);
    return false;
}

/* ---- containers ---- */

static bool container_close(struct scan *s)
{
    struct frame *f = &s->frame[--s->depth];
    struct json_value *v = &s->doc->value[f->index];

    s->p++;
    v->end = (uint32_t)(s->p - s->doc->text);
    v->next = s->doc->values;
    v->count = f->count;
    v->has_nul = f->has_nul;
    if (f->has_nul && s->depth)
        s->frame[s->depth - 1].has_nul = true;
    return !f->object || f->count < 2 || names_check(s, f->index, f->count);
}

enum step { STEP_FAILED, STEP_ENDED, STEP_VALUE };

/* Opens an array or object. STEP_VALUE: a value of it comes next; STEP_ENDED: it is empty. */
static enum step container_open(struct scan *s, bool object)
{
    if (s->depth == JSON_DEPTH_MAX) {
        fail(s, s->p, "nested deeper than 64");
        return STEP_FAILED;
    }
    s->frame[s->depth++] = (struct frame){ .index = s->doc->values, .object = object };
    value_add(s->doc, object ? JSON_IS_OBJECT : JSON_IS_ARRAY, s->p, s->p);
    s->p = blank(s->p + 1, s->end);
    if (s->p < s->end && *s->p == (object ? '}' : ']'))
        return container_close(s) ? STEP_ENDED : STEP_FAILED;
    return !object || name_read(s) ? STEP_VALUE : STEP_FAILED;
}

/* Reads one value, of a container only its beginning. */
static enum step value_read(struct scan *s)
{
    bool good;

    s->p = blank(s->p, s->end);
    if (s->p == s->end) {
        fail(s, s->p, "the text ends where a value should stand");
        return STEP_FAILED;
    }
    if (s->depth && !s->frame[s->depth - 1].object)
        s->frame[s->depth - 1].count++;
    switch (*s->p) {
    case '{':
        return container_open(s, true);
    case '[':
        return container_open(s, false);
    case '"':
        good = string_read(s);
        break;
    case 't':
        good = word_read(s, "true", 4, JSON_IS_TRUE);
        break;
    case 'f':
        good = word_read(s, "false", 5, JSON_IS_FALSE);
        break;
    case 'n':
        good = word_read(s, "null", 4, JSON_IS_NULL);
        break;
    default:
        good = *s->p == '-' || (*s->p >= '0' && *s->p <= '9') ? number_read(s)
                                                              : fail(s, s->p, "no JSON value");
    }
    return good ? STEP_ENDED : STEP_FAILED;
}

/* Behind a value: closes what closes. STEP_VALUE: another one follows; STEP_ENDED: that was all. */
static enum step value_after(struct scan *s)
{
    for (;;) {
        bool object;
        s->p = blank(s->p, s->end);
        if (s->depth == 0) {
            if (s->p == s->end)
                return STEP_ENDED;
            fail(s, s->p, "something follows the value");
            return STEP_FAILED;
        }
        object = s->frame[s->depth - 1].object;
        if (s->p == s->end) {
            fail(s, s->p,
                 object ? "the text ends within an object" : "the text ends within an array");
            return STEP_FAILED;
        }
        if (*s->p == ',') {
            s->p++;
            return !object || name_read(s) ? STEP_VALUE : STEP_FAILED;
        }
        if (*s->p != (object ? '}' : ']')) {
            fail(s, s->p, object ? "no comma between members" : "no comma between elements");
            return STEP_FAILED;
        }
        if (!container_close(s))
            return STEP_FAILED;
    }
}

int json_scan(struct json *doc, const char *text, size_t n)
{
    struct scan s;
    enum step step;

    if (!text)
        text = "";
    ASSERT(n < (size_t)1 << 31);
    s.doc = doc;
    s.p = text;
    s.end = text + n;
    s.depth = 0;
    doc->text = text;
    doc->values = 0;
    doc->reason[0] = '\0';
    doc->at = 0;
    do {
        step = value_read(&s);
        if (step == STEP_ENDED)
            step = value_after(&s);
    } while (step == STEP_VALUE);
    return step == STEP_ENDED ? 0 : 1;
}

void json_fini(struct json *doc)
{
    free(doc->value);
    free(doc->slot);
    *doc = JSON_NULL_DOC;
}
