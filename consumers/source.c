/* The source's life, its polling loop, and messages on their way from librdkafka to the taker. */
#include "consumers/source_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <string.h>
#include <sysexits.h>

/* ---- messages: librdkafka's own memory is kept until release, nothing is copied */

struct source_message {
    struct message m; /* first: the taker's pointer is ours */
    rd_kafka_message_t *rkm;
    size_t weight;
    struct header header[];
};

static void release(struct message *m)
{
    struct source_message *sm = (struct source_message *)m;

    rd_kafka_message_destroy(sm->rkm);
    free(sm);
}

static struct message *message_of(struct source *s, const struct partition *p,
                                  rd_kafka_message_t *rkm)
{
    rd_kafka_headers_t *list = NULL;
    rd_kafka_timestamp_type_t type;
    struct source_message *sm;
    size_t headers = 0;
    int64_t ms = rd_kafka_message_timestamp(rkm, &type);

    if (rd_kafka_message_headers(rkm, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers = rd_kafka_header_cnt(list);
    sm = xmalloc(sizeof(*sm) + headers * sizeof(sm->header[0]));
    sm->rkm = rkm;
    sm->weight = sizeof(*sm) + headers * sizeof(sm->header[0]) + rkm->len + rkm->key_len;
    for (size_t i = 0; i < headers; i++) {
        const char *name;
        const void *value;
        size_t size;

        ASSERT(rd_kafka_header_get_all(list, i, &name, &value, &size) ==
               RD_KAFKA_RESP_ERR_NO_ERROR);
        sm->header[i] = (struct header){ slice_of(name), { value, value ? size : 0 } };
        sm->weight += sm->header[i].name.n + sm->header[i].value.n;
    }
    sm->m = (struct message){
        .kind = p->kind,
        .topic = s->topic[p->kind],
        .partition = p->number,
        .offset = rkm->offset,
        .timestamp_us = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : message_time_us(ms),
        .key = { rkm->key, rkm->key ? rkm->key_len : 0 },
        .value = { rkm->payload, rkm->payload ? rkm->len : 0 },
        .header = sm->header,
        .headers = headers,
        .generation = p->generation,
        .release = release,
    };
    sm->m.fingerprint = partition_fingerprint(sm->m.timestamp_us, sm->m.key, sm->m.value);
    return &sm->m;
}

int source_hand_over(struct source *s, struct partition *p, struct message *m)
{
    /* Once it is handed over it may be gone at any moment. */
    size_t weight = ((struct source_message *)m)->weight;
    int64_t offset = m->offset;
    uint64_t fingerprint = m->fingerprint;

    if (s->hooks.put(s->hooks.ctx, m, weight) != 0)
        return 1;
    partition_taken(p, offset, fingerprint);
    s->seen.messages++;
    s->seen.bytes += weight;
    return 0;
}

static void on_record(struct source *s, rd_kafka_message_t *rkm, int64_t now_us)
{
    enum topic_kind kind;
    struct partition *p = NULL;
    struct message *m;
    enum partition_verdict v;

    if (rkm->rkt != NULL && source_kind_of(s, rd_kafka_topic_name(rkm->rkt), &kind))
        p = source_find(s, kind, rkm->partition);
    if (p == NULL) { /* a leftover of an assignment that is over */
        rd_kafka_message_destroy(rkm);
        return;
    }
    if (complaint_over(&s->broker_trouble))
        *s->seen.trouble = '\0';
    if (s->denied)
        source_let_in(s);
    m = message_of(s, p, rkm);
    v = partition_record(p, m->offset, m->fingerprint, now_us);
    if (v == PARTITION_TAKE) {
        if (source_hand_over(s, p, m) != 0)
            source_hold(s, p, m, now_us);
        return;
    }
    if (v == PARTITION_DROP && p->state == PARTITION_RUNNING && p->has_next && m->offset < p->last)
        s->seen.rewound++;
    message_release(m);
    source_verdict(s, p, v);
}

/* ---- the group */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *s = ((struct kafka_client *)opaque)->owner;

    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

        /* A member without partitions until the claims are made: they may have to wait for
         * PostgreSQL. */
        source_given(s, list);
        if (rd_kafka_assign(rk, none) != RD_KAFKA_RESP_ERR_NO_ERROR)
            log_warning("Kafka: the empty assignment was refused");
        rd_kafka_topic_partition_list_destroy(none);
        return;
    }
    if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        log_warning("Kafka: rebalancing failed: %s", rd_kafka_err2str(err));
    else if (rd_kafka_assignment_lost(rk))
        log_warning("Kafka: the assignment was lost, others have the partitions");
    source_drop_all(s);
    rd_kafka_assign(rk, NULL);
}

/* ---- the thread */

