/* See topic.h. */
#include "kafka/topic.h"

rd_kafka_resp_err_t kafka_topic_ask(rd_kafka_t *rk, const char *name, int timeout_ms,
                                    struct kafka_topic *ret)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    rd_kafka_resp_err_t err =
        topic ? rd_kafka_metadata(rk, 0, topic, &md, timeout_ms) : rd_kafka_last_error();

    *ret = (struct kafka_topic){ 0 };
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ret->err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (ret->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            ret->partitions = md->topics[0].partition_cnt;
    }
    if (md != NULL)
        rd_kafka_metadata_destroy(md);
    if (topic != NULL)
        rd_kafka_topic_destroy(topic);
    return err;
}

typedef rd_kafka_resp_err_t partitions_fn(rd_kafka_t *, rd_kafka_topic_partition_list_t *);

static void with_one(rd_kafka_t *rk, partitions_fn *f, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(one, topic, partition);
    f(rk, one);
    rd_kafka_topic_partition_list_destroy(one);
}

void kafka_pause(rd_kafka_t *rk, const char *topic, int32_t partition)
{
    with_one(rk, rd_kafka_pause_partitions, topic, partition);
}

void kafka_resume(rd_kafka_t *rk, const char *topic, int32_t partition)
{
    with_one(rk, rd_kafka_resume_partitions, topic, partition);
}
