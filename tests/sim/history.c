/* See history.h. */
#include "tests/sim/history.h"

#include "base/clock.h"
#include "base/log.h"
#include "service.h"
#include "tests/sim/check.h"
#include "tests/sim/events.h"
#include "tests/sim/pq.h"

#include <string.h>

#define DAEMONS_MAX 3
#define SETTLE_US \
    (180 * SEC) /* after the last fault; a lock, a session, an eviction each take up to 20 s */
#define STOP_US    (30 * SEC)
#define RESTART_US SEC
#define WAKE_FD    77

enum daemon_state { DOWN, UP, STOPPING };

struct daemon {
    struct owner owner;
    struct config config;
    enum daemon_state state;
    struct service *service;
    bool wanted, clean;
};

static struct daemon daemons[DAEMONS_MAX];
static int daemon_count;
static bool healing;
static bool
    relays; /* a history about relays: several at once, much to publish, faults in their midst */
static uint64_t point_rate; /* of history_point: one in so many */
struct history_counts history_counts;

/* ---- one daemon */

static void configure(struct daemon *d)
{
    struct config *c = &d->config;

    *c = (struct config){ 0 };
    c->kafka.bootstrap_servers = (char *)(uintptr_t) "simulated:9092";
    c->kafka.group_id = (char *)(uintptr_t) "debitd";
    c->topics.usage = (char *)(uintptr_t) "usage.events";
    c->topics.accounts = (char *)(uintptr_t) "usage.accounts";
    c->topics.alerts = (char *)(uintptr_t) "usage.alerts";
    c->topics.dead_letter = (char *)(uintptr_t) "usage.deadletter";
    c->postgres.conninfo = (char *)(uintptr_t) "dbname=simulated";
    c->accounts.default_plan = (char *)(uintptr_t) "plan";
    c->prices.file = (char *)(uintptr_t) "";
    c->batch.max_events = sim_between(1, 12);
    c->batch.max_delay_ms = sim_between(0, 20);
    c->writers.count = sim_between(1, 2);
    c->accept.window_days = 35;
    c->accept.dedup_months = 2;
    c->queue.max_messages = sim_between(2, 20);
    c->queue.max_kbytes = 64;
}

static void start(struct daemon *d);

static void on_restart(void *arg, uint64_t n)
{
    struct daemon *d = arg;

    (void)n;
    if (d->state == DOWN && d->wanted)
        start(d);
}

/* The process is gone, by whatever. */
static void gone(struct daemon *d)
{
    TRACE("%s is gone", d->owner.name);
    server_client_gone(&d->owner);
    clients_gone(&d->owner);
    owner_kill(&d->owner);
    d->owner.clients = 0;
    d->owner.paused = false;
    d->state = DOWN;
}

/* It has ended by itself. */
static void on_exit_of(void *arg, uint64_t n)
{
    struct daemon *d = arg;

    (void)n;
    if (d->state == DOWN)
        return;
    if (d->clean && d->owner.bytes > 0)
        sim_fail("%s stopped in good order and left %zu bytes of memory behind", d->owner.name,
                 d->owner.bytes);
    if (d->clean && d->owner.clients > 0)
        sim_fail("%s stopped in good order and left %lld sessions behind", d->owner.name,
                 (long long)d->owner.clients);
    MUST(d->clean || !healing, "%s did not stop in time", d->owner.name);
    gone(d);
    if (d->wanted)
        sim_at(sim.now_us + RESTART_US, on_restart, d, 0);
}

static void *daemon_main(void *arg)
{
    struct daemon *d = arg;
    struct error e = { 0 };
    char why[512];

    if (service_start(&d->config, WAKE_FD, &d->service, &e) != 0)
        sim_fail("%s does not start: %s", d->owner.name, e.text);
    while (d->state == UP && service_ended(d->service, why, sizeof(why)) == 0) {
        struct service_view view;
        service_view(d->service, monotonic_us(), &view);
        sim_wait(d, sim.now_us + SEC);
    }
    if (service_ended(d->service, why, sizeof(why)) != 0)
        TRACE("ends by itself: %s", why);
    if (service_stop(d->service, monotonic_us() + STOP_US) == 0) {
        service_free(d->service);
        d->clean = true;
    }
    sim_at(sim.now_us, on_exit_of, d, 0);
    return NULL;
}

static void start(struct daemon *d)
{
    d->state = UP;
    d->wanted = true;
    d->clean = false;
    d->service = NULL;
    fiber_start("main", &d->owner, daemon_main, d);
}

