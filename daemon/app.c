/* The process: it waits for PostgreSQL, starts the parts, and then does four things once a second or when it is told to: looks whether every thread is alive, says so to the service
 * manager, reloads, ends. There is no local state, so that the process may end at any instruction: a stop that takes too long is cut off. */
#include "app.h"

#include "base/clock.h"
#include "base/embedded.h"
#include "catalogue/file.h"
#include "kafka/client.h"
#include "migrate.h"
#include "notify.h"
#include "pg/session.h"
#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define TICK_US           US_PER_SECOND
#define STOP_US           (5 * US_PER_SECOND) /* what a stop may take; far below the unit's TimeoutStopSec */
#define STATUS_US         (5 * US_PER_SECOND) /* figures are told no more often than this, news at once */
#define DATABASE_RETRY_US US_PER_SECOND       /* between two attempts to connect at start */
#define EXTEND_US \
    (30 * US_PER_SECOND) /* what each sign of life at start adds to the manager's patience */

struct app {
    struct config started; /* what the parts were started with; lives to the end */
    struct config
        current; /* with what reloads have taken up; shown by nobody, compared at the next reload */
    bool reloaded;       /* current is filled */
    char complaint[256]; /* of a reload that was refused; "": none */
    struct complaint stuck;
    int signal_fd, wake_fd;
    struct service *service;
    int64_t watchdog_us, fed_us;
    int64_t told_us;
    char news[600], status[820]; /* what was told last */
};

/* ---- checks without a server */

static void find(struct buffer *found, int *findings, const struct config *c, const struct error *e)
{
    buffer_format(found, "%s: %s\n", config_place(c, e->text), e->text);
    (*findings)++;
}

/* What Kafka's clients are made of; the list of properties is the caller's to free. */
static struct kafka_settings kafka_of(const struct config *c, struct kafka_property **ret)
{
    struct kafka_property *p = xcalloc((size_t)c->kafka.properties.count, sizeof(*p));
    for (int64_t i = 0; i < c->kafka.properties.count; i++)
        p[i] = (struct kafka_property){ c->kafka.properties.item[i].name,
                                        c->kafka.properties.item[i].value };
    *ret = p;
    return (struct kafka_settings){ c->kafka.bootstrap_servers, c->kafka.group_id, p,
                                    (size_t)c->kafka.properties.count };
}

static int check_kafka(const struct config *c, struct error *ret_error)
{
    struct kafka_property *p;
    struct kafka_settings s = kafka_of(c, &p);
    int r = kafka_check(&s, ret_error);
    free(p);
    return r;
}

/* Told once a start: what is allowed but should be known. */
static void warn(const struct config *c)
{
    char text[400];
    struct buffer open = BUFFER_NULL;
    struct kafka_property *p;
    struct kafka_settings s = kafka_of(c, &p);
    kafka_warning(&s, text, sizeof(text));
    if (*text)
        log_warning("%s", text);
    pg_warning(c->postgres.conninfo, text, sizeof(text));
    if (*text)
        log_warning("%s", text);
    if (config_open_secrets(c, &open))
        log_warning("%s", buffer_cstr(&open));
    buffer_fini(&open);
    free(p);
}

int app_check(const char *path, struct config *ret, struct buffer *ret_findings)
{
    struct config c = CONFIG_NULL;
    struct error e = { 0 };
    int findings = config_check(path, &c, ret_findings);
    if (findings)
        return findings;
    if (check_kafka(&c, &e) < 0)
        find(ret_findings, &findings, &c, &e);
    if (pg_check_conninfo(c.postgres.conninfo, &e) < 0)
        find(ret_findings, &findings, &c, &e);
    if (*c.prices.file) {
        struct catalogue *prices = NULL;
        if (catalogue_read_file(c.prices.file, &prices, &e) < 0)
            find(ret_findings, &findings, &c, &e);
        catalogue_unref(prices);
    }
    if (findings)
        config_fini(&c);
    else
        *ret = c;
    return findings;
}

/* Each finding is a line of the log. */
static void log_findings(const char *what, const struct buffer *found)
{
    for (size_t at = 0; at < found->n;) {
        const char *line = found->p + at;
        const char *end = memchr(line, '\n', found->n - at);
        size_t n = end ? (size_t)(end - line) : found->n - at;
        log_error("%s: %.*s", what, (int)n, line);
        at += n + 1;
    }
}

/* ---- what the outside is told */

/* News are told at once, figures now and then. Both may be empty. */
static void tell(struct app *a, const char *news, const char *figures)
{
    char text[sizeof(a->news)];
    int64_t now_us = monotonic_us();
    snprintf(text, sizeof(text), "%s%s%s", a->complaint, *a->complaint && *news ? "; " : "", news);
    if (strcmp(text, a->news) == 0 && now_us - a->told_us < STATUS_US)
        return;
    memcpy(a->news, text, sizeof(text));
    a->told_us = now_us;
    snprintf(a->status, sizeof(a->status), "%s%s%s", text, *text && *figures ? "; " : "", figures);
    notify_status(a->status);
}

