/* See migrate.h. The embedded files come sorted by path, which is the order in which they are
 * run. */
#include "migrate.h"

#include "base/embedded.h"
#include "base/slice.h"

#include <openssl/evp.h>
#include <string.h>
#include <sysexits.h>

/* The advisory lock of migrations: the bytes of "migrate". */
#define MIGRATE_LOCK      "30796665482998885"
#define SHA256_TEXT       65
#define POSTGRESQL_OLDEST 15 /* views with security_invoker */

struct migration {
    int number;
    char name[64]; /* the file's name without number and ending */
    const struct embedded_file *file;
    char sha256[SHA256_TEXT];
};

/* What the database says of itself. */
struct recorded {
    struct pg_result *versions; /* number, name, sha256 by number; NULL: debitd was never here */
    bool has_code, code_is_ours, code_was_ours;
};

static void recorded_fini(struct recorded *r)
{
    pg_result_free(r->versions);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* schema/NNNN_what.sql; a later one is found behind `previous`. */
static bool next_migration(const struct embedded_file *after, struct migration *ret)
{
    const struct embedded_file *f = after ? after + 1 : embedded_first();
    for (; f->path; f++) {
        const char *name = f->path + strlen("schema/");
        if (!starts_with(f->path, "schema/") || strspn(name, "0123456789") != 4 || name[4] != '_')
            continue;
        *ret = (struct migration){ .number = (int)strtol(name, NULL, 10), .file = f };
        snprintf(ret->name, sizeof ret->name, "%.*s", (int)strcspn(name + 5, "."), name + 5);
        return true;
    }
    return false;
}

static void sha256_text(const unsigned char digest[32], char out[SHA256_TEXT])
{
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void sha256_of(const struct embedded_file *f, char out[SHA256_TEXT])
{
    unsigned char digest[32];
    int ok = EVP_Digest(f->text, f->size, digest, NULL, EVP_sha256(), NULL);
    ASSERT(ok == 1);
    sha256_text(digest, out);
}

enum code_part { CODE_FUNCTIONS, CODE_API, CODE_ROLES, CODE_NONE };

static enum code_part code_part(const struct embedded_file *f)
{
    if (starts_with(f->path, "schema/functions/"))
        return CODE_FUNCTIONS;
    if (starts_with(f->path, "schema/api/zz_"))
        return CODE_ROLES;
    return starts_with(f->path, "schema/api/") ? CODE_API : CODE_NONE;
}

/* Over path and text of all that can be replaced; the NULs in between keep one file from running
 * into the next. */
static void sha256_of_code(char out[SHA256_TEXT])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (const struct embedded_file *f = embedded_first(); ok && f->path; f++)
        if (code_part(f) != CODE_NONE)
            ok = EVP_DigestUpdate(ctx, f->path, strlen(f->path) + 1) &&
                 EVP_DigestUpdate(ctx, f->text, f->size + 1);
    unsigned char digest[32];
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
    ASSERT(ok);
    EVP_MD_CTX_free(ctx);
    sha256_text(digest, out);
}

int schema_newest(void)
{
    int newest = 0;
    struct migration m = { 0 };
    for (const struct embedded_file *f = NULL; next_migration(f, &m); f = m.file)
        newest = m.number;
    return newest;
}

/* ---------------------------------------------------------------- reading */

static bool ask(struct pg_session *s, const char *sql, const char *parameter,
                struct pg_result **ret, struct error *e)
{
    return pg_run(s, "reading the schema's version", sql, parameter ? 1 : 0, &parameter, ret, e) ==
           PG_DONE;
}

/* *ret is the caller's to end, whatever is returned. */
static int read_recorded(struct pg_session *s, struct recorded *ret, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *there = NULL, *code = NULL;
    if (!ask(s,
             "SELECT coalesce(to_regclass('debitd.schema_version')::text, ''), "
             "coalesce(to_regclass('debitd.schema_code')::text, '')",
             NULL, &there, e))
        return -1;
    *ret = (struct recorded){ 0 };
    if (!*pg_text(there, 0, 0))
        return 0;
    if (!ask(s, "SELECT number, name, sha256 FROM debitd.schema_version ORDER BY number", NULL,
             &ret->versions, e))
        return -1;
    if (!*pg_text(there, 0, 1))
        return 0;
    char ours[SHA256_TEXT];
    sha256_of_code(ours);
    if (!ask(s,
             "SELECT sha256 = $1, EXISTS (SELECT FROM debitd.schema_code o WHERE o.sha256 = $1) "
             "FROM debitd.schema_code"
             " ORDER BY code_id DESC LIMIT 1",
             ours, &code, e))
        return -1;
    ret->has_code = pg_rows(code) == 1;
    if (ret->has_code) {
        ret->code_is_ours = *pg_text(code, 0, 0) == 't';
        ret->code_was_ours = *pg_text(code, 0, 1) == 't';
    }
    return 0;
}

static int recorded_newest(const struct recorded *r)
{
    int rows = r->versions ? pg_rows(r->versions) : 0;
    return rows ? (int)pg_text_int(r->versions, rows - 1, 0) : 0;
}

/* NULL: not applied yet. */
static const char *recorded_sha256(const struct recorded *r, int number)
{
    for (int i = 0; r->versions && i < pg_rows(r->versions); i++)
        if (pg_text_int(r->versions, i, 0) == number)
            return pg_text(r->versions, i, 2);
    return NULL;
}

/* Refuses a database that this program cannot bring forward; one that is merely older is fine. */
static int refuse_strange(const struct recorded *r, struct error *e)
{
    int ours = schema_newest(), theirs = recorded_newest(r);
    if (theirs > ours)
        return error_set(e, EX_CONFIG,
                         "the database's schema is newer than this program: it has migration %d, "
                         "this program knows %d; "
                         "upgrade debitd and debitctl to the version that made it",
                         theirs, ours);
    struct migration m;
    for (const struct embedded_file *f = NULL; next_migration(f, &m); f = m.file) {
        const char *sha256 = recorded_sha256(r, m.number);
        sha256_of(m.file, m.sha256);
        if (sha256 && strcmp(sha256, m.sha256) != 0)
            return error_set(e, EX_CONFIG,
                             "migration %04d_%s is not the one that was applied to this database "
                             "(SHA-256 %.16s... there, "
                             "%.16s... here): a migration never changes once it was applied; use "
                             "the program that made this "
                             "database, or another database",
                             m.number, m.name, sha256, m.sha256);
    }
    return 0;
}

int schema_check(struct pg_session *s, struct error *ret_error)
{
    CLEANUP(recorded_fini) struct recorded r = { 0 };
    if (read_recorded(s, &r, ret_error) < 0)
        return -1;
    if (!r.versions)
        return error_set(
            ret_error, EX_CONFIG,
            "the database has no debitd schema yet: run debitctl migrate as its owner");
    if (refuse_strange(&r, ret_error) < 0)
        return -1;
    struct migration m;
    for (const struct embedded_file *f = NULL; next_migration(f, &m); f = m.file)
        if (!recorded_sha256(&r, m.number))
            return error_set(ret_error, EX_CONFIG,
                             "the database's schema is older than this program: migration %04d_%s "
                             "is missing; run debitctl "
                             "migrate",
                             m.number, m.name);
    if (r.code_is_ours)
        return 0;
    if (r.code_was_ours)
        return error_set(ret_error, EX_CONFIG,
                         "the database's functions and views are newer than this program: they "
                         "were replaced after its own; "
                         "upgrade debitd (or go back: run this version's debitctl migrate)");
    return error_set(
        ret_error, EX_CONFIG,
        "the database's functions and views are older than this program: run debitctl migrate");
}

/* ---------------------------------------------------------------- changing */

struct work {
    struct pg_session *session;
    bool dry_run;
    struct migrate_report report;
    int steps;
};

static void tell(struct work *w, const char *verb, const char *path)
{
    char text[300];
    snprintf(text, sizeof text, "%s%s %s", w->dry_run ? "would " : "", verb, path);
    w->report.line(w->report.to, text);
    w->steps++;
}

static int script(struct work *w, const char *doing, const char *sql, struct error *e)
{
    enum pg_outcome o = pg_script(w->session, doing, sql, e);
    if (o == PG_DONE)
        return 0;
    if (e->exit_code == EX_NOPERM)
        error_prefix(
            e, "migrate must run as the owner of the database, with all roles there or the right "
               "to create them");
    if (pg_rollback(w->session) != PG_DONE)
        error_prefix(e, "the connection is lost, what was committed before stays");
    return -1;
}

static int run_file(struct work *w, const struct embedded_file *f, struct error *e)
{
    char doing[200];
    snprintf(doing, sizeof doing, "running %s", f->path);
    return script(w, doing, f->text, e);
}

static int record(struct work *w, const char *sql, int n, const char *const *parameters,
                  struct error *e)
{
    if (pg_run(w->session, "recording what was run", sql, n, parameters, NULL, e) == PG_DONE)
        return 0;
    (void)!pg_rollback(w->session);
    return -1;
}

static int run_migration(struct work *w, const struct migration *m, struct error *e)
{
    static const char create[] = "CREATE TABLE IF NOT EXISTS debitd.schema_version (number integer "
                                 "PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
                                 " applied_at timestamptz NOT NULL DEFAULT now(), applied_by text "
                                 "NOT NULL DEFAULT session_user);"
                                 "CREATE TABLE IF NOT EXISTS debitd.schema_code (code_id integer "
                                 "GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                                 " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT "
                                 "now(), applied_by text NOT NULL DEFAULT session_user)";
    tell(w, "apply", m->file->path);
    if (w->dry_run)
        return 0;
    char number[12];
    snprintf(number, sizeof number, "%d", m->number);
    const char *const row[] = { number, m->name, m->sha256 };
    /* The first migration makes schema debitd, so the table of versions comes behind it, in the
     * same transaction. */
    return script(w, "opening a transaction", "BEGIN", e) || run_file(w, m->file, e) ||
                   script(w, "making the table of versions", create, e) ||
                   record(w,
                          "INSERT INTO debitd.schema_version (number, name, sha256) VALUES ($1, "
                          "$2, $3)",
                          3, row, e) ||
                   script(w, "committing", "COMMIT", e)
               ? -1
               : 0;
}

static int run_part(struct work *w, enum code_part part, struct error *e)
{
    for (const struct embedded_file *f = embedded_first(); f->path; f++)
        if (code_part(f) == part && run_file(w, f, e) < 0)
            return -1;
    return 0;
}

/* All of it or nothing: no daemon ever meets functions of two versions. */
static int run_code(struct work *w, bool changed, struct error *e)
{
    if (changed)
        tell(w, "replace", "schema/functions and schema/api");
    if (w->dry_run)
        return 0;
    char ours[SHA256_TEXT];
    sha256_of_code(ours);
    const char *const row[] = { ours };
    if (script(w, "opening a transaction", "BEGIN", e) < 0)
        return -1;
    if (changed &&
        (run_part(w, CODE_FUNCTIONS, e) < 0 || run_part(w, CODE_API, e) < 0 ||
         record(w, "INSERT INTO debitd.schema_code (sha256) VALUES ($1)", 1, row, e) < 0))
        return -1;
    return run_part(w, CODE_ROLES, e) < 0 || script(w, "committing", "COMMIT", e) < 0 ||
                   script(w, "making the months ahead", "SELECT debitd.ensure_months()", e) < 0
               ? -1
               : 0;
}

/* Events are UTF-8; in a database of another encoding most of their names could not be kept. */
static int refuse_server(struct pg_session *s, struct error *e)
{
    static const char sql[] = "SELECT current_setting('server_encoding'), "
                              "current_setting('server_version_num')::int / 10000, "
                              "current_database()";
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    if (pg_run(s, "asking for the encoding", sql, 0, NULL, &r, e) != PG_DONE)
        return -1;
    if (pg_text_int(r, 0, 1) < POSTGRESQL_OLDEST)
        return error_set(e, EX_CONFIG, "the server is PostgreSQL %s; %d or newer is needed",
                         pg_text(r, 0, 1), POSTGRESQL_OLDEST);
    if (strcmp(pg_text(r, 0, 0), "UTF8") != 0)
        return error_set(e, EX_CONFIG,
                         "database %s has encoding %s, but events are UTF-8; make another one: "
                         "createdb -E UTF8 -T template0 NAME",
                         pg_text(r, 0, 2), pg_text(r, 0, 0));
    return 0;
}

static int run_all(struct work *w, struct error *e)
{
    CLEANUP(recorded_fini) struct recorded r = { 0 };
    if (refuse_server(w->session, e) < 0 || read_recorded(w->session, &r, e) < 0 ||
        refuse_strange(&r, e) < 0)
        return -1;
    struct migration m;
    for (const struct embedded_file *f = NULL; next_migration(f, &m); f = m.file) {
        sha256_of(m.file, m.sha256);
        if (!recorded_sha256(&r, m.number) && run_migration(w, &m, e) < 0)
            return -1;
    }
    return run_code(w, !r.code_is_ours, e);
}

int schema_migrate(struct pg_session *s, bool dry_run, struct migrate_report report, int *ret_steps,
                   struct error *ret_error)
{
    struct work w = { .session = s, .dry_run = dry_run, .report = report };
    /* A migration may take long, and may wait for another one; but what it locks it waits for only
     * briefly, lest bookings queue behind it. */
    if (script(&w, "preparing to migrate", "SET statement_timeout = 0; SET lock_timeout = 0",
               ret_error) < 0 ||
        script(&w, "waiting for another migration", "SELECT pg_advisory_lock(" MIGRATE_LOCK ")",
               ret_error) < 0 ||
        script(&w, "preparing to migrate", "SET lock_timeout = '15s'", ret_error) < 0)
        return -1;
    int result = run_all(&w, ret_error);
    if (result == 0)
        result = script(&w, "finishing", "SELECT pg_advisory_unlock(" MIGRATE_LOCK ")", ret_error);
    *ret_steps = w.steps;
    return result;
}
