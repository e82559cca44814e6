/* See places.h. */
#include "ctl/places.h"

#include "base/log.h"
#include "ctl/output.h"
#include "kafka/ends.h"

#include <string.h>

/* Array literals of PostgreSQL; names of topics have no character that would need quotes. */
struct arrays {
    struct buffer topics, partitions, ends;
};

static void arrays_fini(struct arrays *a)
{
    buffer_fini(&a->topics);
    buffer_fini(&a->partitions);
    buffer_fini(&a->ends);
}

struct kafka_settings places_kafka(const struct config *config, struct kafka_property **ret)
{
    size_t n = (size_t)config->kafka.properties.count;
    struct kafka_property *property = xcalloc(n, sizeof *property);
    for (size_t i = 0; i < n; i++)
        property[i] = (struct kafka_property){ config->kafka.properties.item[i].name,
                                               config->kafka.properties.item[i].value };
    log_set_level(LOG_LEVEL_ERROR);
    *ret = property;
    return (struct kafka_settings){ config->kafka.bootstrap_servers, config->kafka.group_id,
                                    property, n };
}

static int read_rows(struct ctl *c, const char *name, const struct kafka_place *place,
                     size_t places, struct pg_result **ret, struct error *e)
{
    CLEANUP(arrays_fini) struct arrays a = { 0 };
    for (size_t i = 0; i < places; i++) {
        const char *between = i ? "," : "{";
        buffer_format(&a.topics, "%s%s", between, place[i].topic);
        buffer_format(&a.partitions, "%s%d", between, place[i].partition);
        buffer_format(&a.ends, "%s%lld", between, (long long)place[i].end);
    }
    const char *end = places ? "}" : "{}";
    buffer_text(&a.topics, end);
    buffer_text(&a.partitions, end);
    buffer_text(&a.ends, end);
    const char *const parameters[] = { buffer_cstr(&a.topics), buffer_cstr(&a.partitions),
                                       buffer_cstr(&a.ends) };
    return ctl_query(c, name, 3, parameters, ret, e);
}

static int ask_ends(const struct config *config, struct kafka_place *place, size_t places,
                    struct error *e)
{
    struct kafka_property *property;
    struct kafka_settings kafka = places_kafka(config, &property);
    int result = kafka_ends_and_policies(&kafka, PLACES_TIMEOUT_MS, place, places, e);
    free(property);
    return result;
}

/* Once for each topic: partitions of one come one after another. */
static void complain_compacted(const struct config *config, const struct kafka_place *place,
                               size_t places)
{
    for (size_t i = 0; i < places; i++) {
        CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
        if (!place[i].compacted || (i > 0 && strcmp(place[i].topic, place[i - 1].topic) == 0))
            continue;
        buffer_format(&b,
                      "Kafka compacts the topic %s (cleanup.policy), which can take messages away "
                      "before they are booked, without a trace; end that with: kafka-configs.sh "
                      "--bootstrap-server %s --alter --topic %s --add-config cleanup.policy=delete",
                      place[i].topic, config->kafka.bootstrap_servers, place[i].topic);
        output_complaint(buffer_cstr(&b));
    }
}

int places_query(struct ctl *c, const char *name, struct pg_result **ret, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *bare = NULL;
    struct error trouble = { 0 };
    int code = read_rows(c, name, NULL, 0, &bare, ret_error);
    if (code || pg_rows(bare) == 0 || !c->has_config || !*c->config.path) {
        *ret = TAKE(bare);
        return code;
    }
    size_t places = (size_t)pg_rows(bare);
    struct kafka_place *place = xcalloc(places, sizeof *place);
    for (size_t i = 0; i < places; i++)
        place[i] = (struct kafka_place){ .topic = pg_text(bare, (int)i, 0),
                                         .partition = (int32_t)pg_text_int(bare, (int)i, 1) };
    if (ask_ends(&c->config, place, places, &trouble) < 0) {
        error_prefix(&trouble, "the lag is not known");
        output_complaint(trouble.text);
    }
    complain_compacted(&c->config, place, places);
    code = read_rows(c, name, place, places, ret, ret_error);
    free(place);
    return code;
}
