/* Offsets committed in Kafka, for whoever watches the lag of the group there (kafka-consumer-groups,
 * Burrow). They follow the books: what is committed is already in PostgreSQL, some seconds later, and
 * nothing is ever read from them but this: where Kafka is ahead of PostgreSQL when a partition is
 * claimed, PostgreSQL has gone back, by a restore or by a failover with loss. That is told, and the
 * offset in Kafka is left until the books have passed it, so that it is told at every start.
 *
 * A person may move a position back (debitctl position set): so each commit says how often that had
 * been done. All on the consumer thread; only the first question after a claim is waited for. */
#include "consumers/source_internal.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

#define NOTE "debitd, moves=" /* the metadata of a commit; then the number of moves */

static bool read_note(const rd_kafka_topic_partition_t *e, int64_t *ret_moves)
{
    char text[64];
    size_t n = strlen(NOTE);

    if (e->metadata == NULL || e->metadata_size <= n || e->metadata_size >= sizeof(text) ||
        memcmp(e->metadata, NOTE, n) != 0)
        return false;
    memcpy(text, e->metadata, e->metadata_size);
    text[e->metadata_size] = '\0';
    return sscanf(text + n, "%" SCNd64, ret_moves) == 1;
}

static void compare(struct source *s, struct partition *p, const rd_kafka_topic_partition_t *e)
{
    int64_t next = p->has_next ? p->next : 0, moves;

    /* never committed, somebody else's, or from before a person decided: ours comes next */
    if (e->err != RD_KAFKA_RESP_ERR_NO_ERROR || e->offset < 0 || !read_note(e, &moves) ||
        moves < p->moves)
        return;
    p->mirrored = e->offset;
    p->went_back = e->offset > next;
    if (!p->went_back)
        return;
    s->status_at_us = 0;
    log_error("%s/%d: PostgreSQL has gone back: it was at offset %lld, as the group's commit in "
              "Kafka shows, and is at %lld now: restored from a backup, or failed over with loss. "
              "What is missing is read from Kafka and booked again, as far as retention has kept "
              "it; check that this is the database that is meant, and whether credits were booked "
              "by debitctl or SQL meanwhile: those do not come again",
              p->topic, p->number, (long long)e->offset, (long long)next);
}

void source_mirror_read(struct source *s)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->partitions);

    for (size_t i = 0; i < s->partitions; i++) {
        const struct partition *p = &s->partition[i];

        if (p->state == PARTITION_CLAIMED && !p->announced)
            rd_kafka_topic_partition_list_add(list, p->topic, p->number);
    }
    if (list->cnt > 0 &&
        rd_kafka_committed(s->rk, list, SOURCE_LOW_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (int i = 0; i < list->cnt; i++) {
            enum topic_kind kind;

            if (source_kind_of(s, list->elems[i].topic, &kind))
                compare(s, source_find(s, kind, list->elems[i].partition), &list->elems[i]);
        }
    rd_kafka_topic_partition_list_destroy(list);
}

static void note(rd_kafka_topic_partition_t *e, const struct partition *p)
{
    char text[64];

    e->metadata_size = (size_t)snprintf(text, sizeof(text), NOTE "%" PRId64, p->moves);
    e->metadata = xstrdup(text); /* freed with the list */
    ASSERT(e->metadata != NULL);
}

/* Is there news of this partition for Kafka? */
static bool to_commit(struct source *s, struct partition *p, int64_t *ret_booked)
{
    int64_t booked;

    if (p->state != PARTITION_RUNNING || !p->announced)
        return false;
    booked = s->hooks.booked(s->hooks.ctx, p->kind, p->number, p->generation);
    if (booked < 0 || booked == p->mirrored)
        return false;
    if (p->went_back && booked < p->mirrored)
        return false;
    if (p->went_back)
        log_notice("%s/%d: the books are where they were before PostgreSQL went back", p->topic,
                   p->number);
    p->went_back = false;
    *ret_booked = booked;
    return true;
}

void source_mirror(struct source *s, int64_t now_us)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (now_us < s->mirror_at_us || s->phase == SOURCE_IDLE || rd_kafka_assignment_lost(s->rk))
        return;
    list = rd_kafka_topic_partition_list_new((int)s->partitions);
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];
        rd_kafka_topic_partition_t *e;
        int64_t booked;

        if (!to_commit(s, p, &booked))
            continue;
        e = rd_kafka_topic_partition_list_add(list, p->topic, p->number);
        e->offset = booked;
        note(e, p);
        p->mirrored = booked; /* until we hear otherwise */
    }
    s->mirror_at_us = now_us + (list->cnt > 0 ? SOURCE_MIRROR_US : SOURCE_RETRY_US);
    if (list->cnt > 0)
        err = rd_kafka_commit(s->rk, list, 1);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        source_on_mirrored(s->rk, err, list, &s->client);
    rd_kafka_topic_partition_list_destroy(list);
}

void source_on_mirrored(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                        rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *s = ((struct kafka_client *)opaque)->owner;

    (void)rk;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *e = &list->elems[i];
        enum topic_kind kind;
        struct partition *p =
            source_kind_of(s, e->topic, &kind) ? source_find(s, kind, e->partition) : NULL;

        if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
            err = e->err;
        if (p != NULL && err != RD_KAFKA_RESP_ERR_NO_ERROR)
            p->mirrored = -1; /* again, in a while */
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        s->mirror_denied = false;
        return;
    }
    /* What else goes wrong, a rebalance above all, is tried again and is nobody's trouble. */
    log_debug("committing offsets in Kafka: %s", rd_kafka_err2str(err));
    if (kafka_classify((int)err) != KAFKA_DENIED || s->mirror_denied)
        return;
    s->mirror_denied = true;
    log_warning("Kafka does not let us commit offsets, so its tools cannot show the lag of group "
                "%s; nothing else needs them: %s",
                s->kafka->group_id, rd_kafka_err2str(err));
}
