/* Kafka clients: what may be configured, what an error code means, where a key goes. */
#include "tests/unit/test.h"

#include "kafka/client.h"

#include <librdkafka/rdkafka.h>
#include <sysexits.h>

static int check(const char *name, const char *value, struct error *ret)
{
    struct kafka_property property = { name, value };
    struct kafka_settings settings = { "127.0.0.1:9092", "g", &property, name ? 1 : 0 };

    *ret = (struct error){ 0 };
    return kafka_check(&settings, ret);
}

TEST("no property at all is a good configuration")
{
    struct error error;

    CHECK_INT(check(NULL, NULL, &error), 0);
}

TEST("a property of the connection is passed on")
{
    struct error error;

    CHECK_INT(check("security.protocol", "PLAINTEXT", &error), 0);
    CHECK_INT(check("session.timeout.ms", "6000", &error), 0);
    CHECK_INT(check("group.instance.id", "one", &error), 0);
}

TEST("every key that the guarantees rest on is refused, by name and with the reason")
{
    static const char *const keys[] = {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "group.id",
        "isolation.level",
        "transactional.id",
        "enable.idempotence",
        "bootstrap.servers",
        "metadata.broker.list",
        "debug",
        "test.mock.num.brokers",
        "plugin.library.paths",
        "enable.partition.eof",
        "partition.assignment.strategy",
        "acks",
        "partitioner",
        "check.crcs",
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct error error;

        CHECK_INT(check(keys[i], "1", &error), -1);
        CHECK_INT(error.exit_code, EX_CONFIG);
        CHECK(strstr(error.text, keys[i]) != NULL);
        CHECK(strstr(error.text, "cannot be set: ") != NULL);
    }
}

TEST("an unknown property names the one that was meant")
{
    struct error error;

    CHECK_INT(check("sesion.timeout.ms", "6000", &error), -1);
    CHECK_STR(error.text, "kafka.properties: librdkafka has no property \"sesion.timeout.ms\"; "
                          "did you mean \"session.timeout.ms\"?");
    CHECK_INT(check("nothing.like.it.anywhere", "1", &error), -1);
    CHECK(strstr(error.text, "did you mean") == NULL);
}

TEST("a bad value is refused in librdkafka's words")
{
    struct error error;

    CHECK_INT(check("session.timeout.ms", "soon", &error), -1);
    CHECK(strstr(error.text, "\"session.timeout.ms\"") != NULL);
    /* each is good alone: max.poll.interval.ms is 300000 */
    CHECK_INT(check("session.timeout.ms", "400000", &error), -1);
    CHECK(strstr(error.text, "max.poll.interval.ms") != NULL);
}

TEST("brokers and group must be given")
{
    struct error error = { 0 };
    struct kafka_settings settings = { "", "g", NULL, 0 };

    CHECK_INT(kafka_check(&settings, &error), -1);
    CHECK(strstr(error.text, "kafka.bootstrap_servers") != NULL);
    settings = (struct kafka_settings){ "127.0.0.1:9092", "", NULL, 0 };
    CHECK_INT(kafka_check(&settings, &error), -1);
    CHECK(strstr(error.text, "kafka.group_id") != NULL);
}

