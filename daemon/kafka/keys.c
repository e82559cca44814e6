/* Every property of librdkafka 2.0.2, and what becomes of it. A property that is in no list here fails a test: a new library must be looked through before it is used.
 *
 * Refused is what the guarantees rest on (research: reliability.md A2), what would open a door (foreign code, connections that nobody verifies), what only a program can set, and what debitd
 * has a key of its own for. Aliases of a property share its verdict. */
#include "kafka/keys.h"

#include "base/macros.h"

#include <string.h>
#include <strings.h>

#define OFFSETS \
    "the offsets are kept in PostgreSQL, in the transaction that books the events; take it out"
#define ONCE    "exactly-once publication rests on it, and debitd sets it; take it out"
#define PROGRAM "only a program can set it; take it out"
#define KINIT                                                                                      \
    "debitd runs no other program; keep the ticket fresh by a service of its own (k5start), in a " \
    "cache that KRB5CCNAME names in the unit"

static const struct {
    const char *name, *why;
} refused[] = {
    { "bootstrap.servers", "it is the key kafka.bootstrap_servers; write it there" },
    { "metadata.broker.list", "it is the key kafka.bootstrap_servers; write it there" },
    { "group.id", "it is the key kafka.group_id; write it there" },
    { "enable.auto.commit", OFFSETS },
    { "auto.commit.enable", OFFSETS },
    { "auto.commit.interval.ms", OFFSETS },
    { "enable.auto.offset.store", OFFSETS },
    { "offset.store.method", OFFSETS },
    { "offset.store.path", OFFSETS },
    { "offset.store.sync.interval.ms", OFFSETS },
    { "auto.offset.reset", "an offset that is gone halts its partition, it is never skipped in "
                           "silence; take it out, and "
                           "see debitctl position" },
    { "isolation.level", "only committed messages are booked; take it out" },
    { "partition.assignment.strategy",
      "librdkafka 2.0.2 loses assignments with the cooperative ones; take it out: range and "
      "roundrobin are offered to the group" },
    { "group.protocol.type", "debitd is a consumer; take it out" },
    { "enable.partition.eof",
      "usage waits until the accounts topic has been read to its end; take it out" },
    { "allow.auto.create.topics",
      "debitd creates no topics; create them with kafka-topics.sh, the log says how" },
    { "topic.blacklist", "a topic that is not seen is not booked; name the topics in topics.*" },
    { "check.crcs", "a damaged batch must be noticed; take it out: it is always on" },
    { "transactional.id",
      "it is derived from kafka.group_id, so that a new relay fences the one before; change the "
      "group instead" },
    { "enable.idempotence", ONCE },
    { "enable.gapless.guarantee", ONCE },
    { "acks", ONCE },
    { "request.required.acks", ONCE },
    { "max.in.flight", ONCE },
    { "max.in.flight.requests.per.connection", ONCE },
    { "transaction.timeout.ms", ONCE },
    { "message.timeout.ms", ONCE },
    { "delivery.timeout.ms", ONCE },
    { "delivery.report.only.error", ONCE },
    { "retries", ONCE },
    { "message.send.max.retries", ONCE },
    { "queuing.strategy", "alerts are published in the order they were raised; take it out" },
    { "partitioner",
      "debitd computes the partition itself, to be able to read back what it wrote; take it out" },
    { "api.version.request", "transactions need to know what the brokers can do; take it out" },
    { "debug",
      "it would write the contents of events and of the login into the log; take it out, and see "
      "log.level" },
    { "plugin.library.paths", "it would load foreign code into the daemon; take it out" },
    { "ssl.engine.location",
      "it would load foreign code into the daemon; use ssl.keystore.location or ssl.key.location" },
    { "sasl.kerberos.kinit.cmd", KINIT },
    { "sasl.kerberos.min.time.before.relogin", KINIT },
    { "test.mock.num.brokers", "it would replace the brokers by imitations; take it out" },
    { "test.mock.broker.rtt", "it is for imitations of brokers; take it out" },
    { "ut_handle_ApiVersionResponse", "it is for tests of librdkafka; take it out" },
    { "statistics.interval.ms", "nobody reads these statistics; see debitctl status" },
    { "internal.termination.signal", "debitd ends its threads by itself; take it out" },
    { "enabled_events", PROGRAM },
    { "enable_sasl_queue", PROGRAM },
    { "log.queue", PROGRAM },
    { "error_cb", PROGRAM },
    { "throttle_cb", PROGRAM },
    { "stats_cb", PROGRAM },
    { "log_cb", PROGRAM },
    { "background_event_cb", PROGRAM },
    { "socket_cb", PROGRAM },
    { "connect_cb", PROGRAM },
    { "closesocket_cb", PROGRAM },
    { "open_cb", PROGRAM },
    { "resolve_cb", PROGRAM },
    { "opaque", PROGRAM },
    { "default_topic_conf", PROGRAM },
    { "ssl_key", PROGRAM },
    { "ssl_certificate", PROGRAM },
    { "ssl_ca", PROGRAM },
    { "ssl_engine_callback_data", PROGRAM },
    { "ssl.certificate.verify_cb", PROGRAM },
    { "oauthbearer_token_refresh_cb", PROGRAM },
    { "interceptors", PROGRAM },
    { "consume_cb", PROGRAM },
    { "rebalance_cb", PROGRAM },
    { "offset_commit_cb", PROGRAM },
    { "dr_cb", PROGRAM },
    { "dr_msg_cb", PROGRAM },
    { "partitioner_cb", PROGRAM },
    { "msg_order_cmp", PROGRAM },
};

