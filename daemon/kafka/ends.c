/* See ends.h. Not by rd_kafka_query_watermark_offsets(): in 2.0.2 it does not keep to its
 * time-out. */
#include "kafka/ends.h"

#include <librdkafka/rdkafka.h>
#include <string.h>
#include <sysexits.h>

#define MORE_MS 1000

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

static bool says_compact(const rd_kafka_ConfigResource_t *topic)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(topic, &n);
    for (size_t i = 0; i < n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entry[i]);
        if (value && strcmp(rd_kafka_ConfigEntry_name(entry[i]), "cleanup.policy") == 0)
            return strstr(value, "compact") != NULL; /* of a list: compact,delete */
    }
    return false;
}

static void note_compacted(const rd_kafka_ConfigResource_t *topic, struct kafka_place *place,
                           size_t places)
{
    for (size_t i = 0; i < places; i++)
        if (strcmp(place[i].topic, rd_kafka_ConfigResource_name(topic)) == 0)
            place[i].compacted = says_compact(topic);
}

/* Waits a little longer than the library does, so that nothing is under way when it ends. */
static void take_policies(rd_kafka_queue_t *queue, int timeout_ms, struct kafka_place *place,
                          size_t places)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + MORE_MS);
    const rd_kafka_DescribeConfigs_result_t *result =
        event ? rd_kafka_event_DescribeConfigs_result(event) : NULL;
    size_t n = 0;
    const rd_kafka_ConfigResource_t **topic =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        if (!rd_kafka_ConfigResource_error(topic[i]))
            note_compacted(topic[i], place, places);
    if (event)
        rd_kafka_event_destroy(event);
}

/* One resource a topic; whoever may not ask is told nothing. */
static void ask_policies(rd_kafka_t *rk, int timeout_ms, struct kafka_place *place, size_t places)
{
    rd_kafka_ConfigResource_t **topic = xcalloc(places, sizeof(rd_kafka_ConfigResource_t *));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    char why[256];
    size_t n = 0;
    for (size_t i = 0; i < places; i++) {
        size_t k = 0;
        while (k < n && strcmp(rd_kafka_ConfigResource_name(topic[k]), place[i].topic) != 0)
            k++;
        if (k == n)
            topic[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, place[i].topic);
    }
    if (n > 0 && !rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why)) {
        rd_kafka_DescribeConfigs(rk, topic, n, options, queue);
        take_policies(queue, timeout_ms, place, places);
    }
    rd_kafka_ConfigResource_destroy_array(topic, n);
    free(topic);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

static int ask_all(const struct kafka_settings *s, int timeout_ms, struct kafka_place *place,
                   size_t places, bool policies, struct error *ret_error)
{
    char why[256];
    struct kafka_client client;
    int result = -1;
    for (size_t i = 0; i < places; i++)
        place[i].end = -1, place[i].compacted = false;
    kafka_client_init(&client, NULL);
    rd_kafka_conf_t *conf = kafka_conf(s, KAFKA_READER, NULL, &client, ret_error);
    rd_kafka_t *rk = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why) : NULL;
    if (rk) {
        result = ask(rk, s, &client, timeout_ms, place, places, ret_error);
        if (result == 0 && policies)
            ask_policies(rk, timeout_ms, place, places);
        rd_kafka_destroy(rk);
    } else if (conf) {
        rd_kafka_conf_destroy(conf);
        error_set(ret_error, EX_CONFIG, "making a Kafka client: %s", why);
    }
    kafka_client_fini(&client);
    return result;
}

int kafka_ends(const struct kafka_settings *s, int timeout_ms, struct kafka_place *place,
               size_t places, struct error *ret_error)
{
    return ask_all(s, timeout_ms, place, places, false, ret_error);
}

int kafka_ends_and_policies(const struct kafka_settings *s, int timeout_ms,
                            struct kafka_place *place, size_t places, struct error *ret_error)
{
    return ask_all(s, timeout_ms, place, places, true, ret_error);
}
