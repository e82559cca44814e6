/* What the relay's statements mean: its lock and epoch, and the states of the outbox rows. */
#include "tests/sim/pq.h"

#include <inttypes.h>
#include <string.h>

static struct relay_row *relay_seen(struct q *q)
{
    return row_see(q->t, store.first[T_RELAY]);
}

static const char *sql_lead(struct q *q)
{
    bool held = false;

    for (struct session *s = server.sessions; s != NULL; s = s->next)
        held |= !server.faults.weak_lock && !s->gone && s->holds_relay_lock && s != q->s;
    q->s->holds_relay_lock |= !held;
    out_row(q, 1);
    out_bool(q, !held);
    return NULL;
}

static const char *sql_evict(struct q *q)
{
    int64_t ended = 0, silent_us = arg_int(q, 0) * SEC;

    for (struct session *s = server.sessions; s != NULL; s = s->next)
        if (!s->gone && s->holds_relay_lock && s != q->s && s->silent_since_us != NEVER &&
            s->silent_since_us < sim.now_us - silent_us) {
            server_terminate(s);
            ended++;
        }
    out_row(q, 1);
    out_int(q, 8, ended);
    return NULL;
}

static const char *sql_epoch(struct q *q)
{
    const char *state = row_lock(q->t, store.first[T_RELAY]);

    if (state != NULL)
        return state;
    struct relay_row *r = row_write(q->t, store.first[T_RELAY]);
    out_row(q, 5);
    out_int(q, 8, ++r->epoch);
    for (int i = 0; i < 2; i++) { /* the server, and which of its histories: always the same */
        out_int(q, 8, 1);
        out_int(q, 8, 1);
    }
    return NULL;
}

static bool fenced(struct q *q)
{
    return sim.tooth != TOOTH_EPOCH && relay_seen(q)->epoch != arg_int(q, 0);
}

static const char *sql_alive(struct q *q)
{
    if (!fenced(q)) {
        out_row(q, 1);
        out_int(q, 4, 1);
    }
    return NULL;
}

/* ---- rows of either outbox */

struct item {
    struct row *row;
    struct outbox *out; /* as it is seen */
    const char *id;
};

static struct item item_of(struct q *q, struct row *r)
{
    struct alert *a = r->table == T_ALERT ? row_see(q->t, r) : NULL;
    struct rejected *l = r->table == T_REJECTED ? row_see(q->t, r) : NULL;

    if (a != NULL)
        return (struct item){ r, &a->out, a->text };
    if (l != NULL)
        return (struct item){ r, &l->out, sim_text("%" PRId64, l->id) };
    return (struct item){ .out = NULL };
}

static const char *change(struct q *q, struct row *r, struct outbox new)
{
    const char *state = row_lock(q->t, r);

    if (state != NULL)
        return state;
    void *v = row_write(q->t, r);
    *(r->table == T_ALERT ? &((struct alert *)v)->out : &((struct rejected *)v)->out) = new;
    return NULL;
}

static const char *told(struct q *q, bool ours, int64_t changed)
{
    out_row(q, 2);
    out_int(q, 8, ours);
    out_int(q, 8, changed);
    return NULL;
}

static const char *claimed(struct q *q, enum table table)
{
    int64_t floor[16];

    for (int p = 0; p < 16; p++)
        floor[p] = -1;
    for (struct row *r = store.first[table]; r != NULL; r = r->next) {
        struct item it = item_of(q, r);
        if (it.out == NULL || it.out->state != 1)
            continue;
        ASSERT(it.out->partition >= 0 && it.out->partition < 16);
        int64_t *f = &floor[it.out->partition];
        if (*f < 0 || it.out->floor < *f)
            *f = it.out->floor;
    }
    for (int p = 0; p < 16; p++) {
        if (floor[p] < 0)
            continue;
        out_row(q, 2);
        out_int(q, 4, sim.tooth == TOOTH_READ_BACK ? -1 : p);
        out_int(q, 8, floor[p]);
    }
    return NULL;
}

static const char *claim(struct q *q, enum table table)
{
    static const char *id[ELEMENTS_MAX], *partition[ELEMENTS_MAX], *floor[ELEMENTS_MAX];
    int n = arg_list(q, 1, id), done = 0;

    ASSERT(arg_list(q, 2, partition) == n && arg_list(q, 3, floor) == n);
    if (fenced(q))
        return told(q, false, 0);
    for (struct row *r = store.first[table]; r != NULL; r = r->next) {
        struct item it = item_of(q, r);
        for (int i = 0; it.out != NULL && i < n; i++) {
            if (it.out->state != 0 || strcmp(it.id, id[i]) != 0)
                continue;
            struct outbox new = { 1, strtoll(partition[i], NULL, 10), strtoll(floor[i], NULL, 10),
                                  arg_int(q, 0) };
            const char *state = change(q, r, new);
            if (state != NULL)
                return state;
            done++;
            break;
        }
    }
    return told(q, true, done);
}

