/* Wiring: a message goes from the source to the writer its partition belongs to; what a writer has committed wakes the relay; what fails for good ends the process.
 *
 * Usage is spread over writers.count writers by partition; operations on accounts have a writer of their own, whatever the count, so that they never wait behind usage.
 * Concurrency: the hooks of the source run on its thread, those of a writer on the writer's; all they touch is either constant while threads run (the writers, the relay) or under `lock`. */
#include "service.h"

#include "base/clock.h"
#include "catalogue/file.h"
#include "claims.h"
#include "consumers/source.h"
#include "ledger/keeper.h"
#include "ledger/writer.h"
#include "outbox/relay.h"

#include <pthread.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* For how long a thread may not come round: the longest call it makes, and some. A statement may take 60 s (pg/session.c); a claim waits 15 s for a lock. */
#define SOURCE_LIMIT_US (60 * US_PER_SECOND)
#define WRITER_LIMIT_US (90 * US_PER_SECOND) /* also of the keeper */

struct service {
    const struct config *config;
    int wake_fd;
    struct kafka_property *property;
    struct kafka_settings kafka;
    struct claims *claims;
    struct source *source;
    struct writer **usage; /* writers.count of them */
    int usage_count;
    struct writer *accounts;
    struct keeper *keeper;
    struct relay *relay;
    char owner[100];              /* who we are, for people */
    struct catalogue *price_file; /* what the parts were made with; NULL: none */
    pthread_mutex_t lock;
    int end_code; /* under lock; 0: none */
    char end_why[512];
    /* the main thread's */
    struct pulse pulse[SERVICE_PULSES_MAX];
    uint64_t settled; /* at the last view */
    int64_t viewed_us;
};

/* ---- hooks of the source */

static struct writer *writer_of(struct service *s, enum topic_kind kind, int32_t partition)
{
    return kind == TOPIC_ACCOUNTS ? s->accounts : s->usage[partition % s->usage_count];
}

static enum source_answer on_cluster(void *ctx, const char *cluster_id, struct error *ret_error)
{
    struct service *s = ctx;
    return claims_cluster(s->claims, cluster_id, ret_error);
}

static enum source_answer on_claim(void *ctx, const char *topic, int32_t partition,
                                   struct partition_claim *ret, struct error *ret_error)
{
    struct service *s = ctx;
    return claims_claim(s->claims, topic, partition, ret, ret_error);
}

static enum source_answer on_halt(void *ctx, const char *topic, int32_t partition, int64_t epoch,
                                  const char *why, struct error *ret_error)
{
    struct service *s = ctx;
    return claims_halt(s->claims, topic, partition, epoch, why, ret_error);
}

static void on_assigned(void *ctx, const struct source_place *place, size_t places)
{
    struct service *s = ctx;
    for (size_t i = 0; i < places; i++) {
        const struct source_place *p = &place[i];
        struct writer_place w = { p->topic, p->partition, p->generation, p->epoch,
                                  p->has_next ? p->next_offset : -1 };
        writer_assigned(writer_of(s, p->kind, p->partition), &w);
    }
}

static void on_revoked(void *ctx, const struct source_place *place, size_t places)
{
    struct service *s = ctx;
    for (size_t i = 0; i < places; i++)
        writer_revoked(writer_of(s, place[i].kind, place[i].partition), place[i].partition,
                       place[i].generation);
}

static int on_put(void *ctx, struct message *m, size_t bytes)
{
    struct service *s = ctx;
    return writer_put(writer_of(s, m->kind, m->partition), m, bytes);
}

static bool on_room(void *ctx, enum topic_kind kind, int32_t partition)
{
    struct service *s = ctx;
    return writer_has_room(writer_of(s, kind, partition));
}

static bool on_drained(void *ctx, enum topic_kind kind)
{
    struct service *s = ctx;
    if (kind == TOPIC_ACCOUNTS)
        return writer_is_drained(s->accounts);
    for (int i = 0; i < s->usage_count; i++)
        if (!writer_is_drained(s->usage[i]))
            return false;
    return true;
}

