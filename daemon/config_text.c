/* The configuration as text for people: the effective one, the sample file and its documentation, all from the table. */
#include "base/json_scan.h"
#include "config_table.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SAMPLE_COLUMNS 96

struct slice config_choice(const struct config_key *k, int64_t value)
{
    const char *p = k->choices;
    for (int64_t i = k->min; value >= k->min && p; i++) {
        size_t n = strcspn(p, "|");
        if (i == value)
            return (struct slice){ p, n };
        p = p[n] ? p + n + 1 : NULL;
    }
    return SLICE_ABSENT;
}

/* ---- secrets */

bool config_property_secret(const char *name)
{
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, "_file") == 0)
        return false; /* where the secret is, not what it is */
    static const char *const part[] = { "password", "secret", "token", "pem",
                                        "oauthbearer.config" };
    for (size_t i = 0; i < ARRAY_SIZE(part); i++)
        for (const char *p = name; *p; p++)
            if (strncasecmp(p, part[i], strlen(part[i])) == 0)
                return true;
    return false;
}

static bool keyword_secret(struct slice name)
{
    return slice_is(name, "password") || slice_is(name, "sslpassword");
}

/* postgresql://user:password@host/db?sslpassword=… */
static void mask_uri(const char *uri, struct buffer *out)
{
    const char *start = strstr(uri, "://") + 3;
    size_t authority = strcspn(start, "/?#");
    const char *at = NULL;
    for (const char *p = start; p < start + authority; p++)
        if (*p == '@')
            at = p;
    const char *rest = start;
    const char *colon = at ? memchr(start, ':', (size_t)(at - start)) : NULL;
    buffer_put(out, uri, (size_t)(start - uri));
    if (colon) {
        buffer_put(out, start, (size_t)(colon + 1 - start));
        buffer_text(out, "***");
        rest = at;
    }
    size_t path = strcspn(rest, "?");
    buffer_put(out, rest, path);
    for (const char *p = rest + path; *p;) { /* p is at ? or & */
        buffer_put(out, p++, 1);
        size_t whole = strcspn(p, "&"), name = strcspn(p, "=&");
        if (keyword_secret((struct slice){ p, name }) && name < whole) {
            buffer_put(out, p, name);
            buffer_text(out, "=***");
        } else {
            buffer_put(out, p, whole);
        }
        p += whole;
    }
}

/* Behind a value of the keyword form: in quotes or up to white space, backslash escapes. NULL: a quote is not closed. */
static const char *value_end(const char *p)
{
    bool quoted = *p == '\'';
    if (quoted)
        p++;
    while (*p && (quoted ? *p != '\'' : !isspace((unsigned char)*p)))
        p += *p == '\\' && p[1] ? 2 : 1;
    if (quoted)
        return *p ? p + 1 : NULL;
    return p;
}

void config_mask_conninfo(const char *conninfo, struct buffer *out)
{
    if (strncmp(conninfo, "postgresql://", 13) == 0 || strncmp(conninfo, "postgres://", 11) == 0) {
        mask_uri(conninfo, out);
        return;
    }
    size_t begin = out->n;
    const char *p = conninfo;
    for (;;) {
        const char *gap = p;
        p += strspn(p, " \t\r\n\f\v");
        buffer_put(out, gap, (size_t)(p - gap));
        if (!*p)
            return;
        struct slice name = { p, strcspn(p, "= \t\r\n\f\v") };
        p += name.n;
        p += strspn(p, " \t\r\n\f\v");
        if (*p != '=')
            break;
        p++;
        p += strspn(p, " \t\r\n\f\v");
        const char *end = value_end(p);
        if (!end)
            break;
        buffer_slice(out, name);
        buffer_text(out, "=");
        if (keyword_secret(name))
            buffer_text(out, "***");
        else
            buffer_put(out, p, (size_t)(end - p));
        p = end;
    }
    out->n = begin; /* not understood, so nothing of it is shown */
    buffer_text(out, "***");
}