/* How far a partition of an output topic is known. */
static const char *place(struct q *q, const char *topic, int64_t partition, int64_t known)
{
    struct relay_place new = { topic, (int32_t)partition, known };

    EACH_ROW(r, T_PLACE)
    {
        const struct relay_place *p = r->written ? r->new : r->old;
        if (p->partition != partition || strcmp(p->topic, topic) != 0)
            continue;
        const char *state = row_lock(q->t, r);
        if (state != NULL)
            return state;
        if (row_see(q->t, r) != NULL)
            ((struct relay_place *)row_write(q->t, r))->known = known;
        else
            row_revive(q->t, r, &new);
        return NULL;
    }
    row_insert(q->t, T_PLACE, &new);
    return NULL;
}

static const char *places(struct q *q, const char *topic, int partitions, int offsets, int64_t more)
{
    static const char *partition[ELEMENTS_MAX], *offset[ELEMENTS_MAX];
    int n = arg_list(q, partitions, partition);

    ASSERT(arg_list(q, offsets, offset) == n);
    for (int i = 0; i < n; i++) {
        int64_t most = -1;
        for (int k = 0; k < n; k++)
            if (strcmp(partition[k], partition[i]) == 0 && strtoll(offset[k], NULL, 10) > most)
                most = strtoll(offset[k], NULL, 10);
        const char *state = place(q, topic, strtoll(partition[i], NULL, 10), most + more);
        if (state != NULL)
            return state;
    }
    return NULL;
}

static const char *sql_known(struct q *q)
{
    EACH_ROW(r, T_PLACE)
    {
        const struct relay_place *p = row_see(q->t, r);
        if (p == NULL || strcmp(p->topic, arg_cstr(q, 0)) != 0)
            continue;
        out_row(q, 2);
        out_int(q, 4, p->partition);
        out_int(q, 8, p->known);
    }
    return NULL;
}

static const char *sql_reached(struct q *q)
{
    if (fenced(q))
        return told(q, false, 0);
    const char *state = places(q, arg_cstr(q, 1), 2, 3, 0);
    return state ? state : told(q, true, 0);
}

/* What was read on a topic. All of it is in the database: it loses nothing here. */
static const char *saw(struct q *q, enum table table)
{
    static const char *id[ELEMENTS_MAX], *ours[ELEMENTS_MAX];
    int n = arg_list(q, 1, id), marked = 0;

    ASSERT(arg_list(q, 2, ours) == n);
    bool may = !fenced(q);
    for (int i = 0; may && sim.tooth != TOOTH_READ_BACK && i < n; i++) {
        bool known = false;
        for (struct row *r = store.first[table]; r != NULL; r = r->next) {
            struct item it = item_of(q, r);
            if (it.out == NULL || strcmp(it.id, id[i]) != 0)
                continue;
            known = true;
            if (it.out->state == 2)
                continue;
            struct outbox new = *it.out;
            new.state = 2;
            const char *state = change(q, r, new);
            if (state != NULL)
                return state;
            marked++;
        }
        MUST(known || strcmp(ours[i], "t") != 0, "%s stands on its topic and not in the database",
             id[i]);
    }
    out_row(q, 3);
    out_int(q, 8, may);
    out_int(q, 8, marked);
    out_int(q, 8, 0);
    return NULL;
}

static const char *sql_met(struct q *q)
{
    out_row(q, 3);
    out_int(q, 8, !fenced(q));
    out_int(q, 8, 0);
    out_int(q, 8, 0);
    return NULL;
}

static const char *mark(struct q *q, enum table table)
{
    static const char *id[ELEMENTS_MAX];
    int n = arg_list(q, 1, id), done = 0;

    if (fenced(q))
        return told(q, false, 0);
    for (struct row *r = store.first[table]; r != NULL; r = r->next) {
        struct item it = item_of(q, r);
        for (int i = 0; it.out != NULL && i < n; i++) {
            if (it.out->state != 1 || strcmp(it.id, id[i]) != 0)
                continue;
            struct outbox new = *it.out;
            new.state = 2;
            const char *state = change(q, r, new);
            if (state != NULL)
                return state;
            done++;
            break;
        }
    }
    if (q->params == 5) {
        const char *state = places(q, arg_cstr(q, 4), 2, 3, 1);
        if (state != NULL)
            return state;
    }
    return told(q, true, done);
}