static int64_t on_booked(void *ctx, enum topic_kind kind, int32_t partition, uint64_t generation)
{
    struct service *s = ctx;
    return writer_booked(writer_of(s, kind, partition), partition, generation);
}

static void on_stop(void *ctx, int exit_code, const char *why)
{
    struct service *s = ctx;
    pthread_mutex_lock(&s->lock);
    if (!s->end_code) {
        s->end_code = exit_code;
        snprintf(s->end_why, sizeof(s->end_why), "%s", why);
    }
    pthread_mutex_unlock(&s->lock);
    uint64_t one = 1;
    ASSERT(write(s->wake_fd, &one, sizeof(one)) == sizeof(one));
}

/* ---- hooks of the writers and the keeper */

static void on_committed(void *ctx)
{
    struct service *s = ctx;
    relay_wake(s->relay);
}

static void on_fenced(void *ctx, enum topic_kind kind, int32_t partition, uint64_t generation)
{
    struct service *s = ctx;
    source_fenced(s->source, kind, partition, generation);
}

/* ---- start */

static void kafka_of_config(struct service *s)
{
    const struct config *c = s->config;
    s->property = xcalloc((size_t)c->kafka.properties.count, sizeof(*s->property));
    for (int64_t i = 0; i < c->kafka.properties.count; i++)
        s->property[i] = (struct kafka_property){ c->kafka.properties.item[i].name,
                                                  c->kafka.properties.item[i].value };
    s->kafka = (struct kafka_settings){ c->kafka.bootstrap_servers, c->kafka.group_id, s->property,
                                        (size_t)c->kafka.properties.count };
}

static struct ingest_settings ingest_settings(const struct config *c)
{
    return (struct ingest_settings){
        .window_us = c->accept.window_days * US_PER_DAY,
        .open_unknown = c->accounts.unknown == ACCOUNTS_UNKNOWN_OPEN,
        .default_plan = c->accounts.default_plan,
    };
}

/* What of the configuration a writer is made with, and takes up at a reload. */
static struct writer_settings writer_settings(const struct config *c, enum topic_kind kind,
                                              const char *name, struct catalogue *price_file)
{
    return (struct writer_settings){
        .kind = kind,
        .conninfo = c->postgres.conninfo,
        .name = name,
        .queue_messages = (size_t)c->queue.max_messages,
        .queue_bytes = (size_t)c->queue.max_kbytes * 1024,
        .max_events = (size_t)c->batch.max_events,
        .max_delay_us = c->batch.max_delay_ms * 1000,
        .ingest = ingest_settings(c),
        .price_file = price_file,
    };
}

/* *ret NULL where the configuration names none. */
static int read_price_file(const struct config *c, struct catalogue **ret, struct error *ret_error)
{
    *ret = NULL;
    if (!*c->prices.file || catalogue_read_file(c->prices.file, ret, ret_error) == 0)
        return 0;
    return error_prefix(ret_error, "prices.file");
}

static int make_writers(struct service *s, struct error *ret_error)
{
    const struct writer_hooks hooks = { s, on_committed, on_fenced };
    struct writer_settings w =
        writer_settings(s->config, TOPIC_ACCOUNTS, "accounts", s->price_file);
    if (writer_new(&w, &hooks, &s->accounts) < 0)
        return error_set(ret_error, EX_OSERR, "the queue of the accounts' writer cannot be made");
    int count = (int)s->config->writers.count;
    s->usage = xcalloc((size_t)count, sizeof(struct writer *));
    for (; s->usage_count < count; s->usage_count++) {
        char name[24];
        snprintf(name, sizeof(name), "writer %d", s->usage_count);
        w = writer_settings(s->config, TOPIC_USAGE, name, s->price_file);
        if (writer_new(&w, &hooks, &s->usage[s->usage_count]) < 0)
            return error_set(ret_error, EX_OSERR, "the queue of %s cannot be made", name);
    }
    return 0;
}

