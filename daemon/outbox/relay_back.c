/* Reading back: what rows in state 1 left on the topics is marked as published. Done after the
 * fence: the relay before can add nothing any more, and its last transaction is decided. */
#include "outbox/relay_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define MARK_ROWS 1000 /* ids in one statement */

struct back {
    struct relay *r;
    rd_kafka_t *rk;
    /* offset: from where; opaque: not NULL once its end has been met */
    rd_kafka_topic_partition_list_t *list;
    int open; /* partitions whose end has not been met */
    struct buffer ids[OUTBOXES];
    int64_t count[OUTBOXES];
};

static enum outbox outbox_of(const struct relay *r, const char *topic)
{
    return strcmp(topic, r->topic[ALERTS].name) == 0 ? ALERTS : LETTERS;
}

/* Where to read; rows claimed for a partition that is no more, or from beyond the end, cannot be
 * on the topic. */
static enum relay_step collect(struct back *b, enum outbox o)
{
    CLEANUP(pg_result_freep) struct pg_result *rows = NULL;
    struct relay_topic *t = &b->r->topic[o];
    enum relay_step step = rows_claimed(b->r, o, &rows);

    if (step != STEP_DONE)
        return step;
    t->reading_back = pg_rows(rows) > 0;
    for (int i = 0; i < pg_rows(rows); i++) {
        int64_t partition = pg_text_int(rows, i, 0), floor = pg_text_int(rows, i, 1);

#if MUTANT == 4 /* nothing is read back: what was claimed is sent again */
        partition = -1;
#endif
        if (partition >= 0 && partition < t->partitions && floor >= 0 &&
            floor < t->floor[partition])
            rd_kafka_topic_partition_list_add(b->list, t->name, (int32_t)partition)->offset = floor;
    }
    return STEP_DONE;
}

static enum relay_step mark(struct back *b, enum outbox o)
{
    int64_t marked = 0;
    enum relay_step step;

    if (b->count[o] == 0)
        return STEP_DONE;
    buffer_text(&b->ids[o], "}");
    step = rows_mark(b->r, o, buffer_cstr(&b->ids[o]), &marked);
    b->r->seen.found += (uint64_t)marked;
    b->count[o] = 0;
    b->ids[o].n = 0;
    return step;
}

/* Anybody may write to the topic: only what looks like an id of ours goes into the statement. */
static bool is_id(enum outbox o, const char *p, size_t n)
{
    if (o == LETTERS) {
        for (size_t i = 0; i < n; i++)
            if (!isdigit((unsigned char)p[i]))
                return false;
        return n > 0 && n < 19;
    }
    for (size_t i = 0; i < n; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? p[i] != '-' : !isxdigit((unsigned char)p[i]))
            return false;
    return n == 36;
}

static enum relay_step see(struct back *b, const rd_kafka_message_t *m)
{
    enum outbox o = outbox_of(b->r, rd_kafka_topic_name(m->rkt));
    rd_kafka_headers_t *headers = NULL;
    const void *id = NULL;
    size_t n = 0;

    /* The last one: a dead letter may have come with such a header of its own. */
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, HEADER_ID, &id, &n) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        id == NULL || !is_id(o, id, n))
        return STEP_DONE;
    buffer_text(&b->ids[o], b->count[o]++ == 0 ? "{" : ",");
    buffer_put(&b->ids[o], id, n);
    return b->count[o] < MARK_ROWS ? STEP_DONE : mark(b, o);
}

/* The place that reading has reached. */
static void reach(struct back *b, const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_find(b->list, topic, partition);

    if (e == NULL || e->opaque != NULL ||
        offset < b->r->topic[outbox_of(b->r, topic)].floor[partition])
        return;
    e->opaque = e;
    b->open--;
}

static enum relay_step read_one(struct back *b, int64_t *silent_since_us)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(b->rk, 200);
    enum relay_step step = STEP_DONE;

    atomic_fetch_add(&b->r->beat, 1);
    if (m == NULL)
        return monotonic_us() - *silent_since_us < RELAY_SILENCE_US
                   ? STEP_DONE
                   : relay_failed(b->r, "reading back what was published: nothing came for 30 s; "
                                        "is a foreign transaction open on the topic?");
    *silent_since_us = monotonic_us();
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reach(b, rd_kafka_topic_name(m->rkt), m->partition, m->offset);
    } else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        step = see(b, m);
        reach(b, rd_kafka_topic_name(m->rkt), m->partition, m->offset + 1);
    } else if (kafka_classify((int)m->err) != KAFKA_TRANSIENT) {
        step =
            relay_failed(b->r, "reading back what was published: %s", rd_kafka_message_errstr(m));
    }
    rd_kafka_message_destroy(m);
    return step;
}

static enum relay_step read_all(struct back *b)
{
    int64_t silent_since_us = monotonic_us();
    enum relay_step step = STEP_DONE;

    b->open = b->list->cnt;
    rd_kafka_assign(b->rk, b->list);
    while (b->open > 0 && step == STEP_DONE) {
        if (relay_stopping(b->r))
            return relay_failed(b->r, "reading back was interrupted");
        step = read_one(b, &silent_since_us);
        if (step == STEP_DONE)
            step = relay_sign(b->r);
    }
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        step = mark(b, (enum outbox)o);
    return step;
}

static enum relay_step read_topics(struct back *b)
{
    struct error error = { 0 };
    char words[400] = "";
    enum relay_step step;
    rd_kafka_conf_t *conf =
        kafka_conf(b->r->settings.kafka, KAFKA_READER, NULL, &b->r->reader_client, &error);

    if (conf == NULL)
        return relay_failed(b->r, "%s", error.text);
    b->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof(words));
    if (b->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return relay_failed(b->r, "making the Kafka consumer that reads back: %s", words);
    }
    rd_kafka_poll_set_consumer(b->rk);
    step = read_all(b);
    rd_kafka_consumer_close(b->rk);
    rd_kafka_destroy(b->rk);
    return step;
}

enum relay_step topics_read_back(struct relay *r)
{
    struct back b = { .r = r, .list = rd_kafka_topic_partition_list_new(8) };
    uint64_t before = r->seen.found;
    enum relay_step step = STEP_DONE;
    bool any = false;

    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++) {
        r->topic[o].reading_back = false;
        /* where the topic is missing, its rows stay claimed until it is there */
        if (r->topic[o].partitions > 0)
            step = collect(&b, (enum outbox)o);
        any |= r->topic[o].reading_back;
    }
    if (step == STEP_DONE && b.list->cnt > 0)
        step = read_topics(&b);
    FAULT_POINT("relay.read_back");
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        if (r->topic[o].reading_back)
            step = rows_reset(r, (enum outbox)o);
    if (step == STEP_DONE && any)
        log_notice("relay: of what a relay before had claimed, %" PRIu64
                   " messages stand on the topics; the rest is published again",
                   r->seen.found - before);
    for (int o = 0; o < OUTBOXES; o++)
        buffer_fini(&b.ids[o]);
    rd_kafka_topic_partition_list_destroy(b.list);
    return step;
}
