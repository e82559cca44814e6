/* raw_consumer BROKERS TOPIC PARTITIONS COUNT: reads so many messages and does nothing with them.
 *
 * librdkafka as debitd uses it (one by one, one thread), with its default settings, no group, no
 * position: what is left of a daemon when everything that it does is taken away. Prints {"seconds": …,
 * "cpu_s": …, "bytes": …}, from the first message to the last. Exit code 69 when 30 s bring nothing. */
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define POLL_MS 30000

static double now_s(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        abort();
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(int code, const char *what, const char *why)
{
    fprintf(stderr, "raw_consumer: %s: %s\n", what, why);
    return code;
}

/* Returns the consumer, assigned all partitions from their beginning. */
static rd_kafka_t *open_consumer(const char *brokers, const char *topic, int partitions)
{
    char why[400] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_t *rk = NULL;

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) ==
            RD_KAFKA_CONF_OK &&
        rd_kafka_conf_set(conf, "group.id", "raw", why, sizeof(why)) == RD_KAFKA_CONF_OK &&
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", why, sizeof(why)) ==
            RD_KAFKA_CONF_OK)
        rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        fail(EX_CONFIG, "making the consumer", why);
    } else {
        rd_kafka_poll_set_consumer(rk);
        for (int p = 0; p < partitions; p++)
            rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(EX_UNAVAILABLE, topic, rd_kafka_err2str(err));
            rd_kafka_destroy(rk);
            rk = NULL;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static int consume(rd_kafka_t *rk, long count)
{
    double wall = 0, cpu = 0;
    size_t bytes = 0;

    for (long n = 0; n < count;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, POLL_MS);
        if (m == NULL)
            return fail(EX_UNAVAILABLE, "reading the topic", "no message in 30 s");
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            int code = fail(EX_UNAVAILABLE, "reading the topic", rd_kafka_message_errstr(m));
            rd_kafka_message_destroy(m);
            return code;
        }
        if (n++ == 0) {
            wall = now_s(CLOCK_MONOTONIC);
            cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
        }
        bytes += m->len;
        rd_kafka_message_destroy(m);
    }
    printf("{\"seconds\": %.6f, \"cpu_s\": %.6f, \"bytes\": %zu}\n", now_s(CLOCK_MONOTONIC) - wall,
           now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu, bytes);
    return EX_OK;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fail(EX_USAGE, "wrong use", "raw_consumer BROKERS TOPIC PARTITIONS COUNT");
    rd_kafka_t *rk = open_consumer(argv[1], argv[2], atoi(argv[3]));
    if (rk == NULL)
        return EX_CONFIG;
    int code = consume(rk, atol(argv[4]));
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return code;
}