static int make(struct service *s, struct error *ret_error)
{
    char host[64] = "?";
    gethostname(host, sizeof(host) - 1);
    snprintf(s->owner, sizeof(s->owner), "%s:%d", host, (int)getpid());
    s->claims = claims_new(s->config->postgres.conninfo, s->owner);
    if (read_price_file(s->config, &s->price_file, ret_error) < 0 || make_writers(s, ret_error) < 0)
        return -1;
    const struct relay_settings relay = {
        .kafka = &s->kafka,
        .alerts_topic = s->config->topics.alerts,
        .dead_letter_topic = s->config->topics.dead_letter,
        .conninfo = s->config->postgres.conninfo,
        .owner = s->owner,
    };
    if (relay_new(&relay, &s->relay, ret_error) < 0)
        return -1;
    const struct source_settings settings = { &s->kafka, s->config->topics.usage,
                                              s->config->topics.accounts };
    const struct source_hooks hooks = {
        .ctx = s,
        .cluster = on_cluster,
        .claim = on_claim,
        .halt = on_halt,
        .assigned = on_assigned,
        .revoked = on_revoked,
        .put = on_put,
        .room = on_room,
        .drained = on_drained,
        .booked = on_booked,
        .stop = on_stop,
    };
    return source_new(&settings, &hooks, &s->source, ret_error);
}

/* Those who take start before those who give. */
static int start(struct service *s, struct error *ret_error)
{
    if (relay_start(s->relay, ret_error) < 0)
        return -1;
    for (int i = 0; i < s->usage_count; i++)
        if (writer_start(s->usage[i], ret_error) < 0)
            return -1;
    if (writer_start(s->accounts, ret_error) < 0)
        return -1;
    const struct keeper_settings settings = { s->config->postgres.conninfo,
                                              ingest_settings(s->config), s->price_file };
    const struct keeper_hooks hooks = { s, on_committed };
    if (keeper_start(&settings, &hooks, &s->keeper, ret_error) < 0)
        return -1;
    return source_start(s->source, ret_error);
}

int service_start(const struct config *config, int wake_fd, struct service **ret,
                  struct error *ret_error)
{
    struct service *s = xcalloc(1, sizeof(*s));
    s->config = config;
    s->wake_fd = wake_fd;
    pthread_mutex_init(&s->lock, NULL);
    kafka_of_config(s);
    if (make(s, ret_error) < 0) {
        service_free(s);
        return -1;
    }
    if (start(s, ret_error) < 0)
        return -1; /* some threads run: the process ends with them */
    *ret = s;
    return 0;
}

int service_reload(struct service *s, const struct config *config, struct error *ret_error)
{
    struct catalogue *price_file;
    if (read_price_file(config, &price_file, ret_error) < 0)
        return -1;
    struct writer_settings w = writer_settings(config, TOPIC_USAGE, "", price_file);
    for (int i = 0; i < s->usage_count; i++)
        writer_reload(s->usage[i], &w);
    writer_reload(s->accounts, &w);
    keeper_reload(s->keeper, price_file);
    catalogue_unref(price_file);
    return 0;
}

/* ---- what it is doing */

