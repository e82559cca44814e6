/* librdkafka as a transactional producer. What is on its way to the broker arrives whether its process lives or not; the broker looks
 * at the epoch it was sent under. */
#include "tests/sim/history.h"
#include "tests/sim/rdk.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MOST \
    64 /* bytes of a value that the broker takes: alerts are smaller, long nonsense is not */
#define TRANSACTION_TIMEOUT_US (10 * SEC)

static rd_kafka_error_t *error_of(rd_kafka_resp_err_t code, bool retriable, bool fatal)
{
    rd_kafka_error_t *e = xcalloc(1, sizeof(*e));

    *e = (rd_kafka_error_t){ code, retriable, fatal };
    TRACE("is told %s", rd_kafka_err2name(code));
    return e;
}

static rd_kafka_error_t *fenced(rd_kafka_t *c)
{
    broker.fenced++;
    c->fatal = true;
    return error_of(RD_KAFKA_RESP_ERR__FENCED, false, true);
}

static void take_time(void)
{
    sim_pass(sim_between(0, broker.faults.latency_us));
    if (sim_one_in(broker.faults.slow))
        sim_pass(sim_between(0, broker.faults.slow_us));
}

rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *c, int timeout_ms)
{
    (void)timeout_ms;
    take_time();
    if (sim_one_in(broker.faults.transient)) {
        if (sim_one_in(2)) /* it was done, the answer was lost */
            coordinator_fence();
        return error_of(RD_KAFKA_RESP_ERR__TIMED_OUT, true, false);
    }
    c->epoch = coordinator_fence();
    c->ready = true;
    TRACE("is the producer of epoch %lld", (long long)c->epoch);
    return NULL;
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *c)
{
    MUST(c->ready && !c->in_transaction, "a transaction is begun out of order");
    if (c->fatal)
        return error_of(RD_KAFKA_RESP_ERR__FATAL, false, true);
    c->in_transaction = true;
    c->transaction = 0;
    return NULL;
}

/* The broker gives up a transaction that nobody ends. */
static void on_transaction_timeout(void *arg, uint64_t transaction)
{
    (void)arg;
    if (broker.coordinator.ongoing && broker.coordinator.transaction == transaction) {
        TRACE("the broker's patience with transaction %llu is over",
              (unsigned long long)transaction);
        coordinator_finish(false);
        broker.coordinator.epoch++;
    }
}

struct on_the_way {
    struct parcel_sent p;
    uint64_t client;
    int64_t epoch;
};

static struct parcel_sent *report_of(struct rd_kafka_s *c)
{
    ASSERT(c->arrived < c->sents);
    return &c->sent[c->arrived++];
}

static void arrive(void *arg, uint64_t n)
{
    struct on_the_way *w = arg;
    struct coordinator *k = &broker.coordinator;
    struct rd_kafka_s *c = client_of(w->client);

    (void)n;
    struct parcel_sent *report = c ? report_of(c) : NULL;
    if (w->epoch != k->epoch) {
        if (report != NULL)
            report->err = RD_KAFKA_RESP_ERR__FENCED;
    } else if (w->p.value.n > MESSAGE_MOST) { /* for the broker's taste */
        broker.refused++;
        if (report != NULL)
            report->err = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        if (c != NULL)
            c->abortable = true;
    } else if (report != NULL && sim_one_in(broker.faults.produce_fails)) {
        report->err = RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
        c->abortable = true;
    } else {
        if (!k->ongoing) {
            k->ongoing = true;
            k->begun_us = sim.now_us;
            sim_at(sim.now_us + TRANSACTION_TIMEOUT_US, on_transaction_timeout, NULL,
                   ++k->transaction);
        }
        struct record *r = log_append(w->p.log, RECORD_OPEN, w->p.key, w->p.value, w->p.id);
        r->header = w->p.header;
        r->headers = w->p.headers;
        if (report != NULL)
            report->offset = r->offset;
        if (c != NULL)
            c->transaction = k->transaction;
    }
    if (c != NULL)
        sim_wake(c);
}

/* The arguments as RD_KAFKA_V_… lays them down. */
struct produced {
    const char *topic;
    int32_t partition;
    struct slice key, value;
    rd_kafka_headers_t *headers;
    void *opaque;
};

static struct produced read_arguments(va_list args)
{
    struct produced p = { .partition = -1 };

    for (;;) {
        switch ((rd_kafka_vtype_t)va_arg(args, int)) {
        case RD_KAFKA_VTYPE_END:
            return p;
        case RD_KAFKA_VTYPE_TOPIC:
            p.topic = va_arg(args, const char *);
            break;
        case RD_KAFKA_VTYPE_PARTITION:
            p.partition = va_arg(args, int32_t);
            break;
        case RD_KAFKA_VTYPE_KEY:
            p.key.p = va_arg(args, void *);
            p.key.n = va_arg(args, size_t);
            break;
        case RD_KAFKA_VTYPE_VALUE:
            p.value.p = va_arg(args, void *);
            p.value.n = va_arg(args, size_t);
            break;
        case RD_KAFKA_VTYPE_HEADERS:
            p.headers = va_arg(args, rd_kafka_headers_t *);
            break;
        case RD_KAFKA_VTYPE_OPAQUE:
            p.opaque = va_arg(args, void *);
            break;
        case RD_KAFKA_VTYPE_MSGFLAGS:
            (void)va_arg(args, int);
            break;
        case RD_KAFKA_VTYPE_RKT:
        case RD_KAFKA_VTYPE_TIMESTAMP:
        case RD_KAFKA_VTYPE_HEADER:
        default:
            ASSERT(!"an argument that the relay uses");
        }
    }
}

