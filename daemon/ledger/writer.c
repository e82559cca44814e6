/* The thread of a writer: takes what has arrived, sorts it by partition, has it settled, releases
 * it. */
#include "ledger/writer_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <string.h>
#include <sysexits.h>

#define IDLE_WAIT_US 500000

static void own_settings(struct writer *w, const struct writer_settings *s)
{
    w->settings = *s;
    w->settings.conninfo = xstrdup(s->conninfo);
    w->settings.name = xstrdup(s->name);
    w->settings.ingest.default_plan = xstrdup(s->ingest.default_plan ? s->ingest.default_plan : "");
    ASSERT(w->settings.conninfo && w->settings.name && w->settings.ingest.default_plan);
    w->settings.price_file = s->price_file ? catalogue_ref(s->price_file) : NULL;
}

int writer_new(const struct writer_settings *settings, const struct writer_hooks *hooks,
               struct writer **ret)
{
    struct writer *w = xcalloc(1, sizeof *w);
    w->hooks = *hooks;
    own_settings(w, settings);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    w->reload = true;
    if (queue_init(&w->queue, settings->queue_messages, settings->queue_bytes) != 0) {
        writer_free(w);
        return -1;
    }
    statements_load(&w->statements);
    ingest_init(&w->ingest, settings->kind, &w->statements, &w->settings.ingest);
    *ret = w;
    return 0;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    ASSERT(!w->started);
    ingest_fini(&w->ingest);
    pg_close(w->pg);
    queue_fini(&w->queue);
    catalogue_unref(w->settings.price_file);
    free((char *)w->settings.conninfo);
    free((char *)w->settings.name);
    free((char *)w->settings.ingest.default_plan);
    free(w->held);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- partitions that are ours */

static struct held *find_held(struct writer *w, int32_t partition)
{
    for (size_t i = 0; i < w->held_count; i++)
        if (w->held[i].partition == partition)
            return &w->held[i];
    return NULL;
}

void writer_assigned(struct writer *w, const struct writer_place *place)
{
    pthread_mutex_lock(&w->lock);
    struct held *h = find_held(w, place->partition);
    if (!h) {
        if (w->held_count == w->held_capacity) {
            w->held_capacity = w->held_capacity ? 2 * w->held_capacity : 16;
            w->held = xrealloc(w->held, w->held_capacity * sizeof *w->held);
        }
        h = &w->held[w->held_count++];
    }
    *h = (struct held){ place->topic, place->partition, place->generation, place->epoch,
                        place->next_offset };
    pthread_mutex_unlock(&w->lock);
}

void writer_revoked(struct writer *w, int32_t partition, uint64_t generation)
{
    pthread_mutex_lock(&w->lock);
    struct held *h = find_held(w, partition);
    if (h && h->generation == generation)
        *h = w->held[--w->held_count];
    pthread_mutex_unlock(&w->lock);
}

bool writer_find(struct writer *w, int32_t partition, uint64_t generation, struct held *ret)
{
    pthread_mutex_lock(&w->lock);
    const struct held *h = find_held(w, partition);
    bool ours = h && h->generation == generation;
    if (ours)
        *ret = *h;
    pthread_mutex_unlock(&w->lock);
    return ours;
}

int64_t writer_booked(struct writer *w, int32_t partition, uint64_t generation)
{
    struct held h;
    return writer_find(w, partition, generation, &h) ? h.next_offset : -1;
}

void writer_moved(struct writer *w, const struct part *p)
{
    pthread_mutex_lock(&w->lock);
    struct held *h = find_held(w, p->partition);
    if (h && h->generation == p->generation)
        h->next_offset = p->next;
    pthread_mutex_unlock(&w->lock);
}

void writer_trouble(struct writer *w, const char *text)
{
    pthread_mutex_lock(&w->lock);
    snprintf(w->status.trouble, sizeof w->status.trouble, "%s", text);
    pthread_mutex_unlock(&w->lock);
}

void writer_beat(struct writer *w)
{
    atomic_fetch_add(&w->heartbeat, 1);
}

void writer_pause(struct writer *w, int64_t us)
{
    int64_t until = monotonic_us() + us;
    struct timespec t = { .tv_sec = until / US_PER_SECOND,
                          .tv_nsec = until % US_PER_SECOND * 1000 };
    writer_beat(w);
    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&w->stopping) && pthread_cond_timedwait(&w->wake, &w->lock, &t) == 0)
        continue;
    pthread_mutex_unlock(&w->lock);
}

/* ---- one batch */

static void begin_part(struct ingest *g, const struct held *h)
{
    struct part *p = &g->part[g->parts++];
    *p = (struct part){ .topic = h->topic,
                        .partition = h->partition,
                        .generation = h->generation,
                        .epoch = h->epoch,
                        .expected = h->next_offset,
                        .next = h->next_offset,
                        .first = g->items };
}

static void add_message(struct ingest *g, const struct message *m)
{
    struct part *p = &g->part[g->parts - 1];
    if (m->offset < p->next)
        return; /* seen already: the source was set back */
    p->last = m->offset;
    p->next = m->offset + 1;
    p->fingerprint = m->fingerprint;
    p->count++;
    ingest_add(g, m, 0);
}

