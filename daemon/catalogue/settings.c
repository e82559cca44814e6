/* Typed reading of libconfig groups: see settings.h. Numbers are read from quoted text only, because libconfig turns a
 * bare one into binary floating point, which no amount of money may ever be. */
#include "catalogue/settings.h"

#include "base/clock.h"
#include "base/json_scan.h"

#include <stdarg.h>

#define NAME_MAX_BYTES 256
#define PERCENT_MAX    10000

const struct bounds BOUNDS_PRICE = { AMOUNT_PLACES, 0, PRICE_MAX };
const struct bounds BOUNDS_POSITIVE_PRICE = { AMOUNT_PLACES, 1, PRICE_MAX };
const struct bounds BOUNDS_AMOUNT = { AMOUNT_PLACES, 0, AMOUNT_LIMIT - 1 };
const struct bounds BOUNDS_POSITIVE_AMOUNT = { AMOUNT_PLACES, 1, AMOUNT_LIMIT - 1 };
const struct bounds BOUNDS_QUANTITY = { QUANTITY_PLACES, 0, QUANTITY_MAX };
const struct bounds BOUNDS_POSITIVE_QUANTITY = { QUANTITY_PLACES, 1, QUANTITY_MAX };

static void finding_in(struct reading *r, const char *path, int line, const char *format,
                       va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof(text), format, ap);
    buffer_format(&r->text, "%s%s:%d: %s", r->findings ? "\n" : "", path, line, text);
    r->findings++;
}

void finding(struct reading *r, const config_setting_t *at, const char *format, ...)
{
    const char *file =
        config_setting_source_file(at); /* of an @include; NULL for the file itself */
    va_list ap;
    va_start(ap, format);
    finding_in(r, file ? file : r->path, (int)config_setting_source_line(at), format, ap);
    va_end(ap);
}

void finding_at_line(struct reading *r, int line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    finding_in(r, r->path, line, format, ap);
    va_end(ap);
}

/* Levenshtein's distance of two names, of which only the first 63 bytes count. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strnlen(b, 63);
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; i < 63 && a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + (a[i] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *nearest_name(const char *written, const char *const *known)
{
    const char *best = NULL;
    unsigned least = 2 + (unsigned)strlen(written) / 4; /* beyond that it is another word */
    for (; *known; known++) {
        unsigned d = edit_distance(written, *known);
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    return best;
}

void check_keys(struct reading *r, const config_setting_t *group, const char *what,
                const char *const *known)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(member);
        const char *const *k = known;
        while (*k && strcmp(*k, name) != 0)
            k++;
        if (*k)
            continue;
        const char *near = nearest_name(name, known);
        if (near)
            finding(r, member, "%s has no key '%s'; did you mean '%s'?", what, name, near);
        else
            finding(r, member, "%s has no key '%s'", what, name);
    }
}

bool has_key(const config_setting_t *group, const char *key)
{
    return config_setting_get_member(group, key) != NULL;
}

config_setting_t *get_list(struct reading *r, const config_setting_t *group, const char *key)
{
    config_setting_t *list = config_setting_get_member(group, key);
    if (!list)
        return NULL;
    if (config_setting_type(list) != CONFIG_TYPE_LIST) {
        finding(r, list, "'%s' must be a list of groups: %s = ( { ... }, { ... } );", key, key);
        return NULL;
    }
    for (int i = 0; i < config_setting_length(list); i++) {
        config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
        if (config_setting_type(item) != CONFIG_TYPE_GROUP)
            finding(r, item, "element %d of '%s' must be a group in braces { ... }", i + 1, key);
    }
    return list;
}

config_setting_t *list_group(config_setting_t *list, int i)
{
    config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
    return config_setting_type(item) == CONFIG_TYPE_GROUP ? item : NULL;
}

/* The text of a string. libconfig 1.5 goes on without one that it had no memory for: a price would be left out in
 * silence. */
static const char *text_of(const config_setting_t *member)
{
    const char *text = config_setting_get_string(member);
    if (!text)
        memory_exhausted(0);
    return text;
}

/* The text of a member that must be a string. */
static const char *string_of(struct reading *r, const config_setting_t *member, const char *example)
{
    if (config_setting_type(member) == CONFIG_TYPE_STRING)
        return text_of(member);
    finding(r, member, "'%s' must be text in quotes, such as \"%s\"", config_setting_name(member),
            example);
    return NULL;
}

bool get_name(struct reading *r, const config_setting_t *group, const char *key, unsigned flags,
              struct slice *ret)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    if (!member) {
        if (flags & NAME_REQUIRED)
            finding(r, group, "'%s' is missing here", key);
        return false;
    }
    const char *text = string_of(r, member, "name");
    if (!text)
        return false;
    struct slice s = slice_of(text);
    if ((flags & NAME_STAR) && slice_is(s, "*")) {
        *ret = SLICE_ABSENT;
        return true;
    }
    if ((s.n == 0 && !(flags & NAME_EMPTY)) || s.n > NAME_MAX_BYTES || slice_is(s, "*")) {
        finding(r, member, "'%s' must be a name of 1-%d bytes%s", key, NAME_MAX_BYTES,
                slice_is(s, "*") ? "; '*' has no meaning here" : "");
        return false;
    }
    if (!utf8_valid(s) || utf8_has_control(s)) {
        finding(r, member, "'%s' must be UTF-8 without control characters", key);
        return false;
    }
    *ret = arena_copy(&r->catalogue->arena, s);
    return true;
}