bool config_open_secrets(const struct config *c, struct buffer *out)
{
    CLEANUP(buffer_fini) struct buffer masked = BUFFER_NULL;
    const char *where = NULL;
    struct stat st;
    if (!*c->path || stat(c->path, &st) < 0 || !(st.st_mode & S_IROTH))
        return false;
    config_mask_conninfo(c->postgres.conninfo, &masked);
    if (strstr(buffer_cstr(&masked), "***"))
        where = "postgres.conninfo";
    for (int64_t i = 0; i < c->kafka.properties.count; i++)
        if (config_property_secret(c->kafka.properties.item[i].name))
            where = c->kafka.properties.item[i].name;
    if (where)
        buffer_format(out,
                      "%s holds a secret (%s) and can be read by everybody on this machine: chmod "
                      "0640, or keep the secret in a file of its own (docs/security.md)",
                      c->path, where);
    return where != NULL;
}

/* ---- values */

static void put_string(struct buffer *out, const char *text)
{
    buffer_text(out, "\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buffer_format(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            buffer_format(out, "\\x%02x", (unsigned char)*p);
        else
            buffer_put(out, p, 1);
    }
    buffer_text(out, "\"");
}

static void put_properties(struct buffer *out, const struct config_properties *list, bool mask)
{
    buffer_text(out, "(");
    for (int64_t i = 0; i < list->count; i++) {
        const struct config_property *p = &list->item[i];
        buffer_text(out, i ? ", (" : " (");
        put_string(out, p->name);
        buffer_text(out, ", ");
        put_string(out, mask && config_property_secret(p->name) ? "***" : p->value);
        buffer_text(out, ")");
    }
    buffer_text(out, " )");
}

void config_value_text(const struct config *c, const struct config_key *k, bool mask,
                       struct buffer *out)
{
    const void *field = config_field_const(c, k);
    struct buffer masked = BUFFER_NULL;
    switch (k->type) {
    case CONFIG_WHOLE:
        buffer_format(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case CONFIG_TEXT:
    case CONFIG_TOPIC:
        put_string(out, *(char *const *)field);
        break;
    case CONFIG_CHOICE:
        buffer_format(out, "\"%.*s\"", SLICE_ARGS(config_choice(k, *(const int64_t *)field)));
        break;
    case CONFIG_CONNINFO:
        if (mask)
            config_mask_conninfo(*(char *const *)field, &masked);
        put_string(out, mask ? buffer_cstr(&masked) : *(char *const *)field);
        break;
    case CONFIG_PROPERTIES:
        put_properties(out, field, mask);
        break;
    }
    buffer_fini(&masked);
}

/* ---- whole texts */

static struct slice section_of(const struct config_key *k)
{
    return (struct slice){ k->path, strcspn(k->path, ".") };
}
static const char *name_of(const struct config_key *k)
{
    return strchr(k->path, '.') + 1;
}
static bool begins_section(int i)
{
    return i == 0 || !slice_equal(section_of(&config_key[i]), section_of(&config_key[i - 1]));
}
static bool ends_section(int i)
{
    return i + 1 == config_keys || begins_section(i + 1);
}

void config_dump(const struct config *c, struct buffer *out)
{
    if (*c->path)
        buffer_format(out, "# the configuration in effect, from %s and the built-in defaults\n",
                      c->path);
    else
        buffer_text(out, "# the configuration in effect: the built-in defaults\n");
    for (int i = 0; i < config_keys; i++) {
        if (begins_section(i))
            buffer_format(out, "%.*s = {\n", SLICE_ARGS(section_of(&config_key[i])));
        buffer_format(out, "    %s = ", name_of(&config_key[i]));
        config_value_text(c, &config_key[i], true, out);
        buffer_format(out, "; # %s\n", c->origin[i] ? c->origin[i] : "default");
        if (ends_section(i))
            buffer_text(out, "};\n");
    }
}

/* What values a key takes: "1-64 threads", "park or open"; nothing where any text does. */
static void put_bounds(const struct config_key *k, struct buffer *out)
{
    switch (k->type) {
    case CONFIG_WHOLE:
        buffer_format(out, "%lld-%lld%s%s", (long long)k->min, (long long)k->max,
                      k->unit ? " " : "", k->unit ? k->unit : "");
        break;
    case CONFIG_CHOICE:
        for (int64_t i = k->min; config_choice(k, i).p; i++) {
            if (i > k->min)
                buffer_text(out, config_choice(k, i + 1).p ? ", " : " or ");
            buffer_slice(out, config_choice(k, i));
        }
        break;
    case CONFIG_TOPIC:
        buffer_text(out, "a topic's name");
        break;
    case CONFIG_PROPERTIES:
        buffer_text(out, "pairs of texts");
        break;
    case CONFIG_TEXT:
    case CONFIG_CONNINFO:
        buffer_text(out, "text");
        break;
    }
}

/* A comment, wrapped. */
static void put_comment(struct buffer *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column && column + 1 + word > SAMPLE_COLUMNS) {
            buffer_text(out, "\n");
            column = 0;
        }
        if (column == 0) {
            buffer_text(out, "    #");
            column = 5;
        }
        buffer_text(out, " ");
        buffer_put(out, text, word);
        column += 1 + word;
        text += word + strspn(text + word, " ");
    }
    buffer_text(out, "\n");
}

