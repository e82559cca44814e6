/* The rules of money (contract 2), each case with its sum worked out by hand from the prices in it. Prices of the shipped catalogue
 * are those of etc/catalog.conf; the examples marked "price list" are the customer's own. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"

#include "rating/rate.h"

static struct refusal refusal;

static enum reason rate(const struct catalogue *c, const char *plan, const struct test_event *e,
                        struct rated *ret)
{
    struct rating_context ctx = { .catalogue = c, .plan = catalogue_plan(c, slice_of(plan)) };
    if (!ctx.plan) {
        fprintf(stderr, "no plan %s\n", plan);
        exit(1);
    }
    refusal = (struct refusal){ 0 };
    return rate_usage(&ctx, &e->event, ret, &refusal);
}

static enum reason rate_used(const struct catalogue *c, const char *plan,
                             const struct test_event *e, const char *used_before, struct rated *ret)
{
    struct rating_context ctx = { .catalogue = c,
                                  .plan = catalogue_plan(c, slice_of(plan)),
                                  .used_before = quantity_of(used_before) };
    return rate_usage(&ctx, &e->event, ret, &refusal);
}

/* ---- cost */

TEST("500 tokens in and 500 out cost what the price list says")
{
    /* 500 x (input + output) / 1,000,000, for example gpt-4o: 500 x 2.50 / 1e6 + 500 x 10.00 / 1e6 = 0.00125 + 0.005 */
    static const struct {
        const char *service, *model, *cost;
    } example[] = {
        { "openai", "gpt-4o", "0.00625" },
        { "openai", "gpt-4o-mini", "0.000375" },
        { "anthropic", "claude-3.5-sonnet", "0.009" },
        { "anthropic", "claude-3.5-haiku", "0.0024" },
        { "google", "gemini-2.0-flash", "0.0001875" },
        { "deepseek", "deepseek-chat", "0.00021" },
    };
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    for (size_t i = 0; i < ARRAY_SIZE(example); i++) {
        struct test_event e;
        struct rated r;
        make_event(&e, "ai_tokens", example[i].service, example[i].model, "input=500 output=500",
                   NOON);
        CHECK_STR(reason_text(rate(c, "payg", &e, &r)), "");
        CHECK(r.cost_known);
        CHECK_AMOUNT(r.cost, example[i].cost);
        CHECK_AMOUNT(r.charge, example[i].cost); /* payg: at cost */
        CHECK_MEM(r.currency.p, r.currency.n, "USD", 3);
        CHECK_STR(price_source_text(r.source), "catalogue");
    }
}

TEST("fully used quota plans cost what the price list says")
{
    /* free: 0.5 x 0.023 + 100 x 4.7/1e6 = 0.0115 + 0.00047; starter: 3 + 5 x 0.023 + 5000 x 4.7/1e6 = 3 + 0.115 + 0.0235;
     * professional: 10 + 0.46 + 0.235 + 50 x 0.075 = 14.445; enterprise: 50 + 2.3 + 0.94 + 15. The list shows two places. */
    static const struct {
        const char *plan, *signatures, *storage, *tokens, *sms, *cost;
    } example[] = {
        { "quota-free", "0", "0.5", "100", "0", "0.01197" },
        { "quota-starter", "3", "5", "5000", "0", "3.1385" },
        { "quota-professional", "10", "20", "50000", "50", "14.445" },
        { "quota-enterprise", "50", "100", "200000", "200", "68.24" },
    };
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    for (size_t i = 0; i < ARRAY_SIZE(example); i++) {
        amount_t sum = 0;
        const char *const usage[4][3] = { { "signatures", "signaturit", example[i].signatures },
                                          { "storage_gb", "s3", example[i].storage },
                                          { "ai_tokens", "claude", example[i].tokens },
                                          { "sms", "twilio", example[i].sms } };
        for (int j = 0; j < 4; j++) {
            struct test_event e;
            struct rated r;
            make_event(&e, usage[j][0], usage[j][1], NULL, usage[j][2], NOON);
            CHECK_STR(reason_text(rate(c, example[i].plan, &e, &r)), "");
            CHECK_AMOUNT(r.charge, "0"); /* all of it is included */
            CHECK_MEM(r.currency.p, r.currency.n, "EUR", 3);
            sum += r.cost;
        }
        CHECK_AMOUNT(sum, example[i].cost);
    }
}

