/* Configuration of Kafka clients: our defaults, the user's properties, and what the guarantees
 * rest on, which nobody may change. Also librdkafka's log lines in ours. Concurrency: the log
 * callback runs on any thread of librdkafka; the rest on the thread that makes the client. */
#include "kafka/client.h"

#include "base/clock.h"
#include "base/credential.h"
#include "base/log.h"
#include "kafka/keys.h"

#include <librdkafka/rdkafka.h>
#include <string.h>
#include <sysexits.h>

struct pair {
    const char *name, *value;
};

/* May be overridden by properties. Times in ms, sizes in bytes but for "kbytes". */
static const struct pair consumer_defaults[] = {
    { "client.id", "debitd" },
    { "session.timeout.ms", "10000" }, /* how long a killed instance stops its partitions */
    { "heartbeat.interval.ms", "3000" },
    { "max.poll.interval.ms", "300000" },
    /* a missing topic, a new partition is seen so soon */
    { "topic.metadata.refresh.interval.ms", "10000" },
    /* What librdkafka holds beyond our own queues. Where it finds that much, it looks again only after up
     * to a second (2.0.2: rd_kafka_broker_consumer_serve), so that and our queues must last so long. */
    { "queued.max.messages.kbytes", "16384" },
    /* an end is noticed so soon; what comes is sent at once anyway */
    { "fetch.wait.max.ms", "100" },
    { "fetch.max.bytes", "8388608" },
    /* a bound on what is asked for; a larger message still comes, alone */
    { "fetch.message.max.bytes", "1048576" },
    { "reconnect.backoff.max.ms", "2000" },
    { "socket.keepalive.enable", "true" },
};
static const struct pair consumer_fixed[] = {
    { "enable.auto.commit", "false" },
    { "enable.auto.offset.store", "false" },
    { "auto.offset.reset", "error" },
    { "isolation.level", "read_committed" },
    { "partition.assignment.strategy", "range,roundrobin" },
    { "enable.partition.eof", "true" },
    { "allow.auto.create.topics", "false" },
    { "check.crcs", "true" },
};
static const struct pair producer_defaults[] = {
    { "client.id", "debitd-relay" },
    { "linger.ms", "1" },
    /* what is larger goes alone, so that its refusal takes no other message with it */
    { "batch.size", "262144" },
    /* below the 100 MiB at which a broker hangs up without a word */
    { "message.max.bytes", "67108864" },
    { "reconnect.backoff.max.ms", "2000" },
    { "socket.timeout.ms", "10000" },
    { "socket.keepalive.enable", "true" },
};
static const struct pair producer_fixed[] = {
    { "enable.idempotence", "true" },
    { "acks", "all" },
    /* with more, 2.0.2 retries for message.timeout.ms what was under way behind a message that
     * was refused */
    { "max.in.flight", "1" },
    /* how long a dead relay can hold back a read_committed consumer */
    { "transaction.timeout.ms", "10000" },
    { "message.timeout.ms", "9000" },
    { "allow.auto.create.topics", "false" },
    /* of the producer's offset queries: the true end of the log */
    { "isolation.level", "read_uncommitted" },
};
static const struct pair reader_defaults[] = {
    { "client.id", "debitd-relay-reader" },
    { "reconnect.backoff.max.ms", "2000" },
    { "socket.timeout.ms", "10000" },
    { "queued.max.messages.kbytes", "16384" },
};
static const struct pair reader_fixed[] = {
    { "enable.auto.commit", "false" },
    { "enable.auto.offset.store", "false" },
    /* retention took the recorded floor: all that is left is read */
    { "auto.offset.reset", "earliest" },
    { "isolation.level", "read_committed" },
    { "enable.partition.eof", "true" },
    { "allow.auto.create.topics", "false" },
    { "check.crcs", "true" },
};

/* ---- librdkafka's log */

#define LOG_WINDOW_US    (10 * US_PER_SECOND)
#define LOG_WINDOW_LINES 10u

