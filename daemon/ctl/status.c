/* debitctl status: what the database knows of the books; whether it is this program's schema; how
 * far each partition is, and how far behind where Kafka can be asked. */
#include "ctl/output.h"
#include "ctl/verbs.h"

#include "base/log.h"
#include "kafka/ends.h"
#include "migrate.h"

#define KAFKA_TIMEOUT_MS 2000 /* nobody waits longer for a status that is good without */

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

static int read_positions(struct ctl *c, const struct kafka_place *place, size_t places,
                          struct pg_result **ret, struct error *e)
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
    return ctl_query(c, "positions", 3, parameters, ret, e);
}

static int ask_kafka(const struct config *config, struct kafka_place *place, size_t places,
                     struct error *e)
{
    size_t n = (size_t)config->kafka.properties.count;
    struct kafka_property *property = xcalloc(n, sizeof *property);
    for (size_t i = 0; i < n; i++)
        property[i] = (struct kafka_property){ config->kafka.properties.item[i].name,
                                               config->kafka.properties.item[i].value };
    struct kafka_settings settings = { config->kafka.bootstrap_servers, config->kafka.group_id,
                                       property, n };
    log_set_level(LOG_LEVEL_ERROR); /* what the library says while it tries is not asked for */
    int result = kafka_ends(&settings, KAFKA_TIMEOUT_MS, place, places, e);
    free(property);
    return result;
}

/* Positions with their lag, where a configuration file says which Kafka it is and that answers;
 * else without, and a word about it on standard error. */
static int positions_with_lag(struct ctl *c, struct pg_result **ret, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *bare = NULL;
    struct error trouble = { 0 };
    int code = read_positions(c, NULL, 0, &bare, e);
    if (code || pg_rows(bare) == 0 || !c->has_config || !*c->config.path) {
        *ret = TAKE(bare);
        return code;
    }
    size_t places = (size_t)pg_rows(bare);
    struct kafka_place *place = xcalloc(places, sizeof *place);
    for (size_t i = 0; i < places; i++)
        place[i] = (struct kafka_place){ .topic = pg_text(bare, (int)i, 0),
                                         .partition = (int32_t)pg_text_int(bare, (int)i, 1) };
    if (ask_kafka(&c->config, place, places, &trouble) < 0)
        fprintf(stderr, "debitctl: the lag is not known: %s\n", trouble.text);
    code = read_positions(c, place, places, ret, e);
    free(place);
    return code;
}

static void print_json(const struct pg_result *books, const struct pg_result *positions,
                       const char *schema)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    buffer_text(&b, "{\"schema\": ");
    buffer_json_string(&b, slice_of(schema));
    buffer_text(&b, ",\n\"books\": ");
    output_json_row(&b, books, 0);
    buffer_text(&b, ",\n\"positions\": ");
    output_json_rows(&b, positions);
    printf("%s}\n", buffer_cstr(&b));
}

int ctl_status(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *books = NULL, *positions = NULL;
    int code = ctl_connect(c, ret_error);
    if (code)
        return code;
    struct error strange = { 0 };
    bool fits = schema_check(c->session, &strange) == 0;
    if ((code = ctl_query(c, "status", 0, NULL, &books, ret_error)) ||
        (code = positions_with_lag(c, &positions, ret_error)))
        return code;
    const char *schema = fits ? "is this program's" : strange.text;
    if (c->json) {
        print_json(books, positions, schema);
        return 0;
    }
    output_row(c, books);
    printf("schema: %s\n\n", schema);
    output_rows(c, positions, NULL);
    return 0;
}
