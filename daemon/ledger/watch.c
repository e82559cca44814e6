/* A writer looks after its positions, those that nothing comes for as well. */
#include "ledger/writer_internal.h"

#include "base/clock.h"

#include <string.h>

#define WATCH_US (1 * US_PER_SECOND)

/* The positions as this writer knows them; the caller frees. */
static struct held *copy_held(struct writer *w, size_t *ret_count)
{
    pthread_mutex_lock(&w->lock);
    struct held *copy = xcalloc(w->held_count + 1, sizeof *copy);
    *ret_count = w->held_count;
    for (size_t i = 0; i < w->held_count; i++)
        copy[i] = w->held[i];
    pthread_mutex_unlock(&w->lock);
    return copy;
}

static enum pg_outcome ask(struct writer *w, const struct held *held, size_t n,
                           struct pg_result **ret)
{
    struct pg_args *a = &w->ingest.args;
    pg_args_reset(a);
    pg_arg_array(a, PG_TEXT);
    pg_arg_array(a, PG_INT4);
    for (size_t i = 0; i < n; i++) {
        pg_put_text(a, 0, slice_of(held[i].topic));
        pg_put_int4(a, 1, held[i].partition);
    }
    return pg_single(w->pg, &w->statements.positions_held, a, ret);
}

static bool stands(const struct held *h, const struct pg_result *r)
{
    for (int row = 0; row < pg_rows(r); row++)
        if (pg_int(r, row, 1) == h->partition && slice_is(pg_bytes(r, row, 0), h->topic))
            return pg_int(r, row, 2) == h->epoch &&
                   (pg_null(r, row, 3) ? -1 : pg_int(r, row, 3)) == h->next_offset;
    return false;
}

/* A session that is lost on the way is made anew by the next look. */
void writer_watch(struct writer *w)
{
    if (monotonic_us() < w->watch_at_us || !writer_connect(w))
        return;
    w->watch_at_us = monotonic_us() + WATCH_US;
    size_t n;
    struct held *held = copy_held(w, &n);
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    bool known = n > 0 && ask(w, held, n, &r) == PG_DONE;
    if (known)
        writer_recovered(w);
    for (size_t i = 0; known && i < n; i++) {
        if (stands(&held[i], r))
            continue;
        log_notice("%s: the position of topic=%s partition=%d is not where it was left: another "
                   "owner, a person, or a server that went back in time; it is claimed anew",
                   w->settings.name, held[i].topic, held[i].partition);
        writer_revoked(w, held[i].partition, held[i].generation);
        w->hooks.fenced(w->hooks.ctx, w->settings.kind, held[i].partition, held[i].generation);
    }
    free(held);
}
