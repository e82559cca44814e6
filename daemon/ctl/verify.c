/* debitctl verify: runs schema/verify. Each file is one query whose rows are differences; its first
 * comment says what it proves. All see one snapshot, so that what is booked meanwhile makes no
 * difference: the first session exports it, the others read it too, each in a read-only transaction.
 *
 * Concurrency: --jobs threads, a session each, take the checks from one list; the thread of the
 * command prints what they found, in the order of the paths. */
#include "ctl/verify.h"

#include "ctl/output.h"
#include "ctl/verbs.h"

#include "base/embedded.h"
#include "migrate.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FOLDER         "schema/verify/"
#define CHECKS_MAX     64
#define JOBS_MAX       16
#define JOBS_DEFAULT   2
#define CHECK_NAME_MAX 64

/* Sorts and hashes of a million entries stay in memory, larger ones go to temporary files; the ledger
 * is never sorted only to be joined; nothing is compiled or remembered for rows that come once; no
 * time-out ends what may take long. --jobs alone says how many processors of the server are used:
 * workers of a query would take more, each with memory of its own, and rows handed over cost more
 * than they save where the sessions keep the processors busy. */
static const char session_settings[] =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
    "SET work_mem = '128MB'; SET hash_mem_multiplier = 2; SET max_parallel_workers_per_gather = 0;"
    "SET jit = off; SET enable_memoize = off; SET enable_mergejoin = off;";

struct check {
    const struct embedded_file *file;
    char name[CHECK_NAME_MAX]; /* "schema/verify/02_chain.sql": chain */
    bool done;
    struct pg_result *rows;
    struct error error; /* exit_code set: it could not be run */
};

struct verification {
    struct ctl *ctl;
    struct check check[CHECKS_MAX];
    int checks;
    bool to_terminal;
    struct buffer json;
    int differences;
    /* shared with the jobs, under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int next; /* the check that is taken next */
    bool failed;
};

struct job {
    struct verification *v;
    struct pg_session *session;
    pthread_t thread;
    bool started;
};

/* ---------------------------------------------------------------- which checks */

static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        if (strcspn(at, ",") == n && strncmp(at, name, n) == 0)
            return true;
    }
    return false;
}

static int list_checks(struct verification *v, const char *wanted, struct error *e)
{
    CLEANUP(buffer_fini) struct buffer known = BUFFER_NULL;
    int listed = 0, found = 0;
    for (const struct embedded_file *f = embedded_first(); f->path; f++) {
        if (strncmp(f->path, FOLDER, strlen(FOLDER)) != 0)
            continue;
        ASSERT(v->checks < CHECKS_MAX);
        struct check *c = &v->check[v->checks];
        const char *name = f->path + strlen(FOLDER);
        name += strspn(name, "0123456789_");
        snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(name, "."), name);
        c->file = f;
        buffer_format(&known, "%s%s", known.n ? ", " : "", c->name);
        if (wanted && !is_listed(wanted, c->name))
            continue;
        found++;
        v->checks++;
    }
    for (const char *at = wanted; at && *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
        listed++;
    if (wanted && (listed != found || !found))
        return ctl_wrong_use(e, "--check '%s' names what is no check; there are %s", wanted,
                             buffer_cstr(&known));
    return 0;
}

/* ---------------------------------------------------------------- output */

static void print_difference(const char *check, const struct pg_result *r, int row)
{
    CLEANUP(buffer_fini) struct buffer line = BUFFER_NULL;
    for (int k = 0; k < pg_columns(r); k++) {
        buffer_format(&line, " %s=", pg_column_name(r, k));
        if (pg_null(r, row, k))
            buffer_text(&line, "(none)");
        else
            buffer_printable(&line, slice_of(pg_text(r, row, k)), 512);
    }
    printf("%s:%s\n", check, buffer_cstr(&line));
}

static void json_difference(struct verification *v, const char *check, const struct pg_result *r,
                            int row)
{
    buffer_format(&v->json, "%s{\"check\": \"%s\", \"difference\": ", v->differences ? ",\n " : "",
                  check);
    output_json_row(&v->json, r, row);
    buffer_text(&v->json, "}");
}

void verify_found(struct verification *v, const char *check, const struct pg_result *rows)
{
    for (int i = 0; i < pg_rows(rows); i++, v->differences++)
        if (v->ctl->json)
            json_difference(v, check, rows, i);
        else
            print_difference(check, rows, i);
}

bool verify_to_terminal(const struct verification *v)
{
    return v->to_terminal;
}

/* One line that is written over, on a terminal only. */
static void tell_progress(const struct verification *v, int done)
{
    if (!v->to_terminal)
        return;
    if (done < v->checks)
        fprintf(stderr, "\r\033[K%d of %d checks, %s", done, v->checks, v->check[done].name);
    else
        fprintf(stderr, "\r\033[K");
}

/* ---------------------------------------------------------------- the jobs */

static struct check *take_check(struct verification *v)
{
    pthread_mutex_lock(&v->lock);
    struct check *c = v->failed || v->next == v->checks ? NULL : &v->check[v->next++];
    pthread_mutex_unlock(&v->lock);
    return c;
}

static void *run_checks(void *arg)
{
    struct job *j = arg;
    struct verification *v = j->v;
    for (struct check *c; (c = take_check(v));) {
        char doing[CHECK_NAME_MAX + 16];
        snprintf(doing, sizeof doing, "checking %s", c->name);
        bool failed =
            pg_run(j->session, doing, c->file->text, 0, NULL, &c->rows, &c->error) != PG_DONE;
        pthread_mutex_lock(&v->lock);
        c->done = true;
        v->failed |= failed;
        pthread_cond_broadcast(&v->changed);
        pthread_mutex_unlock(&v->lock);
    }
    return NULL;
}

