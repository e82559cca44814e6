/* See bounds.h. Not by rd_kafka_query_watermark_offsets(): in 2.0.2 it does not keep to its
 * time-out. */
#include "kafka/bounds.h"

#include <librdkafka/rdkafka.h>
#include <sysexits.h>

enum answer { ANSWER_OFFSET, ANSWER_UNKNOWN, ANSWER_NONE };

/* `what` is a time, RD_KAFKA_OFFSET_BEGINNING or RD_KAFKA_OFFSET_END. A time behind the last message
 * is answered with RD_KAFKA_OFFSET_END. */
static enum answer ask(rd_kafka_t *rk, int timeout_ms, const char *topic, int32_t partition,
                       int64_t what, int64_t *ret, struct error *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t failure;
    enum answer answer = ANSWER_OFFSET;

    place->offset = what;
    failure = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    if (failure == RD_KAFKA_RESP_ERR_NO_ERROR)
        failure = place->err;
    *ret = place->offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (kafka_classify((int)failure) == KAFKA_NO_TOPIC) {
        answer = ANSWER_UNKNOWN;
    } else if (failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
        error_set(e, EX_UNAVAILABLE, "asking Kafka what %s/%d holds: %s", topic, partition,
                  rd_kafka_err2str(failure));
        answer = ANSWER_NONE;
    }
    return answer;
}

static int ask_all(rd_kafka_t *rk, int timeout_ms, const char *topic, int32_t partition,
                   int64_t time_ms, struct kafka_bounds *ret, struct error *e)
{
    const int64_t what[] = { RD_KAFKA_OFFSET_BEGINNING, time_ms, RD_KAFKA_OFFSET_END };
    int64_t found[ARRAY_SIZE(what)];

    for (size_t i = 0; i < ARRAY_SIZE(what); i++)
        switch (ask(rk, timeout_ms, topic, partition, what[i], &found[i], e)) {
        case ANSWER_OFFSET:
            break;
        case ANSWER_UNKNOWN:
            *ret = (struct kafka_bounds){ 0 };
            return 0;
        case ANSWER_NONE:
            return -1;
        }
    *ret = (struct kafka_bounds){ true, found[0], found[2], found[1] >= 0 ? found[1] : found[2] };
    return 0;
}

int kafka_bounds(const struct kafka_settings *s, int timeout_ms, const char *topic,
                 int32_t partition, int64_t time_ms, struct kafka_bounds *ret,
                 struct error *ret_error)
{
    char why[256];
    struct kafka_client client;
    int result = -1;

    kafka_client_init(&client, NULL);
    rd_kafka_conf_t *conf = kafka_conf(s, KAFKA_READER, NULL, &client, ret_error);
    rd_kafka_t *rk = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why) : NULL;
    if (rk) {
        result = ask_all(rk, timeout_ms, topic, partition, time_ms, ret, ret_error);
        rd_kafka_destroy(rk);
    } else if (conf) {
        rd_kafka_conf_destroy(conf);
        error_set(ret_error, EX_CONFIG, "making a Kafka client: %s", why);
    }
    kafka_client_fini(&client);
    return result;
}
