/* The source on librdkafka's mock cluster, for what a real broker cannot be made to do: a library that goes back
 * by itself, a batch that it leaves out, any error as the answer to any request. Nothing else is asserted on a mock. */
#include "tests/unit/test.h"

#include "consumers/source_internal.h"

#include "base/clock.h"

#include <librdkafka/rdkafka_mock.h>

#define USAGE    "usage"
#define ACCOUNTS "accounts"
#define FIRST    20 /* messages on the topic before the start */
#define SEEN_MAX 400

struct rig {
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
    struct source *source;
    void (*first)(struct rig *r); /* before the source starts */
    /* runs on the source's thread, before the message with this offset is taken for the first time */
    void (*before)(struct rig *r);
    int64_t before_offset;
    /* runs on the source's thread between messages, once all of FIRST were taken */
    void (*between)(struct rig *r);
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t seen[SEEN_MAX]; /* offsets in the order in which they were handed over */
    size_t seen_count;
    int64_t claims;
    bool injected;
};

static enum source_answer on_cluster(void *ctx, const char *id, struct error *e)
{
    (void)ctx, (void)id, (void)e;
    return SOURCE_DONE;
}

static enum source_answer on_claim(void *ctx, const char *topic, int32_t partition,
                                   struct partition_claim *ret, struct error *e)
{
    struct rig *r = ctx;

    (void)partition, (void)e;
    pthread_mutex_lock(&r->lock);
    r->claims++;
    *ret = (struct partition_claim){ .epoch = r->claims,
                                     .has_next = strcmp(topic, USAGE) == 0 && r->seen_count > 0,
                                     .next_offset = (int64_t)r->seen_count };
    pthread_mutex_unlock(&r->lock);
    return SOURCE_DONE;
}

static enum source_answer on_halt(void *ctx, const char *topic, int32_t partition, int64_t epoch,
                                  const char *why, struct error *e)
{
    (void)ctx, (void)topic, (void)partition, (void)epoch, (void)e;
    printf("# halted: %s\n", why);
    return SOURCE_DONE;
}

static void on_places(void *ctx, const struct source_place *place, size_t places)
{
    (void)ctx, (void)place, (void)places;
}

static int on_put(void *ctx, struct message *m, size_t bytes)
{
    struct rig *r = ctx;

    (void)bytes;
    if (r->before != NULL && m->offset == r->before_offset && !r->injected) {
        r->injected = true;
        r->before(r);
    }
    pthread_mutex_lock(&r->lock);
    ASSERT(r->seen_count < SEEN_MAX);
    r->seen[r->seen_count++] = m->offset;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    message_release(m);
    return 0;
}

static bool on_room(void *ctx, enum topic_kind kind, int32_t partition)
{
    (void)ctx, (void)kind, (void)partition;
    return true;
}

static bool on_drained(void *ctx, enum topic_kind kind)
{
    (void)ctx, (void)kind;
    return true;
}

static int64_t on_booked(void *ctx, enum topic_kind kind, int32_t partition, uint64_t generation)
{
    struct rig *r = ctx;

    (void)partition, (void)generation;
    if (kind == TOPIC_USAGE && r->between != NULL && r->seen_count == FIRST && !r->injected) {
        r->injected = true;
        r->between(r);
    }
    return -1;
}

static void on_stop(void *ctx, int exit_code, const char *why)
{
    (void)ctx;
    printf("# stopped with %d: %s\n", exit_code, why);
}

static void produce(struct rig *r, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char value[24];
        int n = snprintf(value, sizeof(value), "message %d", i);

        CHECK_INT(rd_kafka_producev(r->producer, RD_KAFKA_V_TOPIC(USAGE), RD_KAFKA_V_PARTITION(0),
                                    RD_KAFKA_V_VALUE(value, (size_t)n),
                                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                  0);
    }
    CHECK_INT(rd_kafka_flush(r->producer, 20000), 0);
}

/* False: not within 30 s. */
static bool wait_seen(struct rig *r, size_t count)
{
    struct timespec until;
    int late = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&r->lock);
    while (r->seen_count < count && late == 0)
        late = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    pthread_mutex_unlock(&r->lock);
    return late == 0;
}

static void rig_start(struct rig *r)
{
    char words[400];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct error error = { 0 };
    static const struct kafka_property quick[] = {
        { .name = "heartbeat.interval.ms", .value = "100" },
        { .name = "reconnect.backoff.max.ms", .value = "100" }
    };
    static struct kafka_settings kafka;

    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", words, sizeof(words));
    rd_kafka_conf_set(conf, "log_level", "0", words, sizeof(words));
    r->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof(words));
    ASSERT(r->producer != NULL);
    r->cluster = rd_kafka_handle_mock_cluster(r->producer);
    CHECK_INT(rd_kafka_mock_topic_create(r->cluster, USAGE, 1, 1), 0);
    CHECK_INT(rd_kafka_mock_topic_create(r->cluster, ACCOUNTS, 1, 1), 0);
    produce(r, 0, FIRST);
    kafka = (struct kafka_settings){ rd_kafka_mock_cluster_bootstraps(r->cluster), "g", quick, 2 };
    const struct source_settings settings = { &kafka, USAGE, ACCOUNTS };
    const struct source_hooks hooks = { r,          on_cluster, on_claim, on_halt,
                                        on_places,  on_places,  on_put,   on_room,
                                        on_drained, on_booked,  on_stop };
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    ASSERT(source_new(&settings, &hooks, &r->source, &error) == 0);
    if (r->first != NULL)
        r->first(r);
    ASSERT(source_start(r->source, &error) == 0);
}