void daemon_woken(struct owner *o)
{
    for (int i = 0; i < daemon_count; i++)
        if (&daemons[i].owner == o)
            sim_wake(&daemons[i]);
}

static void stop(struct daemon *d, bool again)
{
    d->wanted = again;
    if (d->state != UP)
        return;
    d->state = STOPPING;
    sim_wake(d);
}

/* ---- faults */

static uint64_t rate(uint64_t often, uint64_t seldom)
{
    return sim_one_in(2) ? 0 : (uint64_t)sim_between((int64_t)often, (int64_t)seldom);
}

/* Some faults in each history, not all in all: what one hides another shows. */
static void choose_faults(void)
{
    struct faults *p = &server.faults;
    struct broker_faults *k = &broker.faults;

    p->latency_us = k->latency_us = sim_between(0, 5) * MS;
    p->slow_us = k->slow_us = sim_between(1, 1500) * MS;
    if (sim_one_in(8)) /* a quiet one: interleavings alone */
        return;
    point_rate = rate(3, 40);
    relays = sim_one_in(4);
    events.nonsense = relays ? 3 : 20;
    p->weak_lock = relays || sim_one_in(4);
    if (relays && point_rate == 0)
        point_rate = 40;
    p->cut = rate(20, 400);
    p->error = rate(20, 400);
    p->slow = rate(50, 500);
    p->refuse = rate(3, 20);
    p->slow_commit = rate(5, 60);
    k->rewind = rate(10, 100);
    k->bad_batch = rate(40, 200);
    k->leftover = rate(2, 6);
    k->stuck = sim_one_in(8) ? rate(5, 60) : 0;
    k->behind = sim_one_in(8) ? rate(3, 20) : 0;
    k->transient = rate(50, 500);
    k->commit_unknown = rate(2, 10);
    k->slow = rate(20, 200);
    k->produce_fails = rate(10, 60);
    k->new_topic = rate(3, 30);
}

static void heal(void)
{
    TRACE("all faults end");
    healing = true;
    /* Who had the relay's lock beside another loses it with its session, as in a failover: PostgreSQL gives it to one. */
    for (struct session *s = server.sessions; server.faults.weak_lock && s != NULL; s = s->next)
        if (s->holds_relay_lock)
            server_terminate(s);
    point_rate = 0;
    server.faults = (struct faults){ .latency_us = server.faults.latency_us };
    broker.faults = (struct broker_faults){ .latency_us = broker.faults.latency_us };
    server.down = false;
    for (int i = 0; i < daemon_count; i++) {
        struct daemon *d = &daemons[i];
        d->owner.paused = false;
        d->wanted = true;
        if (d->state == DOWN)
            start(d);
    }
}

static void on_server_up(void *arg, uint64_t n)
{
    (void)arg;
    (void)n;
    TRACE("PostgreSQL is up again");
    server.down = false;
}

static void on_continue(void *arg, uint64_t n)
{
    (void)n;
    TRACE("%s goes on", ((struct owner *)arg)->name);
    ((struct owner *)arg)->paused = false;
}

static void kill_now(struct daemon *d)
{
    TRACE("kill -9 of %s", d->owner.name);
    history_counts.kills++;
    gone(d);
    d->wanted = true;
    sim_at(sim.now_us + sim_between(0, 2 * RESTART_US), on_restart, d, 0);
}

static void on_kill(void *arg, uint64_t n)
{
    (void)n;
    if (((struct daemon *)arg)->state != DOWN)
        kill_now(arg);
}

/* For a while it does nothing, and what it holds may be taken from it: its sessions end, others get its partitions. */
static void stop_now(struct daemon *d)
{
    static const int64_t longest[] = { 30 * MS, 300 * MS, SEC, 8 * SEC, 30 * SEC };

    TRACE("%s is stopped", d->owner.name);
    history_counts.pauses++;
    d->owner.paused = true;
    sim_at(sim.now_us + sim_between(10 * MS, longest[sim_below(ARRAY_SIZE(longest))]), on_continue,
           &d->owner, 0);
    if (sim_one_in(2))
        server_forget_client(&d->owner);
}

void history_point(const char *where)
{
    if (point_rate == 0 || !sim_one_in(relays ? 1 + point_rate / 8 : point_rate) ||
        (relays && strcmp(fiber_name(), "relay") != 0))
        return;
    for (int i = 0; i < daemon_count; i++) {
        struct daemon *d = &daemons[i];
        if (&d->owner != fiber_owner() || d->owner.paused)
            continue;
        TRACE("at %s", where);
        history_counts.points++;
        if (sim_one_in(3))
            sim_at(sim.now_us, on_kill, d, 0);
        else
            stop_now(d);
        sim_yield();
    }
}

