/* The configuration: what is read, what is refused and in which words, and that the committed sample and its documentation are those of the table.
 * CONFIG_WRITE=1 in the environment writes etc/debitd.conf and docs/configuration.md anew. */
#include "config.h"
#include "config_table.h"
#include "tests/unit/test.h"

#include <sysexits.h>
#include <unistd.h>

static char file_path[64];

/* Writes text to a temporary file and reads it as a configuration. Returns the number of findings; found holds them without the file's path. */
static int check_text(const char *text, struct config *c, struct buffer *found)
{
    snprintf(file_path, sizeof(file_path), "/tmp/test_config.XXXXXX");
    int fd = mkstemp(file_path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
    struct buffer whole = BUFFER_NULL;
    int n = config_check(file_path, c, &whole);
    unlink(file_path);
    const char *p = buffer_cstr(&whole);
    for (const char *at; (at = strstr(p, file_path)); p = at + strlen(file_path)) {
        buffer_put(found, p, (size_t)(at - p));
        buffer_text(found, "FILE");
    }
    buffer_text(found, p);
    buffer_cstr(found);
    buffer_fini(&whole);
    return n;
}

static void refused(const char *text, const char *finding, int line)
{
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    int n = check_text(text, &c, &found);
    if (!CHECK_INT(n, 1) || !CHECK_STR(found.p, finding))
        printf("# of line %d: %s\n", line, text);
    config_fini(&c);
    buffer_fini(&found);
}
#define REFUSED(text, finding) refused(text, finding "\n", __LINE__)

TEST("an empty file is valid and gives the defaults of the contract")
{
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    REQUIRE(check_text("", &c, &found) == 0);
    CHECK_STR(c.kafka.bootstrap_servers, "127.0.0.1:9092");
    CHECK_STR(c.kafka.group_id, "debitd");
    REQUIRE(c.kafka.properties.count == 1);
    CHECK_STR(c.kafka.properties.item[0].name, "security.protocol");
    CHECK_STR(c.kafka.properties.item[0].value, "PLAINTEXT");
    CHECK_STR(c.topics.usage, "usage.events");
    CHECK_STR(c.topics.accounts, "usage.accounts");
    CHECK_STR(c.topics.alerts, "usage.alerts");
    CHECK_STR(c.topics.dead_letter, "usage.deadletter");
    CHECK_STR(c.postgres.conninfo, "host=/run/postgresql dbname=debitd");
    CHECK_INT(c.batch.max_events, 20000);
    CHECK_INT(c.batch.max_delay_ms, 20);
    CHECK_INT(c.accounts.unknown, ACCOUNTS_UNKNOWN_PARK);
    CHECK_STR(c.accounts.default_plan, "assistant-free");
    CHECK_INT(c.writers.count, 1);
    CHECK_INT(c.accept.window_days, 35);
    CHECK_INT(c.accept.dedup_months, 2);
    CHECK_STR(c.prices.file, "");
    CHECK_INT(c.log.level, LOG_LEVEL_INFO);
    config_fini(&c);
    buffer_fini(&found);
}

TEST("every key can be set, and what is not set keeps its default")
{
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    REQUIRE(check_text("kafka = { bootstrap_servers = \"k:1\"; properties = ( (\"a\", \"1\"), "
                       "[\"b\", \"\"] ); };\n"
                       "topics : { usage = \"u\" }\n"
                       "batch = { max_events = 0x10; max_delay_ms = 0L; };\n"
                       "accounts = { unknown = \"open\"; default_plan = \"payg\"; };\n"
                       "accept = { window_days = 57; dedup_months = 0; };\n"
                       "log = { level = \"debug\"; };\n",
                       &c, &found) == 0);
    CHECK_STR(c.kafka.bootstrap_servers, "k:1");
    CHECK_STR(c.kafka.group_id, "debitd");
    REQUIRE(c.kafka.properties.count == 2);
    CHECK_STR(c.kafka.properties.item[1].name, "b");
    CHECK_STR(c.kafka.properties.item[1].value, "");
    CHECK_STR(c.topics.usage, "u");
    CHECK_INT(c.batch.max_events, 16);
    CHECK_INT(c.batch.max_delay_ms, 0);
    CHECK_INT(c.accounts.unknown, ACCOUNTS_UNKNOWN_OPEN);
    CHECK_INT(c.accept.dedup_months, 0);
    CHECK_INT(c.log.level, LOG_LEVEL_DEBUG);
    config_fini(&c);
    buffer_fini(&found);
}

TEST("an unknown key is named with file, line and the nearest name")
{
    REFUSED("kafka = {\n  bootstrap_server = \"x\";\n};",
            "FILE:2: kafka.bootstrap_server: unknown key; the nearest is kafka.bootstrap_servers");
    REFUSED("topics = { group_id = \"x\"; };",
            "FILE:1: topics.group_id: unknown key; the nearest is kafka.group_id");
    REFUSED("\n\nkafak = { };", "FILE:3: kafak: unknown group; the nearest is kafka");
    REFUSED("conninfo = \"x\";", "FILE:1: conninfo: unknown key; the nearest is postgres.conninfo "
                                 "(keys stand in groups: group = { key = value; };)");
}

TEST("a wrong type is named with what is wanted")
{
    REFUSED("batch = { max_events = \"20\"; };",
            "FILE:1: batch.max_events: a text stands where a whole number is wanted, as in "
            "max_events = 20000;");
    REFUSED("batch = { max_events = 20.0; };",
            "FILE:1: batch.max_events: a number with a fraction stands where a whole "
            "number is wanted, as in max_events = 20000;");
    REFUSED("kafka = { group_id = 7; };",
            "FILE:1: kafka.group_id: a whole number stands where a text in quotes is "
            "wanted, as in group_id = \"debitd\";");
    REFUSED(
        "kafka = \"x\";",
        "FILE:1: kafka: a text stands where a group is wanted, as in kafka = { key = value; };");
    REFUSED("kafka = { properties = { a = \"b\"; }; };",
            "FILE:1: kafka.properties: a group stands where a list of pairs is wanted, as in "
            "properties = ( "
            "(\"security.protocol\", \"PLAINTEXT\") );");
    REFUSED("kafka = { properties = ( (\"a\") ); };",
            "FILE:1: kafka.properties: each must be a pair of texts, as in "
            "(\"security.protocol\", \"SSL\")");
    REFUSED("kafka = { properties = ( (\"a\", \"1\"),\n (\"a\", \"2\") ); };",
            "FILE:2: kafka.properties: \"a\" stands there twice");
}

TEST("a value out of its range is refused, its bounds are not")
{
    REFUSED("writers = { count = 0; };",
            "FILE:1: writers.count: 0 is not between 1 and 64 threads");
    REFUSED("writers = { count = 65; };",
            "FILE:1: writers.count: 65 is not between 1 and 64 threads");
    REFUSED("batch = { max_delay_ms = 9223372036854775807L; };",
            "FILE:1: batch.max_delay_ms: 9223372036854775807 is not between 0 and 10000 ms");
    REFUSED("accounts = { unknown = \"drop\"; };",
            "FILE:1: accounts.unknown: \"drop\" is none of park|open");
    REFUSED("kafka = { group_id = \"\"; };", "FILE:1: kafka.group_id: must not be empty");
    REFUSED("kafka = { group_id = \"a\\nb\"; };",
            "FILE:1: kafka.group_id: is not UTF-8, or holds control characters");
    REFUSED("topics = { usage = \"a b\"; };",
            "FILE:1: topics.usage: Kafka takes names of 1-249 letters, digits, dots, "
            "underscores and dashes");
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    CHECK_INT(
        check_text("writers = { count = 64; }; batch = { max_delay_ms = 10000; };", &c, &found), 0);
    config_fini(&c);
    buffer_fini(&found);
}

TEST("what keys say together is checked: topics differ, nothing is forgotten within the acceptance "
     "window")
{
    REFUSED("topics = { usage = \"x\"; alerts = \"x\"; };",
            "FILE:1: topics.alerts: is \"x\", as topics.usage is; the four topics must differ");
    REFUSED("\n\ntopics = { usage = \"usage.alerts\"; };",
            "FILE:3: topics.usage: is \"usage.alerts\", as topics.alerts is; the four topics must "
            "differ");
    REFUSED(
        "accept = { dedup_months = 1; };",
        "FILE:1: accept.dedup_months: dedup_months = 1 can be shorter than window_days = 35: an "
        "event could be accepted again after it was forgotten; at least 2 months are needed, or "
        "0 for forever");
    REFUSED("accept = { window_days = 57; };",
            "FILE:1: accept.window_days: dedup_months = 2 (the default) can be shorter than "
            "window_days "
            "= 57: an event could be accepted again after it was forgotten; at least 3 months are "
            "needed, or 0 for forever");
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    CHECK_INT(check_text("accept = { window_days = 56; };", &c, &found), 0);
    config_fini(&c);
    buffer_fini(&found);
}

TEST("all findings are told at once, in the order of the file")
{
    struct config c = CONFIG_NULL;
    struct buffer found = BUFFER_NULL;
    CHECK_INT(check_text("batch = { max_evnts = 1;\n max_delay_ms = -1; };\nlog = { level = 3; };",
                         &c, &found),
              3);
    CHECK_STR(found.p, "FILE:1: batch.max_evnts: unknown key; the nearest is batch.max_events\n"
                       "FILE:2: batch.max_delay_ms: -1 is not between 0 and 10000 ms\n"
                       "FILE:3: log.level: a whole number stands where a text in quotes is wanted, "
                       "as in level = \"info\";\n");
    CHECK(c.path == NULL);
    buffer_fini(&found);
}

TEST("a file that is no configuration is refused with its line; one that is not there, with its "
     "name")
{
    REFUSED("kafka = {\n  group_id = ;\n};", "FILE:2: syntax error");
    REFUSED("batch = { max_events = 1; max_events = 2; };", "FILE:1: duplicate setting name");
    struct config c = CONFIG_NULL;
    struct error e = { 0 };
    CHECK_INT(config_load("/nowhere/x.conf", &c, &e), -1);
    CHECK_INT(e.exit_code, EX_CONFIG);
    CHECK_STR(e.text, "/nowhere/x.conf: cannot be read: No such file or directory");
    CHECK_INT(config_load("/tmp", &c, &e), -1);
    CHECK_STR(e.text, "/tmp: is a directory, not a configuration file");
}

static void masked(const char *conninfo, const char *want)
{
    struct buffer out = BUFFER_NULL;
    config_mask_conninfo(conninfo, &out);
    CHECK_STR(buffer_cstr(&out), want);
    buffer_fini(&out);
}

TEST("no password of a connection string is shown, in either form, however it is quoted")
{
    masked("host=h password=geheim dbname=d", "host=h password=*** dbname=d");
    masked("password = 'ge\\' heim' user=u", "password=*** user=u");
    masked("sslpassword=a\\ b host=h", "sslpassword=*** host=h");
    masked("host=h passfile=/x", "host=h passfile=/x");
    masked("password='open", "***");
    masked("geheim", "***");
    masked("", "");
    masked("postgresql://u:geheim@h/d?password=x&sslmode=require",
           "postgresql://u:***@h/d?password=***&sslmode=require");
    masked("postgres://u@h:5432/d?sslpassword=x", "postgres://u@h:5432/d?sslpassword=***");
    masked("postgresql://u:ge@heim@h:1,i:2/d", "postgresql://u:***@h:1,i:2/d");
    masked("postgresql://h:5432/d", "postgresql://h:5432/d");
}

TEST("the dump shows origins and no secrets, and reading it again gives the same configuration")
{
    struct config c = CONFIG_NULL, again = CONFIG_NULL;
    struct buffer found = BUFFER_NULL, dump = BUFFER_NULL, differs = BUFFER_NULL;
    REQUIRE(check_text("kafka = { group_id = \"a\\\"\\\\b\";\n"
                       " properties = ( (\"sasl.password\", \"geheim\"), (\"ssl.key.PEM\", "
                       "\"geheim\"), (\"client.id\", \"x\") ); };\n"
                       "postgres = { conninfo = \"password=geheim\"; };",
                       &c, &found) == 0);
    config_dump(&c, &dump);
    const char *text = buffer_cstr(&dump);
    CHECK(!strstr(text, "geheim"));
    CHECK(strstr(text, "    properties = ( (\"sasl.password\", \"***\"), (\"ssl.key.PEM\", "
                       "\"***\"), (\"client.id\", \"x\") ); # /tmp/"));
    CHECK(strstr(text, ":2\n"));
    CHECK(strstr(text, "    conninfo = \"password=***\"; # /tmp/"));
    CHECK(strstr(text, "    max_events = 20000; # default\n"));
    REQUIRE(check_text(text, &again, &found) == 0);
    CHECK_STR(again.kafka.group_id, "a\"\\b");
    CHECK_INT(config_needs_restart(&c, &again, &differs), 2); /* what is masked, only */
    CHECK_STR(buffer_cstr(&differs), "kafka.properties, postgres.conninfo");
    config_fini(&c);
    config_fini(&again);
    buffer_fini(&found);
    buffer_fini(&dump);
    buffer_fini(&differs);
}

TEST("a reload tells which changed keys it cannot take up")
{
    struct config a = CONFIG_NULL, b = CONFIG_NULL;
    struct buffer found = BUFFER_NULL, keys = BUFFER_NULL;
    REQUIRE(check_text("", &a, &found) == 0);
    REQUIRE(
        check_text(
            "batch = { max_events = 7; }; log = { level = \"error\"; }; writers = { count = 2; };",
            &b, &found) == 0);
    CHECK_INT(config_needs_restart(&a, &b, &keys), 1);
    CHECK_STR(buffer_cstr(&keys), "writers.count");
    config_fini(&a);
    config_fini(&b);
    buffer_fini(&found);
    buffer_fini(&keys);
}

TEST("the sample is valid, gives the defaults, and so it does with every key uncommented")
{
    struct buffer sample = BUFFER_NULL, open = BUFFER_NULL, found = BUFFER_NULL,
                  differs = BUFFER_NULL;
    struct config defaults = CONFIG_NULL, a = CONFIG_NULL, b = CONFIG_NULL;
    config_sample(&sample);
    const char *text = buffer_cstr(&sample);
    for (const char *p = text; *p; p++)
        if (strncmp(p, "\n    #", 6) != 0 || p[6] == ' ')
            buffer_put(&open, p, 1);
        else
            buffer_text(&open, "\n    "), p += 5;
    REQUIRE(check_text("", &defaults, &found) == 0);
    REQUIRE(check_text(text, &a, &found) == 0);
    REQUIRE(check_text(buffer_cstr(&open), &b, &found) == 0);
    for (int i = 0; i < config_keys; i++) {
        CHECK(a.origin[i] == NULL);
        CHECK(b.origin[i] != NULL);
    }
    struct buffer x = BUFFER_NULL, y = BUFFER_NULL;
    for (int i = 0; i < config_keys; i++) {
        config_value_text(&defaults, &config_key[i], false, &x);
        config_value_text(&b, &config_key[i], false, &y);
    }
    CHECK_STR(buffer_cstr(&y), buffer_cstr(&x));
    struct buffer *all[] = { &sample, &open, &found, &differs, &x, &y };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        buffer_fini(all[i]);
    config_fini(&defaults);
    config_fini(&a);
    config_fini(&b);
}

static void committed(const char *path, void (*write_text)(struct buffer *))
{
    struct buffer want = BUFFER_NULL, got = BUFFER_NULL;
    write_text(&want);
    if (getenv("CONFIG_WRITE")) {
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(want.p, 1, want.n, f) != want.n || fclose(f) != 0)
            abort();
    }
    FILE *f = fopen(path, "rb");
    for (size_t n = 1; f && n;) {
        n = fread(buffer_reserve(&got, 65536), 1, 65536, f);
        got.n += n;
    }
    if (f)
        fclose(f);
    bool same = got.n == want.n && memcmp(got.p, want.p, want.n) == 0;
    if (!CHECK(same))
        printf("# %s is not what the table says; CONFIG_WRITE=1 build/tests/test_config writes it "
               "anew\n",
               path);
    buffer_fini(&want);
    buffer_fini(&got);
}

TEST("the committed sample and documentation are those of the table")
{
    committed("etc/debitd.conf", config_sample);
    committed("docs/configuration.md", config_document);
}