static void rig_end(struct rig *r)
{
    CHECK_INT(source_stop(r->source, 20 * US_PER_SECOND), 0);
    CHECK_INT(source_close(r->source, 20 * US_PER_SECOND), 0);
    source_free(r->source);
    rd_kafka_destroy(r->producer);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

static void check_each_once_in_order(struct rig *r, size_t count)
{
    CHECK_INT(r->seen_count, count);
    for (size_t i = 0; i < r->seen_count; i++)
        if (!CHECK_INT(r->seen[i], i))
            break;
}

/* In 2.0.2 this makes the library start over where the partition was assigned (research:
 * reliability.md A3). */
static void resume_what_is_not_paused(struct rig *r)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, USAGE, 0);
    CHECK_INT(rd_kafka_resume_partitions(r->source->rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
}

TEST("a library that goes back by itself hands nothing over twice")
{
    struct rig r = { .before = resume_what_is_not_paused, .before_offset = 9 };

    rig_start(&r);
    REQUIRE(wait_seen(&r, FIRST));
    produce(&r, FIRST, 5);
    REQUIRE(wait_seen(&r, FIRST + 5));
    rig_end(&r);
    CHECK(r.injected);
    check_each_once_in_order(&r, FIRST + 5);
}

/* As the library does it: one error, then the batches behind the one that it could not read. */
static void leave_a_batch_out(struct rig *r)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(r->source->rk, USAGE, NULL);
    rd_kafka_message_t damaged = {
        .err = RD_KAFKA_RESP_ERR__BAD_MSG, .rkt = topic, .partition = 0, .offset = FIRST
    };

    source_on_error(r->source, &damaged, monotonic_us());
    CHECK_INT(source_find(r->source, TOPIC_USAGE, 0)->state, PARTITION_SUSPECT);
    rd_kafka_topic_destroy(topic);
    produce(r, FIRST, 5);
}

TEST("a batch that the library left out is asked for again, and nothing behind it is taken before")
{
    struct rig r = { .between = leave_a_batch_out };

    rig_start(&r);
    REQUIRE(wait_seen(&r, FIRST + 5));
    rig_end(&r);
    CHECK(r.injected);
    check_each_once_in_order(&r, FIRST + 5);
}

#define CODES_MAX 12

/* What a broker may say for a while: reading goes on behind it by itself. */
static const struct answer {
    int16_t request; /* Kafka's number of it */
    const char *name;
    bool later; /* comes while messages are read, too */
    rd_kafka_resp_err_t code[CODES_MAX];
} answers[] = {
#define COORDINATOR_TROUBLE                                                                      \
    RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, \
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR
#define LEADER_TROUBLE                                                                   \
    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,  \
        RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, \
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,  \
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT
    { 1,
      "Fetch",
      true,
      { LEADER_TROUBLE, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH } },
    { 2, "ListOffsets", false, { LEADER_TROUBLE } },
    { 3, "Metadata", true, { LEADER_TROUBLE } },
    { 8,
      "OffsetCommit",
      true,
      { COORDINATOR_TROUBLE, RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS } },
    { 10, "FindCoordinator", false, { COORDINATOR_TROUBLE, RD_KAFKA_RESP_ERR__TRANSPORT } },
    /* not _TRANSPORT: where a member is lost while it joins, the mock waits five minutes for it */
    { 11, "JoinGroup", false, { COORDINATOR_TROUBLE, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID } },
    { 12,
      "Heartbeat",
      true,
      { COORDINATOR_TROUBLE, RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS } },
    { 14, "SyncGroup", false, { COORDINATOR_TROUBLE, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS } },
};
#define ANSWERS (sizeof(answers) / sizeof(answers[0]))

/* One each: the mock lets a member wait for seconds each time it has to join again. */
static void answer_all_with_an_error(struct rig *r)
{
    for (size_t i = 0; i < ANSWERS; i++)
        rd_kafka_mock_push_request_errors(r->cluster, answers[i].request, 1,
                                          answers[i].code[i % 4]);
}

TEST("where each request of a start is first answered with an error, messages come once and in "
     "order")
{
    struct rig r = { .first = answer_all_with_an_error };

    rig_start(&r);
    CHECK(wait_seen(&r, FIRST));
    rig_end(&r);
    check_each_once_in_order(&r, FIRST);
}

TEST("whatever request of a reader is answered with an error, messages come once and in order")
{
    struct rig r = { 0 };
    size_t sent = FIRST;
    bool come = true;

    rig_start(&r);
    REQUIRE(wait_seen(&r, sent));
    for (size_t i = 0; i < ANSWERS && come; i++) {
        for (size_t c = 0; answers[i].later && c < CODES_MAX && answers[i].code[c] != 0 && come;
             c++) {
            rd_kafka_resp_err_t code = answers[i].code[c];

            rd_kafka_mock_push_request_errors(r.cluster, answers[i].request, 2, code, code);
            produce(&r, (int)sent++, 1);
            come = CHECK(wait_seen(&r, sent));
            if (!come)
                printf("# after %s was answered with %s\n", answers[i].name,
                       rd_kafka_err2name(code));
        }
    }
    rig_end(&r);
    check_each_once_in_order(&r, sent);
}
