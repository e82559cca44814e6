/* librdkafka's question who is in the group, and who has what. */
#include "tests/sim/rdk.h"

#include "tests/sim/check.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ASSIGNMENT_MAX 1024

static void name_of(const struct member *m, char *ret, size_t n)
{
    snprintf(ret, n, "member-%06llu", (unsigned long long)m->id);
}

char *rd_kafka_memberid(const rd_kafka_t *c)
{
    char name[24];
    const struct member *m = client_member((struct rd_kafka_s *)(uintptr_t)c);

    if (m == NULL)
        return NULL;
    name_of(m, name, sizeof(name));
    return strdup(name);
}

static size_t put(char *to, size_t at, const void *value, size_t n)
{
    ASSERT(at + n <= ASSIGNMENT_MAX);
    memcpy(to + at, value, n);
    return at + n;
}

static size_t put_int32(char *to, size_t at, int32_t value)
{
    uint32_t raw = htobe32((uint32_t)value);

    return put(to, at, &raw, sizeof(raw));
}

/* As the protocol of consumers has it: each partition as if it were a topic of its own. */
static void encode(const struct member *m, struct rd_kafka_group_member_info *ret)
{
    char *to = xcalloc(1, ASSIGNMENT_MAX);
    uint16_t version = 0;
    size_t at = put(to, 0, &version, sizeof(version));

    at = put_int32(to, at, m->shares);
    for (int i = 0; i < m->shares; i++) {
        const char *topic = broker.topic[m->share[i].topic].name;
        uint16_t n = htobe16((uint16_t)strlen(topic));

        at = put(to, at, &n, sizeof(n));
        at = put(to, at, topic, strlen(topic));
        at = put_int32(to, at, 1);
        at = put_int32(to, at, m->share[i].partition);
    }
    ret->member_assignment = to;
    ret->member_assignment_size = (int)put_int32(to, at, -1);
}

rd_kafka_resp_err_t rd_kafka_list_groups(rd_kafka_t *c, const char *group,
                                         const struct rd_kafka_group_list **ret, int timeout_ms)
{
    struct rd_kafka_group_list *list;
    struct rd_kafka_group_info *g;

    (void)c;
    (void)timeout_ms;
    sim_pass(sim_between(0, broker.faults.latency_us));
    if (sim_one_in(broker.faults.transient))
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    list = xcalloc(1, sizeof(*list));
    list->group_cnt = 1;
    list->groups = g = xcalloc(1, sizeof(*g));
    g->group = strdup(group);
    g->state = strdup(broker.preparing ? "PreparingRebalance" : "Stable");
    g->members = xcalloc(MEMBERS_MAX, sizeof(*g->members));
    for (int i = 0; i < MEMBERS_MAX; i++) {
        char name[24];

        if (!broker.member[i].used)
            continue;
        name_of(&broker.member[i], name, sizeof(name));
        encode(&broker.member[i], &g->members[g->member_cnt]);
        g->members[g->member_cnt++].member_id = strdup(name);
    }
    *ret = list;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_group_list_destroy(const struct rd_kafka_group_list *list)
{
    struct rd_kafka_group_info *g = list->groups;

    for (int i = 0; i < g->member_cnt; i++) {
        free(g->members[i].member_id);
        free(g->members[i].member_assignment);
    }
    free(g->members);
    free(g->state);
    free(g->group);
    free(g);
    free((void *)(uintptr_t)list);
}
