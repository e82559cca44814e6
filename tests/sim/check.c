/* See check.h. All is recomputed from what was sent in and from the rows that became visible; nothing of the daemon is asked. */
#include "tests/sim/check.h"

#include "tests/sim/broker.h"
#include "tests/sim/events.h"

#include <stdlib.h>
#include <string.h>

#define PAYERS_MAX  64
#define CHANGED_MAX 1024
#define ALERTS_MAX  1024

static struct {
    int usage_booked[IDENTITIES_MAX], purchase_booked[IDENTITIES_MAX];
    int64_t last_entry[PAYERS_MAX];
    amount_t balance[PAYERS_MAX];

    const struct ledger_entry *entry[CHANGED_MAX]; /* of this commit */
    const struct payer *payer[CHANGED_MAX];
    int entries, payers;
    const char *published[ALERTS_MAX];
    int publications;
} seen;

void check_begin(void)
{
    memset(&seen, 0, sizeof(seen));
}

void check_opening(int64_t payer_id, amount_t balance)
{
    seen.balance[payer_id] = balance;
}

/* ---- I1, I7: positions */

static int64_t records_below(const struct position *p)
{
    struct log *l = broker_topic(p->topic)->log[p->partition];
    int64_t n = 0;

    for (int i = 0; p->has_next && i < l->records; i++)
        n += l->record[i].offset < p->next;
    return n;
}

static void check_position(const struct position *old, const struct position *new)
{
    int64_t sum = 0;

    MUST(new != NULL, "a position was deleted");
    for (int i = 0; i < COUNTS; i++) {
        MUST(old == NULL || new->count[i] >= old->count[i], "a count of %s/%d went back",
             new->topic, new->partition);
        sum += new->count[i];
    }
    MUST(old == NULL || (new->epoch >= old->epoch &&new->next >= old->next),
         "position %s/%d went back from %lld to %lld", new->topic, new->partition,
         (long long)old->next, (long long)new->next);
    MUST(sum == records_below(new),
         "I1: %s/%d stands at %lld, %lld messages lie before it, %lld are counted", new->topic,
         new->partition, (long long)new->next, (long long)records_below(new), (long long)sum);
}

/* ---- I2 and the chains */

static void check_identity(const struct ledger_entry *e)
{
    int identity = atoi(e->event_id + (strlen(e->event_id) == 36 ? 24 : 1));
    int *booked = e->is_usage ? seen.usage_booked : seen.purchase_booked;

    MUST(++booked[identity] == 1, "I2: %s is booked twice", e->event_id);
}

/* Nothing is claimed under an epoch that is over. */
static void check_claim(const struct outbox *old, const struct outbox *new)
{
    int64_t epoch = ((const struct relay_row *)store.first[T_RELAY]->old)->epoch;

    MUST(new->state != 1 || (old != NULL && old->state == 1) || new->epoch == epoch,
         "I7: a relay of epoch %lld claims a message, the epoch is %lld", (long long)new->epoch,
         (long long)epoch);
    MUST(old == NULL || old->state != 2 || new->state == 2,
         "I6: what was published is opened again");
}

static int by_entry(const void *a, const void *b)
{
    const struct ledger_entry *x = *(struct ledger_entry *const *)a,
                              *y = *(struct ledger_entry *const *)b;

    return (x->entry_id > y->entry_id) - (x->entry_id < y->entry_id);
}

void check_row(enum table table, const void *old, const void *new)
{
    ASSERT(seen.entries < CHANGED_MAX && seen.payers < CHANGED_MAX);
    switch (table) {
    case T_POSITION:
        check_position(old, new);
        break;
    case T_ENTRY:
        MUST(old == NULL && new != NULL, "an entry was changed");
        seen.entry[seen.entries++] = new;
        break;
    case T_PAYER:
        MUST(new != NULL, "a payer was deleted");
        seen.payer[seen.payers++] = new;
        break;
    case T_KEY:
        MUST(old == NULL, "a key was changed");
        break;
    case T_ALERT:
        MUST(new != NULL, "an alert was deleted");
        check_claim(old ? &((const struct alert *)old)->out : NULL,
                    &((const struct alert *)new)->out);
        break;
    case T_REJECTED:
        MUST(new != NULL, "a rejected message was deleted");
        check_claim(old ? &((const struct rejected *)old)->out : NULL,
                    &((const struct rejected *)new)->out);
        break;
    case T_ACCOUNT:
    case T_USAGE:
    case T_PARKED:
    case T_RELAY:
    case T_PLACE:
    case T_BOOKS:
    case TABLES:
        break;
    }
}

