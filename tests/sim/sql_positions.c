/* What the statements on positions mean: claims, halts, advance() and its resolution. */
#include "tests/sim/pq.h"

#include <string.h>

static struct row *find_position(struct slice topic, int64_t partition)
{
    EACH_ROW(r, T_POSITION)
    {
        const struct position *p = r->written ? r->new : r->old;
        if (p->partition == partition && slice_is(topic, p->topic))
            return r;
    }
    return NULL;
}

static const char *sql_cluster(struct q *q)
{
    struct row *r = store.first[T_BOOKS];
    const char *state = row_lock(q->t, r);

    if (state != NULL)
        return state;
    struct books *b = row_write(q->t, r);
    if (b->cluster == NULL)
        b->cluster = arg_cstr(q, 0);
    out_row(q, 1);
    out_text(q, b->cluster);
    return NULL;
}

/* Who holds the row and has been waiting for its client for too long is ended. */
static const char *sql_claim_evict(struct q *q)
{
    struct row *r = find_position(arg_text(q, 0), arg_int(q, 1));
    int64_t ended = 0, silent_us = arg_int(q, 2) * SEC;

    for (struct session *s = server.sessions; r != NULL && r->owner != NULL && s != NULL;
         s = s->next)
        if (!s->gone && s->txn == r->owner && s->silent_since_us != NEVER &&
            s->silent_since_us < sim.now_us - silent_us) {
            server_terminate(s);
            ended++;
        }
    out_row(q, 1);
    out_int(q, 8, ended);
    return NULL;
}

static const char *sql_claim(struct q *q)
{
    struct row *r = find_position(arg_text(q, 0), arg_int(q, 1));
    struct position new = { .topic = arg_cstr(q, 0),
                            .partition = (int32_t)arg_int(q, 1),
                            .epoch = 1 },
                    *p;

    const char *state = r ? row_lock(q->t, r) : NULL;
    if (state != NULL)
        return state;
    if (r == NULL)
        p = row_insert(q->t, T_POSITION, &new);
    else if (row_see(q->t, r) == NULL) /* whoever inserted it rolled back */
        p = row_revive(q->t, r, &new);
    else
        (p = row_write(q->t, r))->epoch++;
    out_row(q, 6);
    out_int(q, 8, p->epoch);
    if (p->has_next)
        out_int(q, 8, p->next);
    else
        out_null(q);
    if (p->has_last) {
        out_int(q, 8, p->last);
        out_int(q, 8, p->fingerprint);
    } else {
        out_null(q);
        out_null(q);
    }
    out_text(q, p->halted);
    out_int(q, 8, 0); /* nobody moves a position here */
    return NULL;
}

static const char *sql_halt(struct q *q)
{
    struct row *r = find_position(arg_text(q, 0), arg_int(q, 1));
    const char *state = r ? row_lock(q->t, r) : NULL;

    if (state != NULL)
        return state;
    sim_fail("%s/%s is halted: %s", arg_cstr(q, 0), arg_cstr(q, 1), arg_cstr(q, 3));
    return NULL;
}

static bool fits(const struct q *q, const struct position *p)
{
    return p != NULL && p->epoch == arg_int(q, 2) && p->has_next != arg_null(q, 3) &&
           (!p->has_next || p->next == arg_int(q, 3)) && p->halted == NULL &&
           arg_int(q, 4) > (p->has_next ? p->next : -1);
}

/* Nobody but the owner of an epoch moves a position under it: who is refused under the epoch that stands has lost track of
 * what it has itself committed. The books are safe, but the partition is given up for nothing. */
static const char *refuse(struct q *q, const struct row *r)
{
    const struct position *p = r ? row_see(q->t, r) : NULL;

    /* what the ghost of a session that was cut still tries does not count */
    MUST(q->s->hung_up || p == NULL || p->epoch != arg_int(q, 2),
         "%s is refused to move %s/%d under its own epoch: it does not know what it has committed",
         q->s->name, p->topic, p->partition);
    server.fenced++;
    snprintf(q->message, sizeof(q->message), "the position is not ours");
    return "UF001";
}

/* As PostgreSQL does it: a row whose committed version does not fit is not waited for; one that fits is, and looked at again. */
static const char *sql_advance(struct q *q)
{
    struct row *r = find_position(arg_text(q, 0), arg_int(q, 1));
    bool compares = strstr(q->sql, "debitd.advance(") != NULL && sim.tooth != TOOTH_ADVANCE;

    if (r == NULL || (compares && !fits(q, row_see(q->t, r))))
        return refuse(q, r);
    const char *state = row_lock(q->t, r);
    if (state != NULL)
        return state;
    if (compares && !fits(q, row_see(q->t, r)))
        return refuse(q, r);
    struct position *p = row_write(q->t, r);
    p->has_next = p->has_last = true;
    p->next = arg_int(q, 4);
    p->last = arg_int(q, 5);
    p->fingerprint = arg_int(q, 6);
    out_row(q, 1);
    out_text(q, "");
    return NULL;
}

/* positions_lock, which waits, and positions_held, which does not. */
static const char *sql_where(struct q *q)
{
    static struct slice topic[ELEMENTS_MAX], partition[ELEMENTS_MAX];
    struct row *row[ELEMENTS_MAX];
    bool locks = strstr(q->sql, "FOR UPDATE") != NULL && sim.tooth != TOOTH_RESOLUTION;
    int32_t n = arg_elements(q, 0, topic), found = 0;

    ASSERT(arg_elements(q, 1, partition) == n);
    for (int32_t i = 0; i < n; i++)
        if ((row[found] = find_position(topic[i], int_of(partition[i]))) != NULL)
            found++;
    for (int32_t i = 0; i < found; i++) {
        const char *state = locks ? row_lock(q->t, row[i]) : NULL;
        if (state != NULL)
            return state;
        const struct position *p = row_see(q->t, row[i]);
        if (p == NULL)
            continue;
        out_row(q, 4);
        out_text(q, p->topic);
        out_int(q, 4, p->partition);
        out_int(q, 8, p->epoch);
        if (p->has_next)
            out_int(q, 8, p->next);
        else
            out_null(q);
    }
    return NULL;
}

static const char *sql_count_positions(struct q *q)
{
    static struct slice topic[ELEMENTS_MAX], partition[ELEMENTS_MAX], count[COUNTS][ELEMENTS_MAX];
    int32_t n = arg_elements(q, 0, topic);

    ASSERT(arg_elements(q, 1, partition) == n);
    for (int c = 0; c < COUNTS; c++)
        ASSERT(arg_elements(q, 2 + c, count[c]) == n);
    for (int32_t i = 0; i < n; i++) {
        struct row *r = find_position(topic[i], int_of(partition[i]));
        const char *state = r ? row_lock(q->t, r) : NULL;
        if (state != NULL)
            return state;
        struct position *p = row_write(q->t, r);
        for (int c = 0; c < COUNTS; c++)
            p->count[c] += int_of(count[c][i]);
    }
    return NULL;
}

const struct sql_handler sql_positions[] = {
    { "cluster", sql_cluster },
    { "claim_evict", sql_claim_evict },
    { "claim", sql_claim },
    { "halt", sql_halt },
    { "advance", sql_advance },
    { "positions_lock", sql_where },
    { "positions_held", sql_where },
    { "count_positions", sql_count_positions },
    { NULL, NULL },
};