/* The first session makes the snapshot, the others take it. */
static int begin(struct job *job, int jobs, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    char text[600];
    for (int i = 0; i < jobs; i++) {
        snprintf(text, sizeof text, "%s BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY%s%s%s",
                 session_settings, i ? "; SET TRANSACTION SNAPSHOT '" : "",
                 i ? pg_text(r, 0, 0) : "", i ? "'" : "");
        if (pg_script(job[i].session, "beginning to verify", text, e) != PG_DONE)
            return ctl_failed(e);
        if (i == 0 && jobs > 1 &&
            pg_run(job[0].session, "sharing the snapshot", "SELECT pg_catalog.pg_export_snapshot()",
                   0, NULL, &r, e) != PG_DONE)
            return ctl_failed(e);
    }
    return 0;
}

static int start(struct job *job, int jobs, struct error *e)
{
    for (int i = 0; i < jobs; i++) {
        int failed = pthread_create(&job[i].thread, NULL, run_checks, &job[i]);
        if (failed)
            return error_set(e, EX_OSERR, "starting a thread: %s", strerror(failed)), EX_OSERR;
        job[i].started = true;
    }
    return 0;
}

/* Prints what each check found as soon as those before it are done. -1: one could not be run. */
static int collect(struct verification *v)
{
    for (int i = 0; i < v->checks; i++) {
        struct check *c = &v->check[i];
        tell_progress(v, i);
        pthread_mutex_lock(&v->lock);
        while (!c->done && !v->failed)
            pthread_cond_wait(&v->changed, &v->lock);
        bool failed = v->failed;
        pthread_mutex_unlock(&v->lock);
        tell_progress(v, v->checks);
        if (failed)
            return -1;
        verify_found(v, c->name, c->rows);
    }
    return 0;
}

/* The error of the check that could not be run. */
static int failure(const struct verification *v, struct error *e)
{
    for (int i = 0; i < v->checks; i++)
        if (v->check[i].error.exit_code) {
            *e = v->check[i].error;
            return ctl_failed(e);
        }
    return ctl_failed(e);
}

static int run_all(struct verification *v, struct job *job, int jobs, struct error *e)
{
    int code = begin(job, jobs, e);
    if (!code)
        code = start(job, jobs, e);
    if (code) {
        pthread_mutex_lock(&v->lock);
        v->failed = true;
        pthread_mutex_unlock(&v->lock);
    } else {
        code = collect(v);
    }
    for (int i = 0; i < jobs; i++)
        if (job[i].started)
            pthread_join(job[i].thread, NULL);
    return code < 0 ? failure(v, e) : code;
}

/* ---------------------------------------------------------------- the command */

static int read_jobs(const struct ctl *c, int checks, int *ret, struct error *e)
{
    const char *text = ctl_option(c, "jobs");
    char *end = NULL;
    long jobs = text ? strtol(text, &end, 10) : JOBS_DEFAULT;
    if (text && (!*text || *end || jobs < 1 || jobs > JOBS_MAX))
        return ctl_wrong_use(e, "--jobs '%s' is no number from 1 to %d", text, JOBS_MAX);
    *ret = jobs < checks ? (int)jobs : checks;
    return 0;
}

static int connect_jobs(struct ctl *c, struct job *job, int jobs, struct error *e)
{
    for (int i = 0; i < jobs; i++) {
        int code = ctl_connect(c, e);
        if (code)
            return code;
        job[i].session = TAKE(c->session);
    }
    return 0;
}

static void print_end(struct verification *v, bool topic, int64_t messages)
{
    if (v->ctl->json) {
        printf("[%s]\n", buffer_cstr(&v->json));
        return;
    }
    printf("%d checks, ", v->checks);
    if (topic)
        printf("%" PRId64 " messages read again, ", messages);
    printf("%d differences\n", v->differences);
}

int ctl_verify(struct ctl *c, struct error *ret_error)
{
    struct verification v = { .ctl = c, .to_terminal = isatty(STDERR_FILENO) };
    struct job job[JOBS_MAX] = { 0 };
    struct verify_topic *topic = NULL;
    int64_t messages = 0;
    int jobs = 0;
    int code = list_checks(&v, ctl_option(c, "check"), ret_error);
    if (!code)
        code = read_jobs(c, v.checks, &jobs, ret_error);
    if (!code)
        code = ctl_connect(c, ret_error);
    if (!code && schema_check(c->session, ret_error) < 0)
        code = ctl_failed(ret_error);
    if (!code)
        code = connect_jobs(c, job, jobs, ret_error);
    for (int i = 0; i < jobs; i++)
        job[i].v = &v;
    pthread_mutex_init(&v.lock, NULL);
    pthread_cond_init(&v.changed, NULL);
    if (!code && ctl_option(c, "topic"))
        code = verify_topic_new(&v, c, job[0].session, &topic, ret_error);
    if (!code)
        code = run_all(&v, job, jobs, ret_error);
    if (!code && topic)
        code = verify_topic_run(topic, &messages, ret_error);
    if (!code)
        print_end(&v, topic, messages);
    verify_topic_free(topic);
    for (int i = 0; i < v.checks; i++)
        pg_result_free(v.check[i].rows);
    for (int i = 0; i < jobs; i++)
        pg_close(job[i].session);
    pthread_cond_destroy(&v.changed);
    pthread_mutex_destroy(&v.lock);
    buffer_fini(&v.json);
    return code ? code : v.differences ? EXIT_NO : 0;
}