static const struct {
    const char *name, *value, *why; /* value: what it may be, "true|1|t" */
} guarded[] = {
    { "enable.ssl.certificate.verification", "true|t|1",
      "anybody on the way could pose as the broker; name the authority that signed the brokers' "
      "certificates in ssl.ca.location instead" },
    { "ssl.endpoint.identification.algorithm", "https",
      "whoever has any certificate of that authority could pose as the broker; give the brokers "
      "certificates that name their hosts (subjectAltName) instead" },
    { "enable.sasl.oauthbearer.unsecure.jwt", "false|f|0",
      "a token that nobody signed proves nothing; use sasl.oauthbearer.method = oidc instead" },
};

static const char *const secret[] = {
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.client.secret",
};

static const char *const is_free[] = {
    /* the connection */
    "builtin.features",
    "client.id",
    "client.software.name",
    "client.software.version",
    "metadata.request.timeout.ms",
    "enable.sparse.connections",
    "client.rack",
    "broker.address.ttl",
    "broker.address.family",
    "socket.timeout.ms",
    "socket.blocking.max.ms",
    "socket.send.buffer.bytes",
    "socket.receive.buffer.bytes",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.max.fails",
    "socket.connection.setup.timeout.ms",
    "connections.max.idle.ms",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "retry.backoff.ms",
    "request.timeout.ms",
    "api.version.request.timeout.ms",
    "api.version.fallback.ms",
    "broker.version.fallback",
    "receive.message.max.bytes",
    "message.copy.max.bytes",
    "enable.random.seed",
    "log_level",
    "log.thread.name",
    "log.connection.close",
    "topic.metadata.refresh.interval.ms",
    "metadata.max.age.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.sparse",
    "topic.metadata.propagation.max.ms",
    /* who we are */
    "security.protocol",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "ssl.key.location",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.ca.certificate.stores",
    "ssl.crl.location",
    "ssl.keystore.location",
    "ssl.providers",
    "ssl.engine.id",
    "sasl.mechanisms",
    "sasl.mechanism",
    "sasl.username",
    "sasl.kerberos.service.name",
    "sasl.kerberos.principal",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.token.endpoint.url",
    /* reading */
    "group.instance.id",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "coordinator.query.interval.ms",
    "max.poll.interval.ms",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.error.backoff.ms",
    "consume.callback.max.messages",
    /* writing */
    "message.max.bytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "linger.ms",
    "queue.buffering.backpressure.threshold",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "sticky.partitioning.linger.ms",
    "produce.offset.report",
};

static bool listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

enum kafka_key kafka_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strcmp(refused[i].name, name) == 0)
            return KAFKA_KEY_REFUSED;
    for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
        if (strcmp(guarded[i].name, name) == 0)
            return KAFKA_KEY_GUARDED;
    if (listed(secret, ARRAY_SIZE(secret), name))
        return KAFKA_KEY_SECRET;
    return listed(is_free, ARRAY_SIZE(is_free), name) ? KAFKA_KEY_FREE : KAFKA_KEY_UNKNOWN;
}

static bool among(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && strncasecmp(p, value, n) == 0)
            return true;
    return false;
}

const char *kafka_refused(const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].why;
    for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
        if (strcmp(guarded[i].name, name) == 0 && !among(guarded[i].value, value))
            return guarded[i].why;
    return NULL;
}

bool kafka_key_is_file(const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);
    if (n < 6 || n - 5 >= size || strcmp(name + n - 5, "_file") != 0)
        return false;
    memcpy(ret, name, n - 5);
    ret[n - 5] = '\0';
    return kafka_key(ret) == KAFKA_KEY_SECRET;
}
