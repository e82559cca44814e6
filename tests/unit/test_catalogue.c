/* The catalogue in memory: the order of look-ups (contract 2.7), effective dates, rates, versions of plans. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"

#include "model/catalogue_build.h"

/* The eight keys in the order of contract 2.7; the price of the i-th is i. */
static const struct {
    const char *service, *model, *component;
} STEP[] = { { "s", "m", "c" }, { "s", "m", "*" }, { "s", "*", "c" }, { "s", "*", "*" },
             { "*", "m", "c" }, { "*", "m", "*" }, { "*", "*", "c" }, { "*", "*", "*" } };

static struct slice star(const char *name)
{
    return name && strcmp(name, "*") == 0 ? SLICE_ABSENT : slice_of(name);
}

/* The steps whose bit is set, as cost prices or as prices of a plan. */
static struct catalogue *with_steps(unsigned steps, const char *plan)
{
    struct catalogue *c = catalogue_new();
    for (unsigned i = 0; i < 8; i++) {
        if (!(steps & 1u << i))
            continue;
        struct price *p = catalogue_add_price(c);
        p->plan = slice_of(plan);
        p->service = star(STEP[i].service);
        p->model = star(STEP[i].model);
        p->component = star(STEP[i].component);
        p->metric = SLICE("tokens");
        p->currency = SLICE("USD");
        p->price = (i + 1) * AMOUNT_ONE;
        p->per = QUANTITY_ONE;
    }
    catalogue_finish(c, 0);
    return c;
}

static int found(const struct catalogue *c, const char *plan, const char *service,
                 const char *model, const char *component)
{
    const struct price *p = catalogue_price(c, slice_of(plan), slice_of(service), slice_of(model),
                                            SLICE("tokens"), slice_of(component), 1);
    return p ? (int)(p->price / AMOUNT_ONE) : 0;
}

TEST("the first price that exists is taken, for every set of the eight that exist")
{
    for (unsigned steps = 0; steps < 256; steps++) {
        CLEANUP(catalogue_unrefp) struct catalogue *c = with_steps(steps, NULL);
        CHECK_INT(found(c, NULL, "s", "m", "c"), steps ? __builtin_ctz(steps) + 1 : 0);
    }
}

TEST("fixed prices of a plan are looked up in the same order, apart from cost prices and other "
     "plans")
{
    for (unsigned steps = 1; steps < 256; steps++) {
        CLEANUP(catalogue_unrefp) struct catalogue *c = with_steps(steps, "studio");
        CHECK_INT(found(c, "studio", "s", "m", "c"), __builtin_ctz(steps) + 1);
        CHECK_INT(found(c, NULL, "s", "m", "c"), 0);
        CHECK_INT(found(c, "other", "s", "m", "c"), 0);
    }
}

TEST("a name that is absent or unknown matches only '*'")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = with_steps(255, NULL);
    CHECK_INT(found(c, NULL, NULL, "m", "c"), 5);
    CHECK_INT(found(c, NULL, "x", "m", "c"), 5);
    CHECK_INT(found(c, NULL, "s", NULL, "c"), 3);
    CHECK_INT(found(c, NULL, "s", "m", "x"), 2);
    CHECK_INT(found(c, NULL, NULL, NULL, "x"), 8);
    CHECK_INT(found(c, NULL, "*", "*", "*"), 8); /* an event's own "*" is a name like any other */
    CHECK_INT(found(c, NULL, "m", "s", "c"), 7); /* names of another place */
    CHECK(catalogue_price(c, SLICE_ABSENT, SLICE("s"), SLICE("m"), SLICE("calls"), SLICE("c"), 1) ==
          NULL);
}

TEST("the empty component is a name of its own")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; component = \"\"; price = \"1\"; },"
        " { metric = \"tokens\"; currency = \"USD\"; price = \"2\"; } );\n");
    const struct slice none = SLICE_ABSENT;
    const struct price *p =
        catalogue_price(c, none, none, none, SLICE("tokens"), SLICE(""), at_time(NOON));
    REQUIRE(p != NULL);
    CHECK_AMOUNT(p->price, "1");
    p = catalogue_price(c, none, none, none, SLICE("tokens"), SLICE("input"), at_time(NOON));
    REQUIRE(p != NULL);
    CHECK_AMOUNT(p->price, "2");
}

TEST("among many dated prices of one key the one in force is found, and none in a gap")
{
    struct catalogue *c = catalogue_new();
    for (int i = 99; i >= 0; i--) { /* [10 i, 10 i + 8) */
        struct price *p = catalogue_add_price(c);
        p->metric = SLICE("tokens");
        p->currency = SLICE("USD");
        p->price = (i + 1) * AMOUNT_ONE;
        p->per = QUANTITY_ONE;
        p->from_us = i * 10;
        p->until_us = i * 10 + 8;
    }
    catalogue_finish(c, 0);
    for (int t = -5; t < 1010; t++) {
        const struct price *p = catalogue_price(c, SLICE_ABSENT, SLICE_ABSENT, SLICE_ABSENT,
                                                SLICE("tokens"), SLICE(""), t);
        bool in_force = t >= 0 && t < 1000 && t % 10 < 8;
        if (!CHECK_INT(p ? (int)(p->price / AMOUNT_ONE) : 0, in_force ? t / 10 + 1 : 0))
            break;
    }
    catalogue_unref(c);
}

