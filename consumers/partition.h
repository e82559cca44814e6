/* One partition that this process has been given: where it stands, and what a record, an end or
 * an error means for it. Pure decisions, no I/O; the source carries them out.
 *
 * Every assignment, the first as any later one, starts at the last message that was taken, and
 * that message must come first, with the same fingerprint: then it is discarded and reading goes
 * on behind it. So a topic that was made anew, a log that was cut, another cluster and a batch
 * that the library skipped are all noticed before anything is booked (research: reliability.md
 * A3, A6). Belongs to the consumer thread. */
#ifndef DEBITD_CONSUMERS_PARTITION_H
#define DEBITD_CONSUMERS_PARTITION_H

#include "kafka/client.h"
#include "model/message.h"

#include <stdbool.h>
#include <stdint.h>

#define PARTITION_BEGINNING       INT64_C(-2) /* librdkafka's RD_KAFKA_OFFSET_BEGINNING */
/* re-assignments at one place before the partition is halted */
#define PARTITION_TRIES           5
/* times the number of the try: what was damaged on the way may come whole the next time */
#define PARTITION_RETRY_US        INT64_C(1000000)
/* how long the last message may be missing while the log ends at it: a new leader lets nobody read beyond
 * what all its replicas in sync have, and gives up one that does not follow only after
 * replica.lag.time.max.ms (30 s) to one and a half times that */
#define PARTITION_VERIFY_US       INT64_C(60000000)
/* Looks in a row that find the library with nothing to give while the log goes on, before it is
 * assigned anew; twice as many each time that this has not helped, so often. At once as many as that
 * makes at most where the library has just met the end of what may be read: there a transaction is open,
 * which may be so for 15 minutes (Kafka's transaction.max.timeout.ms). */
#define PARTITION_STILL_LOOKS     60U
#define PARTITION_STILL_DOUBLINGS 4
#define PARTITION_WHY_MAX         2400 /* three times the longest name of a topic, and the words */
#define PARTITION_WHAT_MAX        600  /* the first line of it */

enum partition_state {
    PARTITION_UNCLAIMED, /* the claim in PostgreSQL is to be made, or made again */
    PARTITION_CLAIMED,   /* the place is known; not yet in the library's assignment */
    PARTITION_VERIFYING, /* assigned at the last message, which has not come yet */
    PARTITION_RUNNING,
    /* something is missing: to be assigned again at due_us; what still comes is dropped */
    PARTITION_SUSPECT,
    PARTITION_HALTING, /* given up; PostgreSQL does not know yet */
    PARTITION_HALTED,  /* left out until a person has decided */
};

struct partition {
    enum topic_kind kind;
    const char *topic; /* lives as long as the process */
    int32_t number;
    enum partition_state state;
    uint64_t generation; /* of the claim; new with every claim */
    int64_t epoch;
    /* false: nothing was consumed yet; no message is known to compare with */
    bool has_next, has_last;
    /* the first offset not taken yet; the offset of the last message taken */
    int64_t next, last;
    uint64_t fingerprint; /* of the message at `last` */
    /* retention took the message at `last`, and nothing behind it: start at `next` */
    bool last_deleted;
    bool at_end; /* its end has been met since it was assigned */
    int64_t
        end; /* the offset at which it was met last: beyond next where control records end the log; 0: not yet */
    bool paused;    /* in the library; only what is paused is ever resumed */
    bool announced; /* the taker knows this generation: it must hear when it is over */
    /* a message came while one was held: to be assigned again instead of resumed */
    bool missed;
    struct message *held; /* did not fit into the queue */
    unsigned tries;
    int64_t tried_at; /* `next` at the first of them */
    bool ends;        /* the last that was heard of it was its end */
    unsigned still;   /* looks in a row that found it standing still */
    unsigned stills;  /* assigned anew for that in vain */
    /* claim, write the halt, assign again, give up verifying: not before then; 0: at once, or
     * never */
    int64_t due_us;
    char why[PARTITION_WHY_MAX]; /* halted: for people, in lines: what happened, and what to do */
    int64_t moves;               /* how often a person has moved the position, as of the claim */
    /* the offset that the group has committed in Kafka; -1: not known. went_back: it is ahead */
    int64_t mirrored;
    bool went_back;
};

/* What claim() in PostgreSQL answered. */
struct partition_claim {
    int64_t epoch;
    bool has_next, has_last;
    int64_t next_offset, last_offset;
    uint64_t last_fingerprint;
    int64_t moves;
    char halted[PARTITION_WHY_MAX]; /* "": it is not */
};

enum partition_verdict {
    PARTITION_TAKE, /* hand it over, then partition_taken() */
    PARTITION_DROP,
    PARTITION_AGAIN,   /* state is SUSPECT now */
    PARTITION_HALT,    /* state is HALTING now and why is filled */
    PARTITION_ASK_LOW, /* find out where the log begins, then partition_low() */
};

/* UNCLAIMED or HALTED -> CLAIMED, or HALTED with due_us left to the caller. */
void partition_claimed(struct partition *p, const struct partition_claim *c, uint64_t generation);
/* Where to assign it: an offset >= 0, or PARTITION_BEGINNING. */
int64_t partition_start(const struct partition *p);
/* How far the log was read: what is taken, and the control records that were met at its end. */
int64_t partition_reached(const struct partition *p);
/* It is in the library's assignment now, at partition_start(): -> VERIFYING or RUNNING. */
void partition_assigned(struct partition *p);
/* May it stand in the library's assignment? */
bool partition_assignable(const struct partition *p);

enum partition_verdict partition_record(struct partition *p, int64_t offset, uint64_t fingerprint,
                                        int64_t now_us);
void partition_taken(struct partition *p, int64_t offset, uint64_t fingerprint);
/* An error of this partition; words are the library's. DROP: nothing to do for it. */
enum partition_verdict partition_trouble(struct partition *p, enum kafka_trouble trouble,
                                         const char *words, int64_t now_us);
/* The log begins at `low`; asked for because an offset could not be had. */
enum partition_verdict partition_low(struct partition *p, int64_t low, int64_t now_us);
/* Its end was met. True: before the last message, for the first time; it is waited for from now on. */
bool partition_end(struct partition *p, int64_t now_us);
/* The library had nothing to give, and knows that the log goes on to `high`: AGAIN where that has
 * been so for too long, else DROP. One that holds a message back does not stand still. */
enum partition_verdict partition_dry(struct partition *p, int64_t high, int64_t now_us);
/* The verdict of time: HALT when verifying has taken too long, else DROP. */
enum partition_verdict partition_tick(struct partition *p, int64_t now_us);

/* Of a record: SipHash over timestamp, key and value, with absent told from empty. The same in
 * every version: it is kept in PostgreSQL. */
uint64_t partition_fingerprint(int64_t timestamp_us, struct slice key, struct slice value);

#endif
