/* Reading the configuration: libconfig's tree is walked once, each setting is looked up in the table and checked, and every finding is kept, so that a person mends them all at once. The
 * defaults are read by the same code, from the table's own text, before the file is: there is no second way to set a field. */
#include "config.h"

#include "base/json_scan.h"
#include "config_table.h"

#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct reader {
    struct config *c;
    const char *path;     /* of the file; NULL while the defaults are read */
    struct buffer *found; /* a line a finding */
    int findings;
};

PRINTF_LIKE(3, 4)
static void find(struct reader *r, const config_setting_t *at, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *file = at ? config_setting_source_file(at) : NULL;
    buffer_text(r->found, file ? file : config_place(r->c, text));
    if (at && config_setting_source_line(at))
        buffer_format(r->found, ":%u", config_setting_source_line(at));
    buffer_format(r->found, ": %s\n", text);
    r->findings++;
}

/* ---- names */

static const char *leaf_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* Levenshtein's distance, at most 64 bytes of each. */
static int distance(const char *a, const char *b)
{
    int row[65];
    int m = (int)strnlen(a, 64), n = (int)strnlen(b, 64);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

/* The key whose path or last part is nearest to what stands in the file. */
static const char *nearest(const char *path)
{
    const char *best = config_key[0].path;
    int least = INT_MAX;
    for (int i = 0; i < config_keys; i++) {
        int whole = distance(path, config_key[i].path);
        int last = distance(leaf_of(path), leaf_of(config_key[i].path)) +
                   1; /* elsewhere: a little further */
        int d = whole < last ? whole : last;
        if (d < least) {
            least = d;
            best = config_key[i].path;
        }
    }
    return best;
}

static const struct config_key *key_of(const char *path)
{
    for (int i = 0; i < config_keys; i++)
        if (strcmp(config_key[i].path, path) == 0)
            return &config_key[i];
    return NULL;
}

static bool section_known(const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < config_keys; i++)
        if (strncmp(config_key[i].path, name, n) == 0 && config_key[i].path[n] == '.')
            return true;
    return false;
}

static const char *nearest_section(const char *name)
{
    static const char *const sections[] = { "kafka",   "topics", "postgres", "batch",  "accounts",
                                            "writers", "accept", "queue",    "prices", "log" };
    const char *best = sections[0];
    for (size_t i = 1; i < ARRAY_SIZE(sections); i++)
        if (distance(name, sections[i]) < distance(name, best))
            best = sections[i];
    return best;
}

static const char *type_name(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a whole number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
        return "an array";
    case CONFIG_TYPE_LIST:
        return "a list";
    }
    return "nothing";
}

/* ---- values */

static void set_text(char **field, const char *value)
{
    free(*field);
    size_t n = strlen(value) + 1;
    *field = memcpy(xmalloc(n), value, n);
}

static bool read_whole(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    int type = config_setting_type(s);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
        find(r, s, "%s: %s stands where a whole number is wanted, as in %s = %s;", k->path,
             type_name(s), leaf_of(k->path), k->fallback);
        return false;
    }
    int64_t v = type == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_int64(s);
    if (v < k->min || v > k->max) {
        find(r, s, "%s: %lld is not between %lld and %lld%s%s", k->path, (long long)v,
             (long long)k->min, (long long)k->max, k->unit ? " " : "", k->unit ? k->unit : "");
        return false;
    }
    *(int64_t *)config_field(r->c, k) = v;
    return true;
}

static const char *string_of(struct reader *r, const struct config_key *k,
                             const config_setting_t *s)
{
    if (config_setting_type(s) != CONFIG_TYPE_STRING) {
        find(r, s, "%s: %s stands where a text in quotes is wanted, as in %s = %s;", k->path,
             type_name(s), leaf_of(k->path), k->fallback);
        return NULL;
    }
    const char *text = config_setting_get_string(s);
    if (!text) /* libconfig 1.5 goes on without one that it had no memory for */
        memory_exhausted(0);
    return text;
}

static bool read_text(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    const char *v = string_of(r, k, s);
    if (!v)
        return false;
    int64_t n = (int64_t)strlen(v);
    if (n < k->min || n > k->max) {
        find(r, s, n < k->min ? "%s: must not be empty" : "%s: longer than %lld bytes", k->path,
             (long long)k->max);
        return false;
    }
    if (!utf8_valid(slice_of(v)) || utf8_has_control(slice_of(v))) {
        find(r, s, "%s: is not UTF-8, or holds control characters", k->path);
        return false;
    }
    set_text(config_field(r->c, k), v);
    return true;
}

static bool read_topic(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *v = string_of(r, k, s);
    if (!v)
        return false;
    if (!*v || (int64_t)strlen(v) > k->max || v[strspn(v, letters)] || strcmp(v, ".") == 0 ||
        strcmp(v, "..") == 0) {
        find(r, s, "%s: Kafka takes names of 1-249 letters, digits, dots, underscores and dashes",
             k->path);
        return false;
    }
    set_text(config_field(r->c, k), v);
    return true;
}

