/* See events.h. */
#include "tests/sim/events.h"

#include "base/clock.h"
#include "catalogue/store.h"
#include "model/catalogue_build.h"
#include "tests/sim/check.h"

#include <string.h>

struct events events;
const int32_t sim_thresholds[3] = { 50, 80, 100 };

/* ---- the catalogue that is in force: what daemon/catalogue would read from the database */

static void add_price(struct catalogue *c, struct slice plan, struct slice metric, amount_t price)
{
    struct price *p = catalogue_add_price(c);

    p->plan = plan;
    p->metric = metric;
    p->currency = SLICE("USD");
    p->price = price;
    p->per = QUANTITY_ONE;
    p->from_us = 0;
    p->price_id = (int32_t)c->prices.n;
}

static struct catalogue *build(void)
{
    struct catalogue *c = catalogue_new();
    struct unit *u = catalogue_add_unit(c);

    u->code = u->valued_in = SLICE("USD");
    u->value = AMOUNT_ONE;
    catalogue_add_metric(c)->name = SLICE("calls");
    catalogue_add_metric(c)->name = SLICE("signs");
    for (size_t i = 0; i < c->metrics.n; i++)
        c->metrics.at[i]->aggregation = SLICE("sum");
    struct plan *p = catalogue_add_plan(c, true);
    p->name = SLICE("plan");
    p->plan_id = 1;
    p->unit = u;
    p->kind = PLAN_PREPAID;
    p->tariff = TARIFF_FIXED;
    p->has_low_balance = true;
    p->low_balance = LOW_BALANCE * AMOUNT_ONE;
    struct quota *q = arena_zalloc(&c->arena, sizeof(*q));
    *q = (struct quota){ .metric = SLICE("signs"),
                         .has_included = true,
                         .included = INCLUDED * QUANTITY_ONE,
                         .has_overage = true,
                         .overage_price = AMOUNT_ONE,
                         .overage_per = QUANTITY_ONE,
                         .thresholds = (int)ARRAY_SIZE(sim_thresholds) };
    memcpy(q->threshold, sim_thresholds, sizeof(sim_thresholds));
    p->quota = q;
    p->quotas = 1;
    add_price(c, SLICE("plan"), SLICE("calls"), AMOUNT_ONE / 2);
    add_price(c, SLICE_ABSENT, SLICE("calls"), 0);
    add_price(c, SLICE_ABSENT, SLICE("signs"), 0);
    catalogue_finish(c, 1);
    return c;
}

enum pg_outcome __wrap_catalogue_load(struct pg_session *s, struct catalogue **ret,
                                      struct error *ret_error);
enum pg_outcome __wrap_catalogue_load(struct pg_session *s, struct catalogue **ret,
                                      struct error *ret_error)
{
    (void)s;
    (void)ret_error;
    *ret = build();
    return PG_DONE;
}

/* ---- accounts: a0 and a1 pay themselves, a0 pays for a2; a3 opens under way, or never */

static void add_account(struct txn *t, const char *name, int64_t id, int64_t payer_id,
                        int64_t balance)
{
    struct account a = { .name = name, .account_id = id, .payer_id = payer_id };
    struct payer p = { .payer_id = id, .version = 1, .balance = balance * AMOUNT_ONE };

    row_insert(t, T_ACCOUNT, &a);
    if (id != payer_id)
        return;
    row_insert(t, T_PAYER, &p);
    check_opening(id, p.balance);
}

void events_init(void)
{
    struct books b = { .month = month_of_day(day_of_time(store_clock_us())) };
    struct relay_row r = { .epoch = 0 };
    struct txn *t = txn_begin("setup");

    events = (struct events){ .nonsense = 20, .opens_a3 = !sim_one_in(4) };
    row_insert(t, T_BOOKS, &b);
    row_insert(t, T_RELAY, &r);
    add_account(t, "a0", 1, 1, 12);
    add_account(t, "a1", 2, 2, 6);
    add_account(t, "a2", 3, 1, 0);
    store.account_ids = 3;
    txn_commit(t);
}

/* ---- the stream */

static void put_on_topic(struct sent_event e, struct slice value)
{
    int at = events.events++;

    ASSERT(at < EVENTS_MAX);
    struct log *l = broker.topic[e.topic].log[e.partition];
    int gap = sim_one_in(6) ? (int)sim_between(1, 3) : 0;
    e.offset = l->end + gap;
    events.event[at] = e;
    broker_send(e.topic, e.partition, SLICE("key"), value, at, gap);
    TRACE("sent to %s/%d %lld: %.*s", l->topic->name, e.partition, (long long)e.offset,
          (int)value.n, value.p ? value.p : "");
}