void check_commit(void)
{
    qsort(seen.entry, (size_t)seen.entries, sizeof(seen.entry[0]), by_entry);
    for (int i = 0; i < seen.entries; i++) {
        const struct ledger_entry *e = seen.entry[i];
        ASSERT(e->payer_id < PAYERS_MAX);
        check_identity(e);
        MUST(e->entry_id > seen.last_entry[e->payer_id],
             "payer %lld: entry %lld is committed after %lld", (long long)e->payer_id,
             (long long)e->entry_id, (long long)seen.last_entry[e->payer_id]);
        seen.last_entry[e->payer_id] = e->entry_id;
        MUST(e->balance_after == seen.balance[e->payer_id] + e->amount,
             "payer %lld: the chain breaks at entry %lld (%s)", (long long)e->payer_id,
             (long long)e->entry_id, e->event_id);
        seen.balance[e->payer_id] = e->balance_after;
    }
    for (int i = 0; i < seen.payers; i++)
        MUST(seen.payer[i]->balance == seen.balance[seen.payer[i]->payer_id],
             "payer %lld: the balance is not that of its last entry",
             (long long)seen.payer[i]->payer_id);
    seen.entries = seen.payers = 0;
}

/* ---- I6 */

static bool is_row(bool is_alert, const char *id, size_t n)
{
    struct slice s = { id, n };

    if (!is_alert) {
        EACH_ROW(r, T_REJECTED)
        if (r->exists && ((const struct rejected *)r->old)->id == strtoll(id, NULL, 10))
            return true;
        return false;
    }
    EACH_ROW(r, T_ALERT)
    if (r->exists && slice_is(s, ((const struct alert *)r->old)->text))
        return true;
    return false;
}

void check_published(bool is_alert, const char *id, size_t n)
{
    char *name = sim_text("%s %.*s", is_alert ? "alert" : "letter", (int)n, id);

    MUST(is_row(is_alert, id, n), "I6: %s is on the topic and not in the database", name);
    for (int i = 0; i < seen.publications; i++)
        MUST(strcmp(seen.published[i], name) != 0, "I6: %s is published twice", name);
    ASSERT(seen.publications < ALERTS_MAX);
    seen.published[seen.publications++] = name;
}

/* ---- is it done? */

static const struct position *position_of(const struct log *l)
{
    EACH_ROW(r, T_POSITION)
    {
        const struct position *p = r->old;
        if (r->exists && p->partition == l->number && strcmp(p->topic, l->topic->name) == 0)
            return p;
    }
    return NULL;
}

void check_mirror(int topic, int32_t partition, int64_t offset)
{
    const struct position *p = position_of(broker.topic[topic].log[partition]);

    MUST(p != NULL && p->has_next && offset <= p->next,
         "Kafka is told that %s/%d is booked up to %lld, which it is not", broker.topic[topic].name,
         partition, (long long)offset);
}

static bool is_open(const char *account)
{
    EACH_ROW(r, T_ACCOUNT)
    if (r->exists && strcmp(((const struct account *)r->old)->name, account) == 0)
        return true;
    return false;
}

bool check_settled(char *why, size_t n)
{
    *why = '\0';
    for (int t = USAGE; t <= ACCOUNTS; t++)
        for (int i = 0; i < broker.topic[t].partitions; i++) {
            const struct log *l = broker.topic[t].log[i];
            const struct position *p = position_of(l);
            if (l->records > 0 && (p == NULL || !p->has_next || p->next < l->end))
                snprintf(why, n, "%s/%d is read to %lld of %lld", l->topic->name, i,
                         p ? (long long)p->next : -1LL, (long long)l->end);
        }
    EACH_ROW(r, T_ALERT)
    if (r->exists && ((const struct alert *)r->old)->out.state != 2)
        snprintf(why, n, "alert %s is not published", ((const struct alert *)r->old)->text);
    EACH_ROW(r, T_REJECTED)
    if (r->exists && ((const struct rejected *)r->old)->out.state != 2)
        snprintf(why, n, "letter %lld is not published",
                 (long long)((const struct rejected *)r->old)->id);
    EACH_ROW(r, T_PARKED)
    {
        const struct parked *p = r->old;
        if (r->exists && !p->released && is_open(p->waits_for))
            snprintf(why, n, "parked message %lld is not released", (long long)p->id);
    }
    return *why == '\0';
}

/* ---- the end */

/* The variant of an identity that is in the books: the quantity tells. -1: parked, or none. */
static int booked_variant(int identity)
{
    const char *id = usage_id(identity);

    EACH_ROW(r, T_ENTRY)
    {
        const struct ledger_entry *e = r->old;
        if (r->exists && e->is_usage && strcmp(e->event_id, id) == 0)
            return e->quantity > 10 * AMOUNT_ONE;
    }
    return -1;
}

