/* The relay in Kafka: producer and its fence, where the topics end, reading back, and the
 * transaction that publishes. */
#include "outbox/relay_internal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "kafka/topic.h"

#include <inttypes.h>
#include <string.h>

#define NEVER_MS (-1) /* for a transaction's own time-out, transaction.timeout.ms */

/* librdkafka's words; where the broker does not let us in, why, and what to do about it. */
static const char *why_denied(struct relay *r, rd_kafka_resp_err_t err, char why[KAFKA_DENIAL_MAX])
{
    int code = kafka_classify((int)err) == KAFKA_DENIED ? (int)err : 0;

    rd_kafka_poll(r->producer, 0); /* errors of the client as a whole wait there */
    return kafka_denial(&r->producer_client, r->settings.kafka, code, why) ? why
                                                                           : rd_kafka_err2str(err);
}

/* Logs nothing: the words go the way of every failure. */
static enum relay_step failed_with(struct relay *r, const char *doing, rd_kafka_error_t *error)
{
    enum relay_step step;
    char why[KAFKA_DENIAL_MAX];

    if (*r->refusal != '\0')
        step = relay_failed(r, "%s: %s; the last message reported: %s", doing,
                            rd_kafka_error_string(error), r->refusal);
    else if (kafka_denial(&r->producer_client, r->settings.kafka, (int)rd_kafka_error_code(error),
                          why))
        step = relay_failed(r, "%s: %s", doing, why);
    else
        step = relay_failed(r, "%s: %s", doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return step;
}

static void refuse_parcel(struct relay *r, struct parcel *p)
{
    r->refused += !p->refused;
    p->refused = true;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct relay *r = ((struct kafka_client *)opaque)->owner;
    struct parcel *p = m->_private;

    (void)rk;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (kafka_classify((int)m->err) == KAFKA_TOO_LARGE)
            refuse_parcel(r, p);
        snprintf(r->refusal, sizeof(r->refusal), "%s", rd_kafka_err2str(m->err));
        return;
    }
    r->delivered++;
    r->topic[p->outbox].floor[m->partition] = m->offset + 1;
}

/* ---- what there is */

static void complain_missing(struct relay *r, enum outbox o)
{
    struct relay_topic *t = &r->topic[o];
    char command[KAFKA_CREATE_MAX];
    unsigned repeats;

    if (!complaint_due(&t->missing, monotonic_us(), &repeats))
        return;
    kafka_create_command(r->settings.kafka, t->name, command);
    log_error("relay: the topic %s does not exist, so %s wait in the database; debitd creates no "
              "topics, create it with: %s (looked for again every 5 s)",
              t->name, o == ALERTS ? "alerts" : "dead letters", command);
}

/* Sets the number of partitions; 0 where the topic does not exist. */
static enum relay_step look(struct relay *r, enum outbox o)
{
    struct relay_topic *t = &r->topic[o];
    struct kafka_topic found;
    enum relay_step step = STEP_DONE;
    rd_kafka_resp_err_t err;
    char why[KAFKA_DENIAL_MAX];

    atomic_fetch_add(&r->beat, 1);
    err = kafka_topic_ask(r->producer, t->name, 2 * RELAY_SLICE_MS, &found);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        err = found.err;
    t->partitions = found.partitions;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && kafka_classify((int)err) != KAFKA_NO_TOPIC)
        step =
            relay_failed(r, "asking Kafka for the topic %s: %s", t->name, why_denied(r, err, why));
    if (step == STEP_DONE && t->partitions == 0)
        complain_missing(r, o);
    else if (step == STEP_DONE && complaint_over(&t->missing))
        log_notice("relay: the topic %s is there", t->name);
    return step;
}

static void note_missing(struct relay *r)
{
    r->seen.alerts_topic_missing = r->topic[ALERTS].partitions == 0;
    r->seen.dead_letter_topic_missing = r->topic[LETTERS].partitions == 0;
    r->topics_at_us = monotonic_us() + RELAY_TOPICS_US;
}

