/* Every property of the librdkafka that is installed: decided, and as decided. */
#include "kafka/client.h"
#include "kafka/keys.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Calls each(name, value) for all properties of clients and topics. Returns how many. */
static size_t all(void (*each)(const char *name, const char *value))
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_conf_t *topic = rd_kafka_topic_conf_new();
    size_t count[2] = { 0, 0 };
    const char **dump[2] = { rd_kafka_conf_dump(conf, &count[0]),
                             rd_kafka_topic_conf_dump(topic, &count[1]) };
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i + 1 < count[k]; i += 2)
            each(dump[k][i], dump[k][i + 1]);
        rd_kafka_conf_dump_free(dump[k], count[k]);
    }
    rd_kafka_topic_conf_destroy(topic);
    rd_kafka_conf_destroy(conf);
    return (count[0] + count[1]) / 2;
}

/* Also those that rd_kafka_conf_dump leaves out: aliases, and what has no value. */
static size_t documented(void (*each)(const char *name, const char *value))
{
    char line[8192], name[128];
    FILE *f = tmpfile();
    size_t n = 0;
    rd_kafka_conf_properties_show(f);
    rewind(f);
    while (fgets(line, sizeof(line), f))
        if (strchr(line, '|') && sscanf(line, "%127[a-zA-Z0-9._]", name) == 1 &&
            strcmp(name, "Property") != 0) {
            each(name, "");
            n++;
        }
    fclose(f);
    return n;
}

static void is_decided(const char *name, const char *value)
{
    (void)value;
    if (!CHECK(kafka_key(name) != KAFKA_KEY_UNKNOWN))
        printf("# %s\n", name);
}

TEST("every property that librdkafka has was looked through")
{
    size_t n = all(is_decided), shown = documented(is_decided);
    CHECK(n > 100);
    CHECK(shown > 150);
}

static int check(const char *name, const char *value, struct error *ret)
{
    struct kafka_property property = { name, value };
    struct kafka_settings settings = { "127.0.0.1:9092", "g", &property, 1 };
    *ret = (struct error){ 0 };
    return kafka_check(&settings, ret);
}

/* librdkafka's default does not go with what debitd sets. */
static bool judged_together(const char *name)
{
    return strcmp(name, "socket.timeout.ms") == 0;
}

/* With its own default, which is a good value wherever there is one. */
static void is_as_decided(const char *name, const char *value)
{
    struct error error;
    int result;
    if (kafka_key(name) == KAFKA_KEY_REFUSED) {
        result = check(name, value, &error);
        CHECK_INT(error.exit_code, EX_CONFIG);
        if (!CHECK_INT(result, -1) || !CHECK(strstr(error.text, "cannot be set: ") != NULL) ||
            !CHECK(strstr(error.text, name) != NULL) || !CHECK(strstr(error.text, "; ") != NULL))
            printf("# %s: %s\n", name, error.text);
    } else if (*value && strcmp(value, "inherit") != 0 && !judged_together(name)) {
        result = check(name, value, &error);
        if (result != 0 && strstr(error.text, "not supported in this build"))
            return;
        if (!CHECK_INT(result, 0))
            printf("# %s = %s: %s\n", name, value, error.text);
    }
}

TEST("what is refused says why and what to do instead, and what is free is taken")
{
    all(is_as_decided);
}

TEST("a connection that verifies nobody is refused, with what to do instead")
{
    static const char *const wrong[][2] = {
        { "enable.ssl.certificate.verification", "false" },
        { "ssl.endpoint.identification.algorithm", "none" },
        { "enable.sasl.oauthbearer.unsecure.jwt", "true" },
    };
    static const char *const right[][2] = {
        { "enable.ssl.certificate.verification", "true" },
        { "ssl.endpoint.identification.algorithm", "HTTPS" },
        { "enable.sasl.oauthbearer.unsecure.jwt", "false" },
    };
    struct error error;
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(check(wrong[i][0], wrong[i][1], &error), -1);
        CHECK(strstr(error.text, " instead") != NULL);
        CHECK_INT(check(right[i][0], right[i][1], &error), 0);
    }
    CHECK_INT(check("ssl.endpoint.identification.algorithm", "none", &error), -1);
    CHECK(strstr(error.text, "\"ssl.endpoint.identification.algorithm\" cannot be set to none: "
                             "whoever has any certificate of that authority could pose as the "
                             "broker") != NULL);
}