TEST("the cost of a component is rounded half-even at 12 places, each by itself")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c =
        catalogue_of(TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = "
                               "\"0.000001\"; per = \"2\"; } );\n"
                               "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; "
                               "tariff = \"cost_plus\"; markup = \"0\"; } );\n");
    /* 0.000001 x 0.000001 / 2 = half of the 12th place: to the even 0; three of it, 1.5: to 2; five, 2.5: to 2; their
     * unrounded sum would be 4.5 */
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "a=0.000001 b=0.000003 c=0.000005", NOON);
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "");
    CHECK_AMOUNT(r.component[0].cost, "0");
    CHECK_AMOUNT(r.component[1].cost, "0.000000000002");
    CHECK_AMOUNT(r.component[2].cost, "0.000000000002");
    CHECK_AMOUNT(r.cost, "0.000000000004");
}

TEST("a price holds from its beginning and up to its end, by the time of the event")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"3\"; "
                  "effective_until = \"2026-07-01\"; },\n"
                  " { metric = \"tokens\"; currency = \"USD\"; price = \"2\"; effective_from = "
                  "\"2026-07-01\"; effective_until = \"2026-08-01\"; } );\n"
                  "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; tariff = "
                  "\"cost_plus\"; markup = \"0\"; } );\n");
    static const struct {
        const char *time, *cost;
    } at[] = { { "2024-12-31T23:59:59.999999Z", NULL }, { "2025-01-01T00:00:00Z", "3" },
               { "2026-06-30T23:59:59.999999Z", "3" },  { "2026-07-01T00:00:00Z", "2" },
               { "2026-07-01T01:59:59+02:00", "3" },    { "2026-07-31T23:59:59.999999Z", "2" },
               { "2026-08-01T00:00:00Z", NULL } };
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct test_event e;
        struct rated r;
        make_event(&e, "tokens", NULL, NULL, "1", at[i].time);
        CHECK_STR(reason_text(rate(c, "p", &e, &r)), at[i].cost ? "" : "unpriced");
        if (at[i].cost)
            CHECK_AMOUNT(r.cost, at[i].cost);
    }
}

TEST("a cost price in another currency is converted at the rate in force, and rounded once")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "fx = ( { from = \"USD\"; to = \"EUR\"; rate = \"0.92\"; effective_until = \"2026-01-01\"; "
        "},\n"
        " { from = \"USD\"; to = \"EUR\"; rate = \"3\"; effective_from = \"2026-01-01\"; } );\n"
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"2.50\"; per = "
        "\"1000000\"; },\n"
        " { metric = \"calls\"; currency = \"USD\"; price = \"0.000001\"; per = \"2\"; } );\n"
        "plans = ( { name = \"p\"; unit = \"EUR\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
        "markup = \"0\"; } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "500", "2025-06-01T00:00:00Z");
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "0.00115"); /* 500 x 2.50 / 1e6 = 0.00125 USD, x 0.92 */
    CHECK_MEM(r.currency.p, r.currency.n, "EUR", 3);
    /* 0.000001 x 0.000001 / 2 x 3 = 1.5 of the 12th place: 2. Rounded before the conversion it would be 0. */
    make_event(&e, "calls", NULL, NULL, "0.000001", NOON);
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "0.000000000002");
}