enum relay_step topics_look(struct relay *r, bool *ret_appeared)
{
    *ret_appeared = false;
    if ((r->topic[ALERTS].partitions > 0 && r->topic[LETTERS].partitions > 0) ||
        monotonic_us() < r->topics_at_us)
        return STEP_DONE;
    for (int o = 0; o < OUTBOXES; o++) {
        enum relay_step step;

        if (r->topic[o].partitions > 0)
            continue;
        step = look(r, (enum outbox)o);
        if (step != STEP_DONE)
            return step;
        *ret_appeared |= r->topic[o].partitions > 0;
    }
    note_missing(r);
    return STEP_DONE;
}

/* The end of every partition: what is claimed from now on stands behind it, what was claimed
 * before stands in front of it. The producer reads uncommitted, so this is the true end. */
static enum relay_step find_ends(struct relay *r)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum relay_step step = STEP_DONE;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int o = 0; o < OUTBOXES; o++) {
        struct relay_topic *t = &r->topic[o];

        t->floor = xrealloc(t->floor, (size_t)t->partitions * sizeof(*t->floor));
        for (int32_t i = 0; i < t->partitions; i++)
            rd_kafka_topic_partition_list_add(list, t->name, i)->offset = RD_KAFKA_OFFSET_END;
    }
    atomic_fetch_add(&r->beat, 1);
    if (list->cnt > 0)
        err = rd_kafka_offsets_for_times(r->producer, list, 5 * RELAY_SLICE_MS);
    for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *e = &list->elems[i];
        struct relay_topic *t =
            &r->topic[strcmp(e->topic, r->topic[ALERTS].name) == 0 ? ALERTS : LETTERS];

        err = e->err == RD_KAFKA_RESP_ERR_NO_ERROR && e->offset < 0 ? RD_KAFKA_RESP_ERR__NO_OFFSET
                                                                    : e->err;
        t->floor[e->partition] = e->offset;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        step = relay_failed(r, "asking Kafka where the topics %s and %s end: %s",
                            r->topic[ALERTS].name, r->topic[LETTERS].name, rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_destroy(list);
    return step;
}

/* ---- the producer */

static enum relay_step fence(struct relay *r)
{
    int64_t until = monotonic_us() + RELAY_INIT_US;

    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(r->producer, RELAY_SLICE_MS);
        enum relay_step step;

        if (error == NULL)
            return STEP_DONE;
        if (!rd_kafka_error_is_retriable(error) || monotonic_us() >= until || relay_stopping(r))
            return failed_with(r, "fencing the relay before (init_transactions)", error);
        rd_kafka_error_destroy(error);
        step = relay_sign(r);
        if (step != STEP_DONE)
            return step;
    }
}

enum relay_step topics_connect(struct relay *r)
{
    struct error error = { 0 };
    char words[400] = "";
    enum relay_step step = STEP_DONE;
    rd_kafka_conf_t *conf = kafka_conf(r->settings.kafka, KAFKA_PRODUCER, r->transactional_id,
                                       &r->producer_client, &error);

    ASSERT(r->producer == NULL);
    if (conf == NULL)
        return relay_failed(r, "%s", error.text);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    r->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof(words));
    if (r->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return relay_failed(r, "making the Kafka producer: %s", words);
    }
    *r->refusal = '\0';
    /* also: metadata in the first transaction would cost it a second */
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        step = look(r, (enum outbox)o);
    note_missing(r);
    if (step == STEP_DONE)
        step = fence(r);
    if (step == STEP_DONE)
        step = find_ends(r);
    return step;
}

