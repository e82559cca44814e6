/* The connection string: libpq's, and two keywords of ours, password_file and sslpassword_file, which name a file that holds the secret and nothing else (base/credential.h). They are
 * taken out before libpq sees the string; the files are read at each connection, so that a new password needs no restart. Nothing here connects. */
#include "base/credential.h"
#include "pg/internal.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define SPACE " \t\r\n\f\v"

/* ---- taking ours out */

/* True when this was one of ours, which is then kept. */
static bool take(struct pg_target *t, struct slice name, struct buffer *value)
{
    char **field = slice_is(name, "password_file")      ? &t->password_file
                   : slice_is(name, "sslpassword_file") ? &t->sslpassword_file
                                                        : NULL;
    if (!field)
        return false;
    free(*field);
    *field = xstrdup(buffer_cstr(value));
    ASSERT(*field);
    return true;
}

/* One value of the keyword form, unquoted into *ret; the place behind it. */
static const char *read_value(const char *p, struct buffer *ret)
{
    bool quoted = *p == '\'';
    for (p += quoted; *p && (quoted ? *p != '\'' : !strchr(SPACE, *p)); p++) {
        if (*p == '\\' && p[1])
            p++;
        buffer_put(ret, p, 1);
    }
    return p + (quoted && *p);
}