const char *usage_id(int identity)
{
    return sim_text(identity % 2 ? "e%d" : "019aa7c0-5c00-7000-8000-%012d", identity);
}

/* Everything about it follows from its identity and variant, so that a resend is the same to the byte. */
static struct slice usage_text(int identity, int variant, bool *ret_to_a3)
{
    static const char *const accounts[] = { "a0", "a0", "a1", "a2", "a3" };
    uint64_t h =
        (uint64_t)identity * UINT64_C(0x9e3779b97f4a7c15) ^ sim.seed * UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 29;
    const char *account = accounts[(h >> 8) % ARRAY_SIZE(accounts)];

    *ret_to_a3 = strcmp(account, "a3") == 0;
    return slice_of(sim_text(
        "{\"specversion\":\"1.0\",\"type\":\"usage.recorded\",\"id\":\"%s\",\"source\":\"/s\","
        "\"subject\":\"%s\",\"data\":{\"metric\":\"%s\",\"quantity\":%d}}",
        usage_id(identity), account, (h >> 20) % 2 ? "calls" : "signs",
        (int)((h >> 24) % 4) + 1 + 10 * variant));
}

static struct slice account_text(const char *type, const char *id, const char *account,
                                 const char *data)
{
    return slice_of(sim_text("{\"specversion\":\"1.0\",\"type\":\"%s\",\"id\":\"%s\",\"source\":"
                             "\"/s\",\"subject\":\"%s\","
                             "\"data\":%s}",
                             type, id, account, data));
}

static void send_usage(void)
{
    struct sent_event e = { .kind = EVENT_USAGE, .topic = USAGE };
    uint64_t dice = sim_below(20);

    e.partition = (int32_t)sim_below((uint64_t)broker.topic[USAGE].partitions);
    if (sim_one_in(events.nonsense)) {
        e.kind = EVENT_NONSENSE;
        put_on_topic(e, sim_one_in(3)
                            ? SLICE("{\"specversion\":\"1.0\",\"type\":\"usage.recorded\",\"long\":"
                                    "\"so long that no broker takes it")
                            : SLICE("{\"specversion\""));
        return;
    }
    if (dice == 1) {
        e.kind = EVENT_TOMBSTONE;
        put_on_topic(e, SLICE_ABSENT);
        return;
    }
    bool again = events.identities > 0 && dice < 8;
    e.identity = again ? (int)sim_below((uint64_t)events.identities) : events.identities++;
    e.variant = again && dice == 2;
    ASSERT(e.identity < IDENTITIES_MAX);
    struct slice text = usage_text(e.identity, e.variant, &e.to_a3);
    put_on_topic(e, text);
}

static void send_operation(void)
{
    static const char *const accounts[] = { "a0", "a1", "a3" };
    struct sent_event e = { .kind = EVENT_OPENED, .topic = ACCOUNTS, .to_a3 = true };

    e.partition = (int32_t)sim_below((uint64_t)broker.topic[ACCOUNTS].partitions);
    if (events.opens_a3 && sim_one_in(2)) {
        put_on_topic(e, account_text("account.opened", "open", "a3", "{\"plan\":\"plan\"}"));
        return;
    }
    bool again = events.purchases > 0 && sim_one_in(3);
    e.kind = EVENT_PURCHASE;
    e.identity = again ? (int)sim_below((uint64_t)events.purchases) : events.purchases++;
    const char *account = accounts[(size_t)e.identity % ARRAY_SIZE(accounts)];
    e.to_a3 = strcmp(account, "a3") == 0;
    put_on_topic(e, account_text("credits.purchased", sim_text("c%d", e.identity), account,
                                 sim_text("{\"amount\":\"%d\"}", PURCHASE)));
}

void *events_sender(void *arg)
{
    int left = (int)sim_between(4, 40);
    int64_t pause_us = sim_between(1, 200) * MS;

    (void)arg;
    for (; left > 0; left--) {
        if (sim_one_in(3))
            sim_pass(sim_between(0, 2 * pause_us));
        if (sim_one_in(8))
            send_operation();
        else
            send_usage();
    }
    if (events.opens_a3)
        put_on_topic((struct sent_event){ .kind = EVENT_OPENED, .topic = ACCOUNTS, .to_a3 = true },
                     account_text("account.opened", "open", "a3", "{\"plan\":\"plan\"}"));
    events.all_sent = true;
    return NULL;
}