bool get_choice(struct reading *r, const config_setting_t *group, const char *key,
                const char *const *choices, int *ret)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    const char *text = member ? string_of(r, member, choices[0]) : NULL;
    if (!text)
        return false;
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], text) == 0) {
            *ret = i;
            return true;
        }
    char all[128] = "";
    for (int i = 0; choices[i]; i++) {
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s\"%s\"", i ? " | " : "", choices[i]);
    }
    finding(r, member, "'%s' is \"%.64s\", but must be one of %s", key, text, all);
    return false;
}

bool get_flag(struct reading *r, const config_setting_t *group, const char *key, bool *ret)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    if (!member)
        return false;
    if (config_setting_type(member) != CONFIG_TYPE_BOOL) {
        finding(r, member, "'%s' must be true or false, without quotes", key);
        return false;
    }
    *ret = config_setting_get_bool(member) != 0;
    return true;
}

bool read_decimal(struct reading *r, const config_setting_t *member, const struct bounds *bounds,
                  __int128 *ret)
{
    const char *name = config_setting_name(member);
    switch (config_setting_type(member)) {
    case CONFIG_TYPE_STRING:
        break;
    case CONFIG_TYPE_FLOAT:
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        finding(r, member,
                "'%s' is a bare number, which would be read as binary and not stay exact: "
                "write it in quotes, such as \"0.15\"",
                name);
        return false;
    default:
        finding(r, member, "'%s' must be a decimal in quotes, such as \"0.15\"", name);
        return false;
    }
    const char *text = text_of(member);
    char least[DECIMAL_TEXT_MAX], most[DECIMAL_TEXT_MAX];
    __int128 value;
    switch (decimal_parse(slice_of(text), bounds->places, AMOUNT_LIMIT - 1, &value)) {
    case DECIMAL_OK:
        break;
    case DECIMAL_NOT_A_NUMBER:
        finding(r, member, "'%s' is \"%.64s\", which is no decimal such as \"0.15\"", name, text);
        return false;
    case DECIMAL_TOO_PRECISE:
        finding(r, member, "'%s' is \"%.64s\", which has more than %d places", name, text,
                bounds->places);
        return false;
    case DECIMAL_TOO_LARGE:
        value = text[0] == '-' ? -AMOUNT_LIMIT : AMOUNT_LIMIT;
        break;
    }
    if (value < 0) {
        finding(r, member, "'%s' is negative: %.64s", name, text);
        return false;
    }
    if (value < bounds->min || value > bounds->max) {
        decimal_format(bounds->min, bounds->places, least);
        decimal_format(bounds->max, bounds->places, most);
        finding(r, member, "'%s' is %.64s, but must be from %s to %s", name, text, least, most);
        return false;
    }
    *ret = value;
    return true;
}

bool get_decimal(struct reading *r, const config_setting_t *group, const char *key,
                 const struct bounds *bounds, __int128 *ret)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    return member && read_decimal(r, member, bounds, ret);
}

bool get_time(struct reading *r, const config_setting_t *group, const char *key, int64_t *ret_us)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    const char *text = member ? string_of(r, member, "2025-01-01") : NULL;
    if (!text)
        return false;
    char full[TIME_TEXT_MAX];
    snprintf(full, sizeof(full), "%s%s", text, strlen(text) == 10 ? "T00:00:00Z" : "");
    if (strlen(text) >= TIME_TEXT_MAX - 11 || !time_parse(slice_of(full), ret_us)) {
        finding(r, member,
                "'%s' is \"%.64s\", which is neither a day (\"2025-01-01\") nor a time "
                "(\"2025-01-01T00:00:00Z\")",
                key, text);
        return false;
    }
    return true;
}

bool get_thresholds(struct reading *r, const config_setting_t *group, const char *key,
                    int32_t ret[THRESHOLDS_MAX], int *ret_n)
{
    const config_setting_t *member = config_setting_get_member(group, key);
    if (!member)
        return false;
    int n = config_setting_length(member);
    bool good = config_setting_type(member) == CONFIG_TYPE_ARRAY && n <= THRESHOLDS_MAX;
    int32_t value[THRESHOLDS_MAX];
    for (int i = 0; good && i < n; i++) {
        const config_setting_t *e = config_setting_get_elem(member, (unsigned)i);
        good = config_setting_type(e) == CONFIG_TYPE_INT;
        if (!good)
            break;
        value[i] = config_setting_get_int(e);
        good = value[i] >= 1 && value[i] <= PERCENT_MAX && (i == 0 || value[i - 1] < value[i]);
    }
    if (!good) {
        finding(r, member,
                "'%s' must be at most %d whole percents from 1 to %d, ascending: [ 80, 100 ]", key,
                THRESHOLDS_MAX, PERCENT_MAX);
        return false;
    }
    memcpy(ret, value, (size_t)n * sizeof(value[0]));
    *ret_n = n;
    return true;
}
