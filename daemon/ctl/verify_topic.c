/* debitctl verify --topic: reads what Kafka still holds of the input topics up to the positions of the
 * snapshot, decodes it as the daemon does, and asks the books what became of each message; then
 * reads what was published. schema/verify_topic has the questions.
 *
 * Memory does not grow with the topics: messages go to the server a chunk at a time, and what must
 * be remembered of each stands in temporary tables of the session. */
#include "ctl/verify.h"

#include "base/clock.h"
#include "base/embedded.h"
#include "consumers/accounts.h"
#include "consumers/partition.h"
#include "consumers/source_log.h"
#include "consumers/usage.h"
#include "ctl/places.h"
#include "kafka/ends.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define CHUNK_MESSAGES 2000
#define CHUNK_BYTES    ((size_t)4 << 20)
#define PROGRESS_EACH  10000
#define ENDS_MS        10000
#define NO_WINDOW_US   (INT64_C(400) * 366 * 24 * 3600 * US_PER_SECOND) /* nothing is too old */
#define HEADER_ID      "debitd-id" /* of what the relay publishes */
#define ID_MAX         40

struct verify_topic {
    struct verification *v;
    struct ctl *ctl;
    struct pg_session *session;
    struct kafka_settings kafka;
    struct kafka_property *property;
    struct log_range *in, *out;
    struct last *last; /* of each range of `in` */
    size_t ins, outs;
    int64_t *out_end; /* of each range of `out`, before the snapshot */
    struct buffer chunk;
    int in_chunk;
    int64_t messages;
    bool timed_keys; /* of the books */
    struct json doc;
    struct arena arena; /* of one message */
};

struct last {
    int64_t offset; /* -1: none is known */
    uint64_t fingerprint;
};

static const char *question(const char *name)
{
    return embedded_sql("verify_topic", name);
}

/* Runs a question; its rows are differences. */
static int ask(struct verify_topic *t, const char *name, int n, const char *const *param,
               struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    char doing[80];
    snprintf(doing, sizeof doing, "comparing the topics with the books (%s)", name);
    if (pg_run(t->session, doing, question(name), n, param, &r, e) != PG_DONE)
        return -1;
    verify_found(t->v, "topic", r);
    return 0;
}

/* ---------------------------------------------------------------- a message as JSON */

static void put_name(struct buffer *b, const char *name)
{
    char last = b->n ? b->p[b->n - 1] : '{';
    buffer_format(b, "%s\"%s\":", last == '{' ? "" : ",", name);
}

static void put_text(struct buffer *b, const char *name, struct slice value)
{
    if (!value.p)
        return;
    put_name(b, name);
    buffer_json_string(b, value);
}

static void put_int(struct buffer *b, const char *name, int64_t value)
{
    put_name(b, name);
    buffer_format(b, "%" PRId64, value);
}

static void put_hash(struct buffer *b, const char *name, const struct hash128 *h)
{
    put_name(b, name);
    buffer_text(b, "\"");
    for (size_t i = 0; i < sizeof h->byte; i++)
        buffer_format(b, "%02x", h->byte[i]);
    buffer_text(b, "\"");
}

static void put_decimal(struct buffer *b, __int128 value, int places)
{
    char text[DECIMAL_TEXT_MAX];
    decimal_format(value, places, text);
    buffer_format(b, "\"%s\"", text);
}

static void put_time(struct buffer *b, const char *name, int64_t time_us)
{
    char text[TIME_TEXT_MAX];
    time_format(time_us, text);
    put_text(b, name, slice_of(text));
}

static void put_key(struct verify_topic *t, const char *name, struct hash128 key, struct slice id)
{
    if (t->timed_keys)
        hash_lead_by_time(&key, id);
    put_hash(&t->chunk, name, &key);
}

static void put_identity(struct buffer *b, const struct hash128 *digest, struct slice account,
                         int64_t time_us)
{
    put_hash(b, "digest", digest);
    put_text(b, "account", account);
    put_time(b, "at", time_us);
    put_name(b, "says");
}