TEST("a price in the plan's own currency goes before one that must be converted")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD "fx = ( { from = \"EUR\"; to = \"USD\"; rate = \"2\"; } );\n"
                  "prices = ( { metric = \"tokens\"; currency = \"EUR\"; price = \"7\"; }, { "
                  "metric = \"tokens\"; currency = \"USD\"; price = \"5\"; } );\n"
                  "plans = ( { name = \"usd\"; unit = \"USD\"; kind = \"prepaid\"; tariff = "
                  "\"cost_plus\"; markup = \"0\"; },\n"
                  " { name = \"eur\"; unit = \"EUR\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
                  "markup = \"0\"; } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "1", NOON);
    CHECK_STR(reason_text(rate(c, "usd", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "5");
    CHECK_STR(reason_text(rate(c, "eur", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "7");
}

TEST(
    "without a rate the cost is unknown: cost_plus parks, a quota books it and names the component")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = { input = \"1\"; }; }, { "
        "metric = \"tokens\"; currency = \"EUR\"; component = \"other\"; price = \"1\"; } );\n"
        "plans = ( { name = \"plus\"; unit = \"EUR\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
        "markup = \"0\"; },\n"
        " { name = \"quota\"; unit = \"EUR\"; kind = \"postpaid\"; quotas = ( { metric = "
        "\"tokens\"; included = \"1\"; overage_price = \"2\"; } ); } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "other=1 input=2", NOON);
    CHECK_STR(reason_text(rate(c, "plus", &e, &r)), "unpriced");
    CHECK(r.price_missing);
    CHECK_MEM(r.missing_component.p, r.missing_component.n, "input", 5);
    CHECK_INT(r.missing, 2);
    CHECK_STR(reason_text(rate(c, "quota", &e, &r)), "");
    CHECK(!r.cost_known);
    CHECK(r.component[0].cost_known && !r.component[1].cost_known);
    CHECK_AMOUNT(r.charge, "4"); /* 3 used, 1 included, 2 each */
    CHECK(r.price_missing);
    CHECK_MEM(r.missing_component.p, r.missing_component.n, "input", 5);
}

TEST("the event's own cost serves instead of prices, unless the plan does not trust it")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; } );\n"
                  "plans = ( { name = \"trusts\"; unit = \"USD\"; kind = \"prepaid\"; tariff = "
                  "\"cost_plus\"; markup = \"15\"; },\n"
                  " { name = \"not\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
                  "markup = \"15\"; trust_cost = false; } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "a=1 b=1 c=1", NOON);
    e.event.has_cost = true;
    e.event.cost = amount_of("1");
    CHECK_STR(reason_text(rate(c, "trusts", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "1");
    CHECK_AMOUNT(r.charge, "1.15");
    CHECK_STR(price_source_text(r.source), "event");
    /* thirds of 1, the last with the rest; thirds of 1.15 by those costs: 1.15 x 0.333333333333 = 0.38333333333295 -> …333, twice, and the rest */
    CHECK_AMOUNT(r.component[0].cost, "0.333333333333");
    CHECK_AMOUNT(r.component[2].cost, "0.333333333334");
    CHECK_AMOUNT(r.component[0].charge, "0.383333333333");
    CHECK_AMOUNT(r.component[1].charge, "0.383333333333");
    CHECK_AMOUNT(r.component[2].charge, "0.383333333334");
    CHECK_STR(reason_text(rate(c, "not", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "3");
    CHECK_AMOUNT(r.charge, "3.45");
    CHECK_STR(price_source_text(r.source), "catalogue");
}

TEST("the event's own cost prices what the catalogue cannot")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    make_event(&e, "ai_tokens", "nobody", "knows", "0", NOON);
    e.event.has_cost = true;
    e.event.cost = amount_of("0.5");
    CHECK_STR(reason_text(rate(c, "assistant-pro", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "0.5");
    CHECK_AMOUNT(r.charge, "50"); /* 0.5 / 0.01 */
    CHECK(!r.price_missing);
}

/* ---- charge: tariffs */

TEST("credits of cost_plus: cost, markup and the value of a credit, rounded once")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        "units = ( { code = \"USD\"; }, { code = \"CREDIT\"; valued_in = \"USD\"; value = "
        "\"0.01\"; },\n"
        " { code = \"COIN\"; valued_in = \"USD\"; value = \"0.3\"; } );\n"
        "metrics = ( { name = \"tokens\"; } ); defaults = { effective_from = \"2025-01-01\"; "
        "markup = \"15\"; };\n"
        "plans = ( { name = \"credit\"; unit = \"CREDIT\"; kind = \"prepaid\"; tariff = "
        "\"cost_plus\"; },\n"
        " { name = \"coin\"; unit = \"COIN\"; kind = \"prepaid\"; tariff = \"cost_plus\"; },\n"
        " { name = \"half\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"cost_plus\"; markup = "
        "\"0.5\"; } );\n");
    static const struct {
        const char *plan, *cost, *charge;
    } example[] = {
        { "credit", "0.00625", "0.71875" }, /* 0.00625 x 1.15 = 0.0071875, / 0.01 */
        { "credit", "0.01", "1.15" },
        { "credit", "0", "0" },
        { "coin", "0.000000000001",
          "0.000000000004" }, /* 1.15 / 0.3 = 3.83…; rounded twice it would be 1 / 0.3 = 3 */
        { "half", "0.0000000001",
          "0.0000000001" }, /* 100 x 1.005 = 100.5 of the 12th place: to the even 100 */
        { "half", "0.0000000003", "0.000000000302" }, /* 301.5: to the even 302 */
    };
    for (size_t i = 0; i < ARRAY_SIZE(example); i++) {
        struct test_event e;
        struct rated r;
        make_event(&e, "tokens", NULL, NULL, "1", NOON);
        e.event.has_cost = true;
        e.event.cost = amount_of(example[i].cost);
        CHECK_STR(reason_text(rate(c, example[i].plan, &e, &r)), "");
        CHECK_AMOUNT(r.charge, example[i].charge);
        CHECK_STR(charge_kind_text(r.kind), "cost_plus");
        CHECK_MEM(r.currency.p, r.currency.n, "USD", 3);
    }
}

TEST("studio takes the credits per 1,000 tokens of the price list, whoever serves the model")
{
    static const char *const credits[][2] = { { "gemini-flash", "1" },
                                              { "gpt-4o-mini", "2" },
                                              { "gpt-4o", "25" },
                                              { "claude-sonnet", "30" },
                                              { "claude-opus", "150" } };
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    for (size_t i = 0; i < ARRAY_SIZE(credits); i++) {
        make_event(&e, "ai_tokens", i % 2 ? "anybody" : NULL, credits[i][0], "input=600 output=400",
                   NOON);
        CHECK_STR(reason_text(rate(c, "studio", &e, &r)), "");
        CHECK_AMOUNT(r.charge, credits[i][1]);
        CHECK_STR(charge_kind_text(r.kind), "fixed");
    }
    /* gpt-4o of openai has a cost price as well: 600 x 2.50 / 1e6 + 400 x 10 / 1e6 = 0.0015 + 0.004 */
    make_event(&e, "ai_tokens", "openai", "gpt-4o", "input=600 output=400", NOON);
    CHECK_STR(reason_text(rate(c, "studio", &e, &r)), "");
    CHECK_AMOUNT(r.cost, "0.0055");
    CHECK_AMOUNT(r.component[0].charge, "15"); /* 600 x 25 / 1000 */
    CHECK_AMOUNT(r.component[1].charge, "10");
    CHECK(!r.price_missing);
    /* and claude-opus has none: booked all the same, with cost unknown */
    make_event(&e, "ai_tokens", "anthropic", "claude-opus", "input=1", NOON);
    CHECK_STR(reason_text(rate(c, "studio", &e, &r)), "");
    CHECK_AMOUNT(r.charge, "0.15");
    CHECK(!r.cost_known && r.price_missing);
    CHECK_STR(price_source_text(r.source), "catalogue"); /* of the fixed price */
}

TEST("a fixed tariff without a price for every component leaves the event unpriced")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; }, { metric = "
        "\"calls\"; currency = \"USD\"; price = \"1\"; } );\n"
        "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"fixed\";\n"
        " quotas = ( { metric = \"tokens\"; day_limit = \"5\"; }, { metric = \"calls\"; day_limit "
        "= \"5\"; } );\n"
        " prices = ( { metric = \"tokens\"; price = { input = \"1\"; }; } ); } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "input=1 output=1", NOON);
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "unpriced");
    CHECK_MEM(r.missing_component.p, r.missing_component.n, "output", 6);
    make_event(&e, "tokens", NULL, NULL, "output=1",
               NOON); /* priced by the plan, though not this: never 0 */
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "unpriced");
    make_event(&e, "calls", NULL, NULL, "3", NOON); /* only a day limit: nothing */
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "");
    CHECK_AMOUNT(r.charge, "0");
    CHECK_STR(charge_kind_text(r.kind), "free");
    CHECK_AMOUNT(r.cost, "3");
}

