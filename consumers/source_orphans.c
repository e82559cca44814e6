/* Partitions that the group gave to nobody. Its leader gives out what one broker tells it of the
 * topics; a broker that does not know a new topic yet makes it leave partitions out, and librdkafka
 * 2.0.2 does not notice that this was so. So each member looks, from when it was given its share until
 * once all is well, whom each partition belongs to; and where one belongs to nobody, look after look,
 * it leaves the group and joins it again, by which everything is given out anew. Subscribing again
 * without leaving would not do: the coordinator gives the same out again unless it is the leader that
 * joins, and nobody is told who that is. A static member leaves in the same way.
 *
 * One member is enough, so it is the one with the smallest id; the next in order waits for a look
 * more, should that one be no debitd or be stuck. A rebalance starts the looks over, so what is seen
 * in a row is one assignment. What joins the topics later, librdkafka gives out by itself.
 *
 * Not by rd_kafka_DescribeConsumerGroups: in 2.0.2 a question that a broker does not know, or that
 * times out before its coordinator was found, is used after it was freed, and librdkafka's main
 * thread stands still. rd_kafka_list_groups waits, but for SOURCE_GROUP_MS at most. On the consumer
 * thread. */
#include "consumers/source_internal.h"

#include "base/clock.h"
#include "kafka/topic.h"

#include <endian.h>
#include <string.h>

/* ---- what a member has: version, [topic, [partition]], and more; big endian. What there is less of
 * than was announced is read no further. */

static bool take(struct slice *rest, void *ret, size_t n)
{
    if (n > rest->n)
        return false;
    memcpy(ret, rest->p, n);
    *rest = (struct slice){ rest->p + n, rest->n - n };
    return true;
}

static bool take_int32(struct slice *rest, int32_t *ret)
{
    uint32_t raw;

    if (!take(rest, &raw, sizeof(raw)))
        return false;
    *ret = (int32_t)be32toh(raw);
    return true;
}

static bool take_name(struct slice *rest, struct slice *ret)
{
    uint16_t raw;
    size_t n;

    if (!take(rest, &raw, sizeof(raw)) || (n = be16toh(raw)) > rest->n)
        return false;
    *ret = (struct slice){ rest->p, n };
    *rest = (struct slice){ rest->p + n, rest->n - n };
    return true;
}

/* Marks what the member has of the topic. */
static void mark(const struct rd_kafka_group_member_info *member, const char *topic,
                 bool *has_owner, int32_t partitions)
{
    struct slice rest = { member->member_assignment, (size_t)member->member_assignment_size }, name;
    int32_t topics, n, number;
    uint16_t version;

    if (!take(&rest, &version, sizeof(version)) || !take_int32(&rest, &topics))
        return;
    while (topics-- > 0 && take_name(&rest, &name) && take_int32(&rest, &n))
        while (n-- > 0 && take_int32(&rest, &number))
            if (number >= 0 && number < partitions && slice_is(name, topic))
                has_owner[number] = true;
}

/* ---- what a look sees */

/* Where we stand among the ids of the members, from 0; false: we are none of them. */
static bool rank_of(struct source *s, const struct rd_kafka_group_info *group, unsigned *ret)
{
    char *me = rd_kafka_memberid(s->rk);
    unsigned rank = 0;
    bool found = false;

    for (int i = 0; me != NULL && i < group->member_cnt; i++) {
        int order = strcmp(group->members[i].member_id, me);

        rank += order < 0;
        found |= order == 0;
    }
    if (me != NULL)
        rd_kafka_mem_free(s->rk, me);
    *ret = rank;
    return found;
}

struct orphans {
    unsigned count;
    enum topic_kind kind; /* of the first */
    int32_t partition;
};

/* False: it cannot be told. */
static bool find_orphans(struct source *s, const struct rd_kafka_group_info *group,
                         struct orphans *ret)
{
    *ret = (struct orphans){ 0 };
    for (enum topic_kind kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++) {
        struct kafka_topic topic;
        bool *has_owner;
        int32_t n;

        if (kafka_topic_ask(s->rk, s->topic[kind], SOURCE_LOW_MS, &topic) !=
                RD_KAFKA_RESP_ERR_NO_ERROR ||
            topic.partitions == 0)
            return false;
        n = topic.partitions;
        has_owner = xcalloc((size_t)n, sizeof(*has_owner));
        for (int i = 0; i < group->member_cnt; i++)
            mark(&group->members[i], s->topic[kind], has_owner, n);
        for (int32_t i = 0; i < n; i++)
            if (!has_owner[i] && ret->count++ == 0) {
                ret->kind = kind;
                ret->partition = i;
            }
        free(has_owner);
    }
    return true;
}

/* ---- what is done about it */

static void join_again(struct source *s, const struct orphans *found)
{
    struct error error = { 0 };

    log_warning(
        "%s/%d belongs to no member of group %s, though that is at rest (%u such partitions): "
        "whoever leads the group did not know the topics yet; leaving the group and joining "
        "it again, so that they are given out anew%s",
        s->topic[found->kind], found->partition, s->kafka->group_id, found->count,
        s->orphans.tries == 0 ? ""
                              : " (which has not helped before: do all members of this "
                                "group read the same topics, and may they?)");
    if (s->orphans.tries < SOURCE_ORPHANS_TRIES)
        s->orphans.tries++;
    source_drop_all(s);
    rd_kafka_unsubscribe(s->rk);
    if (source_subscribe(s, &error) != 0)
        source_fail(s, error.exit_code, error.text);
}

static void look(struct source *s, const struct rd_kafka_group_info *group)
{
    struct source_orphans *o = &s->orphans;
    struct orphans found;
    unsigned rank;

    if (group->err != RD_KAFKA_RESP_ERR_NO_ERROR || strcmp(group->state, "Stable") != 0 ||
        !rank_of(s, group, &rank) || !find_orphans(s, group, &found)) {
        o->looks = 0;
        return;
    }
    if (found.count == 0) {
        log_debug("each partition belongs to a member of group %s", s->kafka->group_id);
        o->look_at_us = 0;
        o->tries = 0;
        return;
    }
    if (++o->looks >= (SOURCE_ORPHANS_LOOKS + rank) << o->tries)
        join_again(s, &found);
}

/* ---- from outside */

void source_orphans_await(struct source *s, bool member)
{
    s->orphans.look_at_us = member ? monotonic_us() + SOURCE_ORPHANS_US : 0;
    s->orphans.looks = 0;
}

void source_orphans(struct source *s, int64_t now_us)
{
    struct source_orphans *o = &s->orphans;
    const struct rd_kafka_group_list *list = NULL;
    rd_kafka_resp_err_t err;

    if (o->look_at_us == 0 || now_us < o->look_at_us)
        return;
    o->look_at_us = now_us + SOURCE_ORPHANS_US;
    err = rd_kafka_list_groups(s->rk, s->kafka->group_id, &list, SOURCE_GROUP_MS);
    if (list != NULL && list->group_cnt == 1) /* perhaps not all brokers have answered */
        look(s, &list->groups[0]);
    else {
        o->looks = 0;
        log_debug("no broker says who is in group %s: %s", s->kafka->group_id,
                  rd_kafka_err2str(err));
    }
    if (list != NULL)
        rd_kafka_group_list_destroy(list);
}
