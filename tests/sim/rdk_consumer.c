/* librdkafka 2.0.2 as a consumer, with the traps of it that are known (research: reliability.md A3): a resume of what is not paused
 * goes back to where it was assigned, so does now and then a new leader; a batch that cannot be read is an error and then reading goes on
 * behind it; of the assignment before, messages may still come; a pause belongs to the partition and not to its assignment, so it
 * outlives that; now and then a partition is fetched no more until it is assigned anew, but not right behind its end, which the daemon
 * would take for an open transaction and bear for longer than a history lasts. And with one of Kafka's: a new leader does not know for a
 * while how far its replicas are, and lets nobody read what was read before. */
#include "tests/sim/rdk.h"

#include "tests/sim/check.h"

#include <stdlib.h>
#include <string.h>

#define BEHIND_MOST_US (45 * SEC) /* one and a half times Kafka's replica.lag.time.max.ms */

rd_kafka_resp_err_t rd_kafka_poll_set_consumer(rd_kafka_t *c)
{
    (void)c;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_subscribe(rd_kafka_t *c, const rd_kafka_topic_partition_list_t *list)
{
    ASSERT(list->cnt == 2);
    c->subscribed = true;
    if (!c->leaving)
        group_join(c);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_unsubscribe(rd_kafka_t *c)
{
    ASSERT(c->subscribed);
    c->leaving = true;
    client_tell(c, OP_REVOKE, NULL, 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- the assignment */

static bool *paused(rd_kafka_t *c, const struct log *l)
{
    return &c->paused[l->topic->which][l->number];
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *c, const rd_kafka_topic_partition_list_t *list)
{
    if (c->reads > 0) {
        memcpy(c->before, c->read, sizeof(c->before));
        c->reads_before = c->reads;
    }
    c->reads = 0;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *e = &list->elems[i];
        struct reading *r = &c->read[c->reads++];
        int64_t start = e->offset == RD_KAFKA_OFFSET_BEGINNING ? 0 : e->offset;
        MUST(start >= 0, "%s/%d is assigned at offset %lld", e->topic, e->partition,
             (long long)e->offset);
        *r = (struct reading){ .log = broker_topic(e->topic)->log[e->partition],
                               .start = start,
                               .at = start,
                               .due_us = sim.now_us + sim_between(0, broker.faults.latency_us),
                               .leftover = -1 };
        MUST(!*paused(c, r->log), "%s/%d is assigned while it is paused: nothing would resume it",
             e->topic, e->partition);
        TRACE("assigns %s/%d at %lld", e->topic, e->partition, (long long)start);
        if (start > 0 && sim_one_in(broker.faults.behind)) {
            broker.behind++;
            r->behind_until_us = sim.now_us + sim_between(0, BEHIND_MOST_US);
            TRACE("its leader is behind until %lld ms", (long long)(r->behind_until_us / MS));
        }
        /* 2.0.2 drops what is outdated; the daemon does not rely on it where it has a message to compare with. On a
         * partition of which nothing is booked it has none. */
        for (int k = 0; k < c->reads_before; k++)
            if (c->before[k].log == r->log && start > 0 && sim_one_in(broker.faults.leftover)) {
                broker.leftovers++;
                r->leftover = c->before[k].at;
                r->leftovers = (int)sim_between(1, 2);
            }
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_assignment(rd_kafka_t *c, rd_kafka_topic_partition_list_t **ret)
{
    *ret = rd_kafka_topic_partition_list_new(c->reads);
    for (int i = 0; i < c->reads; i++)
        rd_kafka_topic_partition_list_add(*ret, c->read[i].log->topic->name,
                                          c->read[i].log->number);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int rd_kafka_assignment_lost(rd_kafka_t *c)
{
    return c->lost;
}

static struct reading *find(rd_kafka_t *c, const rd_kafka_topic_partition_t *e)
{
    for (int i = 0; i < c->reads; i++)
        if (c->read[i].log->number == e->partition &&
            strcmp(c->read[i].log->topic->name, e->topic) == 0)
            return &c->read[i];
    return NULL;
}

static const struct log *log_of(const rd_kafka_topic_partition_t *e)
{
    return broker_topic(e->topic)->log[e->partition];
}

rd_kafka_resp_err_t rd_kafka_pause_partitions(rd_kafka_t *c, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        *paused(c, log_of(&list->elems[i])) = true;
        TRACE("pauses %s/%d", list->elems[i].topic, list->elems[i].partition);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_resume_partitions(rd_kafka_t *c, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        bool *pause = paused(c, log_of(&list->elems[i]));
        struct reading *r = find(c, &list->elems[i]);
        if (sim.tooth == TOOTH_RESUME && c->rebalancing)
            continue;
        TRACE("resumes %s/%d", list->elems[i].topic, list->elems[i].partition);
        if (r != NULL && !*pause)
            r->at = r->start;
        *pause = false;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- the group's word */

void client_tell(struct rd_kafka_s *c, enum client_op what, const struct share *share, int shares)
{
    for (int i = 0; what != OP_ASSIGN && what != OP_COMMITTED && i < c->ops; i++)
        if (c->op[i].what == what)
            return;
    ASSERT(c->ops < OPS_MAX);
    struct op *op = &c->op[c->ops++];
    op->what = what;
    op->shares = shares;
    for (int i = 0; i < shares; i++)
        op->share[i] = share[i];
    sim_wake(c);
}

static void rebalance(rd_kafka_t *c, rd_kafka_resp_err_t what, const struct share *share,
                      int shares)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(shares);

    for (int i = 0; i < shares; i++)
        rd_kafka_topic_partition_list_add(list, broker.topic[share[i].topic].name,
                                          share[i].partition);
    TRACE("the group %s %d partitions",
          what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "gives"
          : c->lost                                    ? "has lost"
                                                       : "takes",
          shares);
    c->rebalancing = true;
    c->conf.on_rebalance(c, what, list, c->conf.opaque);
    c->rebalancing = false;
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- offsets committed in Kafka */

rd_kafka_resp_err_t rd_kafka_committed(rd_kafka_t *c, rd_kafka_topic_partition_list_t *list,
                                       int timeout_ms)
{
    (void)c;
    (void)timeout_ms;
    sim_pass(sim_between(0, broker.faults.latency_us));
    if (sim_one_in(broker.faults.transient))
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *e = &list->elems[i];
        enum topic_name t = broker_topic(e->topic)->which;
        e->offset = broker.mirror[t][e->partition].offset;
        e->err = RD_KAFKA_RESP_ERR_NO_ERROR;
        if (e->offset < 0) {
            e->offset = RD_KAFKA_OFFSET_INVALID;
            continue;
        }
        e->metadata = strdup(broker.mirror[t][e->partition].note);
        e->metadata_size = strlen(e->metadata);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

struct commit {
    uint64_t client;
    struct {
        struct share share;
        int64_t offset;
        const char *note;
    } at[2 * PARTITIONS_MAX];
    struct share share[2 * PARTITIONS_MAX];
    int n;
};

/* Only who is a member, and not being asked to join again, may commit. */
static void on_commit(void *arg, uint64_t n)
{
    struct commit *k = arg;
    struct rd_kafka_s *c = client_of(k->client);
    struct member *m = c ? client_member(c) : NULL;
    rd_kafka_resp_err_t err = m != NULL && !m->joining && !broker.preparing
                                  ? RD_KAFKA_RESP_ERR_NO_ERROR
                                  : RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;

    (void)n;
    for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < k->n; i++) {
        struct share s = k->at[i].share;
        broker.mirror[s.topic][s.partition].offset = k->at[i].offset;
        broker.mirror[s.topic][s.partition].note = k->at[i].note;
        check_mirror(s.topic, s.partition, k->at[i].offset);
    }
    if (c == NULL || c->ops == OPS_MAX)
        return;
    client_tell(c, OP_COMMITTED, k->share, k->n);
    c->op[c->ops - 1].err = err;
}

rd_kafka_resp_err_t rd_kafka_commit(rd_kafka_t *c, const rd_kafka_topic_partition_list_t *list,
                                    int async)
{
    struct commit *k = sim_alloc(sizeof(*k));

    ASSERT(async && list != NULL);
    k->client = c->id;
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *e = &list->elems[i];
        k->share[k->n] = (struct share){ broker_topic(e->topic)->which, e->partition };
        k->at[k->n].share = k->share[k->n];
        k->at[k->n].offset = e->offset;
        k->at[k->n++].note = sim_text("%.*s", (int)e->metadata_size, (const char *)e->metadata);
    }
    sim_at(sim.now_us + sim_between(0, broker.faults.latency_us), on_commit, k, 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void tell_of_commit(rd_kafka_t *c, const struct op *op)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(op->shares);

    for (int i = 0; i < op->shares; i++)
        rd_kafka_topic_partition_list_add(list, broker.topic[op->share[i].topic].name,
                                          op->share[i].partition)
            ->err = op->err;
    c->conf.on_commit(c, op->err, list, c->conf.opaque);
    rd_kafka_topic_partition_list_destroy(list);
}

/* A message for the application, or NULL. */
static rd_kafka_message_t *serve_op(rd_kafka_t *c)
{
    struct op op = c->op[0];

    c->ops--;
    memmove(&c->op[0], &c->op[1], (size_t)c->ops * sizeof(c->op[0]));
    switch (op.what) {
    case OP_TOO_SLOW:
        return message_new(NULL, NULL, 0, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED);
    case OP_COMMITTED:
        tell_of_commit(c, &op);
        return NULL;
    case OP_ASSIGN:
        rebalance(c, RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, op.share, op.shares);
        return NULL;
    case OP_REVOKE:
    case OP_LOST:
        c->lost = op.what == OP_LOST;
        rebalance(c, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, NULL, 0);
        c->lost = false;
        if (c->leaving) /* and subscribed again meanwhile */
            group_leave(c);
        c->leaving = false;
        group_joined_again(c);
        return NULL;
    }
    return NULL;
}

/* ---- fetching */

static const rd_kafka_resp_err_t bad[] = { RD_KAFKA_RESP_ERR__BAD_MSG,
                                           RD_KAFKA_RESP_ERR__BAD_COMPRESSION };

static int64_t end_of(const struct reading *r)
{
    int64_t end = log_stable_end(r->log);

    return sim.now_us < r->behind_until_us && r->start < end ? r->start : end;
}

/* What the partition has to say now; NULL: nothing. */
static rd_kafka_message_t *fetch(const rd_kafka_t *c, struct reading *r)
{
    int64_t end = end_of(r);
    const struct record *rec;

    if (r->leftover >= 0) {
        rec = log_at(r->log, r->leftover);
        if (rec == NULL || rec->offset >= end || r->leftovers-- == 0) {
            r->leftover = -1;
            return NULL;
        }
        r->leftover = rec->offset + 1;
        return message_new(r->log, rec, rec->offset, RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    while ((rec = log_at(r->log, r->at)) != NULL && rec->offset < end &&
           rec->visibility != RECORD_COMMITTED)
        r->at = rec->offset + 1;
    if (rec == NULL || rec->offset >= end) {
        if (r->told_end)
            return NULL;
        r->told_end = true;
        r->at = r->at > end ? r->at : end;
        return message_new(r->log, NULL, r->at, RD_KAFKA_RESP_ERR__PARTITION_EOF);
    }
    if (c->subscribed && !r->told_end && sim_one_in(broker.faults.stuck)) {
        broker.stuck++;
        r->stuck = true;
        TRACE("fetches %s/%d no more", r->log->topic->name, r->log->number);
        return NULL;
    }
    if (c->subscribed && sim_one_in(broker.faults.rewind)) {
        broker.rewinds++;
        r->at = sim_one_in(2) ? r->start
                              : r->start + (int64_t)sim_below((uint64_t)(r->at - r->start) + 1);
        return NULL;
    }
    if (c->subscribed && sim_one_in(broker.faults.bad_batch)) {
        broker.skips++;
        int64_t skipped = rec->offset;
        r->at = rec->offset + sim_between(1, 3);
        return message_new(r->log, NULL, skipped, bad[sim_below(ARRAY_SIZE(bad))]);
    }
    r->told_end = false;
    r->at = rec->offset + 1;
    if (sim_one_in(8))
        r->due_us = sim.now_us + sim_between(0, broker.faults.latency_us);
    return message_new(r->log, rec, rec->offset, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static rd_kafka_message_t *fetch_any(rd_kafka_t *c, int64_t *next_us)
{
    int first = (int)sim_below((uint64_t)c->reads + 1);

    for (int i = 0; i < c->reads; i++) {
        struct reading *r = &c->read[(first + i) % c->reads];
        if (r->stuck || *paused(c, r->log))
            continue;
        if (r->due_us > sim.now_us) {
            *next_us = r->due_us < *next_us ? r->due_us : *next_us;
            continue;
        }
        rd_kafka_message_t *m = fetch(c, r);
        if (m != NULL)
            return m;
    }
    return NULL;
}

static void some_trouble(rd_kafka_t *c)
{
    static const rd_kafka_resp_err_t codes[] = { RD_KAFKA_RESP_ERR__TRANSPORT,
                                                 RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
                                                 RD_KAFKA_RESP_ERR__RESOLVE };
    if (c->conf.on_error != NULL && sim_one_in(broker.faults.transient))
        c->conf.on_error(c, codes[sim_below(ARRAY_SIZE(codes))], "simulated", c->conf.opaque);
}

rd_kafka_message_t *rd_kafka_consumer_poll(rd_kafka_t *c, int timeout_ms)
{
    int64_t until = sim.now_us + timeout_ms * MS;

    if (sim_one_in(4))
        sim_yield();
    for (;;) {
        int64_t next_us = until;
        rd_kafka_message_t *m = NULL;

        c->polled_us = sim.now_us;
        if (c->subscribed)
            group_poll(c);
        if (c->ops > 0)
            m = serve_op(c);
        else
            some_trouble(c);
        if (m == NULL && c->ops == 0)
            m = fetch_any(c, &next_us);
        if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            TRACE("receives %s/%d %lld", m->rkt->name, m->partition, (long long)m->offset);
        else if (m != NULL)
            TRACE("is told %s", rd_kafka_err2name(m->err));
        if (m != NULL || sim.now_us >= until)
            return m;
        if (c->ops == 0)
            sim_wait(c, next_us);
    }
}

rd_kafka_resp_err_t rd_kafka_consumer_close(rd_kafka_t *c)
{
    if (c->subscribed && !c->closed) {
        c->ops = 0;
        rebalance(c, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, NULL, 0);
        group_leave(c);
    }
    c->closed = true;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}