static void feed(struct app *a, const struct service_view *v, int64_t now_us)
{
    unsigned repeats;
    const struct pulse *dead = pulse_dead(v->pulse, v->pulses, now_us);
    if (dead) {
        if (complaint_due(&a->stuck, now_us, &repeats))
            log_error("thread %s has not come round for %lld s; the watchdog is not fed",
                      dead->thread, (long long)((now_us - dead->progress_us) / US_PER_SECOND));
        return;
    }
    if (complaint_over(&a->stuck))
        log_notice("all threads come round again");
    if (a->watchdog_us && now_us - a->fed_us >= a->watchdog_us / 2) {
        notify_watchdog();
        a->fed_us = now_us;
    }
}

/* ---- signals */

/* The next signal, waiting until a part or the time wakes us; 0: none. */
static int next_signal(struct app *a, int64_t wait_us)
{
    struct pollfd fd[] = { { .fd = a->signal_fd, .events = POLLIN },
                           { .fd = a->wake_fd, .events = POLLIN } };
    int n = poll(fd, ARRAY_SIZE(fd), wait_us > 0 ? (int)(wait_us / 1000) + 1 : 0);
    struct signalfd_siginfo info;
    uint64_t count;
    if (n > 0 && (fd[1].revents & POLLIN) && read(a->wake_fd, &count, sizeof(count)) < 0 &&
        errno != EAGAIN)
        log_error("reading the wake-up: %s", strerror(errno));
    if (n > 0 && (fd[0].revents & POLLIN) &&
        read(a->signal_fd, &info, sizeof(info)) == sizeof(info))
        return (int)info.ssi_signo;
    return 0;
}

static int open_signals(struct app *a)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* inherited by every thread */
    signal(SIGPIPE, SIG_IGN);
    a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->signal_fd >= 0 && a->wake_fd >= 0)
        return 0;
    log_error("setting up signals: %s", strerror(errno));
    return -1;
}

/* ---- start */

/* The dedup window is a property of the books: set from our configuration, and told where that changes it. */
static int set_dedup_window(struct pg_session *pg, int64_t months, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    char text[24];
    const char *param = text;
    snprintf(text, sizeof(text), "%" PRId64, months);
    if (pg_run(pg, "setting the dedup window", embedded_sql("queries", "dedup_window"), 1, &param,
               &r, ret_error) != PG_DONE)
        return -1;
    if (strcmp(pg_text(r, 0, 1), "t") == 0)
        log_notice("the dedup window of this database is now %s months (0: forever); it was %s",
                   text, pg_text(r, 0, 0));
    return 0;
}

static int prepare_database(struct pg_session *pg, const struct config *c, struct error *ret_error)
{
    if (schema_check(pg, ret_error) < 0)
        return -1;
    char warning[400];
    if (pg_durability(pg, warning, sizeof(warning), ret_error) != PG_DONE)
        return -1;
    if (*warning)
        log_warning("%s", warning);
    return set_dedup_window(pg, c->accept.dedup_months, ret_error);
}

/* Waits until PostgreSQL answers and its schema is ours. 0; else the exit code to end with (EX_OK where a signal said so). */
static int wait_for_database(struct app *a, bool *ret_end)
{
    struct complaint complaint = { 0 };
    for (;;) {
        CLEANUP(pg_closep) struct pg_session *pg = NULL;
        struct error e = { 0 };
        unsigned repeats;
        if (pg_open(a->started.postgres.conninfo, "start", &pg, &e) == 0 &&
            prepare_database(pg, &a->started, &e) == 0) {
            if (complaint_over(&complaint))
                log_notice("PostgreSQL answers");
            return 0;
        }
        if (e.exit_code != EX_UNAVAILABLE && e.exit_code != EX_TEMPFAIL) {
            log_error("%s", e.text);
            notify_status(e.text);
            *ret_end = true;
            return e.exit_code ? e.exit_code : EX_SOFTWARE;
        }
        if (complaint_due(&complaint, monotonic_us(), &repeats))
            log_warning("waiting for PostgreSQL: %s", e.text);
        char news[sizeof(a->news)];
        snprintf(news, sizeof(news), "waiting for PostgreSQL: %.500s", e.text);
        tell(a, news, "");
        notify_extend(EXTEND_US);
        notify_watchdog();
        int signo = next_signal(a, DATABASE_RETRY_US);
        if (signo == SIGTERM || signo == SIGINT) {
            *ret_end = true;
            return EX_OK;
        }
    }
}

/* ---- while running */

