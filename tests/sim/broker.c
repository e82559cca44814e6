/* Logs and the transaction coordinator: see broker.h. */
#include "tests/sim/broker.h"

#include "tests/sim/check.h"

#include <string.h>

struct broker broker;

void broker_init(const int32_t partitions[TOPICS])
{
    static const char *const names[TOPICS] = { "usage.events", "usage.accounts", "usage.alerts",
                                               "usage.deadletter" };
    static struct log logs[TOPICS][PARTITIONS_MAX];

    broker = (struct broker){ .generation = 0 };
    for (int t = USAGE; t <= ACCOUNTS; t++)
        for (int p = 0; p < PARTITIONS_MAX; p++)
            broker.mirror[t][p].offset = -1;
    for (int t = 0; t < TOPICS; t++) {
        broker.topic[t] = (struct rd_kafka_topic_s){ .name = names[t],
                                                     .which = (enum topic_name)t,
                                                     .partitions = partitions[t] };
        for (int p = 0; p < PARTITIONS_MAX; p++) {
            struct log *l = broker.topic[t].log[p] = &logs[t][p];
            l->topic = &broker.topic[t];
            l->number = p;
            l->records = 0;
            l->end = 0;
        }
    }
}

struct rd_kafka_topic_s *broker_topic(const char *name)
{
    for (int t = 0; t < TOPICS; t++)
        if (strcmp(broker.topic[t].name, name) == 0)
            return &broker.topic[t];
    sim_fail("nobody made a topic %s", name);
    return NULL;
}

struct record *log_append(struct log *l, enum visibility v, struct slice key, struct slice value,
                          struct slice id)
{
    if (l->records == RECORDS_MAX) {
        sim_fail("%s/%d grows without end", l->topic->name, l->number);
        l->records--; /* the history is over */
    }
    struct record *r = &l->record[l->records++];
    *r = (struct record){ .offset = l->end++,
                          .visibility = v,
                          .time_ms = (sim.start_us + sim.now_us) / MS,
                          .key = { key.p ? sim_copy(key.p, key.n) : NULL, key.n },
                          .value = { value.p ? sim_copy(value.p, value.n) : NULL, value.n },
                          .id = { id.p ? sim_copy(id.p, id.n) : NULL, id.n },
                          .event = -1 };
    return r;
}

void broker_send(enum topic_name which, int32_t partition, struct slice key, struct slice value,
                 int event, int gap)
{
    struct log *l = broker.topic[which].log[partition];

    l->end += gap;
    log_append(l, RECORD_COMMITTED, key, value, SLICE_ABSENT)->event = event;
    client_wake_all();
}

int64_t log_stable_end(const struct log *l)
{
    for (int i = 0; i < l->records; i++)
        if (l->record[i].visibility == RECORD_OPEN)
            return l->record[i].offset;
    return l->end;
}

const struct record *log_at(const struct log *l, int64_t offset)
{
    int low = 0, high = l->records;

    while (low < high) {
        int middle = (low + high) / 2;
        if (l->record[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->records ? &l->record[low] : NULL;
}

/* ---- transactions */

void coordinator_finish(bool commit)
{
    if (!broker.coordinator.ongoing)
        return;
    broker.coordinator.ongoing = false;
    TRACE("Kafka transaction %llu %s", (unsigned long long)broker.coordinator.transaction,
          commit ? "committed" : "aborted");
    for (int t = ALERTS_TOPIC; t <= LETTERS_TOPIC; t++)
        for (int p = 0; p < broker.topic[t].partitions; p++) {
            struct log *l = broker.topic[t].log[p];
            bool any = false;
            for (int i = 0; i < l->records; i++) {
                struct record *r = &l->record[i];
                if (r->visibility != RECORD_OPEN)
                    continue;
                any = true;
                r->visibility = commit ? RECORD_COMMITTED : RECORD_ABORTED;
                if (commit)
                    check_published(t == ALERTS_TOPIC, r->id.p, r->id.n);
            }
            if (any)
                log_append(l, RECORD_CONTROL, SLICE_ABSENT, SLICE_ABSENT, SLICE_ABSENT);
        }
    client_wake_all();
}

int64_t coordinator_fence(void)
{
    if (sim.tooth == TOOTH_TXN_FENCE)
        return broker.coordinator.epoch;
    coordinator_finish(false);
    return ++broker.coordinator.epoch;
}