static const struct record_header *copy_headers(const rd_kafka_headers_t *h)
{
    struct record_header *copy = sim_alloc((size_t)h->n * sizeof(*copy));

    for (int i = 0; i < h->n; i++) {
        copy[i].name = sim_copy(h->header[i].name, strlen(h->header[i].name));
        copy[i].value =
            (struct slice){ sim_copy(h->header[i].value, h->header[i].size), h->header[i].size };
    }
    return copy;
}

rd_kafka_resp_err_t rd_kafka_producev(rd_kafka_t *c, ...)
{
    const void *id = NULL;
    size_t n = 0;
    va_list args;

    va_start(args, c);
    struct produced p = read_arguments(args);
    va_end(args);
    MUST(c->in_transaction, "a message outside a transaction");
    if (c->fatal)
        return RD_KAFKA_RESP_ERR__FATAL;
    if (c->abortable)
        return RD_KAFKA_RESP_ERR__STATE;
    if (c->sents == PENDING_MAX)
        return RD_KAFKA_RESP_ERR__QUEUE_FULL;
    MUST(rd_kafka_header_get_last(p.headers, "debitd-id", &id, &n) == RD_KAFKA_RESP_ERR_NO_ERROR,
         "a message without id");
    struct on_the_way *w = sim_alloc(sizeof(*w));
    w->p = (struct parcel_sent){ .log = broker_topic(p.topic)->log[p.partition],
                                 .key = { p.key.p ? sim_copy(p.key.p, p.key.n) : NULL, p.key.n },
                                 .value = { sim_copy(p.value.p, p.value.n), p.value.n },
                                 .id = { sim_copy(id, n), n },
                                 .header = copy_headers(p.headers),
                                 .headers = p.headers->n,
                                 .opaque = p.opaque };
    w->client = c->id;
    w->epoch = c->epoch;
    c->sent[c->sents++] = w->p;
    rd_kafka_headers_destroy(p.headers);
    history_point("a message to Kafka");
    TRACE("produces %.*s to %s/%d", (int)n, (const char *)id, p.topic, p.partition);
    /* in the order they were given: a timer keeps the order of one moment */
    if (broker.arrival_us < sim.now_us)
        broker.arrival_us = sim.now_us;
    broker.arrival_us += sim_between(0, broker.faults.latency_us / 4 + 1);
    sim_at(broker.arrival_us, arrive, w, 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void serve_reports(rd_kafka_t *c)
{
    while (c->arrived > 0) {
        struct parcel_sent p = c->sent[0];
        c->arrived--;
        c->sents--;
        memmove(&c->sent[0], &c->sent[1], (size_t)c->sents * sizeof(c->sent[0]));
        rd_kafka_message_t m = { .err = p.err,
                                 .rkt = p.log->topic,
                                 .partition = p.log->number,
                                 .offset = p.offset,
                                 ._private = p.opaque };
        if (p.err == RD_KAFKA_RESP_ERR__FENCED)
            c->fatal = true;
        c->conf.on_delivery(c, &m, c->conf.opaque);
    }
}

int rd_kafka_poll(rd_kafka_t *c, int timeout_ms)
{
    if (c->arrived == 0 && timeout_ms > 0)
        sim_wait(c, sim.now_us + timeout_ms * MS);
    int served = c->arrived;
    serve_reports(c);
    return served;
}

rd_kafka_resp_err_t rd_kafka_purge(rd_kafka_t *c, int what)
{
    (void)what;
    c->sents = c->arrived = 0;
    c->id = 0; /* reports of what is on its way find nobody */
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- the end of a transaction */

struct ending {
    int64_t epoch;
    uint64_t transaction;
    bool commit;
};

static bool end_now(const struct ending *e)
{
    struct coordinator *k = &broker.coordinator;

    if (e->epoch != k->epoch)
        return false;
    if (k->ongoing && k->transaction == e->transaction)
        coordinator_finish(e->commit);
    return true;
}

static void end_later(void *arg, uint64_t n)
{
    (void)n;
    end_now(arg);
}

static rd_kafka_error_t *end_transaction(rd_kafka_t *c, bool commit)
{
    struct ending *e = sim_alloc(sizeof(*e));

    MUST(c->in_transaction, "a transaction is ended that was not begun");
    while (c->arrived < c->sents)
        sim_wait(c, NEVER);
    serve_reports(c);
    history_point("the end of a Kafka transaction");
    *e = (struct ending){ c->epoch, c->transaction, commit };
    if (c->fatal)
        return error_of(RD_KAFKA_RESP_ERR__FATAL, false, true);
    if (commit && c->abortable)
        return error_of(RD_KAFKA_RESP_ERR__STATE, false, false);
    if (sim_one_in(broker.faults.commit_unknown)) {
        broker.unknown_commits++;
        switch (sim_below(3)) {
        case 0: /* it landed, the answer was lost */
            end_now(e);
            break;
        case 1: /* it lands later, if nobody has fenced this producer meanwhile */
            sim_at(sim.now_us + sim_between(0, broker.faults.slow_us), end_later, e, 0);
            break;
        default: /* it never arrived */
            break;
        }
        take_time();
        return error_of(RD_KAFKA_RESP_ERR__TIMED_OUT, true, false);
    }
    take_time();
    if (!end_now(e))
        return fenced(c);
    take_time();
    history_point("the answer to a Kafka transaction");
    c->in_transaction = c->abortable = false;
    return NULL;
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *c, int timeout_ms)
{
    (void)timeout_ms;
    return end_transaction(c, true);
}

rd_kafka_error_t *rd_kafka_abort_transaction(rd_kafka_t *c, int timeout_ms)
{
    (void)timeout_ms;
    return end_transaction(c, false);
}