static void reload(struct app *a, const char *path)
{
    struct config wanted = CONFIG_NULL;
    struct buffer text = BUFFER_NULL;
    struct error e = { 0 };
    notify_reloading(monotonic_us());
    if (app_check(path, &wanted, &text)) {
        log_findings("reload refused, the old configuration stays in force", &text);
        snprintf(a->complaint, sizeof(a->complaint), "reload refused: %.*s",
                 (int)strcspn(buffer_cstr(&text), "\n"), text.p);
    } else if (service_reload(a->service, &wanted, &e) < 0) {
        log_error("reload refused, the old configuration stays in force: %s", e.text);
        snprintf(a->complaint, sizeof(a->complaint), "reload refused: %.200s", e.text);
        config_fini(&wanted);
    } else {
        *a->complaint = '\0';
        log_set_level((enum log_level)wanted.log.level);
        text.n = 0;
        if (config_needs_restart(&a->started, &wanted, &text))
            log_warning("reloaded, but a restart is needed for: %s", buffer_cstr(&text));
        else
            log_notice("reloaded");
        config_fini(&a->current);
        a->current = wanted;
    }
    buffer_fini(&text);
    notify_ready(*a->complaint ? a->complaint : "reloaded");
    a->told_us = 0;
}

/* Until a signal or a part says so. Returns the exit code. */
static int run(struct app *a, const char *path)
{
    struct service_view view;
    bool ready = false;
    for (int64_t tick_us = monotonic_us();;) {
        int64_t now_us = monotonic_us();
        int signo = next_signal(a, tick_us - now_us);
        char why[512];
        int code = service_ended(a->service, why, sizeof(why));
        if (code) {
            log_error("%s", why);
            return code;
        }
        if (signo == SIGTERM || signo == SIGINT) {
            log_notice("stopping on %s", signo == SIGTERM ? "SIGTERM" : "SIGINT");
            return EX_OK;
        }
        if (signo == SIGHUP)
            reload(a, path);
        now_us = monotonic_us();
        if (now_us < tick_us)
            continue;
        tick_us = now_us + TICK_US;
        service_view(a->service, now_us, &view);
        feed(a, &view, now_us);
        if (!ready)
            notify_extend(EXTEND_US);
        bool first = !ready && view.ready;
        if (first)
            a->told_us = 0;
        tell(a, view.trouble, view.text);
        if (first) {
            ready = true;
            notify_ready(a->status);
            log_notice("ready: %s", a->status);
        }
    }
}

/* ---- end */

static volatile sig_atomic_t cut_off_code; /* what the process ends with */

static void cut_off(int signo)
{
    static const char text[] = "debitd: the stop took too long and is cut off; nothing is lost\n";
    (void)signo;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        /* nowhere to tell it */
    }
    _exit(cut_off_code);
}

static void end(struct app *a, int code)
{
    /* before anything that may wait, the service manager's socket included */
    struct itimerval limit = { .it_value = { .tv_sec = STOP_US / US_PER_SECOND + 1 } };
    cut_off_code = code;
    signal(SIGALRM, cut_off);
    setitimer(ITIMER_REAL, &limit, NULL);
    notify_stopping("committing what it has");
    if (service_stop(a->service, monotonic_us() + STOP_US) != 0) {
        log_warning("the stop took longer than %d s and is cut off; nothing is lost",
                    (int)(STOP_US / US_PER_SECOND));
        _exit(code);
    }
    service_free(a->service);
}

/* Nobody else's ptrace, no core file with passwords in it. */
static void shut_in(void)
{
#ifndef SANITIZED /* the search for leaks is a ptrace of our own */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int app_run(const char *path)
{
    struct app a = { .signal_fd = -1, .wake_fd = -1 };
    struct buffer found = BUFFER_NULL;
    struct error e = { 0 };
    bool ended = false;
    int code = EX_CONFIG;
    shut_in();
    if (app_check(path, &a.started, &found)) {
        log_findings("configuration", &found);
        goto out;
    }
    log_set_level((enum log_level)a.started.log.level);
    log_notice("debitd " DEBITD_VERSION " starts with %s",
               *a.started.path ? a.started.path : "the built-in defaults");
    warn(&a.started);
    a.watchdog_us = notify_watchdog_us();
    code = EX_OSERR;
    if (open_signals(&a) < 0)
        goto out;
    code = wait_for_database(&a, &ended);
    if (ended)
        goto out;
    if (service_start(&a.started, a.wake_fd, &a.service, &e) < 0) {
        log_error("%s", e.text);
        _exit(e.exit_code ? e.exit_code
                          : EX_SOFTWARE); /* threads may run that read what is below */
    }
    code = run(&a, path);
    end(&a, code);
    log_notice("stopped");
out:
    buffer_fini(&found);
    config_fini(&a.started);
    config_fini(&a.current);
    if (a.signal_fd >= 0)
        close(a.signal_fd);
    if (a.wake_fd >= 0)
        close(a.wake_fd);
    return code;
}
