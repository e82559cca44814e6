/* What is ours and what is read of it: the library's assignment, and pauses. All on the consumer
 * thread.
 *
 * A rebalance only notes the partitions (source_given); the rest happens from the loop, so that
 * PostgreSQL being away needs no path of its own: claim each (source_claims.c); then assign the accounts alone; and
 * when they are read to their end and committed, assign all.
 *
 * rd_kafka_assign() with the whole list is the only way by which reading ever starts or starts
 * over: seek and resume cannot be trusted in librdkafka 2.0.2. */
#include "consumers/source_internal.h"

#include "base/clock.h"
#include "kafka/topic.h"

#include <string.h>
#include <sysexits.h>

bool source_kind_of(const struct source *s, const char *topic, enum topic_kind *ret)
{
    for (int kind = TOPIC_USAGE; kind <= TOPIC_ACCOUNTS; kind++)
        if (strcmp(s->topic[kind], topic) == 0) {
            *ret = (enum topic_kind)kind;
            return true;
        }
    return false;
}

static int by_place(const void *a, const void *b)
{
    const struct partition *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

struct partition *source_find(struct source *s, enum topic_kind kind, int32_t number)
{
    struct partition wanted = { .kind = kind, .number = number };

    return s->partitions ? bsearch(&wanted, s->partition, s->partitions, sizeof(wanted), by_place)
                         : NULL;
}

void source_look_soon(struct source *s)
{
    s->check_at_us = 0;
}

static struct source_place place_of(const struct partition *p)
{
    return (struct source_place){
        .kind = p->kind,
        .topic = p->topic,
        .partition = p->number,
        .generation = p->generation,
        .epoch = p->epoch,
        .has_next = p->has_next,
        .next_offset = p->has_next ? p->next : -1,
    };
}

static void let_go(struct source *s, struct partition *p)
{
    if (s->stuck == p)
        s->stuck = NULL;
    message_release(TAKE(p->held));
}

static void resume(struct source *s, struct partition *p)
{
    kafka_resume(s->rk, p->topic, p->number);
    p->paused = false;
}

/* Before its assignment in the library ends, or is replaced: a pause would outlive that. Where it
 * resumes does not matter: should it come again, it is assigned anew. */
static void leave(struct source *s, struct partition *p)
{
    let_go(s, p);
    if (p->paused)
        resume(s, p);
}

void source_revoke(struct source *s, struct partition *p)
{
    struct source_place place = place_of(p);

    let_go(s, p);
    if (p->announced)
        s->hooks.revoked(s->hooks.ctx, &place, 1);
    p->announced = false;
    p->generation = 0;
}

/* ---- what the group says */

void source_drop_all(struct source *s)
{
    struct source_place *place = xcalloc(s->partitions, sizeof(*place));
    size_t n = 0;

    for (size_t i = 0; i < s->partitions; i++) {
        leave(s, &s->partition[i]);
        if (s->partition[i].announced)
            place[n++] = place_of(&s->partition[i]);
    }
    if (n > 0)
        s->hooks.revoked(s->hooks.ctx, place, n);
    free(place);
    free(s->partition);
    s->partition = NULL;
    s->partitions = 0;
    s->phase = SOURCE_IDLE;
    s->assign_due = false;
    s->status_at_us = 0;
    source_orphans_await(s, false);
    source_look_soon(s);
}

void source_given(struct source *s, const rd_kafka_topic_partition_list_t *list)
{
    source_drop_all(s);
    s->seen.joined = true;
    *s->seen.trouble = '\0';
    source_let_in(s);
    if (list->cnt > SOURCE_PARTITIONS_MAX) {
        source_fail(s, EX_CONFIG,
                    "the group gave this instance more than 4096 partitions; start more instances "
                    "or use fewer partitions");
        return;
    }
    s->partition = xcalloc((size_t)list->cnt, sizeof(*s->partition));
    for (int i = 0; i < list->cnt; i++) {
        enum topic_kind kind;

        if (!source_kind_of(s, list->elems[i].topic, &kind))
            continue;
        complaint_over(&s->topic_trouble[kind]);
        s->partition[s->partitions++] = (struct partition){
            .kind = kind,
            .topic = s->topic[kind],
            .number = list->elems[i].partition,
            .state = PARTITION_UNCLAIMED,
        };
    }
    qsort(s->partition, s->partitions, sizeof(*s->partition), by_place);
    source_orphans_await(s, true);
    log_info("Kafka has given us %zu partitions", s->partitions);
}

/* ---- the library's assignment */

static bool to_read(const struct source *s, const struct partition *p)
{
    return partition_assignable(p) && (s->phase == SOURCE_ALL || p->kind == TOPIC_ACCOUNTS);
}

/* Waits until the library has stopped what an assignment took away. The next one, a rebalance for
 * example, must not come before: 2.0.2 would stop the same partition a second time and abort the
 * process (librdkafka issue 5573). Its main thread takes one thing after another, and stopping is
 * two: the request, and the answer to it. */
static void settle(struct source *s)
{
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_partition_list_t *ignored;

        if (rd_kafka_assignment(s->rk, &ignored) == RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_topic_partition_list_destroy(ignored);
    }
}

static void assign(struct source *s)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->partitions);
    rd_kafka_resp_err_t err;
    char why[200];

    s->assign_due = false;
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];
        int64_t start;

        leave(s, p);
        if (!to_read(s, p))
            continue;
        start = partition_start(p);
        /* any other would mean the offset that Kafka keeps, or the end */
        ASSERT(start >= 0 || start == PARTITION_BEGINNING);
        rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = start;
        partition_assigned(p);
    }
    err = rd_kafka_assign(s->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    settle(s);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    snprintf(why, sizeof(why), "assigning partitions in librdkafka: %s", rd_kafka_err2str(err));
    source_fail(s, EX_TEMPFAIL, why);
}