void kafka_client_init(struct kafka_client *c, void *owner)
{
    *c = (struct kafka_client){ .owner = owner };
    pthread_mutex_init(&c->lock, NULL);
}

void kafka_client_fini(struct kafka_client *c)
{
    pthread_mutex_destroy(&c->lock);
}

/* False: too many lines in this window. *ret_quiet: how many the window before kept quiet, told
 * with the first line of a new one. */
static bool log_due(struct kafka_client *c, unsigned *ret_quiet)
{
    int64_t now = monotonic_us();
    bool due;

    pthread_mutex_lock(&c->lock);
    *ret_quiet = 0;
    if (now - c->window_us >= LOG_WINDOW_US) {
        *ret_quiet = c->quiet;
        c->window_us = now;
        c->lines = c->quiet = 0;
    }
    due = c->lines < LOG_WINDOW_LINES;
    if (due)
        c->lines++;
    else
        c->quiet++;
    pthread_mutex_unlock(&c->lock);
    return due;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct kafka_client *c = rk ? rd_kafka_opaque(rk) : NULL;
    unsigned quiet = 0;

    /* Which of the shared properties do not apply to this kind of client is of no interest; a
     * certificate that was refused is told by whoever needed it (trust.c). */
    if (strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "SSLCERTVRFY") == 0 ||
        (c != NULL && !log_due(c, &quiet)))
        return;
    if (level > LOG_LEVEL_INFO)
        level = LOG_LEVEL_DEBUG;
    else if (level < LOG_LEVEL_WARNING)
        level = LOG_LEVEL_WARNING; /* what is an error for us is said by ourselves */
    if (quiet > 0)
        log_line((enum log_level)level, "librdkafka: %s: %s (%u more lines kept quiet)", facility,
                 text, quiet);
    else
        log_line((enum log_level)level, "librdkafka: %s: %s", facility, text);
}

/* ---- configuration */

/* Edits between two names, insertions, deletions and replacements; enough for finding a typing
 * error. */