static void act(struct daemon *d, uint64_t what)
{
    switch (what) {
    case 0:
    case 1:
        if (d->state == DOWN)
            return;
        kill_now(d);
        return;
    case 2:
    case 3:
        if (d->state != UP || d->owner.paused)
            return;
        stop_now(d);
        return;
    case 4:
        if (d->state != UP)
            return;
        TRACE("%s is asked to end", d->owner.name);
        history_counts.stops++;
        stop(d, true);
        return;
    case 5:
        if (server.down)
            return;
        server_crash();
        sim_at(sim.now_us + sim_between(0, 2 * SEC), on_server_up, NULL, 0);
        return;
    default:
        return;
    }
}

/* ---- one history */

static bool all_down(void)
{
    for (int i = 0; i < daemon_count; i++)
        if (daemons[i].state != DOWN)
            return false;
    return true;
}

static void be_settled(void)
{
    char why[200];
    int64_t until = sim.now_us + SETTLE_US;

    while (!check_settled(why, sizeof(why))) {
        if (sim.now_us > until)
            sim_fail("%lld s after the last fault: %s", (long long)(SETTLE_US / SEC), why);
        sim_pass(50 * MS);
    }
}

static void body(void)
{
    bool stormy = !sim_one_in(4);
    int64_t end_us = (sim_one_in(8) ? sim_between(10, 30) : sim_between(1, 6)) * SEC;

    choose_faults();
    fiber_start("sender", NULL, events_sender, NULL);
    for (int i = 0; i < daemon_count; i++)
        sim_at(i == 0 ? 0 : sim_between(0, end_us), on_restart, &daemons[i], 0);
    while (sim.now_us < end_us || !events.all_sent) {
        sim_pass(sim_between(20 * MS, 800 * MS));
        if (stormy)
            act(&daemons[sim_below((uint64_t)daemon_count)], sim_below(10));
    }
    heal();
    be_settled();
    for (int i = 0; i < daemon_count; i++)
        stop(&daemons[i], false);
    while (!all_down())
        sim_pass(20 * MS);
    MUST(server_sessions() == 0 || (sim_pass(30 * SEC), server_sessions() == 0),
         "sessions are left open");
    check_end();
}

static void count(void)
{
    struct history_counts *c = &history_counts;

    c->histories++;
    c->steps += sim.steps;
    c->messages += (uint64_t)events.events;
    c->virtual_us += (uint64_t)sim.now_us;
    c->crashes += server.crashes;
    c->cuts += server.cuts;
    c->ghosts += server.ghosts;
    c->commits += store.commits;
    c->rebalances += broker.rebalances;
    c->rewinds += broker.rewinds;
    c->skips += broker.skips;
    c->leftovers += broker.leftovers;
    c->stuck += broker.stuck;
    c->behind += broker.behind;
    c->orphaned += broker.orphaned;
    c->unknown_commits += broker.unknown_commits;
    c->fenced += broker.fenced;
    c->fenced_writers += server.fenced;
    c->refused += broker.refused;
}

bool history_run(uint64_t seed, enum tooth tooth, bool trace)
{
    int32_t partitions[TOPICS];

    sim.tooth = tooth;
    sim.tracing = trace;
    sim_begin(seed);
    log_set_level(trace ? LOG_LEVEL_INFO : (enum log_level)0);
    for (int t = 0; t < TOPICS; t++)
        partitions[t] = (int32_t)sim_between(1, t == ACCOUNTS ? 2 : 3);
    /* sometimes so near the end of a month that it ends under way */
    sim.start_us = INT64_C(1795176000000000); /* 2026-11-20T12:00:00Z */
    if (sim_one_in(6))
        sim.start_us =
            INT64_C(1796083200000000) - sim_between(0, 6 * SEC); /* before 2026-12-01T00:00:00Z */
    store_init();
    server_init();
    broker_init(partitions);
    check_begin();
    events_init();
    healing = relays = false;
    point_rate = 0;
    daemon_count = (int)sim_between(1, DAEMONS_MAX);
    for (int i = 0; i < daemon_count; i++) {
        daemons[i] = (struct daemon){ .state = DOWN, .wanted = true };
        snprintf(daemons[i].owner.name, sizeof(daemons[i].owner.name), "debitd-%d", i);
        configure(&daemons[i]);
    }
    sim_run(body);
    for (int i = 0; i < daemon_count; i++)
        owner_free_all(&daemons[i].owner);
    count();
    return !sim.failed;
}
