/* See ends.h. Not by rd_kafka_query_watermark_offsets(): in 2.0.2 it does not keep to its
 * time-out. */
#include "kafka/ends.h"

#include <librdkafka/rdkafka.h>
#include <sysexits.h>

static int ask(rd_kafka_t *rk, const struct kafka_settings *s, struct kafka_client *client,
               int timeout_ms, struct kafka_place *place, size_t places, struct error *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)places);
    for (size_t i = 0; i < places; i++)
        rd_kafka_topic_partition_list_add(list, place[i].topic, place[i].partition)->offset =
            RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t failure = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    for (size_t i = 0; i < places; i++) {
        const rd_kafka_topic_partition_t *found =
            rd_kafka_topic_partition_list_find(list, place[i].topic, place[i].partition);
        if (!failure && found && !found->err && found->offset >= 0)
            place[i].end = found->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    char why[KAFKA_DENIAL_MAX];
    rd_kafka_poll(rk, 0); /* errors of the client wait there */
    if (failure)
        return error_set(e, EX_UNAVAILABLE, "asking Kafka where its partitions end: %s",
                         kafka_denial(client, s, 0, why) ? why : rd_kafka_err2str(failure));
    return 0;
}

int kafka_ends(const struct kafka_settings *s, int timeout_ms, struct kafka_place *place,
               size_t places, struct error *ret_error)
{
    char why[256];
    struct kafka_client client;
    int result = -1;
    for (size_t i = 0; i < places; i++)
        place[i].end = -1;
    kafka_client_init(&client, NULL);
    rd_kafka_conf_t *conf = kafka_conf(s, KAFKA_READER, NULL, &client, ret_error);
    rd_kafka_t *rk = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why) : NULL;
    if (rk) {
        result = ask(rk, s, &client, timeout_ms, place, places, ret_error);
        rd_kafka_destroy(rk);
    } else if (conf) {
        rd_kafka_conf_destroy(conf);
        error_set(ret_error, EX_CONFIG, "making a Kafka client: %s", why);
    }
    kafka_client_fini(&client);
    return result;
}