static void put_usage(struct verify_topic *t, const struct usage_event *u)
{
    struct buffer *b = &t->chunk;
    put_key(t, "key", u->key, u->id);
    put_identity(b, &u->digest, u->account, u->time_us);
    buffer_text(b, "{");
    put_text(b, "type", u->kind == USAGE_VOIDED ? SLICE("void") : SLICE("usage"));
    if (u->kind == USAGE_VOIDED) {
        put_text(b, "reason", u->reason);
        put_key(t, "voids", u->void_key, u->void_id);
        buffer_text(b, "}");
        return;
    }
    put_text(b, "metric", u->metric);
    put_text(b, "service", u->service);
    put_text(b, "model", u->model);
    put_text(b, "user", u->user);
    put_text(b, "thread", u->thread);
    put_text(b, "execution", u->execution);
    put_text(b, "agent", u->agent);
    if (u->has_cost) {
        put_name(b, "cost");
        put_decimal(b, u->cost, AMOUNT_PLACES);
    }
    if (u->metadata.p) {
        put_name(b, "metadata");
        buffer_slice(b, u->metadata);
    }
    put_name(b, "quantities");
    for (uint32_t i = 0; i < u->components; i++) {
        buffer_text(b, i ? ",[" : "[[");
        buffer_json_string(b, u->component[i].name);
        buffer_text(b, ",");
        put_decimal(b, u->component[i].quantity, QUANTITY_PLACES);
        buffer_text(b, "]");
    }
    buffer_text(b, "]}");
}

/* The type of the first entry that an operation makes, if it makes any. */
static const char *entry_type(struct slice operation)
{
    static const char *const type[][2] = {
        { "credits.purchased", "purchase" }, { "credits.granted", "bonus" },
        { "credits.refunded", "refund" },    { "credits.adjusted", "adjustment" },
        { "invoice.paid", "settlement" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(type); i++)
        if (slice_is(operation, type[i][0]))
            return type[i][1];
    return "grant";
}

static void put_operation(struct verify_topic *t, const struct account_op *op)
{
    struct buffer *b = &t->chunk;
    put_key(t, "key", op->key, op->id);
    put_identity(b, &op->digest, op->account, op->time_us);
    buffer_text(b, "{");
    put_text(b, "type", slice_of(entry_type(op->type)));
    put_name(b, "data");
    buffer_slice(b, op->data);
    buffer_text(b, "}");
}

/* As the daemon reads it, but that nothing is too old: that was judged by the configuration of its
 * day. */
static void put_decoded(struct verify_topic *t, const struct message *m)
{
    struct buffer *b = &t->chunk;
    struct refusal refusal = { 0 };
    struct usage_event u = { 0 };
    struct account_op op = { 0 };
    bool is_usage = m->kind == TOPIC_USAGE;
    enum reason r = is_usage ? usage_decode(m, NO_WINDOW_US, &t->doc, &t->arena, &u, &refusal)
                             : accounts_decode(m, NO_WINDOW_US, &t->doc, &t->arena, &op, &refusal);
    if (r != REASON_NONE)
        put_text(b, "refused", slice_of(reason_text(r)));
    else if (is_usage)
        put_usage(t, &u);
    else
        put_operation(t, &op);
    arena_reset(&t->arena);
}

/* ---------------------------------------------------------------- chunks */

static void begin_message(struct verify_topic *t, const struct message *m)
{
    buffer_text(&t->chunk, t->in_chunk++ ? ",{" : "[{");
    put_text(&t->chunk, "topic", slice_of(m->topic));
    put_int(&t->chunk, "partition", m->partition);
    put_int(&t->chunk, "offset", m->offset);
    if (++t->messages % PROGRESS_EACH == 0 && verify_to_terminal(t->v))
        fprintf(stderr, "\r\033[K%" PRId64 " messages, %s partition %d offset %" PRId64,
                t->messages, m->topic, (int)m->partition, m->offset);
}

static int send_chunk(struct verify_topic *t, const char *name, struct error *e)
{
    if (t->in_chunk == 0)
        return 0;
    buffer_text(&t->chunk, "]");
    const char *const param[] = { buffer_cstr(&t->chunk) };
    int result = ask(t, name, 1, param, e);
    t->chunk.n = 0;
    t->in_chunk = 0;
    return result;
}

static int end_message(struct verify_topic *t, const char *name, struct error *e)
{
    buffer_text(&t->chunk, "}");
    return t->in_chunk < CHUNK_MESSAGES && t->chunk.n < CHUNK_BYTES ? 0 : send_chunk(t, name, e);
}

static int check_fingerprint(struct verify_topic *t, size_t at, const struct message *m,
                             struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    char partition[16], offset[24];
    const char *const param[] = { m->topic, partition, offset };
    if (m->offset != t->last[at].offset || m->fingerprint == t->last[at].fingerprint)
        return 0;
    snprintf(partition, sizeof partition, "%d", (int)m->partition);
    snprintf(offset, sizeof offset, "%" PRId64, m->offset);
    if (pg_run(t->session, "telling of a fingerprint", question("fingerprint"), 3, param, &r, e) !=
        PG_DONE)
        return -1;
    verify_found(t->v, "topic", r);
    return 0;
}

static int take_input(void *ctx, const struct message *m, struct error *e)
{
    struct verify_topic *t = ctx;
    size_t at = 0;
    while (t->in[at].partition != m->partition || t->in[at].topic != m->topic)
        at++;
    begin_message(t, m);
    put_int(&t->chunk, "log", (int64_t)at);
    if (m->value.p)
        put_decoded(t, m);
    else
        buffer_text(&t->chunk, ",\"skipped\":true");
    if (check_fingerprint(t, at, m, e) < 0)
        return -1;
    return end_message(t, "messages", e);
}

/* Anybody may write to the topic: what bears no id of ours is nobody's business here. */
static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("0123456789abcdef-", id.p[i]) || !id.p[i])
            return false;
    return id.n > 0 && id.n < ID_MAX;
}

