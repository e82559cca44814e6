/* The housekeeper's thread. */
#include "ledger/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "ledger/release.h"
#include "ledger/stride.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sysexits.h>

#define ROUND_US (1 * US_PER_SECOND)
#define LEAVES_US \
    (3600 * US_PER_SECOND) /* leaves are made three months ahead, so once an hour is plenty */
#define FOLD_MOST  500000  /* entries: some seconds of work */
#define FOLD_LEAST 1000 /* where that took longer than a statement may; a batch is summed whole */

struct keeper {
    char *conninfo, *default_plan;
    struct keeper_hooks hooks;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, reload;        /* under lock */
    struct catalogue *price_file; /* under lock */
    atomic_ullong heartbeat;
    struct statements statements;
    struct pg_session *pg;
    struct ingest ingest;
    struct complaint complaint;
    int64_t leaves_due_us;
    struct stride stride;
    int fold_most;       /* entries */
    bool retry_unpriced; /* another price file: what no price was found for may have one now */
};

static enum pg_outcome keep_months(struct keeper *k, struct error *e)
{
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_run(k->pg, "looking whether the month has ended",
                               "SELECT 1 FROM debitd.books b WHERE (b.month + interval '1 month') "
                               "AT TIME ZONE 'UTC' <= debitd.now()",
                               0, NULL, &r, e);
    if (o == PG_DONE && pg_rows(r) > 0)
        o = pg_run(k->pg, "moving the books to the next month", "SELECT debitd.switch_month()", 0,
                   NULL, NULL, e);
    if (o == PG_DONE && monotonic_us() >= k->leaves_due_us) {
        o = pg_run(k->pg, "making leaves ahead", "SELECT debitd.ensure_months()", 0, NULL, NULL, e);
        if (o == PG_DONE)
            o = pg_run(k->pg, "deleting folded batches", "SELECT debitd.purge_batches()", 0, NULL,
                       NULL, e);
        k->leaves_due_us = monotonic_us() + LEAVES_US;
    }
    return o;
}

static enum pg_outcome fold(struct keeper *k, struct error *e)
{
    struct pg_result *found CLEANUP(pg_result_freep) = NULL;
    enum pg_outcome o = pg_run(k->pg, "looking for batches to fold",
                               "SELECT coalesce(max(b.batch_id), 0) FROM debitd.batch b "
                               "WHERE NOT b.folded",
                               0, NULL, &found, e);
    if (o != PG_DONE || !stride_ends(&k->stride, pg_text_int(found, 0, 0), monotonic_us()))
        return o;
    for (;;) {
        struct pg_result *r CLEANUP(pg_result_freep) = NULL;
        char most[16];
        snprintf(most, sizeof most, "%d", k->fold_most);
        const char *param = most;
        o = pg_run(k->pg, "folding batches into usage_daily", "SELECT debitd.fold($1::integer)", 1,
                   &param, &r, e);
        atomic_fetch_add(&k->heartbeat, 1);
        if (o == PG_RETRY && strcmp(pg_last_sqlstate(k->pg), "57014") == 0 &&
            k->fold_most > FOLD_LEAST) {
            k->fold_most = k->fold_most / 8 > FOLD_LEAST ? k->fold_most / 8 : FOLD_LEAST;
            log_notice("keeper: summing by day: %s; %d entries at a time from now on", e->text,
                       k->fold_most);
        }
        if (o != PG_DONE || pg_text_int(r, 0, 0) < k->fold_most)
            return o;
    }
}

static enum pg_outcome release(struct keeper *k, struct error *e)
{
    for (;;) {
        int released = 0;
        enum pg_outcome o = release_parked(&k->ingest, &released, e);
        atomic_fetch_add(&k->heartbeat, 1);
        if (o == PG_DONE && released) {
            log_info("released %d parked messages", released);
            k->hooks.committed(k->hooks.ctx);
        }
        if (o != PG_DONE || released < RELEASE_MOST)
            return o;
    }
}

static void take_up_price_file(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    if (k->reload) {
        catalogue_unref(k->ingest.price_file);
        k->ingest.price_file = k->price_file ? catalogue_ref(k->price_file) : NULL;
        k->retry_unpriced |= k->price_file != NULL;
        k->reload = false;
    }
    pthread_mutex_unlock(&k->lock);
}

/* What is parked for a price waits for a later catalogue; a price file has no version, so it is
 * made to look older, once. */
static enum pg_outcome retry_unpriced(struct keeper *k, struct error *e)
{
    if (!k->retry_unpriced)
        return PG_DONE;
    enum pg_outcome o = pg_run(k->pg, "looking at unpriced messages again",
                               "UPDATE debitd.parked SET catalogue_version = catalogue_version - 1"
                               " WHERE released_at IS NULL AND reason = 'unpriced'",
                               0, NULL, NULL, e);
    k->retry_unpriced = o != PG_DONE;
    return o;
}