static size_t distance(const char *a, const char *b)
{
    size_t row[128], n = strlen(b);

    if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
        return ARRAY_SIZE(row);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], best = diagonal + (a[i] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

static int unknown_property(const char *name, struct error *ret_error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    size_t count = 0, best = 4; /* further away is no help */
    const char **dump = rd_kafka_conf_dump(conf, &count), *near = NULL;

    for (size_t i = 0; i + 1 < count; i += 2) {
        size_t d = distance(name, dump[i]);
        if (d < best) {
            best = d;
            near = dump[i];
        }
    }
    if (near != NULL)
        error_set(ret_error, EX_CONFIG,
                  "kafka.properties: librdkafka has no property \"%s\"; did you mean \"%s\"?", name,
                  near);
    else
        error_set(ret_error, EX_CONFIG,
                  "kafka.properties: librdkafka has no property \"%s\"; its CONFIGURATION.md lists "
                  "those it has",
                  name);
    rd_kafka_conf_dump_free(dump, count);
    rd_kafka_conf_destroy(conf);
    return -1;
}

static int set_value(rd_kafka_conf_t *conf, const char *name, const char *value,
                     struct error *ret_error)
{
    char words[400] = "";

    switch (rd_kafka_conf_set(conf, name, value, words, sizeof(words))) {
    case RD_KAFKA_CONF_OK:
        return 0;
    case RD_KAFKA_CONF_UNKNOWN:
        return unknown_property(name, ret_error);
    case RD_KAFKA_CONF_INVALID:
        break;
    }
    if (kafka_key(name) == KAFKA_KEY_SECRET) /* librdkafka's words may quote it */
        return error_set(ret_error, EX_CONFIG,
                         "kafka.properties: \"%s\": librdkafka refuses the value", name);
    return error_set(ret_error, EX_CONFIG,
                     "kafka.properties: \"%s\": librdkafka refuses the value: %s", name, words);
}

static int set_property(rd_kafka_conf_t *conf, const struct kafka_property *p,
                        struct error *ret_error)
{
    CLEANUP(credential_fini) struct buffer secret = BUFFER_NULL;
    char name[80];
    const char *why = kafka_refused(p->name, p->value);

    if (why != NULL)
        return error_set(ret_error, EX_CONFIG, "kafka.properties: \"%s\" cannot be set%s%s: %s",
                         p->name, kafka_key(p->name) == KAFKA_KEY_GUARDED ? " to " : "",
                         kafka_key(p->name) == KAFKA_KEY_GUARDED ? p->value : "", why);
    if (!kafka_key_is_file(p->name, name, sizeof(name)))
        return set_value(conf, p->name, p->value, ret_error);
    if (credential_read(p->value, p->name, strcmp(name, "ssl.key.pem") == 0, &secret, ret_error) <
        0)
        return error_prefix(ret_error, "kafka.properties");
    return set_value(conf, name, buffer_cstr(&secret), ret_error);
}

static void set_ours(rd_kafka_conf_t *conf, const struct pair *p, size_t n)
{
    char words[400];

    for (size_t i = 0; i < n; i++)
        ASSERT(rd_kafka_conf_set(conf, p[i].name, p[i].value, words, sizeof(words)) ==
               RD_KAFKA_CONF_OK);
}

/* The relay's clients are no members of the group. */
static bool for_members_only(const char *name)
{
    return strcmp(name, "group.instance.id") == 0 || strcmp(name, "client.id") == 0;
}

static int set_servers(rd_kafka_conf_t *conf, const struct kafka_settings *s,
                       struct error *ret_error)
{
    char words[400] = "";

    if (s->bootstrap_servers == NULL || *s->bootstrap_servers == '\0')
        return error_set(ret_error, EX_CONFIG,
                         "kafka.bootstrap_servers: is empty; give at least one \"host:port\"");
    if (s->group_id == NULL || *s->group_id == '\0')
        return error_set(ret_error, EX_CONFIG,
                         "kafka.group_id: is empty; give the consumer group a name");
    if (strlen(s->group_id) > 255)
        return error_set(ret_error, EX_CONFIG, "kafka.group_id: has %zu bytes, at most 255 can be",
                         strlen(s->group_id));
    if (rd_kafka_conf_set(conf, "bootstrap.servers", s->bootstrap_servers, words, sizeof(words)) !=
        RD_KAFKA_CONF_OK)
        return error_set(ret_error, EX_CONFIG, "kafka.bootstrap_servers: librdkafka refuses it: %s",
                         words);
    return 0;
}

struct rd_kafka_conf_s *kafka_conf(const struct kafka_settings *s, enum kafka_role role,
                                   const char *transactional_id, struct kafka_client *c,
                                   struct error *ret_error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char words[400];

    if (role == KAFKA_CONSUMER)
        set_ours(conf, consumer_defaults, ARRAY_SIZE(consumer_defaults));
    else if (role == KAFKA_PRODUCER)
        set_ours(conf, producer_defaults, ARRAY_SIZE(producer_defaults));
    else
        set_ours(conf, reader_defaults, ARRAY_SIZE(reader_defaults));
    if (set_servers(conf, s, ret_error) != 0)
        goto fail;
    for (size_t i = 0; i < s->properties; i++)
        if ((role == KAFKA_CONSUMER || !for_members_only(s->property[i].name)) &&
            set_property(conf, &s->property[i], ret_error) != 0)
            goto fail;
    if (role == KAFKA_CONSUMER)
        set_ours(conf, consumer_fixed, ARRAY_SIZE(consumer_fixed));
    else if (role == KAFKA_PRODUCER)
        set_ours(conf, producer_fixed, ARRAY_SIZE(producer_fixed));
    else
        set_ours(conf, reader_fixed, ARRAY_SIZE(reader_fixed));
    if (role == KAFKA_PRODUCER)
        ASSERT(rd_kafka_conf_set(conf, "transactional.id", transactional_id, words,
                                 sizeof(words)) == RD_KAFKA_CONF_OK);
    else
        ASSERT(rd_kafka_conf_set(conf, "group.id", s->group_id, words, sizeof(words)) ==
               RD_KAFKA_CONF_OK);
    /* no kinit is run by the library; one that was built without Kerberos does not know it */
    (void)rd_kafka_conf_set(conf, "sasl.kerberos.min.time.before.relogin", "0", NULL, 0);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, c);
    kafka_watch(conf);
    pthread_mutex_lock(&c->lock);
    c->denied = 0; /* of the client before */
    *c->certificate = '\0';
    pthread_mutex_unlock(&c->lock);
    return conf;
fail:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* librdkafka checks how properties go together only when a client is made; making one starts
 * threads and connects lazily, so it is done without brokers. */
static int check_role(const struct kafka_settings *s, enum kafka_role role, struct error *ret_error)
{
    struct kafka_client c;
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    char words[400] = "", id[KAFKA_TRANSACTIONAL_ID_MAX];
    int result = -1;

    kafka_client_init(&c, NULL);
    kafka_transactional_id(s->group_id ? s->group_id : "", id);
    conf = kafka_conf(s, role, id, &c, ret_error);
    if (conf == NULL)
        goto out;
    ASSERT(rd_kafka_conf_set(conf, "bootstrap.servers", "", words, sizeof(words)) ==
           RD_KAFKA_CONF_OK);
    rk = rd_kafka_new(role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, words,
                      sizeof(words));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        error_set(ret_error, EX_CONFIG, "kafka.properties: librdkafka refuses them: %s", words);
        goto out;
    }
    rd_kafka_destroy(rk);
    result = 0;
out:
    kafka_client_fini(&c);
    return result;
}