TEST("a more general price in force is taken where the special one is over")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c =
        catalogue_of(TEXT_HEAD "prices = ( { service = \"s\"; metric = \"tokens\"; currency = "
                               "\"USD\"; price = \"1\"; effective_until = \"2026-01-01\"; },"
                               " { metric = \"tokens\"; currency = \"USD\"; price = \"2\"; } );\n");
    const struct price *p = catalogue_price(c, SLICE_ABSENT, SLICE("s"), SLICE_ABSENT,
                                            SLICE("tokens"), SLICE(""), at_time(NOON));
    REQUIRE(p != NULL);
    CHECK_AMOUNT(p->price, "2");
}

TEST("a rate holds one way and for its time, a currency is always worth one of itself")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "fx = ( { from = \"USD\"; to = \"EUR\"; rate = \"0.9\"; effective_until = \"2026-01-01\"; "
        "},\n"
        " { from = \"USD\"; to = \"EUR\"; rate = \"0.8\"; effective_from = \"2026-02-01\"; } );\n");
    const struct slice usd = SLICE("USD"), eur = SLICE("EUR");
    amount_t rate = 0;
    CHECK(!catalogue_fx(c, usd, eur, at_time("2024-12-31T23:59:59Z"), &rate));
    CHECK(catalogue_fx(c, usd, eur, at_time("2025-01-01T00:00:00Z"), &rate));
    CHECK_AMOUNT(rate, "0.9");
    CHECK(!catalogue_fx(c, usd, eur, at_time("2026-01-01T00:00:00Z"), &rate));
    CHECK(catalogue_fx(c, usd, eur, at_time(NOON), &rate));
    CHECK_AMOUNT(rate, "0.8");
    CHECK(!catalogue_fx(c, eur, usd, at_time(NOON), &rate));
    CHECK(catalogue_fx(c, eur, eur, at_time(NOON), &rate));
    CHECK_AMOUNT(rate, "1");
    CHECK(catalogue_fx(c, SLICE("CHF"), SLICE("CHF"), at_time(NOON), &rate));
    CHECK(!catalogue_fx(c, SLICE("CHF"), eur, at_time(NOON), &rate));
}

TEST("plans are found by name in force, and by id in any version")
{
    struct catalogue *c = catalogue_new();
    for (int i = 1; i <= 6; i++) {
        struct plan *p = catalogue_add_plan(c, i > 4);
        p->name = i % 2 ? SLICE("odd") : SLICE("even");
        p->plan_id = i * 10;
    }
    catalogue_finish(c, 7);
    CHECK_INT(catalogue_version(c), 7);
    CHECK_INT(catalogue_plan(c, SLICE("odd"))->plan_id, 50);
    CHECK_INT(catalogue_plan(c, SLICE("even"))->plan_id, 60);
    CHECK(catalogue_plan(c, SLICE("none")) == NULL);
    for (int i = 1; i <= 6; i++) {
        const struct plan *p = catalogue_plan_version(c, i * 10);
        CHECK(p != NULL && p->plan_id == i * 10);
    }
    CHECK(catalogue_plan_version(c, 0) == NULL && catalogue_plan_version(c, 15) == NULL &&
          catalogue_plan_version(c, 70) == NULL);
    CHECK(catalogue_ref(c) == c);
    catalogue_unref(c);
    CHECK_INT(catalogue_version(c), 7); /* one reference is left */
    catalogue_unref(c);
    catalogue_unref(NULL);
}

TEST("one name may be a metric, a plan and a service at once")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD "plans = ( { name = \"tokens\"; unit = \"USD\"; kind = \"prepaid\"; } );\n"
                  "prices = ( { service = \"tokens\"; metric = \"tokens\"; currency = \"USD\"; "
                  "price = \"1\"; } );\n");
    CHECK(catalogue_has_metric(c, SLICE("tokens")) && catalogue_plan(c, SLICE("tokens")) != NULL);
    CHECK(catalogue_unit(c, SLICE("tokens")) == NULL && catalogue_unit(c, SLICE("USD")) != NULL);
    CHECK(!catalogue_has_metric(c, SLICE("USD")) && !catalogue_has_metric(c, SLICE("nothing")));
}

TEST("whether a plan has any fixed price on a metric is known without its key")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    CHECK(catalogue_plan_prices_metric(c, SLICE("studio"), SLICE("ai_tokens")));
    CHECK(!catalogue_plan_prices_metric(c, SLICE("studio"), SLICE("requests")));
    CHECK(catalogue_plan_prices_metric(c, SLICE("codegen-pro"), SLICE("requests")));
    CHECK(!catalogue_plan_prices_metric(c, SLICE("payg"), SLICE("ai_tokens")));
    CHECK(!catalogue_plan_prices_metric(c, SLICE("nothing"), SLICE("ai_tokens")));
}
