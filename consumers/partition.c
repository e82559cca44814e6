/* The decisions of consumers/partition.h. */
#include "consumers/partition.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

/* How a person gets a halted partition going again, one way a line. The position is a fact of the
 * books, so only a person may move it. */
static enum partition_verdict halt(struct partition *p, const char *what)
{
    const char *t = p->topic;
    int n = p->number;
    long long here = p->has_next ? p->next : 0;

    p->state = PARTITION_HALTING;
    p->due_us = 0;
    snprintf(p->why, sizeof(p->why),
             "%s\n"
             "Nothing was skipped, and nothing of it is read until a person decides (debitd sees "
             "that within 2 s):\n"
             "to go on at offset %lld, where the books stand, if the topic is right after all or "
             "was mended: debitctl position set %s %d %lld --reason 'WHY'\n"
             "to go on where the topic begins now (what is booked already is not booked twice): "
             "debitctl position set %s %d earliest --reason 'WHY'\n"
             "to pass over everything that it holds now: debitctl position set %s %d latest "
             "--reason 'WHY'",
             what, here, t, n, here, t, n, t, n);
    return PARTITION_HALT;
}

/* What is missing may come: a broker that has just come to lead shows only what it knew its followers
 * to have, so its log seems to end early until one of them has caught up. */
static enum partition_verdict again(struct partition *p, const char *what, int64_t now_us)
{
    if (p->tries == 0 || p->next > p->tried_at) {
        p->tries = 0;
        p->tried_at = p->next;
    }
    if (p->tries == PARTITION_TRIES)
        return halt(p, what);
    p->tries++;
    p->state = PARTITION_SUSPECT;
    p->due_us = now_us + (int64_t)p->tries * PARTITION_RETRY_US;
    return PARTITION_AGAIN;
}

void partition_claimed(struct partition *p, const struct partition_claim *c, uint64_t generation)
{
    ASSERT(p->held == NULL);
    ASSERT(!c->has_next || c->next_offset >= 0);
    ASSERT(!c->has_last || (c->has_next && c->last_offset >= 0 && c->last_offset < c->next_offset));
    p->generation = generation;
    p->epoch = c->epoch;
    p->has_next = c->has_next;
    p->next = c->has_next ? c->next_offset : 0;
    p->has_last = c->has_last;
    p->last = c->has_last ? c->last_offset : -1;
    p->fingerprint = c->last_fingerprint;
    p->moves = c->moves;
    p->mirrored = -1;
    p->went_back = false;
    p->last_deleted = p->at_end = p->missed = p->announced = false;
    p->tries = p->still = p->stills = 0;
    p->due_us = 0;
    p->state = *c->halted != '\0' ? PARTITION_HALTED : PARTITION_CLAIMED;
    snprintf(p->why, sizeof(p->why), "%s", c->halted);
}

static bool verifies(const struct partition *p)
{
    return p->has_last && !p->last_deleted;
}

int64_t partition_start(const struct partition *p)
{
    if (verifies(p))
        return p->last;
    return p->has_next ? p->next : PARTITION_BEGINNING;
}

int64_t partition_reached(const struct partition *p)
{
    return p->end > p->next ? p->end : p->next;
}

bool partition_assignable(const struct partition *p)
{
    switch (p->state) {
    case PARTITION_CLAIMED:
    case PARTITION_VERIFYING:
    case PARTITION_RUNNING:
    case PARTITION_SUSPECT:
        return true;
    case PARTITION_UNCLAIMED:
    case PARTITION_HALTING:
    case PARTITION_HALTED:
        return false;
    }
    return false;
}

void partition_assigned(struct partition *p)
{
    ASSERT(partition_assignable(p) && p->held == NULL);
    p->state = verifies(p) ? PARTITION_VERIFYING : PARTITION_RUNNING;
    p->at_end = p->ends = p->paused = p->missed = false;
    p->end = 0;
    p->due_us = 0;
}

static enum partition_verdict verify(struct partition *p, int64_t offset, uint64_t fingerprint,
                                     int64_t now_us)
{
    char what[PARTITION_WHAT_MAX];

    if (offset < p->last)
        return PARTITION_DROP;
    if (offset > p->last) {
        /* A leftover of the assignment before, or the message is gone: the next try tells. */
        snprintf(what, sizeof(what),
                 "the message booked last, at offset %lld, is not on the topic any more, the next "
                 "one is at %lld: a compacted topic (debitd needs cleanup.policy=delete on its "
                 "topics: compaction takes messages that were not booked as well), or one that was "
                 "made anew",
                 (long long)p->last, (long long)offset);
        return again(p, what, now_us);
    }
    if (fingerprint != p->fingerprint) {
        snprintf(what, sizeof(what),
                 "the message at offset %lld is not the one that was booked from there: the topic "
                 "was made anew or cut, or this is another cluster",
                 (long long)offset);
        return halt(p, what);
    }
    p->state = PARTITION_RUNNING;
    p->due_us = 0;
    return PARTITION_DROP;
}

enum partition_verdict partition_record(struct partition *p, int64_t offset, uint64_t fingerprint,
                                        int64_t now_us)
{
    p->still = 0;
    p->ends = false;
    switch (p->state) {
    case PARTITION_VERIFYING:
        return verify(p, offset, fingerprint, now_us);
    case PARTITION_RUNNING:
        if (p->held != NULL) {
            p->missed = true; /* a paused partition that delivers: it will be asked for again */
            return PARTITION_DROP;
        }
        /* Gaps are normal: control records and aborted transactions take offsets too. Going back
         * is not: librdkafka rewinds now and then. */
        return p->has_next && offset < p->next ? PARTITION_DROP : PARTITION_TAKE;
    case PARTITION_UNCLAIMED:
    case PARTITION_CLAIMED:
    case PARTITION_SUSPECT:
    case PARTITION_HALTING:
    case PARTITION_HALTED:
        return PARTITION_DROP;
    }
    return PARTITION_DROP;
}