static int by_partition(const void *a, const void *b)
{
    const struct message *x = *(struct message *const *)a, *y = *(struct message *const *)b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    if (x->generation != y->generation)
        return x->generation < y->generation ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Books messages sorted by partition, from `at` on, as many as fit one batch; returns where it
 * stopped. */
static size_t book_some(struct writer *w, void **message, size_t at, size_t n)
{
    struct ingest *g = &w->ingest;
    ingest_clear(g);
    struct held h = { 0 };
    bool ours = false, begun = false;
    int32_t partition = -1;
    uint64_t generation = 0;
    for (; at < n; at++) {
        const struct message *m = message[at];
        if (!begun || m->partition != partition || m->generation != generation) {
            if (g->parts == BATCH_PARTS_MAX)
                break;
            partition = m->partition;
            generation = m->generation;
            begun = true;
            ours = writer_find(w, partition, generation, &h);
            if (ours)
                begin_part(g, &h);
        }
        if (ours)
            add_message(g, m);
    }
    int kept = 0;
    for (int i = 0; i < g->parts; i++)
        if (g->part[i].count)
            g->part[kept++] = g->part[i];
    g->parts = kept;
    struct part part[BATCH_PARTS_MAX]; /* settling cuts it up */
    memcpy(part, g->part, (size_t)kept * sizeof *part);
    if (kept)
        settle(w, part, kept);
    return at;
}

static void take_up_settings(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->reload) {
        catalogue_unref(w->ingest.price_file);
        w->ingest.price_file =
            w->settings.price_file ? catalogue_ref(w->settings.price_file) : NULL;
        w->ingest.settings = w->settings.ingest;
        w->reload = false;
    }
    pthread_mutex_unlock(&w->lock);
}

static void book(struct writer *w, void **message, size_t n)
{
    take_up_settings(w);
    qsort(message, n, sizeof *message, by_partition);
    for (size_t at = 0; at < n;)
        at = book_some(w, message, at, n);
    ingest_clear(&w->ingest);
    for (size_t i = 0; i < n; i++)
        message_release(message[i]);
    atomic_fetch_sub(&w->in_flight, n);
}

/* An idle writer takes what is there at once. One that comes straight from a batch lets the next one
 * fill until `until_us`. */
static size_t gather(struct writer *w, void **message, size_t max, int64_t until_us)
{
    size_t n = queue_take(&w->queue, message, max, 0);
    if (n == 0)
        return queue_take(&w->queue, message, max, IDLE_WAIT_US);
    while (n < max && !atomic_load(&w->stopping)) {
        int64_t left = until_us - monotonic_us();
        if (left <= 0)
            break;
        n += queue_take(&w->queue, message + n, max - n, left);
    }
    return n;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    size_t capacity = 0;
    void **message = NULL;
    size_t queued = 0;
    int64_t gathered_us = 0; /* the oldest of what is in the queue came since then */
    do {
        pthread_mutex_lock(&w->lock);
        size_t max = w->settings.max_events;
        int64_t delay = w->settings.max_delay_us;
        pthread_mutex_unlock(&w->lock);
        if (max > capacity) {
            message = xrealloc(message, max * sizeof *message);
            capacity = max;
        }
        writer_beat(w);
        size_t n = gather(w, message, max, gathered_us + delay);
        gathered_us = monotonic_us();
        if (n) {
            FAULT_POINT("writer.gathered");
            book(w, message, n);
            FAULT_POINT("writer.released");
        }
        writer_watch(w);
        queue_level(&w->queue, &queued, NULL);
    } while (!atomic_load(&w->stopping) || queued);
    free(message);
    pg_close(TAKE(w->pg));
    w->ingest.pg = NULL;
    atomic_store(&w->ended, true);
    return NULL;
}

int writer_start(struct writer *w, struct error *ret_error)
{
    int e = pthread_create(&w->thread, NULL, writer_main, w);
    if (e)
        return error_set(ret_error, EX_OSERR, "%s: cannot start a thread: %s", w->settings.name,
                         strerrordesc_np(e));
    pthread_setname_np(w->thread, w->settings.kind == TOPIC_USAGE ? "writer" : "accounts");
    w->started = true;
    return 0;
}

int writer_put(struct writer *w, struct message *m, size_t bytes)
{
    atomic_fetch_add(&w->in_flight, 1);
    if (queue_put(&w->queue, m, bytes) == QUEUE_PUT)
        return 0;
    atomic_fetch_sub(&w->in_flight, 1);
    return 1;
}

bool writer_has_room(struct writer *w)
{
    size_t items, bytes;
    queue_level(&w->queue, &items, &bytes);
    return items <= w->settings.queue_messages / 3 && bytes <= w->settings.queue_bytes / 3;
}

bool writer_is_drained(struct writer *w)
{
    return atomic_load(&w->in_flight) == 0;
}

void writer_reload(struct writer *w, const struct writer_settings *s)
{
    pthread_mutex_lock(&w->lock);
    struct catalogue *old = w->settings.price_file;
    w->settings.price_file = s->price_file ? catalogue_ref(s->price_file) : NULL;
    w->settings.max_events = s->max_events;
    w->settings.max_delay_us = s->max_delay_us;
    w->settings.ingest.open_unknown = s->ingest.open_unknown;
    w->reload = true;
    pthread_mutex_unlock(&w->lock);
    catalogue_unref(old);
}

int writer_stop(struct writer *w, int64_t timeout_us)
{
    if (!w->started)
        return 0;
    atomic_store(&w->stopping, true);
    queue_close(&w->queue);
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    int64_t until = monotonic_us() + timeout_us;
    struct timespec now, t;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t deadline =
        (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000 + (until - monotonic_us());
    t = (struct timespec){ .tv_sec = deadline / US_PER_SECOND,
                           .tv_nsec = deadline % US_PER_SECOND * 1000 };
    if (pthread_timedjoin_np(w->thread, NULL, &t) != 0)
        return 1;
    w->started = false;
    return 0;
}

uint64_t writer_heartbeat(const struct writer *w)
{
    return atomic_load(&w->heartbeat);
}

void writer_status(struct writer *w, struct writer_status *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->status;
    pthread_mutex_unlock(&w->lock);
    queue_level(&w->queue, &ret->queued, NULL);
}