/* True for a property that names a file which is only found by the service itself; name: of the secret. */
static bool is_for_the_service(const struct kafka_property *p, char *name, size_t size)
{
    CLEANUP(buffer_fini) struct buffer path = BUFFER_NULL;

    return kafka_key_is_file(p->name, name, size) && credential_path(p->value, &path, NULL) < 0;
}

/* What cannot be opened without a secret that is not at hand. */
static bool is_locked(const struct kafka_property *p, bool key_is_locked)
{
    return key_is_locked && (strcmp(p->name, "ssl.key.location") == 0 ||
                             strcmp(p->name, "ssl.keystore.location") == 0);
}

int kafka_check(const struct kafka_settings *s, struct error *ret_error)
{
    static const struct kafka_property any_password = { .name = "sasl.password", .value = "any" };
    struct kafka_property *property = xcalloc(s->properties, sizeof(*property));
    struct kafka_settings here = *s;
    bool key_is_locked = false;
    char name[80];
    int result = 0;

    here.property = property;
    here.properties = 0;
    for (size_t i = 0; i < s->properties; i++)
        key_is_locked |= is_for_the_service(&s->property[i], name, sizeof(name)) &&
                         strncmp(name, "ssl.", 4) == 0;
    for (size_t i = 0; i < s->properties; i++)
        if (!is_for_the_service(&s->property[i], name, sizeof(name))) {
            if (!is_locked(&s->property[i], key_is_locked))
                property[here.properties++] = s->property[i];
        } else if (strcmp(name, any_password.name) == 0) { /* the library asks for one */
            property[here.properties++] = any_password;
        }
    for (int role = KAFKA_CONSUMER; role <= KAFKA_READER && result == 0; role++)
        result = check_role(&here, (enum kafka_role)role, ret_error);
    free(property);
    return result;
}

void kafka_transactional_id(const char *group_id, char out[KAFKA_TRANSACTIONAL_ID_MAX])
{
    snprintf(out, KAFKA_TRANSACTIONAL_ID_MAX, "debitd-relay-%s", group_id);
}

void kafka_create_command(const struct kafka_settings *s, const char *topic,
                          char out[KAFKA_CREATE_MAX])
{
    snprintf(out, KAFKA_CREATE_MAX,
             "kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 6",
             s->bootstrap_servers, topic);
}