static int take_output(void *ctx, const struct message *m, struct error *e)
{
    struct verify_topic *t = ctx;
    bool letter = strcmp(m->topic, t->ctl->config.topics.dead_letter) == 0;
    struct slice id = SLICE_ABSENT;
    for (size_t i = 0; i < m->headers; i++) /* the last one: a letter may have come with its own */
        if (slice_is(m->header[i].name, HEADER_ID))
            id = m->header[i].value;
    if (!id.p || !is_id(id))
        return 0;
    struct hash128 key = hash_parts(&m->key, 1), value = hash_parts(&m->value, 1);
    begin_message(t, m);
    buffer_format(&t->chunk, ",\"letter\":%s", letter ? "true" : "false");
    put_text(&t->chunk, "id", id);
    if (letter)
        put_hash(&t->chunk, "key", &key);
    put_hash(&t->chunk, "value", &value);
    return end_message(t, "out_messages", e);
}

/* ---------------------------------------------------------------- which logs */

static int list_inputs(struct verify_topic *t, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const struct config *c = &t->ctl->config;
    const char *const topics[] = { c->topics.usage, c->topics.accounts };
    if (pg_run(t->session, "reading the positions", question("positions"), 2, topics, &r, e) !=
        PG_DONE)
        return -1;
    t->in = xcalloc((size_t)pg_rows(r) + 1, sizeof *t->in);
    t->last = xcalloc((size_t)pg_rows(r) + 1, sizeof *t->last);
    for (int i = 0; i < pg_rows(r); i++) {
        bool accounts = strcmp(pg_text(r, i, 0), c->topics.accounts) == 0;
        struct log_range *range = &t->in[t->ins];
        range->kind = accounts ? TOPIC_ACCOUNTS : TOPIC_USAGE;
        range->topic = topics[accounts];
        range->partition = (int32_t)pg_text_int(r, i, 1);
        range->until = pg_text_int(r, i, 2);
        t->last[t->ins].offset = pg_null(r, i, 3) ? -1 : pg_text_int(r, i, 3);
        t->last[t->ins].fingerprint = (uint64_t)pg_text_int(r, i, 4);
        t->timed_keys = strcmp(pg_text(r, i, 5), "t") == 0;
        t->ins++;
    }
    return 0;
}

static int find_ends(struct verify_topic *t, struct error *e)
{
    struct kafka_place *place = xcalloc(t->outs + 1, sizeof *place);
    for (size_t i = 0; i < t->outs; i++)
        place[i] =
            (struct kafka_place){ .topic = t->out[i].topic, .partition = t->out[i].partition };
    int result = kafka_ends(&t->kafka, ENDS_MS, place, t->outs, e);
    t->out_end = xcalloc(t->outs + 1, sizeof *t->out_end);
    for (size_t i = 0; i < t->outs; i++)
        t->out_end[i] = place[i].end;
    free(place);
    return result;
}