TEST("a request is one credit on codegen plans, and costs nothing")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    make_event(&e, "requests", "any", "any", "1", NOON);
    CHECK_STR(reason_text(rate(c, "codegen-free", &e, &r)), "");
    CHECK_AMOUNT(r.charge, "1");
    CHECK(r.cost_known);
    CHECK_AMOUNT(r.cost, "0");
    make_event(&e, "ai_tokens", "openai", "gpt-4o", "input=1", NOON);
    CHECK_STR(reason_text(rate(c, "codegen-pro", &e, &r)), "unpriced");
}

/* ---- charge: quotas */

TEST("an entry that straddles the quota pays for the part beyond it")
{
    static const struct {
        const char *plan, *metric, *service, *used, *quantity, *charge;
    } example[] = {
        { "quota-starter", "signatures", "signaturit", "0", "3", "0" },
        { "quota-starter", "signatures", "signaturit", "2", "2", "2" }, /* 1 beyond 3, at 2.00 */
        { "quota-starter", "signatures", "signaturit", "3", "2", "4" },
        { "quota-starter", "ai_tokens", "claude", "4999", "2",
          "0.00001" }, /* 1 beyond 5000, 0.01 per 1000 */
        { "quota-starter", "storage_gb", "s3", "4.5", "1.25", "0.0375" }, /* 0.75 x 0.05 */
        { "quota-starter", "sms", "twilio", "0", "7", "0" }, /* none included, no overage price */
        { "quota-free", "signatures", "signaturit", "0", "1", "0" },
        { "quota-professional", "sms", "twilio", "49", "2", "0.09" },
        { "quota-enterprise", "ai_tokens", "claude", "200000", "500",
          "0.003" }, /* 500 x 0.006 / 1000 */
    };
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    for (size_t i = 0; i < ARRAY_SIZE(example); i++) {
        struct test_event e;
        struct rated r;
        make_event(&e, example[i].metric, example[i].service, NULL, example[i].quantity, NOON);
        CHECK_STR(reason_text(rate_used(c, example[i].plan, &e, example[i].used, &r)), "");
        CHECK_AMOUNT(r.charge, example[i].charge);
        CHECK_STR(charge_kind_text(r.kind), "quota");
    }
}

