/* The relay's thread: the order of steps of relay.h, and starting over. */
#include "outbox/relay_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#include <stdarg.h>
#include <string.h>
#include <sysexits.h>

const char *relay_state_text(enum relay_state s)
{
    switch (s) {
    case RELAY_STARTING:
        return "starting";
    case RELAY_STANDBY:
        return "standby";
    case RELAY_RECOVERING:
        return "recovering";
    case RELAY_ACTIVE:
        return "active";
    case RELAY_WAITING:
        return "waiting";
    case RELAY_ENDED:
        return "ended";
    }
    return "?";
}

void relay_publish_status(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    r->status = r->seen;
    pthread_mutex_unlock(&r->lock);
}

static void enter(struct relay *r, enum relay_state state)
{
    r->seen.state = state;
    relay_publish_status(r);
}

enum relay_step relay_failed(struct relay *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->seen.trouble, sizeof(r->seen.trouble), format, args);
    va_end(args);
    return STEP_FAILED;
}

enum relay_step relay_sign(struct relay *r)
{
    atomic_fetch_add(&r->beat, 1);
    return monotonic_us() - r->sign_us < RELAY_SIGN_US ? STEP_DONE : rows_alive(r);
}

/* Until then, a wake or the end. */
static void rest(struct relay *r, int64_t us, bool wakes)
{
    int64_t end = monotonic_us() + us;
    struct timespec until = { end / US_PER_SECOND, (end % US_PER_SECOND) * 1000 };
    int late = 0;

    atomic_fetch_add(&r->beat, 1);
    pthread_mutex_lock(&r->lock);
    while (!relay_stopping(r) && !(wakes && r->woken) && late == 0)
        late = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    r->woken = false;
    pthread_mutex_unlock(&r->lock);
}

/* ---- refused messages */

/* The parcel that is refused, for certain: of several letters in one batch it cannot be told
 * which the broker means. NULL: they have to be sent one by one. */
static const struct parcel *culprit(const struct relay *r)
{
    const struct parcel *alert = NULL, *letter = NULL;
    size_t letters = 0;

    for (size_t i = 0; i < r->parcels; i++) {
        const struct parcel *p = &r->parcel[i];

        if (p->refused && p->outbox == ALERTS)
            alert = p;
        if (p->refused && p->outbox == LETTERS) {
            letter = p;
            letters++;
        }
    }
    if (letters == 0)
        return alert;
    return letters == 1 ? letter : NULL;
}

static enum relay_step note_refused(struct relay *r)
{
    const struct parcel *p = culprit(r);

    if (p == NULL) {
        r->alone = RELAY_ROWS_MAX;
        return STEP_DONE;
    }
    if (p->outbox == ALERTS)
        return relay_failed(r,
                            "the broker refuses an alert of %zu bytes for its size; raise "
                            "max.message.bytes of the topic %s",
                            strlen(pg_text(r->rows[ALERTS], p->row, ALERT_EVENT)),
                            r->topic[ALERTS].name);
    if (strcmp(r->bare, p->id) == 0)
        return relay_failed(r,
                            "the broker refuses a dead letter although it has neither key, value "
                            "nor headers; raise max.message.bytes of the topic %s",
                            r->topic[LETTERS].name);
    if (strcmp(pg_text(r->rows[LETTERS], p->row, LETTER_TRUNCATED), "t") == 0) {
        snprintf(r->bare, sizeof(r->bare), "%s", p->id);
        return STEP_DONE;
    }
    log_notice("relay: a dead letter of %s bytes (%s/%s offset %s) is too large for the topic %s: "
               "it is sent without its value, which api.rejected keeps",
               pg_text(r->rows[LETTERS], p->row, LETTER_SIZE),
               pg_text(r->rows[LETTERS], p->row, LETTER_TOPIC),
               pg_text(r->rows[LETTERS], p->row, LETTER_PARTITION),
               pg_text(r->rows[LETTERS], p->row, LETTER_OFFSET), r->topic[LETTERS].name);
    r->seen.truncated++;
    return rows_truncate(r, p->id);
}