int service_ended(struct service *s, char *ret_why, size_t size)
{
    pthread_mutex_lock(&s->lock);
    int code = s->end_code;
    snprintf(ret_why, size, "%s", s->end_why);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static void feel(struct service *s, struct service_view *v, const char *thread, uint64_t beat,
                 int64_t limit_us, int64_t now_us)
{
    ASSERT(v->pulses < SERVICE_PULSES_MAX);
    struct pulse *p = &s->pulse[v->pulses];
    snprintf(p->thread, sizeof(p->thread), "%s", thread);
    p->limit_us = limit_us;
    pulse_feel(p, beat, now_us);
    v->pulse[v->pulses++] = *p;
}

/* Adds one writer's part; what it waits for is kept where nothing else is yet. */
static uint64_t view_writer(struct service *s, struct service_view *v, struct writer *w,
                            const char *name, int64_t now_us)
{
    struct writer_status status;
    writer_status(w, &status);
    feel(s, v, name, writer_heartbeat(w), WRITER_LIMIT_US, now_us);
    if (*status.trouble && !*v->trouble)
        snprintf(v->trouble, sizeof(v->trouble), "%s: %s", name, status.trouble);
    uint64_t settled = 0;
    for (int i = 0; i < FATES; i++)
        settled += status.fate[i];
    return settled;
}

void service_view(struct service *s, int64_t now_us, struct service_view *ret)
{
    struct service_view v = { 0 };
    struct source_status source;
    source_status(s->source, &source);
    feel(s, &v, "source", source_heartbeat(s->source), SOURCE_LIMIT_US, now_us);
    snprintf(v.trouble, sizeof(v.trouble), "%s", source.trouble);
    uint64_t settled = view_writer(s, &v, s->accounts, "accounts", now_us);
    for (int i = 0; i < s->usage_count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "writer %d", i);
        settled += view_writer(s, &v, s->usage[i], name, now_us);
    }
    struct relay_status relay;
    relay_status(s->relay, &relay);
    feel(s, &v, "relay", relay_heartbeat(s->relay), WRITER_LIMIT_US, now_us);
    if (*relay.trouble && !*v.trouble)
        snprintf(v.trouble, sizeof(v.trouble), "relay: %.280s", relay.trouble);
    feel(s, &v, "keeper", keeper_heartbeat(s->keeper), WRITER_LIMIT_US, now_us);
    v.ready = source.joined && !source.denied;
    int64_t span_us = now_us - s->viewed_us;
    uint64_t rate = s->viewed_us && span_us > 0
                        ? (settled - s->settled) * (uint64_t)US_PER_SECOND / (uint64_t)span_us
                        : 0;
    s->settled = settled;
    s->viewed_us = now_us;
    if (!source.joined)
        snprintf(v.text, sizeof(v.text), "joining the group");
    else
        snprintf(v.text, sizeof(v.text), "%u partitions%s, %llu messages/s, lag %lld",
                 source.partitions, source.reading ? "" : " (reading the accounts first)",
                 (unsigned long long)rate, (long long)source.lag);
    if (source.halted && !*v.trouble)
        snprintf(v.trouble, sizeof(v.trouble),
                 "%u partitions are halted: see debitctl position list", source.halted);
    if (source.went_back && !*v.trouble)
        snprintf(v.trouble, sizeof(v.trouble),
                 "PostgreSQL has gone back, %u partitions are read again: see the log",
                 source.went_back);
    *ret = v;
}

/* ---- end */

static int64_t left(int64_t deadline_us)
{
    int64_t us = deadline_us - monotonic_us();
    return us > 0 ? us : 0;
}

int service_stop(struct service *s, int64_t deadline_us)
{
    if (source_stop(s->source, left(deadline_us)) != 0)
        return 1;
    int late = writer_stop(s->accounts, left(deadline_us));
    for (int i = 0; i < s->usage_count; i++)
        late |= writer_stop(s->usage[i], left(deadline_us));
    late |= keeper_stop(s->keeper, left(deadline_us));
    late |= relay_stop(s->relay, left(deadline_us));
    /* Leaving the group is worth it also when a writer is late: others take over at once, and what the late one commits is refused or is what they start from. */
    return late | source_close(s->source, left(deadline_us));
}

void service_free(struct service *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->usage_count; i++)
        writer_free(s->usage[i]);
    free(s->usage);
    writer_free(s->accounts);
    keeper_free(s->keeper);
    relay_free(s->relay);
    catalogue_unref(s->price_file);
    source_free(s->source);
    claims_free(s->claims);
    free(s->property);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
