/* Brings a batch to its end: runs it, and decides what a failure means (research: reliability.md D
 * "Retry classes").
 *
 *   again   40*, 55P03, a key that appeared in between: the same batch, after a moment; 57014, a
 *           statement whose time was over: each part on its own, then halves
 *   lost    reconnect, then ask the position rows, FOR UPDATE, whether it landed: a plain read could
 *           be answered before a COMMIT that is still on its way
 *   wait    disk full, missing leaf, wrong schema or rights: pause, complain, try again; never skip
 *   fenced  another owner: each part on its own, those that are not ours are dropped
 *   poison  a value that the database refuses: each part on its own, then halves in offset order,
 *           down to the one message, which is rejected */
#include "ledger/writer_internal.h"

#include "base/clock.h"
#include "ledger/evict.h"

#include <string.h>

#define AGAIN_FIRST_US 2000
#define AGAIN_MOST_US  200000
#define WAIT_US        1000000

/* Every access is by key; plans that a session made while the tables were young and small would
 * otherwise read them whole, for every batch, until the next ANALYZE. */
static const char session_settings[] = "SET enable_seqscan = off";

bool writer_connect(struct writer *w)
{
    struct error e = { 0 };
    unsigned repeats;
    if (pg_is_open(w->pg))
        return true;
    for (;;) {
        pg_close(TAKE(w->pg));
        w->ingest.pg = NULL;
        if (pg_open(w->settings.conninfo, w->settings.name, &w->pg, &e) == 0 &&
            pg_script(w->pg, "setting up the session", session_settings, &e) == PG_DONE)
            break;
        pg_close(TAKE(w->pg));
        if (complaint_due(&w->complaint, monotonic_us(), &repeats))
            log_error(
                "%s: %s (repeated %u times; nothing is lost, booking goes on when it answers)",
                w->settings.name, e.text, repeats);
        writer_trouble(w, e.text);
        if (atomic_load(&w->stopping))
            return false;
        writer_pause(w, WAIT_US);
    }
    ingest_session(&w->ingest, w->pg);
    return true;
}

void writer_recovered(struct writer *w)
{
    if (complaint_over(&w->complaint))
        log_notice("%s: booking goes on", w->settings.name);
    writer_trouble(w, "");
}

static void drop(struct writer *w, const struct part *p, const char *why)
{
    log_info("%s: dropped topic=%s partition=%d offsets=%lld..%lld generation=%llu: %s",
             w->settings.name, p->topic, p->partition,
             (long long)(p->expected < 0 ? 0 : p->expected), (long long)p->last,
             (unsigned long long)p->generation, why);
}

static void landed(struct writer *w, const struct part *part, int parts)
{
    const struct ingest *g = &w->ingest;
    uint64_t fate[FATES] = { 0 };
    for (int i = 0; i < parts; i++) {
        for (size_t k = part[i].first; k < part[i].first + part[i].count; k++)
            fate[g->item[k].fate]++;
        writer_moved(w, &part[i]);
    }
    pthread_mutex_lock(&w->lock);
    for (int f = 0; f < FATES; f++)
        w->status.fate[f] += fate[f];
    w->status.batches++;
    w->status.last_commit_us = monotonic_us();
    pthread_mutex_unlock(&w->lock);
    writer_recovered(w);
    w->hooks.committed(w->hooks.ctx);
}

/* Takes out the parts whose generation is over. Parts are independent, but a run takes a contiguous
 * range: so only the parts at the ends may simply go; with a gap, each goes on its own. */
static int still_ours(struct writer *w, struct part *part, int parts, bool *ret_gap)
{
    int kept = 0;
    *ret_gap = false;
    for (int i = 0; i < parts; i++) {
        struct held h;
        if (!writer_find(w, part[i].partition, part[i].generation, &h)) {
            drop(w, &part[i], "not ours any more");
            *ret_gap |= kept > 0 && i + 1 < parts;
            continue;
        }
        part[kept++] = part[i];
    }
    return kept;
}

enum resolution { RESOLVED_LANDED, RESOLVED_NOT, RESOLVED_UNKNOWN };