void partition_taken(struct partition *p, int64_t offset, uint64_t fingerprint)
{
    ASSERT(p->state == PARTITION_RUNNING && offset >= 0 && (!p->has_next || offset >= p->next));
    p->has_next = p->has_last = true;
    p->next = offset + 1;
    p->last = offset;
    p->fingerprint = fingerprint;
    p->last_deleted = false;
    p->stills = 0;
}

enum partition_verdict partition_trouble(struct partition *p, enum kafka_trouble trouble,
                                         const char *words, int64_t now_us)
{
    char what[PARTITION_WHAT_MAX];

    if (p->state != PARTITION_VERIFYING && p->state != PARTITION_RUNNING)
        return PARTITION_DROP;
    switch (trouble) {
    case KAFKA_OFFSET_GONE:
        return PARTITION_ASK_LOW;
    case KAFKA_BAD_BATCH:
    case KAFKA_TOO_LARGE:
        snprintf(what, sizeof(what),
                 "the messages from offset %lld on cannot be read: %.200s, %d times (the first "
                 "offset behind what is damaged can be named as well)",
                 (long long)(p->has_next ? p->next : 0), words, PARTITION_TRIES + 1);
        return again(p, what, now_us);
    case KAFKA_FINE:
    case KAFKA_TRANSIENT:
    case KAFKA_TOO_SLOW:
    case KAFKA_NO_TOPIC:
    case KAFKA_DENIED:
    case KAFKA_FENCED:
    case KAFKA_FATAL:
    case KAFKA_DEFECT:
        return PARTITION_DROP;
    }
    return PARTITION_DROP;
}

enum partition_verdict partition_low(struct partition *p, int64_t low, int64_t now_us)
{
    char what[PARTITION_WHAT_MAX];

    if (p->state != PARTITION_VERIFYING && p->state != PARTITION_RUNNING)
        return PARTITION_DROP;
    if (p->has_next && low > p->next) {
        snprintf(what, sizeof(what),
                 "retention, or a person, deleted what was never booked: reading was to go on at "
                 "offset %lld, the topic begins at %lld; lost to the books are the offsets between "
                 "(messages, or only the marks of transactions)",
                 (long long)p->next, (long long)low);
        return halt(p, what);
    }
    if (p->state == PARTITION_RUNNING) {
        snprintf(what, sizeof(what),
                 "the topic ends before offset %lld, from which reading was to go on: it was made "
                 "anew or cut, or this is another cluster",
                 (long long)p->next);
        return again(p, what, now_us);
    }
    if (low > p->last) { /* retention deleted what was booked, and nothing else */
        p->last_deleted = true;
        p->state = PARTITION_SUSPECT;
        p->due_us = now_us;
        return PARTITION_AGAIN;
    }
    snprintf(
        what, sizeof(what),
        "the topic ends before offset %lld, which was booked last: it was made anew or cut, or "
        "this is another cluster",
        (long long)p->last);
    return again(p, what, now_us);
}

bool partition_end(struct partition *p, int64_t now_us)
{
    p->still = 0;
    p->ends = true;
    if (p->state == PARTITION_RUNNING)
        p->at_end = true;
    if (p->state != PARTITION_VERIFYING || p->due_us != 0)
        return false;
    p->due_us = now_us + PARTITION_VERIFY_US;
    return true;
}

enum partition_verdict partition_dry(struct partition *p, int64_t high, int64_t now_us)
{
    bool verifying = p->state == PARTITION_VERIFYING;
    int64_t reached = verifying ? p->last : partition_reached(p);

    if ((!verifying && p->state != PARTITION_RUNNING) || p->held != NULL || high <= reached) {
        p->still = 0;
        return PARTITION_DROP;
    }
    if (++p->still < PARTITION_STILL_LOOKS << (p->ends ? PARTITION_STILL_DOUBLINGS : p->stills))
        return PARTITION_DROP;
    p->still = 0;
    if (p->stills < PARTITION_STILL_DOUBLINGS)
        p->stills++;
    p->state = PARTITION_SUSPECT;
    p->due_us = now_us;
    return PARTITION_AGAIN;
}

enum partition_verdict partition_tick(struct partition *p, int64_t now_us)
{
    char what[PARTITION_WHAT_MAX];

    if (p->state != PARTITION_VERIFYING || p->due_us == 0 || now_us < p->due_us)
        return PARTITION_DROP;
    snprintf(what, sizeof(what),
             "the topic ends, and the message booked last, at offset %lld, is not on it: it was "
             "made anew or cut, or this is another cluster",
             (long long)p->last);
    return halt(p, what);
}

uint64_t partition_fingerprint(int64_t timestamp_us, struct slice key, struct slice value)
{
    static const uint64_t hash_key[2] = { UINT64_C(0x6465626974642f31),
                                          UINT64_C(0x66696e6765727072) };
    uint64_t part[5] = { (uint64_t)timestamp_us, key.p != NULL, value.p != NULL, 0, 0 };

    part[3] = hash_siphash(hash_key, key.p, key.n);
    part[4] = hash_siphash(hash_key, value.p, value.n);
    return hash_siphash(hash_key, part, sizeof(part));
}
