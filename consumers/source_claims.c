/* Positions in PostgreSQL: which cluster they belong to, claims, halts, and what it means that
 * somebody else has claimed one of ours. All on the consumer thread. */
#include "consumers/source_internal.h"

#include "base/clock.h"

#include <string.h>
#include <sysexits.h>

/* A line of the log for each line of it: the commands are there to be copied. */
void source_tell_halt(const struct partition *p, const char *what)
{
    for (const char *line = p->why; *line != '\0';) {
        size_t n = strcspn(line, "\n");

        if (line == p->why)
            log_error("%s/%d %s: %.*s", p->topic, p->number, what, (int)n, line);
        else
            log_error("%s/%d: %.*s", p->topic, p->number, (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/* False: not now, or never; nothing may be claimed. */
static bool cluster_fits(struct source *s, int64_t now_us)
{
    struct error error = { 0 };
    char *id;
    unsigned repeats;

    if (s->cluster_known)
        return true;
    id = rd_kafka_clusterid(s->rk, 0);
    /* an assignment without metadata cannot be; a broker without cluster id is older than 0.10.1 */
    if (id == NULL)
        return false;
    switch (s->hooks.cluster(s->hooks.ctx, id, &error)) {
    case SOURCE_DONE:
        s->cluster_known = true;
        break;
    case SOURCE_LATER:
        if (complaint_due(&s->claim_trouble, now_us, &repeats))
            log_warning("comparing the Kafka cluster with the one of the positions: %s; tried "
                        "again every second",
                        error.text);
        break;
    case SOURCE_REFUSED:
        source_fail(s, EX_CONFIG, error.text);
        break;
    }
    rd_kafka_mem_free(s->rk, id);
    return s->cluster_known;
}

/* False: PostgreSQL cannot be asked now. */
static bool claim_one(struct source *s, struct partition *p, int64_t now_us)
{
    struct partition_claim claim = { 0 };
    struct error error = { 0 };
    bool known = p->state == PARTITION_HALTED;
    unsigned repeats;

    atomic_fetch_add(&s->beat, 1);
    if (s->hooks.claim(s->hooks.ctx, p->topic, p->number, &claim, &error) != SOURCE_DONE) {
        now_us = monotonic_us(); /* that may have taken long */
        s->claim_at_us = now_us + SOURCE_RETRY_US;
        p->due_us = now_us + 2 * SOURCE_RETRY_US; /* the others come first */
        snprintf(s->seen.trouble, sizeof(s->seen.trouble), "%.200s", error.text);
        if (complaint_due(&s->claim_trouble, now_us, &repeats))
            log_warning(
                "claiming %s/%d: %s; tried again every second, nothing of it is read meanwhile",
                p->topic, p->number, error.text);
        return false;
    }
    if (complaint_over(&s->claim_trouble))
        log_notice("positions can be claimed again");
    *s->seen.trouble = '\0';
    partition_claimed(p, &claim, claim.halted[0] == '\0' ? ++s->generation : 0);
    if (p->state == PARTITION_HALTED) {
        p->due_us = now_us + SOURCE_HALTED_US;
        if (!known)
            source_tell_halt(p, "is halted and stays so");
    } else if (known) {
        log_notice("%s/%d is halted no longer", p->topic, p->number);
    }
    return true;
}

static void claim_due(struct source *s, int64_t now_us)
{
    if (now_us < s->claim_at_us)
        return;
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];

        if ((p->state != PARTITION_UNCLAIMED && p->state != PARTITION_HALTED) || now_us < p->due_us)
            continue;
        if (!cluster_fits(s, now_us) || s->failed)
            return;
        if (!claim_one(s, p, now_us))
            return;
    }
}

/* What was taken before the trouble is good, and may not be on the topic any more. Where the writer
 * cannot book it, because the partition is not ours any more, we hear of that. */
static bool all_booked(struct source *s, const struct partition *p)
{
    return !p->announced || !p->has_next ||
           s->hooks.booked(s->hooks.ctx, p->kind, p->number, p->generation) >= p->next;
}

static void halt_due(struct source *s, int64_t now_us)
{
    for (size_t i = 0; i < s->partitions; i++) {
        struct partition *p = &s->partition[i];
        struct error error = { 0 };

        if (p->state != PARTITION_HALTING || now_us < p->due_us || !all_booked(s, p))
            continue;
        atomic_fetch_add(&s->beat, 1);
        switch (s->hooks.halt(s->hooks.ctx, p->topic, p->number, p->epoch, p->why, &error)) {
        case SOURCE_DONE:
            source_revoke(s, p);
            p->state = PARTITION_HALTED;
            p->due_us = now_us + SOURCE_HALTED_US;
            break;
        case SOURCE_LATER: /* it is left out of the assignment all the same */
            p->due_us = now_us + SOURCE_RETRY_US;
            break;
        /* somebody else has claimed it: if it is still ours, find out where it stands now */
        case SOURCE_REFUSED:
            source_revoke(s, p);
            p->state = PARTITION_UNCLAIMED;
            p->due_us = now_us + SOURCE_RETRY_US;
            break;
        }
    }
}

static void take_fences(struct source *s, int64_t now_us)
{
    struct source_fence *fence;
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->fences;
    fence = TAKE(s->fence);
    s->fences = s->fences_capacity = 0;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        struct partition *p = source_find(s, fence[i].kind, fence[i].partition);

        if (p == NULL || p->generation != fence[i].generation || p->generation == 0)
            continue;
        log_warning(
            "%s/%d was claimed by somebody else, or moved by a person; claimed anew in a second if "
            "it is still ours",
            p->topic, p->number);
        source_revoke(s, p);
        p->state = PARTITION_UNCLAIMED;
        p->due_us = now_us + SOURCE_RETRY_US;
        s->assign_due = true;
        s->cluster_known = false; /* a person may have said that it is another one */
    }
    free(fence);
}

void source_claim(struct source *s, int64_t now_us)
{
    take_fences(s, now_us);
    claim_due(s, now_us);
    if (!s->failed)
        halt_due(s, now_us);
}