TEST("what only the relay's producer cannot work with is found before it runs")
{
    struct error error;
    CHECK_INT(check("socket.timeout.ms", "60000", &error), -1);
    CHECK(strstr(error.text, "`socket.timeout.ms` must be set <=") != NULL);
    CHECK_INT(check("socket.timeout.ms", "10000", &error), 0);
}

/* A property (name) with the name of a file that holds `text`. */
static int check_file(const char *name, const char *text, struct error *ret)
{
    char path[] = "/tmp/debitd-keys-XXXXXX";
    int fd = mkstemp(path), result;
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
    result = check(name, path, ret);
    unlink(path);
    return result;
}

TEST("each secret may stand in a file instead")
{
    static const char *const names[] = { "sasl.password_file", "ssl.key.password_file",
                                         "ssl.keystore.password_file" };
    struct error error;
    char name[80];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!CHECK_INT(check_file(names[i], "geheim\n", &error), 0))
            printf("# %s\n", error.text);
    CHECK(kafka_key_is_file("ssl.key.pem_file", name, sizeof(name)));
    CHECK_STR(name, "ssl.key.pem");
    CHECK(kafka_key_is_file("sasl.oauthbearer.client.secret_file", name, sizeof(name)));
    /* what is no secret has no such twin */
    CHECK_INT(check_file("client.id_file", "x", &error), -1);
    CHECK(strstr(error.text, "librdkafka has no property \"client.id_file\"") != NULL);
}

TEST("the secret of a file reaches librdkafka")
{
    struct kafka_property property = { "sasl.password_file", "/tmp/debitd-keys-password" };
    struct kafka_settings settings = { "127.0.0.1:9092", "g", &property, 1 };
    struct kafka_client client;
    struct error error;
    char value[80];
    size_t size = sizeof(value);
    FILE *f = fopen(property.value, "w");
    REQUIRE(f != NULL);
    fputs("geheim\n", f);
    fclose(f);
    chmod(property.value, 0600);
    kafka_client_init(&client, NULL);
    rd_kafka_conf_t *conf = kafka_conf(&settings, KAFKA_CONSUMER, NULL, &client, &error);
    REQUIRE(conf != NULL);
    CHECK_INT(rd_kafka_conf_get(conf, "sasl.password", value, &size), RD_KAFKA_CONF_OK);
    CHECK_STR(value, "geheim");
    rd_kafka_conf_destroy(conf);
    kafka_client_fini(&client);
    unlink(property.value);
}

static const char *warned(const char *servers, const char *protocol)
{
    static char text[400];
    struct kafka_property property = { "security.protocol", protocol };
    struct kafka_settings settings = { servers, "g", &property, protocol ? 1 : 0 };
    kafka_warning(&settings, text, sizeof(text));
    return text;
}

TEST("an unencrypted connection to another machine is warned of, one to this machine is not")
{
    CHECK_STR(warned("127.0.0.1:9092,localhost:1,[::1]:2", NULL), "");
    CHECK_STR(warned("broker.example:9093", "ssl"), "");
    CHECK_STR(warned("broker.example:9093", "SASL_SSL"), "");
    CHECK_STR(warned("127.0.0.1:9092,broker.example:9092", "PLAINTEXT"),
              "kafka: security.protocol is PLAINTEXT, so events travel unencrypted to "
              "127.0.0.1:9092,broker.example:9092; SSL or SASL_SSL protects them "
              "(docs/security.md)");
    CHECK(strstr(warned("broker.example:9092", "sasl_plaintext"),
                 "events and the login travel unencrypted") != NULL);
}
