/* What the library reports instead of messages, and what is done about it (research:
 * reliability.md A5). */
#include "base/clock.h"
#include "consumers/source_internal.h"

#include <string.h>
#include <sysexits.h>

void source_fail(struct source *s, int exit_code, const char *why)
{
    if (s->failed)
        return;
    s->failed = true;
    source_drop_all(s);
    s->hooks.stop(s->hooks.ctx, exit_code, why);
}

static void on_no_topic(struct source *s, const char *topic, const char *words, int64_t now_us)
{
    char command[KAFKA_CREATE_MAX];
    enum topic_kind kind;
    unsigned repeats;

    if (topic == NULL || !source_kind_of(s, topic, &kind)) {
        for (kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++)
            if (strstr(words, s->topic[kind]) != NULL)
                break;
        if (kind > TOPIC_ACCOUNTS)
            kind = TOPIC_USAGE;
    }
    snprintf(s->seen.trouble, sizeof(s->seen.trouble), "topic %s does not exist", s->topic[kind]);
    if (!complaint_due(&s->topic_trouble[kind], now_us, &repeats))
        return;
    kafka_create_command(s->kafka, s->topic[kind], command);
    log_error("the topic %s cannot be read: %s; debitd creates no topics, create it with: %s "
              "(looked for again every 10 s)",
              s->topic[kind], words, command);
}

static void on_fatal(struct source *s, const char *words)
{
    char why[512], text[600];

    if (rd_kafka_fatal_error(s->rk, why, sizeof(why)) == RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(why, sizeof(why), "%s", words);
    snprintf(text, sizeof(text), "the Kafka consumer cannot go on: %s; it has to start anew", why);
    source_fail(s, EX_TEMPFAIL, text);
}

/* An error that concerns one partition: the library says which. */
static void on_partition_trouble(struct source *s, const rd_kafka_message_t *rkm,
                                 enum kafka_trouble trouble, int64_t now_us)
{
    enum topic_kind kind;
    struct partition *p = NULL;
    enum partition_verdict v;
    int64_t low;

    if (rkm->rkt != NULL && source_kind_of(s, rd_kafka_topic_name(rkm->rkt), &kind))
        p = source_find(s, kind, rkm->partition);
    if (p == NULL)
        return;
    v = partition_trouble(p, trouble, rd_kafka_message_errstr(rkm), now_us);
    if (v == PARTITION_ASK_LOW) {
        rd_kafka_topic_partition_list_t *ask = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_add(ask, p->topic, p->number);

        /* Not rd_kafka_query_watermark_offsets: in 2.0.2 it does not keep to its time-out. */
        e->offset = RD_KAFKA_OFFSET_BEGINNING;
        if (rd_kafka_offsets_for_times(s->rk, ask, SOURCE_LOW_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            e->err == RD_KAFKA_RESP_ERR_NO_ERROR && e->offset >= 0) {
            low = e->offset;
            v = partition_low(p, low, now_us);
        } else { /* the broker does not answer: ask again later */
            p->state = PARTITION_SUSPECT;
            p->due_us = now_us + SOURCE_RETRY_US;
            v = PARTITION_AGAIN;
        }
        rd_kafka_topic_partition_list_destroy(ask);
    }
    if (v == PARTITION_AGAIN)
        log_warning("partition %s/%d is read again from offset %lld: %s", p->topic, p->number,
                    (long long)partition_start(p), rd_kafka_message_errstr(rkm));
    source_verdict(s, p, v);
}

/* What concerns no partition and is over, or not, without us. */
static void on_condition(struct source *s, const char *name, const char *words, int64_t now_us)
{
    unsigned repeats;

    if (!s->denied) /* then that is why no broker answers */
        snprintf(s->seen.trouble, sizeof(s->seen.trouble), "%.250s", words);
    s->status_at_us = 0;
    if (complaint_due(&s->broker_trouble, now_us, &repeats))
        log_warning("Kafka: %s (%s); librdkafka goes on trying", words, name);
}

static void on_end(struct source *s, const rd_kafka_message_t *rkm, int64_t now_us)
{
    enum topic_kind kind;
    struct partition *p = NULL;

    if (rkm->rkt != NULL && source_kind_of(s, rd_kafka_topic_name(rkm->rkt), &kind))
        p = source_find(s, kind, rkm->partition);
    if (p == NULL)
        return;
    p->end = rkm->offset;
    if (partition_end(p, now_us))
        log_notice(
            "%s/%d ends, for now, before offset %lld, which was booked last: waiting a minute "
            "for it; after an election a leader may not know yet how far its replicas are",
            p->topic, p->number, (long long)p->last);
}

void source_on_error(struct source *s, const rd_kafka_message_t *rkm, int64_t now_us)
{
    const char *words = rd_kafka_message_errstr(rkm), *name = rd_kafka_err2name(rkm->err);
    enum kafka_trouble trouble = kafka_classify((int)rkm->err);

    switch (trouble) {
    case KAFKA_FINE:
        on_end(s, rkm, now_us);
        return;
    case KAFKA_DENIED:
        source_on_denied(s, rkm, (int)rkm->err, words);
        return;
    case KAFKA_TRANSIENT:
        on_condition(s, name, words, now_us);
        return;
    case KAFKA_TOO_SLOW:
        log_warning("Kafka has taken the partitions away: %s; joining the group again", words);
        source_drop_all(s);
        return;
    case KAFKA_NO_TOPIC:
        on_no_topic(s, rkm->rkt ? rd_kafka_topic_name(rkm->rkt) : NULL, words, now_us);
        return;
    case KAFKA_OFFSET_GONE:
    case KAFKA_BAD_BATCH:
    case KAFKA_TOO_LARGE:
        on_partition_trouble(s, rkm, trouble, now_us);
        return;
    case KAFKA_FENCED:
    case KAFKA_FATAL:
        on_fatal(s, words);
        return;
    /* not in our table: nobody can say what was left out, so the partition is read again */
    case KAFKA_DEFECT:
        log_warning("Kafka: unexpected error %s: %s", name, words);
        on_partition_trouble(s, rkm, KAFKA_BAD_BATCH, now_us);
        return;
    }
}

/* Errors of the client as a whole; called by rd_kafka_consumer_poll. */
void source_on_client_error(rd_kafka_t *rk, int code, const char *words, void *opaque)
{
    struct source *s = ((struct kafka_client *)opaque)->owner;
    enum kafka_trouble trouble;

    (void)rk;
    code = kafka_true_code(&s->client, code);
    trouble = kafka_classify(code);
    if (trouble == KAFKA_FATAL || trouble == KAFKA_FENCED)
        on_fatal(s, words);
    else if (trouble == KAFKA_DENIED)
        source_on_denied(s, NULL, code, words);
    else
        on_condition(s, rd_kafka_err2name((rd_kafka_resp_err_t)code), words, monotonic_us());
}
