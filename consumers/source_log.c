/* See source_log.h. */
#include "consumers/source_log.h"

#include "base/arena.h"
#include "base/clock.h"
#include "consumers/partition.h"
#include "kafka/topic.h"

#include <librdkafka/rdkafka.h>
#include <string.h>
#include <sysexits.h>

#define POLL_MS       200
#define SILENCE_US    INT64_C(30000000) /* nothing came: Kafka is away, or holds a transaction open */
#define METADATA_MS   10000
#define COMPLAINT_MAX 400

struct reading {
    rd_kafka_t *rk;
    struct log_range *range;
    size_t ranges, open;
    log_taker *take;
    void *ctx;
    struct arena arena; /* of one message */
};

static rd_kafka_t *new_client(const struct kafka_settings *s, struct kafka_client *client,
                              struct error *e)
{
    char words[COMPLAINT_MAX] = "";
    rd_kafka_conf_t *conf = kafka_conf(s, KAFKA_READER, NULL, client, e);
    if (!conf)
        return NULL;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        error_set(e, EX_CONFIG, "making a Kafka consumer: %s; see kafka.properties", words);
    }
    return rk;
}

static struct log_range *find(struct reading *r, const rd_kafka_message_t *m)
{
    const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";
    for (size_t i = 0; i < r->ranges; i++)
        if (r->range[i].partition == m->partition && strcmp(r->range[i].topic, topic) == 0)
            return &r->range[i];
    return NULL;
}

/* What lies behind it is of no interest: it is not fetched any more. */
static void close_range(struct reading *r, struct log_range *range)
{
    kafka_pause(r->rk, range->topic, range->partition);
    range->read = true;
    r->open--;
}

static struct message message_of(struct reading *r, const struct log_range *range,
                                 const rd_kafka_message_t *rkm)
{
    rd_kafka_headers_t *list = NULL;
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(rkm, &type);
    struct message m = {
        .kind = range->kind,
        .topic = range->topic,
        .partition = range->partition,
        .offset = rkm->offset,
        .timestamp_us = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : message_time_us(ms),
        .key = { rkm->key, rkm->key ? rkm->key_len : 0 },
        .value = { rkm->payload, rkm->payload ? rkm->len : 0 },
    };
    if (rd_kafka_message_headers(rkm, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
        m.headers = rd_kafka_header_cnt(list);
    struct header *header = arena_alloc(&r->arena, (m.headers + 1) * sizeof *header);
    for (size_t i = 0; i < m.headers; i++) {
        const char *name;
        const void *value;
        size_t size;
        ASSERT(rd_kafka_header_get_all(list, i, &name, &value, &size) ==
               RD_KAFKA_RESP_ERR_NO_ERROR);
        header[i] = (struct header){ slice_of(name), { value, value ? size : 0 } };
    }
    m.header = header;
    m.fingerprint = partition_fingerprint(m.timestamp_us, m.key, m.value);
    return m;
}

static int on_message(struct reading *r, const rd_kafka_message_t *rkm, struct error *e)
{
    struct log_range *range = find(r, rkm);
    if (!range || range->read)
        return 0;
    if (range->begin < 0)
        range->begin = rkm->offset;
    if (rkm->offset >= range->until) {
        close_range(r, range);
        return 0;
    }
    struct message m = message_of(r, range, rkm);
    int result = r->take(r->ctx, &m, e);
    arena_reset(&r->arena);
    range->end = rkm->offset + 1;
    if (!result && range->end >= range->until)
        close_range(r, range);
    return result;
}

static int on_error(struct reading *r, const rd_kafka_message_t *rkm, struct error *e)
{
    struct log_range *range = find(r, rkm);
    if (rkm->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (range && !range->read) {
            range->begin = range->begin < 0 ? rkm->offset : range->begin;
            range->end = rkm->offset;
            close_range(r, range);
        }
        return 0;
    }
    switch (kafka_classify((int)rkm->err)) {
    case KAFKA_FINE:
    case KAFKA_TRANSIENT:
    case KAFKA_TOO_SLOW:
        return 0;
    case KAFKA_OFFSET_GONE:
    case KAFKA_NO_TOPIC:
    case KAFKA_BAD_BATCH:
    case KAFKA_TOO_LARGE:
    case KAFKA_DENIED:
    case KAFKA_FENCED:
    case KAFKA_FATAL:
    case KAFKA_DEFECT:
        break;
    }
    return error_set(e, EX_UNAVAILABLE, "reading topic %s partition %d again: %s",
                     range ? range->topic : "(none)", (int)rkm->partition,
                     rd_kafka_message_errstr(rkm));
}

static int read_ranges(struct reading *r, struct error *e)
{
    int64_t heard_us = monotonic_us();
    int result = 0;
    while (r->open > 0 && !result) {
        rd_kafka_message_t *rkm = rd_kafka_consumer_poll(r->rk, POLL_MS);
        if (!rkm) {
            if (monotonic_us() - heard_us > SILENCE_US)
                return error_set(e, EX_UNAVAILABLE,
                                 "reading the topics again: nothing came for 30 s; are the brokers "
                                 "up, and is no foreign transaction open on the topics?");
            continue;
        }
        heard_us = monotonic_us();
        result = rkm->err ? on_error(r, rkm, e) : on_message(r, rkm, e);
        rd_kafka_message_destroy(rkm);
    }
    return result;
}

int source_log_read(const struct kafka_settings *s, struct log_range *range, size_t ranges,
                    log_taker *take, void *ctx, struct error *ret_error)
{
    struct reading r = { .range = range, .ranges = ranges, .take = take, .ctx = ctx };
    struct kafka_client client;
    kafka_client_init(&client, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)ranges);
    for (size_t i = 0; i < ranges; i++) {
        range[i].begin = -1;
        range[i].end = 0;
        range[i].read = false;
        r.open++;
        rd_kafka_topic_partition_list_add(list, range[i].topic, range[i].partition)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    r.rk = new_client(s, &client, ret_error);
    int result = r.rk ? 0 : -1;
    if (r.rk) {
        rd_kafka_poll_set_consumer(r.rk);
        rd_kafka_assign(r.rk, list);
        result = read_ranges(&r, ret_error);
        rd_kafka_consumer_close(r.rk);
        rd_kafka_destroy(r.rk);
    }
    rd_kafka_topic_partition_list_destroy(list);
    arena_fini(&r.arena);
    kafka_client_fini(&client);
    return result;
}

int source_log_partitions(const struct kafka_settings *s, const char *topic, int32_t *ret,
                          struct error *ret_error)
{
    struct kafka_topic found;
    struct kafka_client client;
    kafka_client_init(&client, NULL);
    rd_kafka_t *rk = new_client(s, &client, ret_error);
    int result = rk ? 0 : -1;
    if (rk) {
        rd_kafka_resp_err_t err = kafka_topic_ask(rk, topic, METADATA_MS, &found);
        if (err)
            result = error_set(ret_error, EX_UNAVAILABLE, "asking Kafka for topic %s: %s", topic,
                               rd_kafka_err2str(err));
        else
            *ret = found.partitions;
        rd_kafka_destroy(rk);
    }
    kafka_client_fini(&client);
    return result;
}
