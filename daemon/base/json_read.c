/* Reading what was scanned: UTF-8, escapes, members, strings. Pure. */
#include "base/json_internal.h"

/* ---- UTF-8 (RFC 3629 section 4) ---- */

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_length(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t left = (size_t)(end - at);

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0)
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]) || (p[0] == 0xe0 && p[1] < 0xa0) ||
            (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

bool utf8_valid(struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_length(s.p + i, s.p + s.n);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Eight bytes at a time as long as they are plain ASCII: where no byte is marked, none has borrowed
 * from the one above it. */
static size_t plain_bytes(struct slice s)
{
    const uint64_t ones = 0x0101010101010101;
    size_t i = 0;

    for (; s.n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        if (((w - ones * 0x20) | ((w ^ ones * 0x7f) - ones) | w) & ones * 0x80)
            break;
    }
    return i;
}

bool utf8_has_control(struct slice s)
{
    for (size_t i = plain_bytes(s); i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return true;
    }
    return false;
}

static size_t utf8_put(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* ---- escapes ---- */

/* The value of a hexadecimal digit, -1 where it is none. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits, -1 where they are none. */
static int32_t hex_read(const char *p, const char *end)
{
    int32_t value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

size_t escape_read(const char *p, const char *end, uint32_t *ret_point)
{
    static const char codes[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *code;
    int32_t unit, low;

    *ret_point = 0;
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        code = p[1] ? strchr(codes, p[1]) : NULL;
        if (!code)
            return 0;
        *ret_point = (unsigned char)values[code - codes];
        return 2;
    }
    unit = hex_read(p + 2, end);
    if (unit < 0)
        return 0;
    if (unit < 0xd800 || unit > 0xdfff) {
        *ret_point = (uint32_t)unit;
        return 6;
    }
    low = unit < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex_read(p + 8, end) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        *ret_point = 1;
        return 0;
    }
    *ret_point = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

size_t json_unescape(struct slice s, char *out)
{
    const char *p = s.p, *end = s.p + s.n;
    char *o = out;

    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((stop ? stop : end) - p);
        uint32_t point;
        memcpy(o, p, plain);
        o += plain;
        p += plain;
        if (!stop)
            break;
        p += escape_read(p, end, &point);
        o += utf8_put(o, point);
    }
    return (size_t)(o - out);
}

/* ---- strings and members ---- */

/* Compares what two strings mean; raw and unescaped text are the same where there is no
 * backslash. */
static bool string_equal(struct slice a, bool a_escaped, struct slice b, bool b_escaped)
{
    const char *ap = a.p, *bp = b.p, *a_end = a.p + a.n, *b_end = b.p + b.n;

    if (!a_escaped && !b_escaped)
        return slice_equal(a, b);
    while (ap < a_end && bp < b_end) {
        char x[4] = { *ap }, y[4] = { *bp };
        uint32_t point;
        if (a_escaped && *ap == '\\') {
            ap += escape_read(ap, a_end, &point);
            utf8_put(x, point);
        } else {
            size_t n = utf8_length(ap, a_end);
            memcpy(x, ap, n);
            ap += n;
        }
        if (b_escaped && *bp == '\\') {
            bp += escape_read(bp, b_end, &point);
            utf8_put(y, point);
        } else {
            size_t n = utf8_length(bp, b_end);
            memcpy(y, bp, n);
            bp += n;
        }
        if (memcmp(x, y, 4) != 0)
            return false;
    }
    return ap == a_end && bp == b_end;
}

bool json_string_equal(const struct json *doc, uint32_t a, uint32_t b)
{
    return string_equal(json_raw(doc, a), doc->value[a].escaped, json_raw(doc, b),
                        doc->value[b].escaped);
}

uint32_t json_member(const struct json *doc, uint32_t object, const char *name)
{
    const struct json_value *v = &doc->value[object];
    struct slice wanted = slice_of(name);

    ASSERT(v->type == JSON_IS_OBJECT);
    for (uint32_t i = 0, at = object + 1; i < v->count; i++, at = doc->value[at + 1].next)
        if (string_equal(json_raw(doc, at), doc->value[at].escaped, wanted, false))
            return at + 1;
    return 0;
}

void json_members(const struct json *doc, uint32_t object, const struct slice *names, size_t count,
                  struct arena *arena, uint32_t *ret)
{
    const struct json_value *v = &doc->value[object];

    ASSERT(v->type == JSON_IS_OBJECT);
    memset(ret, 0, count * sizeof(*ret));
    for (uint32_t i = 0, at = object + 1; i < v->count; i++, at = doc->value[at + 1].next) {
        struct slice name = json_content(doc, at, arena);
        for (size_t j = 0; j < count; j++)
            if (name.n == names[j].n && memcmp(name.p, names[j].p, name.n) == 0) {
                ret[j] = at + 1;
                break;
            }
    }
}

struct slice json_text(const struct json *doc, uint32_t value)
{
    const struct json_value *v = &doc->value[value];

    return (struct slice){ doc->text + v->start, v->end - v->start };
}

struct slice json_content(const struct json *doc, uint32_t value, struct arena *arena)
{
    struct slice raw = json_raw(doc, value);
    char *text;

    ASSERT(doc->value[value].type == JSON_IS_STRING);
    if (!doc->value[value].escaped)
        return raw;
    text = arena_alloc(arena, raw.n);
    return (struct slice){ text, json_unescape(raw, text) };
}