static void check_value(rd_kafka_conf_t *conf, const char *name, const char *want)
{
    char value[200] = "";
    size_t size = sizeof(value);

    CHECK_INT(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    if (strcmp(value, want) != 0)
        printf("# %s\n", name);
    CHECK_STR(value, want);
}

TEST("the consumer trusts no offset of Kafka's and reads committed messages only")
{
    struct kafka_property property = { "session.timeout.ms", "7000" };
    struct kafka_settings settings = { "127.0.0.1:9092", "g", &property, 1 };
    struct kafka_client client;
    struct error error;
    rd_kafka_conf_t *conf;

    kafka_client_init(&client, NULL);
    conf = kafka_conf(&settings, KAFKA_CONSUMER, NULL, &client, &error);
    REQUIRE(conf != NULL);
    check_value(conf, "enable.auto.commit", "false");
    check_value(conf, "enable.auto.offset.store", "false");
    check_value(conf, "auto.offset.reset", "error");
    check_value(conf, "isolation.level", "read_committed");
    check_value(conf, "partition.assignment.strategy", "range,roundrobin");
    check_value(conf, "session.timeout.ms", "7000");
    check_value(conf, "group.id", "g");
    rd_kafka_conf_destroy(conf);
    kafka_client_fini(&client);
}

TEST("the producer is transactional, and no member of the group")
{
    struct kafka_property property = { "group.instance.id", "one" };
    struct kafka_settings settings = { "127.0.0.1:9092", "g", &property, 1 };
    struct kafka_client client;
    struct error error;
    char id[KAFKA_TRANSACTIONAL_ID_MAX];
    rd_kafka_conf_t *conf;
    char value[100] = "";
    size_t size = sizeof(value);

    kafka_client_init(&client, NULL);
    kafka_transactional_id("g", id);
    CHECK_STR(id, "debitd-relay-g");
    conf = kafka_conf(&settings, KAFKA_PRODUCER, id, &client, &error);
    REQUIRE(conf != NULL);
    check_value(conf, "transactional.id", "debitd-relay-g");
    check_value(conf, "enable.idempotence", "true");
    rd_kafka_conf_get(conf, "group.instance.id", value, &size);
    CHECK_STR(value, "");
    rd_kafka_conf_destroy(conf);
    kafka_client_fini(&client);
}

TEST("each error means what the table says")
{
    static const struct {
        int code;
        enum kafka_trouble trouble;
    } wanted[] = {
        { RD_KAFKA_RESP_ERR_NO_ERROR, KAFKA_FINE },
        { RD_KAFKA_RESP_ERR__PARTITION_EOF, KAFKA_FINE },
        { RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, KAFKA_TOO_SLOW },
        { RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, KAFKA_OFFSET_GONE },
        { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_NO_TOPIC },
        { RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_NO_TOPIC },
        { RD_KAFKA_RESP_ERR__BAD_MSG, KAFKA_BAD_BATCH },
        { RD_KAFKA_RESP_ERR__BAD_COMPRESSION, KAFKA_BAD_BATCH },
        { RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, KAFKA_BAD_BATCH },
        { RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_TOO_LARGE },
        { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_DENIED },
        { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, KAFKA_DENIED },
        { RD_KAFKA_RESP_ERR__AUTHENTICATION, KAFKA_DENIED },
        { RD_KAFKA_RESP_ERR__SSL, KAFKA_DENIED },
        { RD_KAFKA_RESP_ERR__FATAL, KAFKA_FATAL },
        { RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, KAFKA_FENCED },
        { RD_KAFKA_RESP_ERR__FENCED, KAFKA_FENCED },
        { RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR__TRANSPORT, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR__RESOLVE, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR__TIMED_OUT, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, KAFKA_TRANSIENT },
        { RD_KAFKA_RESP_ERR__STATE, KAFKA_DEFECT },
        { RD_KAFKA_RESP_ERR__CONFLICT, KAFKA_DEFECT },
        { RD_KAFKA_RESP_ERR__INVALID_ARG, KAFKA_DEFECT },
        { 30000, KAFKA_TRANSIENT }, /* of a broker newer than the library */
        { -30000, KAFKA_DEFECT },   /* of the library itself */
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
        if (!CHECK_INT(kafka_classify(wanted[i].code), wanted[i].trouble))
            printf("# code %d\n", wanted[i].code);
}

/* org.apache.kafka.common.utils.UtilsTest.testMurmur2 of Apache Kafka */
TEST("murmur2 gives Kafka's own values")
{
    CHECK_INT((int32_t)kafka_murmur2(slice_of("21")), -973932308);
    CHECK_INT((int32_t)kafka_murmur2(slice_of("foobar")), -790332482);
    CHECK_INT((int32_t)kafka_murmur2(slice_of("a-little-bit-long-string")), -985981536);
    CHECK_INT((int32_t)kafka_murmur2(slice_of("a-little-bit-longer-string")), -1486304829);
    CHECK_INT((int32_t)kafka_murmur2(slice_of("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
              -58897971);
    CHECK_INT((int32_t)kafka_murmur2(slice_of("abc")), 479470107);
}

TEST("a key's partition drops the sign and takes the rest")
{
    /* 479470107 mod 7 = 4 (7 x 68495729 = 479470103) */
    CHECK_INT(kafka_partition_of(slice_of("abc"), 7), 4);
    /* -973932308 & 0x7fffffff = 1173551340 = 7 x 167650191 + 3 */
    CHECK_INT(kafka_partition_of(slice_of("21"), 10), 0);
    CHECK_INT(kafka_partition_of(slice_of("21"), 7), 3);
    CHECK_INT(kafka_partition_of(slice_of("21"), 1), 0);
}

TEST("the command for a missing topic names broker and topic")
{
    struct kafka_settings settings = { "b1:9092,b2:9092", "g", NULL, 0 };
    char command[KAFKA_CREATE_MAX];

    kafka_create_command(&settings, "usage.events", command);
    CHECK_STR(command, "kafka-topics.sh --bootstrap-server b1:9092,b2:9092 --create --topic "
                       "usage.events --partitions 6");
}