static enum resolution judge(struct writer *w, const struct pg_result *r, const struct part *part,
                             int parts)
{
    int yes = 0, no = 0;
    for (int i = 0; i < parts; i++)
        for (int row = 0; row < pg_rows(r); row++) {
            if (pg_int(r, row, 1) != part[i].partition ||
                !slice_is(pg_bytes(r, row, 0), part[i].topic))
                continue;
            if (pg_int(r, row, 2) != part[i].epoch)
                continue; /* claimed by another since: either way it is not ours any more */
            int64_t next = pg_null(r, row, 3) ? -1 : pg_int(r, row, 3);
            if (next == part[i].next)
                yes++;
            else
                no++;
        }
    /* One transaction: all of it or none. Anything else is another past, of a server that was
     * restored or failed over with loss: advance() refuses what does not continue it. */
    if (yes == 0 || no > 0)
        return RESOLVED_NOT;
    log_notice("%s: an unanswered COMMIT had landed", w->settings.name);
    return RESOLVED_LANDED;
}

static void complain(struct writer *w, enum pg_outcome o)
{
    unsigned repeats;
    if (complaint_due(&w->complaint, monotonic_us(), &repeats))
        log_error("%s: booking stands still, %s: PostgreSQL says %s (repeated %u times; nothing is "
                  "skipped, it is tried again every second)",
                  w->settings.name, pg_outcome_text(o), w->pg ? pg_last_error(w->pg) : "", repeats);
    writer_trouble(w, w->pg ? pg_last_error(w->pg) : "no connection");
}

static enum resolution resolve(struct writer *w, const struct part *part, int parts)
{
    if (!writer_connect(w))
        return RESOLVED_UNKNOWN;
    struct pg_args *a = &w->ingest.args;
    pg_args_reset(a);
    pg_arg_array(a, PG_TEXT);
    pg_arg_array(a, PG_INT4);
    for (int i = 0; i < parts; i++) {
        pg_put_text(a, 0, slice_of(part[i].topic));
        pg_put_int4(a, 1, part[i].partition);
    }
    struct pg_result *r CLEANUP(pg_result_freep) = NULL;
    pg_pipeline_enter(w->pg);
    pg_pipeline_send(w->pg, &w->statements.begin, NULL);
    pg_pipeline_send(w->pg, &w->statements.positions_lock, a);
    pg_pipeline_flush(w->pg);
    enum pg_outcome o = pg_pipeline_result(w->pg, NULL, NULL);
    if (o == PG_DONE)
        o = pg_pipeline_result(w->pg, &r, NULL);
    enum resolution answer = o == PG_DONE ? judge(w, r, part, parts) : RESOLVED_UNKNOWN;
    if (o != PG_DONE)
        complain(w, o);
    if (pg_rollback(w->pg) != PG_DONE)
        pg_close(TAKE(w->pg));
    return answer;
}

static void each_alone(struct writer *w, struct part *part, int parts)
{
    for (int i = 0; i < parts; i++)
        settle(w, &part[i], 1);
}

/* One message that the database refuses: rejected, with what it said. */
static bool condemn(struct writer *w, const struct part *p)
{
    struct item *it = &w->ingest.item[p->first];
    struct refusal why;
    char state[16];
    snprintf(state, sizeof state, "%s", pg_last_sqlstate(w->pg));
    if (it->decode || it->tombstone)
        return false; /* it is not the event that is refused */
    log_error("%s: defect: topic=%s partition=%d offset=%lld is refused by the database (%s): "
              "rejected as bad_data; it can be sent again once this is mended",
              w->settings.name, p->topic, p->partition, (long long)it->m->offset,
              pg_last_error(w->pg));
    refuse(&why, REASON_BAD_DATA, "the database refuses it with SQLSTATE %s", state);
    it->decode = refusal_keep(&w->ingest.event_arena, &why);
    return true;
}

static void halve(struct writer *w, struct part *p)
{
    struct part a = *p, b = *p;
    a.count = p->count / 2;
    b.first = p->first + a.count;
    b.count = p->count - a.count;
    const struct message *m = w->ingest.item[b.first - 1].m;
    a.last = m->offset;
    a.next = b.expected = m->offset + 1;
    a.fingerprint = m->fingerprint;
    settle(w, &a, 1);
    settle(w, &b, 1);
}

/* True: run the same parts again. */
static bool cut_down(struct writer *w, struct part *part, int parts)
{
    if (parts > 1)
        each_alone(w, part, parts);
    else if (part->count > 1)
        halve(w, part);
    else
        return condemn(w, part);
    return false;
}

/* The writer stops before these were booked: nothing behind them may be booked either, or their
 * offsets would be passed over. */