TEST("overage of single units adds up to that of their sum")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "plans = ( { name = \"p\"; unit = \"EUR\"; kind = \"postpaid\"; quotas = ( { metric = "
        "\"calls\"; included = \"0\"; overage_price = \"1\"; overage_per = \"3\"; } ); } );\n");
    /* C(1) = 0.333…333, C(2) = 0.666…667, C(3) = 1 */
    static const char *const charge[] = { "0.333333333333", "0.333333333334", "0.333333333333" };
    static const char *const used[] = { "0", "1", "2" };
    struct test_event e;
    struct rated r;
    make_event(&e, "calls", NULL, NULL, "1", NOON);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(reason_text(rate_used(c, "p", &e, used[i], &r)), "");
        CHECK_AMOUNT(r.charge, charge[i]);
    }
    make_event(&e, "calls", NULL, NULL, "3", NOON);
    CHECK_STR(reason_text(rate_used(c, "p", &e, "0", &r)), "");
    CHECK_AMOUNT(r.charge, "1");
}

TEST("a metric with only a day limit is free, one that the plan does not have is unpriced")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    make_event(&e, "ai_valuations", NULL, NULL, "1", NOON);
    CHECK_STR(reason_text(rate(c, "quota-starter", &e, &r)), "");
    CHECK_AMOUNT(r.charge, "0");
    CHECK_STR(charge_kind_text(r.kind), "free");
    CHECK(!r.cost_known && r.price_missing);
    make_event(&e, "requests", NULL, NULL, "1", NOON);
    CHECK_STR(reason_text(rate(c, "quota-starter", &e, &r)), "unpriced");
}

/* ---- guests, byok, order of reasons, range */

