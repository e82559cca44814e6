/* The coordinator of the consumer group, by the eager protocol: when a member comes, goes or falls silent, all give up what they have
 * and join again; who does not in time is put out. A member that was put out learns it only when it hears from the coordinator
 * again: until then it goes on, beside the one that has its partitions now. */
#include "tests/sim/broker.h"

#define HEARTBEAT_US (300 * MS)
#define REJOIN_US    (2 * SEC) /* for how long the others are waited for */
#define TOO_SLOW_US  (5 * SEC) /* max.poll.interval.ms */

static void prepare(void);

static int members(void)
{
    int n = 0;

    for (int i = 0; i < MEMBERS_MAX; i++)
        n += broker.member[i].used;
    return n;
}

/* Does the broker that the leader asks know the topic? */
static bool leader_knows(void)
{
    bool unknown = sim_one_in(broker.faults.new_topic);

    broker.orphaned += unknown;
    return !unknown;
}

/* Gives the partitions out, in any way. */
static void complete(void)
{
    int who[MEMBERS_MAX], count = 0;

    broker.preparing = false;
    broker.generation++;
    broker.rebalances++;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (broker.member[i].used)
            who[count++] = i;
    if (count == 0)
        return;
    for (int k = 0; k < count; k++)
        broker.member[who[k]].shares = 0;
    for (int t = USAGE; t <= ACCOUNTS; t++)
        for (int p = 0, end = leader_knows() ? broker.topic[t].partitions : 0; p < end; p++) {
            struct member *m = &broker.member[who[sim_below((uint64_t)count)]];
            m->share[m->shares++] = (struct share){ (enum topic_name)t, p };
        }
    for (int k = 0; k < count; k++) {
        struct member *m = &broker.member[who[k]];
        m->joining = false;
        m->heard_us = sim.now_us;
        if (m->client != NULL)
            client_tell(m->client, OP_ASSIGN, m->share, m->shares);
    }
}

static void put_out(struct member *m)
{
    TRACE("the group puts a member out");
    *m = (struct member){ .used = false };
}

static void try_to_complete(void)
{
    if (!broker.preparing)
        return;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (broker.member[i].used && !broker.member[i].joining) {
            if (sim.now_us < broker.prepare_until_us)
                return;
            put_out(&broker.member[i]);
        }
    complete();
}

static void on_time(void *arg, uint64_t n)
{
    (void)arg;
    (void)n;
    try_to_complete();
}

/* The heartbeat's answer, in which a member learns that the group is being rebalanced. */
static void on_told(void *arg, uint64_t id)
{
    struct member *m = arg;

    if (m->used && m->id == id && m->client != NULL && broker.preparing && !m->joining)
        client_tell(m->client, OP_REVOKE, NULL, 0);
}

static void prepare(void)
{
    broker.preparing = true;
    broker.prepare_until_us = sim.now_us + REJOIN_US;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (broker.member[i].used && !broker.member[i].joining)
            sim_at(sim.now_us + sim_between(0, HEARTBEAT_US), on_told, &broker.member[i],
                   broker.member[i].id);
    sim_at(broker.prepare_until_us, on_time, NULL, 0);
    /* Who is there first is given time for others to come. */
    sim_at(sim.now_us + sim_between(MS, 100 * MS), on_time, NULL, 0);
}

/* The heartbeats of one member, and what its silence means. */
static void beat(void *arg, uint64_t id)
{
    struct member *m = arg;

    if (!m->used || m->id != id)
        return;
    bool alive = m->client != NULL && !client_owner(m->client)->paused;
    if (alive && sim.now_us - client_polled_us(m->client) > TOO_SLOW_US) {
        TRACE("a member of the group polls too seldom");
        client_tell(m->client, OP_TOO_SLOW, NULL, 0);
        client_tell(m->client, OP_LOST, NULL, 0);
        put_out(m);
        prepare();
        return;
    }
    if (alive || m->joining)
        m->heard_us = sim.now_us;
    if (m->client == NULL && m->joining) /* nobody waits for its answer */
        m->heard_us = sim.now_us - m->session_us - 1;
    if (sim.now_us - m->heard_us > m->session_us) {
        put_out(m);
        prepare();
        return;
    }
    sim_at(sim.now_us + HEARTBEAT_US, beat, m, id);
}

void group_join(struct rd_kafka_s *c)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        struct member *m = &broker.member[i];
        if (m->used)
            continue;
        *m = (struct member){ .client = c,
                              .used = true,
                              .joining = true,
                              .heard_us = sim.now_us,
                              .session_us = 3 * SEC,
                              .id = ++broker.member_ids };
        sim_at(sim.now_us + HEARTBEAT_US, beat, m, m->id);
        prepare();
        return;
    }
    ASSERT(!"room for a member");
}

void group_leave(struct rd_kafka_s *c)
{
    struct member *m = client_member(c);

    if (m == NULL)
        return;
    put_out(m);
    if (members() > 0)
        prepare();
}

void group_joined_again(struct rd_kafka_s *c)
{
    struct member *m = client_member(c);

    if (m == NULL) {
        group_join(c);
        return;
    }
    m->joining = true;
    if (!broker.preparing)
        prepare();
    try_to_complete();
}

/* A client that was put out while it was stopped or slow learns it with its next heartbeat. */
void group_poll(struct rd_kafka_s *c)
{
    if (client_member(c) == NULL && sim_one_in(4))
        client_tell(c, OP_LOST, NULL, 0);
}
