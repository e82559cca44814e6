/* Kafka does not let us in, or we do not trust it: told until it is over. librdkafka tries again by itself, but reports the same error only once; so what it was is kept, a password
 * that stands in a file is read again, and a topic that may not be read is asked for, every second until it may. */
#include "base/clock.h"
#include "consumers/source_internal.h"
#include "kafka/topic.h"

#include <string.h>

#define AGAIN_US US_PER_SECOND
#define ASK_MS   1000

void source_on_denied(struct source *s, const rd_kafka_message_t *rkm, int code, const char *words)
{
    enum topic_kind kind;
    const char *topic = rkm && rkm->rkt ? rd_kafka_topic_name(rkm->rkt) : NULL;

    kafka_note(&s->client, code, words);
    kafka_denial(&s->client, s->kafka, code, s->denial);
    if (code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        s->denied = true;
    else if (topic && source_kind_of(s, topic, &kind))
        s->topic_denied[kind] = true;
    else
        for (kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++)
            s->topic_denied[kind] |= strstr(words, s->topic[kind]) != NULL;
    s->denied_at_us = 0;
    source_look_soon(s);
}

void source_let_in(struct source *s)
{
    s->denied = false;
    if (!s->topic_denied[TOPIC_USAGE] && !s->topic_denied[TOPIC_ACCOUNTS] &&
        complaint_over(&s->denied_trouble)) {
        *s->seen.trouble = '\0';
        log_notice("Kafka lets us in");
    }
}

static bool may_be_read(struct source *s, const char *name)
{
    struct kafka_topic found;

    return kafka_topic_ask(s->rk, name, ASK_MS, &found) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           found.err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

void source_still_denied(struct source *s, int64_t now_us)
{
    struct error error = { 0 };
    unsigned repeats;

    s->seen.denied = s->topic_denied[TOPIC_USAGE] || s->topic_denied[TOPIC_ACCOUNTS];
    if ((!s->denied && !s->seen.denied) || now_us < s->denied_at_us)
        return;
    s->denied_at_us = now_us + AGAIN_US;
    for (int kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++)
        if (s->topic_denied[kind] && may_be_read(s, s->topic[kind]))
            s->topic_denied[kind] = false;
    s->seen.denied = s->topic_denied[TOPIC_USAGE] || s->topic_denied[TOPIC_ACCOUNTS];
    if (!s->denied && !s->seen.denied) {
        source_let_in(s);
        return;
    }
    if (s->denied && kafka_login_again(s->rk, s->kafka, &error) != 0)
        snprintf(s->denial, sizeof(s->denial), "%.900s", error.text);
    snprintf(s->seen.trouble, sizeof(s->seen.trouble), "Kafka: %.240s", s->denial);
    s->status_at_us = 0;
    if (complaint_due(&s->denied_trouble, now_us, &repeats))
        log_error("Kafka refuses us, or we refuse it: %s", s->denial);
}