TEST(
    "a guest costs but is not charged; byok neither costs nor is charged; neither is ever unpriced")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    struct rating_context ctx = { .catalogue = c,
                                  .plan = catalogue_plan(c, SLICE("payg")),
                                  .guest = true };
    make_event(&e, "ai_tokens", "openai", "gpt-4o", "input=500 output=500", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK_AMOUNT(r.cost, "0.00625");
    CHECK_AMOUNT(r.charge, "0");
    CHECK_STR(charge_kind_text(r.kind), "free");
    make_event(&e, "ai_tokens", "openai", "gpt-9", "input=500", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK(!r.cost_known && r.price_missing);
    ctx.guest = false;
    ctx.byok = true;
    e.event.has_cost = true;
    e.event.cost = amount_of("3");
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK(r.cost_known && r.component[0].cost_known && !r.price_missing);
    CHECK_AMOUNT(r.cost, "0");
    CHECK_AMOUNT(r.charge, "0");
    CHECK_STR(price_source_text(r.source), "");
}

TEST("an unknown metric is found before a missing price, for guests too")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    struct test_event e;
    struct rated r;
    struct rating_context ctx = { .catalogue = c,
                                  .plan = catalogue_plan(c, SLICE("payg")),
                                  .guest = true };
    make_event(&e, "teleports", "openai", "gpt-4o", "1", NOON);
    CHECK_STR(reason_text(rate(c, "payg", &e, &r)), "unknown_metric");
    CHECK(strstr(refusal.detail, "teleports") != NULL);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "unknown_metric");
}

TEST("an amount of 1e18 and more is out of range, one below is not")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1000000\"; }, { "
                  "metric = \"calls\"; currency = \"USD\"; price = \"999999\"; } );\n"
                  "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; tariff = "
                  "\"cost_plus\"; markup = \"0\"; },\n"
                  " { name = \"credit\"; unit = \"CREDIT\"; kind = \"prepaid\"; tariff = "
                  "\"cost_plus\"; markup = \"0\"; },\n"
                  " { name = \"quota\"; unit = \"USD\"; kind = \"postpaid\"; quotas = ( { metric = "
                  "\"calls\"; included = \"0\"; overage_price = \"1000000\"; } ); } );\n");
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", NULL, NULL, "1000000000000", NOON); /* x 1e6 = 1e18 */
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "out_of_range");
    make_event(&e, "tokens", NULL, NULL, "a=500000000000 b=500000000000", NOON); /* the sum */
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "out_of_range");
    make_event(&e, "calls", NULL, NULL, "1000000000000", NOON);
    CHECK_STR(reason_text(rate(c, "p", &e, &r)), "");
    CHECK_AMOUNT(r.charge, "999999000000000000");
    CHECK_STR(reason_text(rate(c, "credit", &e, &r)), "out_of_range"); /* a hundred times that */
    /* C(u) is beyond 1e18 already, but what this entry is charged is not */
    make_event(&e, "calls", NULL, NULL, "1", NOON);
    CHECK_STR(reason_text(rate_used(c, "quota", &e, "1000000000000", &r)), "");
    CHECK_AMOUNT(r.charge, "1000000");
}

/* ---- the price file of the configuration */