static bool read_choice(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    const char *v = string_of(r, k, s);
    if (!v)
        return false;
    for (int64_t i = k->min; config_choice(k, i).p; i++) {
        if (slice_is(config_choice(k, i), v)) {
            *(int64_t *)config_field(r->c, k) = i;
            return true;
        }
    }
    find(r, s, "%s: \"%.64s\" is none of %s", k->path, v, k->choices);
    return false;
}

static void properties_fini(struct config_properties *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        free(p->item[i].name);
        free(p->item[i].value);
    }
    free(p->item);
    *p = (struct config_properties){ NULL, 0 };
}

/* One ("name", "value"); its name must not stand there yet. */
static bool read_property(struct reader *r, const struct config_key *k, const config_setting_t *s,
                          struct config_properties *list)
{
    if ((!config_setting_is_list(s) && !config_setting_is_array(s)) ||
        config_setting_length(s) != 2 || !config_setting_get_string_elem(s, 0) ||
        !config_setting_get_string_elem(s, 1)) {
        find(r, s, "%s: each must be a pair of texts, as in (\"security.protocol\", \"SSL\")",
             k->path);
        return false;
    }
    const char *name = config_setting_get_string_elem(s, 0);
    for (int64_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i].name, name) == 0) {
            find(r, s, "%s: \"%.64s\" stands there twice", k->path, name);
            return false;
        }
    }
    struct config_property *p = &list->item[list->count++];
    *p = (struct config_property){ NULL, NULL };
    set_text(&p->name, name);
    set_text(&p->value, config_setting_get_string_elem(s, 1));
    return true;
}

static bool read_properties(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    if (!config_setting_is_list(s)) {
        find(r, s, "%s: %s stands where a list of pairs is wanted, as in %s = %s;", k->path,
             type_name(s), leaf_of(k->path), k->fallback);
        return false;
    }
    int n = config_setting_length(s);
    if (n > k->max) {
        find(r, s, "%s: more than %lld pairs", k->path, (long long)k->max);
        return false;
    }
    struct config_properties list = { xcalloc((size_t)n, sizeof(struct config_property)), 0 };
    bool good = true;
    for (int i = 0; i < n; i++)
        good &= read_property(r, k, config_setting_get_elem(s, (unsigned)i), &list);
    if (!good) {
        properties_fini(&list);
        return false;
    }
    struct config_properties *field = config_field(r->c, k);
    properties_fini(field);
    *field = list;
    return true;
}

static bool read_value(struct reader *r, const struct config_key *k, const config_setting_t *s)
{
    switch (k->type) {
    case CONFIG_WHOLE:
        return read_whole(r, k, s);
    case CONFIG_TEXT:
    case CONFIG_CONNINFO:
        return read_text(r, k, s);
    case CONFIG_TOPIC:
        return read_topic(r, k, s);
    case CONFIG_CHOICE:
        return read_choice(r, k, s);
    case CONFIG_PROPERTIES:
        return read_properties(r, k, s);
    }
    return false;
}

/* ---- the tree */

static void read_key(struct reader *r, const char *section, const config_setting_t *s)
{
    char path[256];
    snprintf(path, sizeof(path), "%s.%s", section, config_setting_name(s));
    const struct config_key *k = key_of(path);
    if (!k) {
        find(r, s, "%s: unknown key; the nearest is %s", path, nearest(path));
        return;
    }
    if (!read_value(r, k, s) || !r->path)
        return;
    struct buffer origin = BUFFER_NULL;
    const char *file = config_setting_source_file(s);
    buffer_format(&origin, "%s:%u", file ? file : r->path, config_setting_source_line(s));
    set_text(&r->c->origin[k - config_key], buffer_cstr(&origin));
    buffer_fini(&origin);
}

static void read_tree(struct reader *r, const config_setting_t *root)
{
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(s);
        if (!section_known(name)) {
            if (config_setting_is_group(s))
                find(r, s, "%s: unknown group; the nearest is %s", name, nearest_section(name));
            else
                find(r, s,
                     "%s: unknown key; the nearest is %s (keys stand in groups: group = { key = "
                     "value; };)",
                     name, nearest(name));
        } else if (!config_setting_is_group(s)) {
            find(r, s, "%s: %s stands where a group is wanted, as in %s = { key = value; };", name,
                 type_name(s), name);
        } else {
            for (int j = 0; j < config_setting_length(s); j++)
                read_key(r, name, config_setting_get_elem(s, (unsigned)j));
        }
    }
}