static const char *reset(struct q *q, enum table table)
{
    int done = 0;

    if (fenced(q))
        return told(q, false, 0);
    for (struct row *r = store.first[table]; r != NULL; r = r->next) {
        struct item it = item_of(q, r);
        if (it.out == NULL || it.out->state != 1)
            continue;
        const char *state = change(q, r, (struct outbox){ .state = 0 });
        if (state != NULL)
            return state;
        done++;
    }
    return told(q, true, done);
}

static const char *sql_open_alerts(struct q *q)
{
    struct alert *open[ELEMENTS_MAX];
    int n = 0, most = (int)arg_int(q, 0);

    EACH_ROW(r, T_ALERT)
    {
        struct alert *a = row_see(q->t, r);
        if (a == NULL || a->out.state != 0)
            continue;
        int at = n++;
        ASSERT(n < ELEMENTS_MAX);
        for (; at > 0 && open[at - 1]->seq > a->seq; at--)
            open[at] = open[at - 1];
        open[at] = a;
    }
    for (int i = 0; i < n && i < most; i++) {
        out_row(q, 3);
        out_text(q, open[i]->text);
        out_text(q, sim_text("payer-%" PRId64, open[i]->payer_id));
        out_text(q, sim_text("{\"id\":\"%s\"}", open[i]->text));
    }
    return NULL;
}

static const char *sql_open_letters(struct q *q)
{
    int most = (int)arg_int(q, 0);

    EACH_ROW(r, T_REJECTED)
    {
        const struct rejected *l = row_see(q->t, r);
        if (l == NULL || l->out.state != 0 || q->result->rows >= most)
            continue;
        out_row(q, 13);
        out_int(q, 8, l->id);
        out_text(q, l->topic);
        out_int(q, 4, l->partition);
        out_int(q, 8, l->offset);
        out_text(q, l->reason);
        out_text(q, "");
        out_bool(q, l->truncated);
        out_int(q, 4, (int64_t)l->value.n);
        out_hex(q, l->key);
        if (l->truncated)
            out_null(q);
        else
            out_hex(q, l->value);
        out_text(q, "");
        out_text(q, "");
        out_int(q, 4, 0);
    }
    return NULL;
}

static const char *sql_truncate(struct q *q)
{
    int done = 0;

    EACH_ROW(r, T_REJECTED)
    {
        const struct rejected *l = row_see(q->t, r);
        if (fenced(q) || l == NULL || l->id != arg_int(q, 1))
            continue;
        const char *state = row_lock(q->t, r);
        if (state != NULL)
            return state;
        ((struct rejected *)row_write(q->t, r))->truncated = true;
        done++;
    }
    return told(q, !fenced(q), done);
}

static const char *claimed_alerts(struct q *q)
{
    return claimed(q, T_ALERT);
}
static const char *claimed_letters(struct q *q)
{
    return claimed(q, T_REJECTED);
}
static const char *claim_alerts(struct q *q)
{
    return claim(q, T_ALERT);
}
static const char *claim_letters(struct q *q)
{
    return claim(q, T_REJECTED);
}
static const char *mark_alerts(struct q *q)
{
    return mark(q, T_ALERT);
}
static const char *mark_letters(struct q *q)
{
    return mark(q, T_REJECTED);
}
static const char *saw_alerts(struct q *q)
{
    return saw(q, T_ALERT);
}
static const char *saw_letters(struct q *q)
{
    return saw(q, T_REJECTED);
}
static const char *reset_alerts(struct q *q)
{
    return reset(q, T_ALERT);
}
static const char *reset_letters(struct q *q)
{
    return reset(q, T_REJECTED);
}

const struct sql_handler sql_relay[] = {
    { "relay_lead", sql_lead },
    { "relay_evict", sql_evict },
    { "relay_epoch", sql_epoch },
    { "relay_alive", sql_alive },
    { "relay_truncate", sql_truncate },
    { "relay_known", sql_known },
    { "relay_reached", sql_reached },
    { "relay_saw_alerts", saw_alerts },
    { "relay_saw_letters", saw_letters },
    { "relay_met_alerts", sql_met },
    { "relay_met_letters", sql_met },
    { "relay_claimed_alerts", claimed_alerts },
    { "relay_claimed_letters", claimed_letters },
    { "relay_claim_alerts", claim_alerts },
    { "relay_claim_letters", claim_letters },
    { "relay_mark_alerts", mark_alerts },
    { "relay_mark_letters", mark_letters },
    { "relay_reset_alerts", reset_alerts },
    { "relay_reset_letters", reset_letters },
    { "relay_open_alerts", sql_open_alerts },
    { "relay_open_letters", sql_open_letters },
    { NULL, NULL },
};