TEST("the price file serves where the catalogue has no price, and the entry says so")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "prices = ( { service = \"s\"; metric = \"tokens\"; currency = \"USD\"; price = { input = "
        "\"1\"; }; } );\n"
        "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
        "markup = \"0\"; },\n"
        " { name = \"eur\"; unit = \"EUR\"; kind = \"prepaid\"; tariff = \"cost_plus\"; markup = "
        "\"0\"; },\n"
        " { name = \"fixed\"; unit = \"CREDIT\"; kind = \"prepaid\"; tariff = \"fixed\"; } );\n");
    CLEANUP(catalogue_unrefp)
    struct catalogue *file =
        catalogue_of("prices = ( { service = \"s\"; metric = \"tokens\"; currency = \"USD\"; price "
                     "= { input = \"9\"; output = \"2\"; }; effective_from = \"2025-01-01\"; },\n"
                     " { plan = \"fixed\"; metric = \"calls\"; price = \"4\"; effective_from = "
                     "\"2025-01-01\"; } );\n"
                     "fx = ( { from = \"USD\"; to = \"EUR\"; rate = \"0.5\"; effective_from = "
                     "\"2025-01-01\"; } );\n");
    struct rating_context ctx = { .catalogue = c,
                                  .price_file = file,
                                  .plan = catalogue_plan(c, SLICE("p")) };
    struct test_event e;
    struct rated r;
    make_event(&e, "tokens", "s", NULL, "input=1", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK_AMOUNT(r.cost, "1");
    CHECK_STR(price_source_text(r.source), "catalogue");
    make_event(&e, "tokens", "s", NULL, "output=1 input=1", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK_AMOUNT(r.cost, "3");
    CHECK_STR(price_source_text(r.source), "file");
    ctx.plan = catalogue_plan(c, SLICE("eur")); /* the rate is in the file only */
    make_event(&e, "tokens", "s", NULL, "input=1", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK_AMOUNT(r.cost, "0.5");
    CHECK_STR(price_source_text(r.source), "file");
    ctx.plan = catalogue_plan(c, SLICE("fixed"));
    make_event(&e, "calls", NULL, NULL, "2", NOON);
    CHECK_STR(reason_text(rate_usage(&ctx, &e.event, &r, &refusal)), "");
    CHECK_AMOUNT(r.charge, "8");
    CHECK_STR(price_source_text(r.source), "file");
}

/* ---- voids and splits */

TEST("a void on a quota metric gives overage back at the margin, else the original's own amount")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    const struct plan *starter = catalogue_plan(c, SLICE("quota-starter"));
    const struct plan *payg = catalogue_plan(c, SLICE("payg"));
    struct slice metric = SLICE("signatures");
    /* 5 used, 3 included, 2.00 each: the first two cost nothing when they came, but without them 3 are used and nothing is due */
    CHECK_AMOUNT(rate_void(starter, metric, CHARGE_QUOTA, 0, quantity_of("2"), quantity_of("5")),
                 "4");
    CHECK_AMOUNT(rate_void(starter, metric, CHARGE_QUOTA, amount_of("4"), quantity_of("2"),
                           quantity_of("4")),
                 "2");
    CHECK_AMOUNT(rate_void(starter, metric, CHARGE_QUOTA, 0, quantity_of("2"), quantity_of("3")),
                 "0");
    /* a guest's stays 0; a tariff's, or one of another plan, is given back as it was */
    CHECK_AMOUNT(rate_void(starter, metric, CHARGE_FREE, 0, quantity_of("2"), quantity_of("5")),
                 "0");
    CHECK_AMOUNT(rate_void(starter, metric, CHARGE_FIXED, amount_of("7"), quantity_of("2"),
                           quantity_of("5")),
                 "7");
    CHECK_AMOUNT(
        rate_void(payg, metric, CHARGE_QUOTA, amount_of("4"), quantity_of("2"), quantity_of("5")),
        "4");
}

TEST(
    "a charge is split in proportion to cost, the last component takes the rest, negative ones too")
{
    struct rated_component part[3] = { { .cost_known = true, .cost = amount_of("1") },
                                       { .cost_known = true, .cost = amount_of("1") },
                                       { .cost_known = true, .cost = amount_of("1") } };
    split_charge(amount_of("1"), part, 3);
    CHECK_AMOUNT(part[0].charge, "0.333333333333");
    CHECK_AMOUNT(part[2].charge, "0.333333333334");
    split_charge(amount_of("-1"), part, 3);
    CHECK_AMOUNT(part[0].charge, "-0.333333333333");
    CHECK_AMOUNT(part[2].charge, "-0.333333333334");
    part[1].cost_known = false; /* counts as 0 */
    split_charge(amount_of("4"), part, 3);
    CHECK_AMOUNT(part[0].charge, "2");
    CHECK_AMOUNT(part[1].charge, "0");
    CHECK_AMOUNT(part[2].charge, "2");
    for (int i = 0; i < 3; i++)
        part[i] = (struct rated_component){ .cost_known = true };
    split_charge(amount_of("4"), part, 3);
    CHECK_AMOUNT(part[0].charge, "0");
    CHECK_AMOUNT(part[2].charge, "4");
    for (int i = 0; i < 3; i++)
        part[i].cost = -amount_of("1"); /* of a void */
    split_charge(amount_of("-3"), part, 3);
    CHECK_AMOUNT(part[0].charge, "-1");
    CHECK_AMOUNT(part[2].charge, "-1");
}