/* All partitions of the output topics, and where they end before the snapshot is made. */
static int list_outputs(struct verify_topic *t, struct error *e)
{
    const struct config *c = &t->ctl->config;
    const char *const topics[] = { c->topics.alerts, c->topics.dead_letter };
    for (size_t k = 0; k < ARRAY_SIZE(topics); k++) {
        int32_t partitions;
        if (source_log_partitions(&t->kafka, topics[k], &partitions, e) < 0)
            return -1;
        t->out = xrealloc(t->out, (t->outs + (size_t)partitions + 1) * sizeof *t->out);
        for (int32_t p = 0; p < partitions; p++)
            t->out[t->outs++] =
                (struct log_range){ .topic = topics[k], .partition = p, .until = INT64_MAX };
    }
    return find_ends(t, e);
}

static int note_logs(struct verify_topic *t, bool out, struct error *e)
{
    const struct log_range *range = out ? t->out : t->in;
    for (size_t i = 0; i < (out ? t->outs : t->ins); i++) {
        char partition[24], until[24], begin[24], end[24], number[24];
        const char *const param[] = {
            out ? "true" : "false", range[i].topic, partition, until, begin, end, number
        };
        snprintf(partition, sizeof partition, "%d", (int)range[i].partition);
        snprintf(until, sizeof until, "%" PRId64, out ? t->out_end[i] : range[i].until);
        snprintf(begin, sizeof begin, "%" PRId64, range[i].begin);
        snprintf(end, sizeof end, "%" PRId64, range[i].end);
        snprintf(number, sizeof number, "%zu", i);
        if (pg_run(t->session, "noting what was read", question("note_log"), 7, param, NULL, e) !=
            PG_DONE)
            return -1;
    }
    return 0;
}

/* ---------------------------------------------------------------- the whole */

static int tell_unchecked(struct verify_topic *t, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    if (pg_run(t->session, "listing what could not be checked", question("unchecked"), 0, NULL, &r,
               e) != PG_DONE)
        return -1;
    for (int i = 0; i < pg_rows(r); i++)
        fprintf(stderr, "debitctl: not checked: %s\n", pg_text(r, i, 0));
    return 0;
}

int verify_topic_new(struct verification *v, struct ctl *c, struct pg_session *session,
                     struct verify_topic **ret, struct error *ret_error)
{
    int code = ctl_config(c, ret_error);
    if (code)
        return code;
    struct verify_topic *t = xcalloc(1, sizeof *t);
    t->v = v;
    t->ctl = c;
    t->session = session;
    t->kafka = places_kafka(&c->config, &t->property);
    if (list_outputs(t, ret_error) == 0 &&
        pg_script(session, "making temporary tables", question("session"), ret_error) == PG_DONE) {
        *ret = t;
        return 0;
    }
    verify_topic_free(t);
    return ctl_failed(ret_error);
}

static int read_inputs(struct verify_topic *t, struct error *e)
{
    if (list_inputs(t, e) < 0 || source_log_read(&t->kafka, t->in, t->ins, take_input, t, e) < 0 ||
        send_chunk(t, "messages", e) < 0)
        return -1;
    return note_logs(t, false, e);
}

static int read_outputs(struct verify_topic *t, struct error *e)
{
    if (source_log_read(&t->kafka, t->out, t->outs, take_output, t, e) < 0 ||
        send_chunk(t, "out_messages", e) < 0)
        return -1;
    return note_logs(t, true, e);
}

int verify_topic_run(struct verify_topic *t, int64_t *ret_messages, struct error *ret_error)
{
    int result = read_inputs(t, ret_error);
    if (!result)
        result = read_outputs(t, ret_error);
    if (verify_to_terminal(t->v))
        fprintf(stderr, "\r\033[K");
    static const char *const ends[] = { "end_counters", "end_identities", "end_outbox" };
    for (size_t i = 0; i < ARRAY_SIZE(ends) && !result; i++)
        result = ask(t, ends[i], 0, NULL, ret_error);
    if (!result)
        result = tell_unchecked(t, ret_error);
    *ret_messages = t->messages;
    return result ? ctl_failed(ret_error) : 0;
}

void verify_topic_free(struct verify_topic *t)
{
    if (!t)
        return;
    free(t->property);
    free(t->in);
    free(t->out);
    free(t->last);
    free(t->out_end);
    buffer_fini(&t->chunk);
    json_fini(&t->doc);
    arena_fini(&t->arena);
    free(t);
}