static int rejections_at(const struct sent_event *e)
{
    int n = 0;

    EACH_ROW(r, T_REJECTED)
    {
        const struct rejected *j = r->old;
        n += r->exists && j->partition == e->partition && j->offset == e->offset &&
             strcmp(j->topic, broker.topic[e->topic].name) == 0;
    }
    return n;
}

/* What must have become of each message. Which of two with one identity came first is nobody's promise, but one did. */
static void check_fates(void)
{
    int skipped = 0, taken = 0, identities = 0;

    for (int i = 0; i < events.events; i++) {
        const struct sent_event *e = &events.event[i];
        bool rejected = e->kind == EVENT_NONSENSE;
        if (e->kind == EVENT_USAGE) {
            int variant = booked_variant(e->identity);
            bool waits = e->to_a3 && !events.opens_a3;
            MUST(waits == (variant < 0), "I2: e%d is %s", e->identity,
                 waits ? "booked, its account is not open" : "not booked");
            rejected = variant >= 0 && variant != e->variant;
            if (waits) /* who took the identity is parked; the other variant is rejected, whichever it is */
                continue;
        }
        skipped += e->kind == EVENT_TOMBSTONE;
        MUST(rejections_at(e) == rejected, "message %d (%s/%d %lld) is rejected %d times", i,
             broker.topic[e->topic].name, e->partition, (long long)e->offset, rejections_at(e));
    }
    identities = events.identities + events.purchases + events.opens_a3;
    EACH_ROW(r, T_POSITION)
    {
        const struct position *p = r->old;
        skipped -= r->exists ? (int)p->count[4] : 0;
        taken += r->exists ? (int)(p->count[0] + p->count[3]) : 0;
    }
    MUST(skipped == 0, "I1: %d tombstones are not counted as skipped", skipped);
    MUST(taken == identities,
         "I1: %d identities were sent, %d messages are counted as booked or parked", identities,
         taken);
}

static int alerts_of(const char *type, const char *event_id, int64_t payer_id, amount_t threshold)
{
    int n = 0;

    EACH_ROW(r, T_ALERT)
    {
        const struct alert *a = r->old;
        n += r->exists && strcmp(a->type, type) == 0 && a->payer_id == payer_id &&
             a->threshold == threshold && (event_id == NULL || strcmp(a->event_id, event_id) == 0);
    }
    return n;
}

static int total_alerts(void)
{
    int n = 0;

    EACH_ROW(r, T_ALERT) n += r->exists;
    return n;
}

/* I5: those of balances by going along the chains, those of thresholds by the sums. */
static void check_alerts(void)
{
    int expected = 0;

    EACH_ROW(r, T_ENTRY)
    {
        const struct ledger_entry *e = r->old;
        if (!r->exists || !e->is_usage)
            continue;
        amount_t after = e->balance_after, before = after - e->amount,
                 low = LOW_BALANCE * AMOUNT_ONE;
        if (before >= low && low > after) {
            expected++;
            MUST(alerts_of("balance.low", e->event_id, e->payer_id, low) == 1,
                 "I5: balance.low of %s", e->event_id);
        }
        if (before > 0 && 0 >= after) {
            expected++;
            MUST(alerts_of("balance.exhausted", e->event_id, e->payer_id, 0) == 1,
                 "I5: balance.exhausted of %s", e->event_id);
        }
    }
    EACH_ROW(r, T_USAGE)
    {
        const struct usage *u = r->old;
        amount_t sum = 0;
        if (!r->exists)
            continue;
        EACH_ROW(k, T_ENTRY)
        {
            const struct ledger_entry *e = k->old;
            if (k->exists && e->is_usage && e->payer_id == u->payer_id &&
                e->metric_id == u->metric_id && e->month == u->start)
                sum += e->quantity;
        }
        MUST(sum == u->used, "I3: the summary of payer %lld is not the sum of its entries",
             (long long)u->payer_id);
        for (size_t i = 0;
             strcmp(store.names[u->metric_id - 1], "signs") == 0 && i < ARRAY_SIZE(sim_thresholds);
             i++)
            expected += sum * 100 >= (amount_t)sim_thresholds[i] * INCLUDED * AMOUNT_ONE;
    }
    MUST(total_alerts() == expected, "I5: %d alerts were due, %d were raised", expected,
         total_alerts());
    MUST(seen.publications >= expected, "I6: %d alerts were due, %d messages are on the topics",
         expected, seen.publications);
}

void check_end(void)
{
    check_fates();
    check_alerts();
}
