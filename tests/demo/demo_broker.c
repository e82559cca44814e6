/* The demo's broker: librdkafka's mock cluster with the topics named on the command line. Prints its address on the first line and runs until its standard input ends, so that it cannot
 * outlive who started it.
 *
 *     demo_broker TOPIC:PARTITIONS …
 *
 * What it is not: a broker. Everything is in memory, the oldest messages go after 5 MiB or 100,000 a partition, transactions are accepted but mean nothing, a group that was left empty
 * waits for its session time-out. Nothing about exactly-once is ever shown on it. */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h> /* wants the one above */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int topic_create(rd_kafka_mock_cluster_t *cluster, const char *arg)
{
    char name[250];
    const char *colon = strrchr(arg, ':');
    int partitions = colon ? atoi(colon + 1) : 0;
    if (partitions < 1 || partitions > 64 || (size_t)(colon - arg) >= sizeof(name)) {
        fprintf(stderr, "demo_broker: %s is not TOPIC:PARTITIONS\n", arg);
        return EX_USAGE;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(colon - arg), arg);
    rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, name, partitions, 1);
    if (err) {
        fprintf(stderr, "demo_broker: creating topic %s: %s\n", name, rd_kafka_err2str(err));
        return EX_SOFTWARE;
    }
    return 0;
}

int main(int argc, char **argv)
{
    char text[512];
    int result = EX_SOFTWARE;
    rd_kafka_mock_cluster_t *cluster = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0); /* no warning that there is no broker */
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!rk) {
        fprintf(stderr, "demo_broker: making a client: %s\n", text);
        goto out;
    }
    cluster = rd_kafka_mock_cluster_new(rk, 1);
    if (!cluster) {
        fprintf(stderr, "demo_broker: the mock cluster does not start\n");
        goto out;
    }
    for (int i = 1; i < argc; i++) {
        result = topic_create(cluster, argv[i]);
        if (result)
            goto out;
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (read(STDIN_FILENO, text, sizeof(text)) > 0)
        continue;
    result = 0;
out:
    if (cluster)
        rd_kafka_mock_cluster_destroy(cluster);
    if (rk)
        rd_kafka_destroy(rk);
    return result;
}