/* Tells the taker about the claims it does not know yet. Returns their number. */
static size_t announce(struct source *s)
{
    struct source_place *place = xcalloc(s->partitions, sizeof(*place));
    size_t n = 0;

    source_mirror_read(s);
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];

        if (p->state != PARTITION_CLAIMED || p->announced)
            continue;
        p->announced = true;
        place[n++] = place_of(p);
    }
    if (n > 0)
        s->hooks.assigned(s->hooks.ctx, place, n);
    free(place);
    return n;
}

static bool accounts_unclaimed(const struct source *s)
{
    for (size_t i = 0; i < s->partitions; i++)
        if (s->partition[i].kind == TOPIC_ACCOUNTS && s->partition[i].state == PARTITION_UNCLAIMED)
            return true;
    return false;
}

static bool accounts_at_end(const struct source *s)
{
    for (size_t i = 0; i < s->partitions; i++) {
        const struct partition *p = &s->partition[i];

        if (p->kind == TOPIC_ACCOUNTS && partition_assignable(p) &&
            (p->state != PARTITION_RUNNING || !p->at_end || p->held != NULL))
            return false;
    }
    return !accounts_unclaimed(s) && s->hooks.drained(s->hooks.ctx, TOPIC_ACCOUNTS);
}

/* Moves the phase on and assigns where something has changed. */
static void assign_due(struct source *s, int64_t now_us)
{
    if (s->phase == SOURCE_IDLE) { /* the accounts are read when all of them are claimed */
        if (s->partitions == 0 || accounts_unclaimed(s))
            return;
        s->phase = SOURCE_ACCOUNTS;
        s->assign_due = true;
    }
    if (announce(s) > 0)
        s->assign_due = true;
    for (size_t i = 0; i < s->partitions; i++)
        if (s->partition[i].state == PARTITION_SUSPECT && now_us >= s->partition[i].due_us)
            s->assign_due = true;
    if (s->phase == SOURCE_ACCOUNTS && accounts_at_end(s)) {
        s->phase = SOURCE_ALL;
        s->assign_due = true;
        s->status_at_us = 0;
        log_info("the accounts are read to their end: usage flows");
    }
    if (s->assign_due)
        assign(s);
}

void source_verdict(struct source *s, struct partition *p, enum partition_verdict v)
{
    if (v != PARTITION_HALT && v != PARTITION_AGAIN)
        return;
    let_go(s, p);
    if (v == PARTITION_HALT) {
        source_tell_halt(p, "is halted");
        s->assign_due = true; /* without it */
        s->status_at_us = 0;
    }
    source_look_soon(s);
}

/* ---- pauses */

void source_hold(struct source *s, struct partition *p, struct message *m, int64_t now_us)
{
    ASSERT(p->held == NULL && !p->paused && s->stuck == NULL);
    p->held = m;
    s->stuck = p;
    s->stuck_since_us = now_us;
}