static enum relay_step give_back(struct relay *r)
{
    enum relay_step step = note_refused(r), aborted = topics_abort(r);

    if (step == STEP_DONE)
        step = aborted;
    FAULT_POINT("relay.aborted");
    /* aborted for certain: none of it is on the topics */
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        if (r->topic[o].partitions > 0)
            step = rows_reset(r, (enum outbox)o);
    return step;
}

/* ---- one round, one term */

/* *ret_busy: there was something, so there may be more. *ret_anew: the producer has aborted, and
 * librdkafka 2.0.2 stumbles over the sequence numbers it left out: make a new one. */
static enum relay_step round_once(struct relay *r, bool *ret_busy, bool *ret_anew)
{
    enum relay_step step = rows_fetch(r);
    size_t refused = 0;

    *ret_busy = r->parcels > 0;
    if (step != STEP_DONE || r->parcels == 0) {
        if (step == STEP_DONE)
            r->alone = 0;
        return step;
    }
    step = rows_claim(r);
    FAULT_POINT("relay.claimed");
    if (step == STEP_DONE)
        step = topics_publish(r, &refused);
    if (step != STEP_DONE)
        return step;
    if (refused > 0) {
        *ret_anew = true;
        return give_back(r);
    }
    FAULT_POINT("relay.committed");
    step = rows_mark_parcels(r);
    if (step != STEP_DONE)
        return step;
    FAULT_POINT("relay.marked");
    if (r->alone > 0)
        r->alone--;
    *r->bare = '\0';
    r->backoff_us = RELAY_BACKOFF_MIN_US;
    *r->seen.trouble = '\0';
    relay_publish_status(r);
    return STEP_DONE;
}

/* Now and then: have rows come that stand on their topic since before the database lost them? */
static enum relay_step meet(struct relay *r)
{
    enum relay_step step = STEP_DONE;

    if (monotonic_us() < r->ahead_at_us)
        return STEP_DONE;
    r->ahead_at_us = monotonic_us() + RELAY_AHEAD_US;
    for (int o = 0; o < OUTBOXES && step == STEP_DONE; o++)
        if (r->topic[o].ahead)
            step = rows_met(r, (enum outbox)o);
    return step;
}

/* Until something fails, or a new producer is needed. */
static enum relay_step serve(struct relay *r)
{
    enum relay_step step = STEP_DONE;

    while (step == STEP_DONE && !relay_stopping(r)) {
        bool busy = false, anew = false;

        rd_kafka_poll(r->producer, 0);
        step = round_once(r, &busy, &anew);
        rows_clear(r);
        if (step == STEP_DONE)
            step = meet(r);
        if (step == STEP_DONE && anew)
            return STEP_DONE;
        if (step == STEP_DONE && complaint_over(&r->failure))
            log_notice("relay: works again");
        if (step != STEP_DONE || busy)
            continue;
        step = topics_look(r, &anew);
        if (step == STEP_DONE && anew)
            return STEP_DONE; /* what it holds of ours has to be read back first: start over */
        relay_publish_status(r);
        if (step == STEP_DONE)
            rest(r, RELAY_IDLE_US, true);
    }
    return step;
}

/* From the session to the first failure. */
static enum relay_step term(struct relay *r)
{
    bool leads = false;
    enum relay_step step = rows_open(r);

    if (step == STEP_DONE)
        step = rows_lead(r, &leads);
    if (step != STEP_DONE)
        return step;
    if (!leads) {
        complaint_over(&r->failure);
        *r->seen.trouble = '\0';
        enter(r, RELAY_STANDBY);
        rest(r, RELAY_STANDBY_US, false);
        return STEP_DONE;
    }
    r->seen.starts++;
    enter(r, RELAY_RECOVERING);
    step = rows_epoch(r);
    FAULT_POINT("relay.epoch");
    if (step == STEP_DONE)
        step = topics_connect(r);
    FAULT_POINT("relay.fenced");
    if (step == STEP_DONE)
        step = topics_read_back(r);
    if (step != STEP_DONE)
        return step;
    FAULT_POINT("relay.ready");
    log_info("relay: active, epoch %s", r->epoch_text);
    *r->seen.trouble = '\0';
    enter(r, RELAY_ACTIVE);
    return serve(r);
}