static void abandon(struct writer *w, const struct part *part, int parts)
{
    for (int i = 0; i < parts; i++) {
        drop(w, &part[i], "stopping before it could be booked; it is read again at the next start");
        writer_revoked(w, part[i].partition, part[i].generation);
    }
}

static enum pg_outcome run(struct writer *w, struct part *part, int parts)
{
    struct ingest *g = &w->ingest;
    g->from = part[0].first;
    g->to = part[parts - 1].first + part[parts - 1].count;
    enum pg_outcome o = ingest_run(g, part, parts);
    while (o == PG_RETRY && g->needs != NEED_NOTHING) {
        enum pg_outcome provided = ingest_provide(g);
        if (provided != PG_DONE)
            return provided;
        o = ingest_run(g, part, parts);
    }
    return o;
}

static void fenced(struct writer *w, struct part *part, int parts)
{
    if (parts > 1) {
        each_alone(w, part, parts);
        return;
    }
    drop(w, part, pg_last_error(w->pg));
    writer_revoked(w, part->partition, part->generation);
    w->hooks.fenced(w->hooks.ctx, w->settings.kind, part->partition, part->generation);
}

/* The session that was lost may still stand, on the server's side alone. */
static void evict_own(struct writer *w, const struct part *part, int parts)
{
    struct error e = { 0 };
    for (int i = 0; i < parts && w->pg; i++)
        if (evict_silent(w->pg, w->settings.name, part[i].topic, part[i].partition, &e) != PG_DONE)
            return;
}

/* An unanswered COMMIT, or a connection lost before it. True: not landed, run it again. */
static bool after_loss(struct writer *w, struct part *part, int parts)
{
    enum resolution answer = RESOLVED_UNKNOWN;
    for (bool first = true; answer == RESOLVED_UNKNOWN && !atomic_load(&w->stopping);
         first = false) {
        writer_beat(w);
        if (!first)
            evict_own(w, part, parts);
        answer = resolve(w, part, parts);
    }
    switch (answer) {
    case RESOLVED_LANDED:
        landed(w, part, parts);
        return false;
    case RESOLVED_NOT:
        return true;
    case RESOLVED_UNKNOWN:
        abandon(w, part, parts);
        return false;
    }
    return false;
}

/* A statement's time was over: the same batch would take as long again. */
static bool took_too_long(const struct writer *w)
{
    return w->pg && strcmp(pg_last_sqlstate(w->pg), "57014") == 0;
}

/* What an outcome asks for. True: run the same parts again. */
static bool after(struct writer *w, enum pg_outcome o, struct part *part, int parts,
                  int64_t *again_us)
{
    if (o == PG_RETRY && took_too_long(w) && (parts > 1 || part->count > 1)) {
        cut_down(w, part, parts);
        return false;
    }
    switch (o) {
    case PG_DONE:
        landed(w, part, parts);
        return false;
    case PG_FENCED:
        fenced(w, part, parts);
        return false;
    case PG_LOST:
        return after_loss(w, part, parts);
    case PG_POISON:
        if (cut_down(w, part, parts))
            return true;
        if (parts > 1 || part->count > 1)
            return false;
        break;
    case PG_RETRY:
    case PG_DUPLICATE:
        if (*again_us >= AGAIN_MOST_US) /* no longer somebody who was there at the same moment */
            complain(w, o);
        writer_pause(w, *again_us + (int64_t)(((uint64_t)monotonic_us() * 2654435761u >> 7) %
                                              (uint64_t)*again_us));
        *again_us = *again_us * 2 < AGAIN_MOST_US ? *again_us * 2 : AGAIN_MOST_US;
        return true;
    case PG_WAIT:
    case PG_DEFECT:
        break;
    }
    complain(w, o);
    writer_pause(w, WAIT_US);
    if (!atomic_load(&w->stopping))
        return true;
    abandon(w, part, parts);
    return false;
}

void settle(struct writer *w, struct part *part, int parts)
{
    int64_t again_us = AGAIN_FIRST_US;
    for (;;) {
        bool gap;
        writer_beat(w);
        parts = still_ours(w, part, parts, &gap);
        if (parts == 0)
            return;
        if (!writer_connect(w)) {
            abandon(w, part, parts);
            return;
        }
        if (gap) {
            each_alone(w, part, parts);
            return;
        }
        if (!after(w, run(w, part, parts), part, parts, &again_us))
            return;
    }
}