void config_sample(struct buffer *out)
{
    buffer_text(out, "# Configuration of debitd and debitctl, in the syntax of libconfig. Every "
                     "key has a default, shown here\n"
                     "# commented out; an empty file is valid. After a change: debitd "
                     "--check-config, then systemctl reload\n"
                     "# debitd. (Written from the table in daemon/config_table.c; see "
                     "docs/configuration.md.)\n");
    for (int i = 0; i < config_keys; i++) {
        const struct config_key *k = &config_key[i];
        if (begins_section(i))
            buffer_format(out, "\n%.*s = {\n", SLICE_ARGS(section_of(k)));
        else
            buffer_text(out, "\n");
        struct buffer line = BUFFER_NULL;
        buffer_format(&line, "%s (", k->help);
        put_bounds(k, &line);
        buffer_text(&line, k->reloadable ? "; a reload takes it up)" : "; needs a restart)");
        put_comment(out, buffer_cstr(&line));
        buffer_format(out, "    #%s = %s;\n", name_of(k), k->fallback);
        buffer_fini(&line);
        if (ends_section(i))
            buffer_text(out, "};\n");
    }
}

/* Text in a cell of a Markdown table. */
static void put_cell(struct buffer *out, const char *text)
{
    for (; *text; text++)
        buffer_format(out, *text == '|' ? "\\%c" : "%c", *text);
}

void config_document(struct buffer *out)
{
    buffer_text(
        out,
        "# Configuration\n\n"
        "`debitd` and `debitctl` read one file in the syntax of libconfig, by default `" CONFIG_PATH
        "`; without it the\n"
        "defaults hold. Unknown keys, wrong types and values out of range are errors that name "
        "file, line and key, all at\n"
        "once. `debitd --check-config` says `ok` or what is wrong, without touching network or "
        "database; `debitd\n"
        "--dump-config` shows the values in effect, each with where it comes from, and never a "
        "password.\n\n"
        "After `systemctl reload debitd` (SIGHUP) the keys marked *reload* take effect; when the "
        "new file is bad the old\n"
        "values stay in force and the log and `systemctl status` say so. The others need a "
        "restart, which is always safe.\n"
        "\n(This page and `etc/debitd.conf` are written from the table in `daemon/config_table.c`; "
        "a test compares them.)\n");
    for (int i = 0; i < config_keys; i++) {
        const struct config_key *k = &config_key[i];
        if (begins_section(i))
            buffer_format(out,
                          "\n## %.*s\n\n| key | default | values | change by | meaning "
                          "|\n|---|---|---|---|---|\n",
                          SLICE_ARGS(section_of(k)));
        buffer_format(out, "| `%s` | `", name_of(k));
        put_cell(out, k->fallback);
        buffer_text(out, "` | ");
        put_bounds(k, out);
        buffer_format(out, " | %s | ", k->reloadable ? "reload" : "restart");
        put_cell(out, k->help);
        buffer_text(out, " |\n");
    }
}

int config_needs_restart(const struct config *running, const struct config *wanted,
                         struct buffer *out)
{
    int n = 0;
    for (int i = 0; i < config_keys; i++) {
        struct buffer a = BUFFER_NULL, b = BUFFER_NULL;
        config_value_text(running, &config_key[i], false, &a);
        config_value_text(wanted, &config_key[i], false, &b);
        if (!config_key[i].reloadable && (a.n != b.n || memcmp(a.p, b.p, a.n) != 0))
            buffer_format(out, "%s%s", n++ ? ", " : "", config_key[i].path);
        buffer_fini(&a);
        buffer_fini(&b);
    }
    return n;
}