void topics_disconnect(struct relay *r)
{
    if (r->producer == NULL)
        return;
    atomic_fetch_add(&r->beat, 1);
    rd_kafka_purge(r->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(TAKE(r->producer));
}

static enum relay_step produce(struct relay *r, struct parcel *p)
{
    const struct pg_result *rows = r->rows[p->outbox];
    rd_kafka_headers_t *headers = letter_headers(r, p);
    struct slice key, value;

    if (p->outbox == ALERTS) {
        key = pg_bytes(rows, p->row, ALERT_KEY);
        value = pg_bytes(rows, p->row, ALERT_EVENT);
    } else {
        key = letter_hex(&r->list[0], rows, p->row, LETTER_KEY);
        value = letter_hex(&r->hex, rows, p->row, LETTER_VALUE);
        if (value.p == NULL || strcmp(r->bare, p->id) == 0)
            value = SLICE(""); /* sent empty, not as a tombstone */
        if (strcmp(r->bare, p->id) == 0)
            key = SLICE_ABSENT;
    }
    for (;;) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            r->producer, RD_KAFKA_V_TOPIC(r->topic[p->outbox].name),
            RD_KAFKA_V_PARTITION(p->partition), RD_KAFKA_V_KEY((void *)(uintptr_t)key.p, key.n),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.p, value.n), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_OPAQUE(p), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_poll(r->producer, 0);
            return STEP_DONE;
        }
        /* reports make room; a bad one ends the transaction anyway */
        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && *r->refusal == '\0') {
            atomic_fetch_add(&r->beat, 1);
            rd_kafka_poll(r->producer, 100);
            continue;
        }
        rd_kafka_headers_destroy(headers);
        /* The transaction takes no more: a report has made it void, and may still be on its way
         * to us. */
        for (int i = 0; err == RD_KAFKA_RESP_ERR__STATE && *r->refusal == '\0' && i < 20; i++)
            rd_kafka_poll(r->producer, 100);
        if (r->refused > 0)
            return STEP_DONE;
        if (kafka_classify((int)err) == KAFKA_TOO_LARGE) {
            refuse_parcel(r, p);
            return STEP_DONE;
        }
        return relay_failed(r, "producing to %s: %s", r->topic[p->outbox].name,
                            rd_kafka_err2str(err));
    }
}

/* Waits for the reports before the commit: commit_transaction would wait for messages that
 * cannot be sent any more behind one that was refused. */
static enum relay_step await_reports(struct relay *r)
{
    int64_t until = monotonic_us() + RELAY_REPORTS_US;

    while (r->delivered < r->parcels && *r->refusal == '\0') {
        if (monotonic_us() >= until)
            return relay_failed(r, "producing: only %zu of %zu messages were delivered within 10 s",
                                r->delivered, r->parcels);
        atomic_fetch_add(&r->beat, 1);
        rd_kafka_poll(r->producer, 100);
    }
    return STEP_DONE;
}

enum relay_step topics_publish(struct relay *r, size_t *ret_refused)
{
    enum relay_step step = STEP_DONE;
    rd_kafka_error_t *error;

    *ret_refused = 0;
    *r->refusal = '\0';
    r->delivered = r->refused = 0;
    atomic_fetch_add(&r->beat, 1);
    error = rd_kafka_begin_transaction(r->producer);
    if (error != NULL)
        return failed_with(r, "beginning a Kafka transaction", error);
    for (size_t i = 0; i < r->parcels && step == STEP_DONE && r->refused == 0; i++)
        step = produce(r, &r->parcel[i]);
    if (step == STEP_DONE && r->refused == 0)
        step = await_reports(r);
    *ret_refused = r->refused;
    if (step != STEP_DONE || *ret_refused > 0)
        return step;
    FAULT_POINT("relay.produced");
    atomic_fetch_add(&r->beat, 1);
    error = rd_kafka_commit_transaction(r->producer, NEVER_MS);
    if (error == NULL) {
        ASSERT(r->delivered == r->parcels);
        return STEP_DONE;
    }
    /* also when it went unanswered: then reading back decides */
    return failed_with(r, "committing a Kafka transaction", error);
}

enum relay_step topics_abort(struct relay *r)
{
    rd_kafka_error_t *error;

    atomic_fetch_add(&r->beat, 1);
    error = rd_kafka_abort_transaction(r->producer, NEVER_MS);
    return error ? failed_with(r, "aborting a Kafka transaction", error) : STEP_DONE;
}
