/* The one table of configuration keys; see config_table.h and docs/hacking.md, "A configuration key". Keys of one section stand together. */
#include "config_table.h"

#include <stddef.h>

#define FIELD(f) offsetof(struct config, f)

const struct config_key config_key[] = {
    {
        .path = "kafka.bootstrap_servers",
        .type = CONFIG_TEXT,
        .field = FIELD(kafka.bootstrap_servers),
        .fallback = "\"127.0.0.1:9092\"",
        .min = 1,
        .max = 4096,
        .help = "Brokers to ask first, as host:port,host:port.",
    },
    {
        .path = "kafka.group_id",
        .type = CONFIG_TEXT,
        .field = FIELD(kafka.group_id),
        .fallback = "\"debitd\"",
        .min = 1,
        .max = 200,
        .help = "The consumer group. All instances that share one database share it; the "
                "transactional id of the relay is derived from it.",
    },
    {
        .path = "kafka.properties",
        .type = CONFIG_PROPERTIES,
        .field = FIELD(kafka.properties),
        .fallback = "( (\"security.protocol\", \"PLAINTEXT\") )",
        .min = 0,
        .max = 256,
        .help = "Pairs handed to librdkafka as they are: TLS, SASL, time-outs, group.instance.id. "
                "Keys that the guarantees rest on (offsets, isolation, idempotence), and those "
                "that switch verification off, are refused. A secret is better kept in a file: "
                "(\"sasl.password_file\", \"NAME\"), likewise ssl.key.password_file; see "
                "docs/security.md.",
    },

    {
        .path = "topics.usage",
        .type = CONFIG_TOPIC,
        .field = FIELD(topics.usage),
        .fallback = "\"usage.events\"",
        .min = 1,
        .max = 249,
        .help = "Where usage events come in.",
    },
    {
        .path = "topics.accounts",
        .type = CONFIG_TOPIC,
        .field = FIELD(topics.accounts),
        .fallback = "\"usage.accounts\"",
        .min = 1,
        .max = 249,
        .help = "Where accounts, plans and credits come in.",
    },
    {
        .path = "topics.alerts",
        .type = CONFIG_TOPIC,
        .field = FIELD(topics.alerts),
        .fallback = "\"usage.alerts\"",
        .min = 1,
        .max = 249,
        .help = "Where alerts are published.",
    },
    {
        .path = "topics.dead_letter",
        .type = CONFIG_TOPIC,
        .field = FIELD(topics.dead_letter),
        .fallback = "\"usage.deadletter\"",
        .min = 1,
        .max = 249,
        .help = "Where rejected messages are published, byte for byte.",
    },

    {
        .path = "postgres.conninfo",
        .type = CONFIG_CONNINFO,
        .field = FIELD(postgres.conninfo),
        .fallback = "\"host=/run/postgresql dbname=debitd\"",
        .min = 0,
        .max = 4096,
        .help = "The connection string of libpq. A password is better kept in a file: "
                "password_file=NAME, read at each connection; see docs/security.md.",
    },

    {
        .path = "batch.max_events",
        .type = CONFIG_WHOLE,
        .field = FIELD(batch.max_events),
        .fallback = "20000",
        .min = 1,
        .max = 100000,
        .unit = "messages",
        .reloadable = true,
        .help = "At most so many messages are booked in one transaction.",
    },
    {
        .path = "batch.max_delay_ms",
        .type = CONFIG_WHOLE,
        .field = FIELD(batch.max_delay_ms),
        .fallback = "20",
        .min = 0,
        .max = 10000,
        .unit = "ms",
        .reloadable = true,
        .help = "A busy writer waits at most so long for a batch to fill. An idle one takes what "
                "is there at once.",
    },

    {
        .path = "accounts.unknown",
        .type = CONFIG_CHOICE,
        .field = FIELD(accounts.unknown),
        .fallback = "\"park\"",
        .min = ACCOUNTS_UNKNOWN_PARK,
        .max = 0,
        .choices = "park|open",
        .reloadable = true,
        .help = "Usage of an account that is not open: park it until the account is opened, or "
                "open the account on the default plan.",
    },
    {
        .path = "accounts.default_plan",
        .type = CONFIG_TEXT,
        .field = FIELD(accounts.default_plan),
        .fallback = "\"assistant-free\"",
        .min = 1,
        .max = 256,
        .help = "The plan of accounts that usage opens.",
    },

    {
        .path = "writers.count",
        .type = CONFIG_WHOLE,
        .field = FIELD(writers.count),
        .fallback = "1",
        .min = 1,
        .max = 64,
        .unit = "threads",
        .help = "Writer threads, each with one connection to PostgreSQL. A partition belongs to "
                "one writer while it is assigned.",
    },

    {
        .path = "accept.window_days",
        .type = CONFIG_WHOLE,
        .field = FIELD(accept.window_days),
        .fallback = "35",
        .min = 1,
        .max = 3650,
        .unit = "days",
        .help = "An event whose time is further than this before its Kafka timestamp is rejected "
                "as too_old.",
    },
    {
        .path = "accept.dedup_months",
        .type = CONFIG_WHOLE,
        .field = FIELD(accept.dedup_months),
        .fallback = "2",
        .min = 0,
        .max = 120,
        .unit = "months",
        .help =
            "For so many calendar months of booking an event is recognised when it is sent again; "
            "0: forever. Never shorter than accept.window_days (a month counts as 28 days).",
    },

    {
        .path = "queue.max_messages",
        .type = CONFIG_WHOLE,
        .field = FIELD(queue.max_messages),
        .fallback = "20000",
        .min = 100,
        .max = 10000000,
        .unit = "messages",
        .help = "At most so many messages wait for each writer; beyond, its partitions are paused.",
    },
    {
        .path = "queue.max_kbytes",
        .type = CONFIG_WHOLE,
        .field = FIELD(queue.max_kbytes),
        .fallback = "65536",
        .min = 1024,
        .max = 4194304,
        .unit = "KiB",
        .help = "The same in KiB of message bytes. Of all writers together, and of the one for the "
                "accounts, it must stay 300 MiB below MemoryMax of the unit.",
    },

    {
        .path = "prices.file",
        .type = CONFIG_TEXT,
        .field = FIELD(prices.file),
        .fallback = "\"\"",
        .min = 0,
        .max = 4096,
        .reloadable = true,
        .help = "A catalogue file whose cost prices are used where the catalogue in the database "
                "has none; \"\": none.",
    },

    {
        .path = "log.level",
        .type = CONFIG_CHOICE,
        .field = FIELD(log.level),
        .fallback = "\"info\"",
        .min = LOG_LEVEL_ERROR,
        .max = 0,
        .choices = "error|warning|notice|info|debug",
        .reloadable = true,
        .help = "The most detailed level that is logged.",
    },
};
const int config_keys = ARRAY_SIZE(config_key);
_Static_assert(ARRAY_SIZE(config_key) <= CONFIG_KEYS_MAX, "struct config has one origin a key");