static void *run(void *arg)
{
    struct relay *r = arg;

    while (!relay_stopping(r)) {
        enum relay_step step = term(r);
        unsigned repeats;

        rows_clear(r);
        topics_disconnect(r);
        if (step == STEP_DONE || relay_stopping(r))
            continue;
        if (step == STEP_FENCED)
            relay_failed(r, "another daemon has become the relay");
        if (complaint_due(&r->failure, monotonic_us(), &repeats))
            log_warning("relay: %s; it starts over", r->seen.trouble);
        enter(r, RELAY_WAITING);
        rest(r, r->backoff_us, false);
        r->backoff_us =
            r->backoff_us * 2 < RELAY_BACKOFF_MAX_US ? r->backoff_us * 2 : RELAY_BACKOFF_MAX_US;
    }
    pg_close(TAKE(r->pg));
    enter(r, RELAY_ENDED);
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- life */

int relay_new(const struct relay_settings *settings, struct relay **ret, struct error *ret_error)
{
    pthread_condattr_t monotonic;
    struct relay *r;

    if (strcmp(settings->alerts_topic, settings->dead_letter_topic) == 0)
        return error_set(
            ret_error, EX_CONFIG,
            "topics.alerts and topics.dead_letter are both \"%s\"; they must be two topics",
            settings->alerts_topic);
    r = xcalloc(1, sizeof(*r));
    r->settings = *settings;
    kafka_transactional_id(settings->kafka->group_id, r->transactional_id);
    kafka_client_init(&r->producer_client, r);
    kafka_client_init(&r->reader_client, r);
    r->topic[ALERTS].name = settings->alerts_topic;
    r->topic[LETTERS].name = settings->dead_letter_topic;
    r->parcel = xcalloc((size_t)OUTBOXES * RELAY_ROWS_MAX, sizeof(*r->parcel));
    r->backoff_us = RELAY_BACKOFF_MIN_US;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *ret = r;
    return 0;
}

int relay_start(struct relay *r, struct error *ret_error)
{
    int err = pthread_create(&r->thread, NULL, run, r);

    if (err != 0)
        return error_set(ret_error, EX_OSERR, "starting the relay's thread: %s", strerror(err));
    pthread_setname_np(r->thread, "relay");
    r->started = true;
    return 0;
}

int relay_stop(struct relay *r, int64_t timeout_us)
{
    int64_t end = monotonic_us() + timeout_us;
    struct timespec until = { end / US_PER_SECOND, (end % US_PER_SECOND) * 1000 };
    int late = 0;

    if (!r->started)
        return 0;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->stop, true);
    pthread_cond_broadcast(&r->changed);
    while (!r->ended && late == 0)
        late = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    late = !r->ended;
    pthread_mutex_unlock(&r->lock);
    return late;
}

void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    if (r->started) {
        ASSERT(r->ended);
        pthread_join(r->thread, NULL);
    }
    for (int o = 0; o < OUTBOXES; o++)
        free(r->topic[o].floor);
    for (size_t i = 0; i < ARRAY_SIZE(r->list); i++)
        buffer_fini(&r->list[i]);
    buffer_fini(&r->hex);
    free(r->parcel);
    kafka_client_fini(&r->producer_client);
    kafka_client_fini(&r->reader_client);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void relay_wake(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    r->woken = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

uint64_t relay_heartbeat(const struct relay *r)
{
    return atomic_load(&r->beat);
}

void relay_status(struct relay *r, struct relay_status *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = r->status;
    pthread_mutex_unlock(&r->lock);
}