/* What became of one of the round's works: each is done although another one failed. A lock that
 * took too long, or a row somebody else is at: the next round will do it. */
static bool judge(struct keeper *k, enum pg_outcome o, const struct error *e)
{
    unsigned repeats;
    if (o == PG_DONE)
        return true;
    if (o != PG_RETRY && o != PG_DUPLICATE &&
        complaint_due(&k->complaint, monotonic_us(), &repeats))
        log_warning("keeper: %s (repeated %u times)", e->text, repeats);
    if (k->pg && pg_rollback(k->pg) != PG_DONE) {
        pg_close(TAKE(k->pg));
        k->ingest.pg = NULL;
    }
    return false;
}

static void keep(struct keeper *k)
{
    static enum pg_outcome (*const works[])(struct keeper *, struct error *) = {
        keep_months,
        retry_unpriced,
        release,
        fold,
    };
    struct error e = { 0 };
    bool all = true;
    take_up_price_file(k);
    if (!pg_is_open(k->pg)) {
        pg_close(TAKE(k->pg));
        if (pg_open(k->conninfo, "keeper", &k->pg, &e) != 0)
            k->pg = NULL;
        ingest_session(&k->ingest, k->pg);
    }
    if (!k->pg)
        all = judge(k, PG_LOST, &e);
    for (size_t i = 0; k->pg && i < ARRAY_SIZE(works); i++)
        all &= judge(k, works[i](k, &e), &e);
    if (all && complaint_over(&k->complaint))
        log_notice("keeper: goes on");
}

static bool wait_for_round(struct keeper *k)
{
    int64_t until = monotonic_us() + ROUND_US;
    struct timespec t = { .tv_sec = until / US_PER_SECOND,
                          .tv_nsec = until % US_PER_SECOND * 1000 };
    pthread_mutex_lock(&k->lock);
    while (!k->stopping && pthread_cond_timedwait(&k->wake, &k->lock, &t) == 0)
        continue;
    bool stopping = k->stopping;
    pthread_mutex_unlock(&k->lock);
    return !stopping;
}

static void *keeper_main(void *arg)
{
    struct keeper *k = arg;
    do {
        atomic_fetch_add(&k->heartbeat, 1);
        keep(k);
    } while (wait_for_round(k));
    pg_close(TAKE(k->pg));
    return NULL;
}

int keeper_start(const struct keeper_settings *s, const struct keeper_hooks *hooks,
                 struct keeper **ret, struct error *ret_error)
{
    struct keeper *k = xcalloc(1, sizeof *k);
    k->conninfo = xstrdup(s->conninfo);
    k->default_plan = xstrdup(s->ingest.default_plan ? s->ingest.default_plan : "");
    ASSERT(k->conninfo && k->default_plan);
    k->hooks = *hooks;
    k->fold_most = FOLD_MOST;
    k->price_file = s->price_file ? catalogue_ref(s->price_file) : NULL;
    k->reload = true;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->wake, &attr);
    pthread_condattr_destroy(&attr);
    statements_load(&k->statements);
    struct ingest_settings settings = s->ingest;
    settings.default_plan = k->default_plan;
    settings.open_unknown =
        false; /* what is parked was parked because nothing opens it by itself */
    ingest_init(&k->ingest, TOPIC_USAGE, &k->statements, &settings);
    int e = pthread_create(&k->thread, NULL, keeper_main, k);
    if (e) {
        keeper_free(k);
        return error_set(ret_error, EX_OSERR, "keeper: cannot start a thread: %s",
                         strerrordesc_np(e));
    }
    pthread_setname_np(k->thread, "keeper");
    *ret = k;
    return 0;
}

void keeper_reload(struct keeper *k, struct catalogue *price_file)
{
    pthread_mutex_lock(&k->lock);
    struct catalogue *old = k->price_file;
    k->price_file = price_file ? catalogue_ref(price_file) : NULL;
    k->reload = true;
    pthread_mutex_unlock(&k->lock);
    catalogue_unref(old);
}

int keeper_stop(struct keeper *k, int64_t timeout_us)
{
    pthread_mutex_lock(&k->lock);
    k->stopping = true;
    pthread_cond_broadcast(&k->wake);
    pthread_mutex_unlock(&k->lock);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t deadline = (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000 + timeout_us;
    struct timespec t = { .tv_sec = deadline / US_PER_SECOND,
                          .tv_nsec = deadline % US_PER_SECOND * 1000 };
    return pthread_timedjoin_np(k->thread, NULL, &t) != 0;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    ingest_fini(&k->ingest);
    catalogue_unref(k->price_file);
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    free(k->conninfo);
    free(k->default_plan);
    free(k);
}

uint64_t keeper_heartbeat(const struct keeper *k)
{
    return atomic_load(&k->heartbeat);
}
