/* What is sent in: a small world of accounts and a random stream of events for it, with resends, reused identities, nonsense and
 * tombstones. */
#ifndef DEBITD_TESTS_SIM_EVENTS_H
#define DEBITD_TESTS_SIM_EVENTS_H

#include "model/catalogue.h"
#include "tests/sim/broker.h"

#define EVENTS_MAX     256
#define IDENTITIES_MAX 128
#define LOW_BALANCE    5
#define INCLUDED       10 /* of signs, a month */
#define PURCHASE       20

enum event_kind { EVENT_USAGE, EVENT_NONSENSE, EVENT_TOMBSTONE, EVENT_OPENED, EVENT_PURCHASE };

struct sent_event {
    enum event_kind kind;
    int identity; /* of usage: usage_id(), of a purchase: "c%d" */
    int variant;  /* 0, or 1: the identity with other data */
    bool to_a3;   /* the account that is opened under way, or never */
    enum topic_name topic;
    int32_t partition;
    int64_t offset;
};

struct events {
    struct sent_event event[EVENTS_MAX];
    int events, identities, purchases;
    uint64_t nonsense; /* one in so many messages */
    bool opens_a3;     /* its account.opened was or will be sent */
    bool all_sent;
};
extern struct events events;

void events_init(void);         /* accounts and payers, all partitions empty */
void *events_sender(void *arg); /* a fiber: sends them all, in some seconds */
/* The id of a usage event: every other one tells its time. Memory of the history. */
const char *usage_id(int identity);

extern const int32_t sim_thresholds[3];

#endif