void source_unstick(struct source *s, int64_t now_us)
{
    struct timespec nap = { 0, SOURCE_FULL_NAP_NS };
    struct partition *p = s->stuck;
    struct message *m = TAKE(p->held);

    if (source_hand_over(s, p, m) == 0) {
        s->stuck = NULL;
        return;
    }
    p->held = m;
    if (now_us - s->stuck_since_us < SOURCE_FULL_US) {
        nanosleep(&nap, NULL);
        return;
    }
    kafka_pause(s->rk, p->topic, p->number);
    p->paused = true;
    s->stuck = NULL;
    source_look_soon(s);
}

static void unpause_due(struct source *s)
{
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];
        struct message *m;

        if (!p->paused || p->held == NULL || !s->hooks.room(s->hooks.ctx, p->kind, p->number))
            continue;
        m = TAKE(p->held);
        if (source_hand_over(s, p, m) != 0) {
            p->held = m;
            continue;
        }
        if (p->missed)
            s->assign_due = true;
        else
            resume(s, p);
    }
}

/* ---- what stands still */

/* How far the log goes as the last fetch told, no request; less than 0: none did yet. */
static int64_t known_end(struct source *s, const struct partition *p)
{
    int64_t low, high;

    return rd_kafka_get_watermark_offsets(s->rk, p->topic, p->number, &low, &high) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR
               ? high
               : -1;
}

/* librdkafka 2.0.2 can stop fetching a partition, or hold it paused, without a word. One that waits
 * for its leader or for the end of a transaction looks the same. */
static void look_for_still(struct source *s, int64_t now_us)
{
    if (!s->dry || now_us < s->dry_at_us)
        return;
    s->dry = false;
    s->dry_at_us = now_us + SOURCE_DRY_US;
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];
        int64_t high = known_end(s, p);

        if (partition_dry(p, high, now_us) != PARTITION_AGAIN)
            continue;
        log_warning(
            "%s/%d has stood still at offset %lld for a minute or more, and its log goes on to "
            "%lld: assigning it anew; should that not help, its leader cannot be reached, or a "
            "producer has left a transaction open there (kafka-transactions.sh find-hanging) and "
            "what lies behind it waits for its end",
            p->topic, p->number, (long long)p->next, (long long)high);
        p->paused = true; /* the library may hold it so: to be resumed with the assignment */
    }
}

/* ---- status, and the look at everything */

static void publish_status(struct source *s)
{
    struct source_status *seen = &s->seen;

    seen->reading = s->phase == SOURCE_ALL;
    seen->partitions = (unsigned)s->partitions;
    seen->waiting = seen->paused = seen->halted = seen->went_back = 0;
    seen->lag = 0;
    for (size_t i = 0; i < s->partitions; i++) {
        const struct partition *p = &s->partition[i];
        int64_t high = known_end(s, p), reached = partition_reached(p);

        seen->halted += p->state == PARTITION_HALTED || p->state == PARTITION_HALTING;
        seen->waiting += p->state != PARTITION_RUNNING && p->state != PARTITION_HALTED &&
                         p->state != PARTITION_HALTING;
        seen->paused += p->paused;
        seen->went_back += p->went_back;
        if (high > reached)
            seen->lag += high - reached;
    }
    pthread_mutex_lock(&s->lock);
    s->status = *seen;
    pthread_mutex_unlock(&s->lock);
}

void source_work(struct source *s, int64_t now_us)
{
    bool busy = false;

    source_claim(s, now_us);
    if (s->failed)
        return;
    for (size_t i = 0; i < s->partitions; i++)
        source_verdict(s, &s->partition[i], partition_tick(&s->partition[i], now_us));
    unpause_due(s);
    look_for_still(s, now_us);
    assign_due(s, now_us);
    source_mirror(s, now_us);
    source_still_denied(s, now_us);
    source_orphans(s, now_us);
    for (size_t i = 0; i < s->partitions; i++)
        busy |= s->partition[i].paused;
    busy |= s->phase == SOURCE_ACCOUNTS;
    /* claims and halts may have waited for PostgreSQL: the messages go first after that */
    s->check_at_us = monotonic_us() + (busy ? SOURCE_CHECK_US : SOURCE_POLL_US);
    if (now_us >= s->status_at_us) {
        publish_status(s);
        s->status_at_us = now_us + US_PER_SECOND;
    }
}