static void split_keywords(const char *p, struct pg_target *t)
{
    while (*p) {
        CLEANUP(buffer_fini) struct buffer value = BUFFER_NULL;
        const char *start = p, *end;
        p += strspn(p, SPACE);
        struct slice name = { p, strcspn(p, "=" SPACE) };
        end = p + name.n + strspn(p + name.n, SPACE);
        if (*end != '=') { /* nothing that libpq reads: it shall say so */
            buffer_text(&t->conninfo, start);
            return;
        }
        p = end + 1;
        p = read_value(p + strspn(p, SPACE), &value);
        if (!take(t, name, &value))
            buffer_put(&t->conninfo, start, (size_t)(p - start));
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

static void split_uri(const char *uri, struct pg_target *t)
{
    size_t n = strcspn(uri, "?");
    const char *between = "?";
    buffer_put(&t->conninfo, uri, n);
    for (const char *p = uri + n; *p;) { /* p is at ? or & */
        CLEANUP(buffer_fini) struct buffer value = BUFFER_NULL;
        size_t whole = strcspn(++p, "&"), name = strcspn(p, "=&");
        for (size_t i = name + 1; i < whole; i++) {
            int high = p[i] == '%' && i + 2 < whole ? hex_digit(p[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(p[i + 2]) : -1;
            char byte = low >= 0 ? (char)(high * 16 + low) : p[i];
            buffer_put(&value, &byte, 1);
            i += low >= 0 ? 2 : 0;
        }
        if (!take(t, (struct slice){ p, name }, &value)) {
            buffer_text(&t->conninfo, between);
            buffer_put(&t->conninfo, p, whole);
            between = "&";
        }
        p += whole;
    }
}

static bool is_uri(const char *conninfo)
{
    return strncmp(conninfo, "postgresql://", 13) == 0 || strncmp(conninfo, "postgres://", 11) == 0;
}

/* ---- what libpq says, and what we do */

static const char *option(const PQconninfoOption *o, const char *keyword)
{
    for (; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val ? o->val : "";
    return "";
}

/* What would break the guarantees, or says something twice. */
static int judge(const struct pg_target *t, const PQconninfoOption *o, struct error *e)
{
    const char *session = option(o, "target_session_attrs");
    if (*session && strcmp(session, "read-write") != 0 && strcmp(session, "primary") != 0 &&
        strcmp(session, "any") != 0)
        return error_set(e, EX_CONFIG,
                         "postgres.conninfo: target_session_attrs=%s leads to servers that cannot "
                         "book; take it out: read-write is what debitd asks for",
                         session);
    if (*option(o, "replication"))
        return error_set(e, EX_CONFIG,
                         "postgres.conninfo: replication=%s is not a connection for SQL; take it "
                         "out",
                         option(o, "replication"));
    if (t->password_file && *option(o, "password"))
        return error_set(e, EX_CONFIG,
                         "postgres.conninfo: has both password and password_file; take one out");
    if (t->sslpassword_file && *option(o, "sslpassword"))
        return error_set(e, EX_CONFIG,
                         "postgres.conninfo: has both sslpassword and sslpassword_file; take one "
                         "out");
    return 0;
}

static bool may_hold_secret(const char *conninfo)
{
    return strstr(conninfo, "password") || (is_uri(conninfo) && strchr(conninfo, '@'));
}

static int parse(const char *conninfo, struct pg_target *t, PQconninfoOption **ret, struct error *e)
{
    char *why = NULL;
    if (is_uri(conninfo))
        split_uri(conninfo, t);
    else
        split_keywords(conninfo, t);
    *ret = PQconninfoParse(buffer_cstr(&t->conninfo), &why);
    if (*ret)
        return judge(t, *ret, e);
    /* it quotes what it did not understand, which may be half a password */
    size_t n = why ? strcspn(why, may_hold_secret(conninfo) ? "\"\n" : "\n") : 0;
    error_set(e, EX_CONFIG, "postgres.conninfo: libpq cannot read it: %.*s%s", (int)n, why,
              why && why[n] == '"' ? "…; a value with a space in it needs 'quotes', and an URI %XX "
                                     "for / : @ and %"
                                   : "");
    PQfreemem(why);
    return -1;
}

static int read_secret(const char *file, const char *what, struct buffer *ret, struct error *e)
{
    if (!file || credential_read(file, what, false, ret, e) == 0)
        return 0;
    return error_prefix(e, "postgres.conninfo");
}

static void options_free(PQconninfoOption **o)
{
    PQconninfoFree(*o);
}

/* ---- from outside */

int pg_target_init(const char *conninfo, struct pg_target *ret, struct error *ret_error)
{
    CLEANUP(options_free) PQconninfoOption *o = NULL;
    *ret = (struct pg_target){ 0 };
    if (parse(conninfo, ret, &o, ret_error) == 0 &&
        read_secret(ret->password_file, "password_file", &ret->password, ret_error) == 0 &&
        read_secret(ret->sslpassword_file, "sslpassword_file", &ret->sslpassword, ret_error) == 0)
        return 0;
    pg_target_fini(ret);
    return -1;
}

void pg_target_fini(struct pg_target *t)
{
    credential_fini(&t->conninfo);
    credential_fini(&t->password);
    credential_fini(&t->sslpassword);
    free(t->password_file);
    free(t->sslpassword_file);
    *t = (struct pg_target){ 0 };
}

/* A file that only the service can find is not looked for. */
static void leave_to_service(char **file)
{
    CLEANUP(buffer_fini) struct buffer path = BUFFER_NULL;
    if (*file && credential_path(*file, &path, NULL) < 0)
        free(TAKE(*file));
}

int pg_check_conninfo(const char *conninfo, struct error *ret_error)
{
    CLEANUP(options_free) PQconninfoOption *o = NULL;
    CLEANUP(pg_target_fini) struct pg_target t = { 0 };
    if (parse(conninfo, &t, &o, ret_error) < 0)
        return -1;
    leave_to_service(&t.password_file);
    leave_to_service(&t.sslpassword_file);
    if (read_secret(t.password_file, "password_file", &t.password, ret_error) < 0)
        return -1;
    return read_secret(t.sslpassword_file, "sslpassword_file", &t.sslpassword, ret_error);
}

/* "/run/postgresql", "", "127.0.0.1,localhost": nothing that leaves this machine. */
static bool all_local(const char *hosts)
{
    for (const char *p = hosts; *p; p += strcspn(p, ","), p += *p == ',')
        if (*p != '/' && *p != '@' && *p != ',' && strncmp(p, "127.", 4) != 0 &&
            strncmp(p, "localhost", 9) != 0 && strncmp(p, "::1", 3) != 0)
            return false;
    return true;
}

void pg_warning(const char *conninfo, char *ret, size_t size)
{
    CLEANUP(options_free) PQconninfoOption *o = NULL;
    CLEANUP(pg_target_fini) struct pg_target t = { 0 };
    *ret = '\0';
    if (parse(conninfo, &t, &o, NULL) < 0)
        return;
    const char *mode = option(o, "sslmode"), *host = option(o, "host");
    const char *address = option(o, "hostaddr"), *environment = getenv("PGSSLMODE");
    if (!*mode && environment)
        mode = environment;
    bool safe = strcmp(mode, "verify-full") == 0 || strcmp(option(o, "gssencmode"), "require") == 0;
    if (safe || (all_local(host) && all_local(address)))
        return;
    snprintf(ret, size,
             "postgres: sslmode is %s, so %s to %.200s; sslmode=verify-full with sslrootcert "
             "protects it (docs/security.md)",
             *mode ? mode : "prefer",
             strncmp(mode, "verify", 6) == 0 || strcmp(mode, "require") == 0
                 ? "the server's name is not verified on the way"
                 : "the connection may be unencrypted",
             *host ? host : address);
}

enum pg_outcome pg_durability(struct pg_session *s, char *ret, size_t size, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    *ret = '\0';
    enum pg_outcome o =
        pg_run(s, "asking whether COMMIT lasts",
               "SELECT pg_catalog.string_agg(name || '=' || setting, ', ' ORDER BY name)"
               " FROM pg_catalog.pg_settings"
               " WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'",
               0, NULL, &r, ret_error);
    if (o == PG_DONE && !pg_null(r, 0, 0))
        snprintf(ret, size,
                 "PostgreSQL runs with %s: when its machine fails, entries that were committed can "
                 "be lost or damaged; set them to on in postgresql.conf",
                 pg_text(r, 0, 0));
    return o;
}