static void set_life(struct source *s, enum source_life life)
{
    pthread_mutex_lock(&s->lock);
    s->life = life;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void wait_wanted(struct source *s, enum source_life life)
{
    pthread_mutex_lock(&s->lock);
    while (atomic_load(&s->life_wanted) < (int)life)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void poll_once(struct source *s)
{
    int64_t now = monotonic_us(), wait_us;
    rd_kafka_message_t *rkm;

    atomic_fetch_add(&s->beat, 1);
    if (now >= s->check_at_us) {
        FAULT_POINT("source.consumed");
        source_work(s, now);
        FAULT_POINT("source.worked");
        if (s->failed)
            return;
    }
    if (s->stuck != NULL) {
        source_unstick(s, now);
        return;
    }
    wait_us = s->check_at_us - now;
    if (wait_us > SOURCE_POLL_US)
        wait_us = SOURCE_POLL_US;
    rkm = rd_kafka_consumer_poll(s->rk, wait_us > 0 ? (int)((wait_us + 999) / 1000) : 0);
    if (rkm == NULL) {
        s->dry = true;
        return;
    }
    if (rkm->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_record(s, rkm, now);
        return;
    }
    source_on_error(s, rkm, now);
    rd_kafka_message_destroy(rkm);
}

static void *run(void *arg)
{
    struct source *s = arg;

    while (atomic_load(&s->life_wanted) < SOURCE_STOPPING && !s->failed)
        poll_once(s);
    set_life(s, SOURCE_STOPPED);
    wait_wanted(s, SOURCE_CLOSING);
    rd_kafka_consumer_close(s->rk); /* ends with the rebalance callback: revoked() */
    source_drop_all(s);
    set_life(s, SOURCE_CLOSED);
    return NULL;
}

/* ---- life */

int source_subscribe(struct source *s, struct error *ret_error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
    rd_kafka_resp_err_t err;

    for (int kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++)
        rd_kafka_topic_partition_list_add(list, s->topic[kind], RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(s->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(ret_error, EX_CONFIG, "subscribing to %s and %s: %s",
                         s->topic[TOPIC_USAGE], s->topic[TOPIC_ACCOUNTS], rd_kafka_err2str(err));
    return 0;
}

int source_new(const struct source_settings *settings, const struct source_hooks *hooks,
               struct source **ret, struct error *ret_error)
{
    struct source *s = xcalloc(1, sizeof(*s));
    pthread_condattr_t monotonic;
    char words[400] = "";
    rd_kafka_conf_t *conf;

    s->hooks = *hooks;
    s->kafka = settings->kafka;
    s->topic[TOPIC_USAGE] = xstrdup(settings->usage_topic);
    s->topic[TOPIC_ACCOUNTS] = xstrdup(settings->accounts_topic);
    ASSERT(s->topic[TOPIC_USAGE] != NULL && s->topic[TOPIC_ACCOUNTS] != NULL);
    kafka_client_init(&s->client, s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (strcmp(s->topic[TOPIC_USAGE], s->topic[TOPIC_ACCOUNTS]) == 0) {
        error_set(ret_error, EX_CONFIG,
                  "topics.usage and topics.accounts are both \"%s\"; they must be two topics",
                  s->topic[TOPIC_USAGE]);
        goto fail;
    }
    conf = kafka_conf(s->kafka, KAFKA_CONSUMER, NULL, &s->client, ret_error);
    if (conf == NULL)
        goto fail;
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, source_on_client_error);
    rd_kafka_conf_set_offset_commit_cb(conf, source_on_mirrored);
    s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof(words));
    if (s->rk == NULL) {
        error_set(ret_error, EX_CONFIG, "making the Kafka consumer: %s; see kafka.properties",
                  words);
        rd_kafka_conf_destroy(conf);
        goto fail;
    }
    rd_kafka_poll_set_consumer(s->rk);
    if (source_subscribe(s, ret_error) != 0)
        goto fail;
    *ret = s;
    return 0;
fail:
    source_free(s);
    return -1;
}

int source_start(struct source *s, struct error *ret_error)
{
    int err;

    ASSERT(!s->started);
    s->started = true;
    s->life = SOURCE_RUNNING;
    atomic_store(&s->life_wanted, SOURCE_RUNNING);
    err = pthread_create(&s->thread, NULL, run, s);
    if (err != 0) {
        s->started = false;
        return error_set(ret_error, EX_OSERR, "starting the consumer thread: %s", strerror(err));
    }
    pthread_setname_np(s->thread, "source");
    return 0;
}

static int want(struct source *s, enum source_life wanted, enum source_life reached,
                int64_t timeout_us)
{
    int64_t end = monotonic_us() + timeout_us;
    struct timespec until = { end / US_PER_SECOND, (end % US_PER_SECOND) * 1000 };
    int late = 0;

    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->life_wanted) < (int)wanted)
        atomic_store(&s->life_wanted, (int)wanted);
    pthread_cond_broadcast(&s->changed);
    while (s->life < reached && late == 0)
        late = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    late = s->life < reached;
    pthread_mutex_unlock(&s->lock);
    return late;
}

int source_stop(struct source *s, int64_t timeout_us)
{
    return !s->started ? 0 : want(s, SOURCE_STOPPING, SOURCE_STOPPED, timeout_us);
}

int source_close(struct source *s, int64_t timeout_us)
{
    return !s->started ? 0 : want(s, SOURCE_CLOSING, SOURCE_CLOSED, timeout_us);
}

void source_free(struct source *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        ASSERT(source_close(s, 0) == 0);
        pthread_join(s->thread, NULL);
    }
    if (s->rk != NULL)
        rd_kafka_destroy(s->rk);
    free(s->partition);
    free(s->fence);
    free(s->topic[TOPIC_USAGE]);
    free(s->topic[TOPIC_ACCOUNTS]);
    kafka_client_fini(&s->client);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint64_t source_heartbeat(const struct source *s)
{
    return atomic_load(&s->beat);
}

void source_fenced(struct source *s, enum topic_kind kind, int32_t partition, uint64_t generation)
{
    pthread_mutex_lock(&s->lock);
    if (s->fences == s->fences_capacity) {
        s->fences_capacity = s->fences_capacity ? 2 * s->fences_capacity : 64;
        s->fence = xrealloc(s->fence, s->fences_capacity * sizeof(*s->fence));
    }
    s->fence[s->fences++] = (struct source_fence){ kind, partition, generation };
    pthread_mutex_unlock(&s->lock);
}

void source_status(struct source *s, struct source_status *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->status;
    pthread_mutex_unlock(&s->lock);
}