/* What no key can say alone. `at` is where the key that is named first was set. */
static void check_together(struct reader *r)
{
    const struct config *c = r->c;
    const char *topic[] = { c->topics.usage, c->topics.accounts, c->topics.alerts,
                            c->topics.dead_letter };
    const char *key[] = { "topics.usage", "topics.accounts", "topics.alerts",
                          "topics.dead_letter" };
    for (size_t i = 0; i < ARRAY_SIZE(topic); i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(topic[i], topic[j]) == 0) {
                bool first = c->origin[key_of(key[i]) - config_key] == NULL; /* a default */
                find(r, NULL, "%s: is \"%s\", as %s is; the four topics must differ",
                     key[first ? j : i], topic[i], key[first ? i : j]);
            }
    if (c->accept.dedup_months > 0 && c->accept.dedup_months * 28 < c->accept.window_days) {
        bool set = c->origin[key_of("accept.dedup_months") - config_key] != NULL;
        find(r, NULL,
             "%s: dedup_months = %lld%s can be shorter than window_days = %lld: an event could be "
             "accepted again after it was forgotten; at least %lld months are needed, or 0 for "
             "forever",
             set ? "accept.dedup_months" : "accept.window_days", (long long)c->accept.dedup_months,
             set ? "" : " (the default)", (long long)c->accept.window_days,
             (long long)((c->accept.window_days + 27) / 28));
    }
}

static void read_defaults(struct reader *r)
{
    struct buffer text = BUFFER_NULL;
    for (int i = 0; i < config_keys; i++) {
        const char *path = config_key[i].path;
        size_t section = strcspn(path, ".");
        if (i == 0 || strncmp(path, config_key[i - 1].path, section + 1) != 0)
            buffer_format(&text, "%s%.*s = {", i ? "};" : "", (int)section, path);
        buffer_format(&text, "%s = %s;", leaf_of(path), config_key[i].fallback);
    }
    buffer_text(&text, "};");
    config_t tree;
    config_init(&tree);
    ASSERT(config_read_string(&tree, buffer_cstr(&text)) == CONFIG_TRUE);
    read_tree(r, config_root_setting(&tree));
    ASSERT(r->findings == 0);
    config_destroy(&tree);
    buffer_fini(&text);
}

/* libconfig 1.5 ends the process when it is given a directory to read, so that is looked for before. */
static int open_check(struct reader *r)
{
    struct stat st;
    if (stat(r->path, &st) < 0 || access(r->path, R_OK) < 0) {
        find(r, NULL, "cannot be read: %s", strerror(errno));
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        find(r, NULL, "is a directory, not a configuration file");
        return -1;
    }
    return 0;
}

static void read_file(struct reader *r)
{
    if (open_check(r) < 0)
        return;
    config_t tree;
    config_init(&tree);
    const char *slash = strrchr(r->path, '/');
    if (slash) { /* @include is relative to the file that says it */
        struct buffer dir = BUFFER_NULL;
        buffer_put(&dir, r->path, slash == r->path ? 1 : (size_t)(slash - r->path));
        config_set_include_dir(&tree, buffer_cstr(&dir));
        buffer_fini(&dir);
    }
    if (config_read_file(&tree, r->path) == CONFIG_TRUE) {
        read_tree(r, config_root_setting(&tree));
        check_together(r);
    } else {
        const char *file = config_error_file(&tree);
        buffer_format(r->found, "%s:%d: %s\n", file ? file : r->path, config_error_line(&tree),
                      config_error_text(&tree));
        r->findings++;
    }
    config_destroy(&tree);
}

/* NULL: there is none. One that may not be looked at is one: the defaults might lead to another database. */
static const char *usual_path(void)
{
    struct stat st;
    if (stat(CONFIG_PATH, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return NULL;
    return CONFIG_PATH;
}

/* ---- from outside */

int config_check(const char *path, struct config *ret, struct buffer *ret_findings)
{
    struct config c = CONFIG_NULL;
    struct reader r = { &c, NULL, ret_findings, 0 };
    read_defaults(&r);
    r.path = path ? path : usual_path();
    set_text(&c.path, r.path ? r.path : "");
    if (r.path)
        read_file(&r);
    if (r.findings)
        config_fini(&c);
    else
        *ret = c;
    return r.findings;
}

int config_load(const char *path, struct config *ret, struct error *ret_error)
{
    struct buffer found = BUFFER_NULL;
    int findings = config_check(path, ret, &found);
    if (findings) {
        if (found.n && found.p[found.n - 1] == '\n')
            found.n--;
        error_set(ret_error, EX_CONFIG, "%s", buffer_cstr(&found));
    }
    buffer_fini(&found);
    return findings ? -1 : 0;
}

const char *config_place(const struct config *c, const char *finding)
{
    for (int i = 0; i < config_keys; i++) {
        size_t n = strlen(config_key[i].path);
        if (c->origin[i] && strncmp(finding, config_key[i].path, n) == 0 && finding[n] == ':')
            return c->origin[i];
    }
    return c->path && *c->path ? c->path : "the defaults";
}

void config_fini(struct config *c)
{
    for (int i = 0; i < config_keys; i++) {
        switch (config_key[i].type) {
        case CONFIG_TEXT:
        case CONFIG_TOPIC:
        case CONFIG_CONNINFO:
            free(*(char **)config_field(c, &config_key[i]));
            break;
        case CONFIG_PROPERTIES:
            properties_fini(config_field(c, &config_key[i]));
            break;
        case CONFIG_WHOLE:
        case CONFIG_CHOICE:
            break;
        }
        free(c->origin[i]);
    }
    free(c->path);
    *c = CONFIG_NULL;
}
