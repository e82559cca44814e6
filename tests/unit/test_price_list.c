/* etc/catalog.conf holds the customer's price list, figure for figure, under the plan ids of contract 9, and nothing else. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"
#include "tests/unit/golden.h"

#include "model/catalogue_build.h"

static int64_t from_us;

static const struct price *price_of(const struct catalogue *c, const char *plan,
                                    const char *service, const char *model, const char *metric,
                                    const char *component)
{
    const struct price *p = catalogue_price(c, slice_of(plan), slice_of(service), slice_of(model),
                                            slice_of(metric), slice_of(component), at_time(NOON));
    if (p && !CHECK_INT(p->from_us, from_us))
        return NULL;
    return p;
}

static void check_price(const struct price *p, const char *price, const char *per,
                        const char *currency)
{
    REQUIRE(p != NULL);
    CHECK(p->price == amount_of(price));
    CHECK_QUANTITY(p->per, per);
    CHECK_MEM(p->currency.p, p->currency.n, currency, strlen(currency));
    CHECK(p->until_us == TIME_FOREVER);
}

static void check_credits(const struct plan *p, char **column)
{
    REQUIRE(p != NULL);
    CHECK_MEM(p->unit->code.p, p->unit->code.n, "CREDIT", 6);
    CHECK_INT(p->has_credits, strcmp(column[2], "-") != 0);
    if (p->has_credits) {
        CHECK_AMOUNT(p->credits_per_period, column[2]);
        CHECK_INT(p->credits_policy, CREDITS_RESET);
    }
    CHECK_INT(p->kind, strcmp(column[3], "postpaid") == 0 ? PLAN_POSTPAID : PLAN_PREPAID);
    CHECK_INT(p->tariff, strcmp(column[4], "fixed") == 0 ? TARIFF_FIXED : TARIFF_COST_PLUS);
    CHECK(p->markup == 0 && !p->has_welcome && !p->has_low_balance && p->quotas == 0);
    CHECK_INT(p->enforce, strncmp(column[1], "assistant", 9) != 0);
}

static void check_package(const struct catalogue *c, char **column)
{
    for (size_t i = 0; i < c->packages.n; i++) {
        const struct package *p = c->packages.at[i];
        if (!slice_is(p->name, column[1]))
            continue;
        CHECK_AMOUNT(p->amount, column[2]);
        CHECK_AMOUNT(p->bonus, column[3]);
        CHECK_AMOUNT(p->price, column[4]);
        CHECK_MEM(p->currency.p, p->currency.n, "USD", 3);
        CHECK_MEM(p->unit->code.p, p->unit->code.n, "CREDIT", 6);
        return;
    }
    CHECK(!"the package is there");
}

static void check_included(const struct plan *plan, char **column)
{
    REQUIRE(plan != NULL);
    const struct quota *q = plan_quota(plan, slice_of(column[2]));
    REQUIRE(q != NULL);
    CHECK_INT(q->has_included, strcmp(column[3], "-") != 0);
    CHECK_INT(q->has_overage, strcmp(column[4], "-") != 0);
    CHECK_INT(q->has_day_limit, strcmp(column[6], "-") != 0);
    if (q->has_included) {
        CHECK_QUANTITY(q->included, column[3]);
        CHECK(q->thresholds == 2 && q->threshold[0] == 80 && q->threshold[1] == 100);
    }
    if (q->has_overage) {
        CHECK(q->overage_price == amount_of(column[4]));
        CHECK_QUANTITY(q->overage_per, column[5]);
    }
    if (q->has_day_limit)
        CHECK_QUANTITY(q->day_limit, column[6]);
}

TEST("the shipped catalogue has every figure of the price list")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    from_us = at_time("2025-01-01T00:00:00Z");
    struct golden g;
    for (golden_open(&g, "tests/golden/price_list.txt"); golden_next(&g);) {
        char **column = g.column;
        const struct plan *plan = catalogue_plan(c, slice_of(column[1]));
        if (strcmp(column[0], "model") == 0) {
            check_price(price_of(c, NULL, column[1], column[2], "ai_tokens", "input"), column[3],
                        "1000000", "USD");
            check_price(price_of(c, NULL, column[1], column[2], "ai_tokens", "output"), column[4],
                        "1000000", "USD");
            CHECK(price_of(c, NULL, column[1], column[2], "ai_tokens", "cached_input") == NULL);
            CHECK(price_of(c, NULL, NULL, column[2], "ai_tokens", "input") == NULL);
        } else if (strcmp(column[0], "provider") == 0) {
            check_price(price_of(c, NULL, column[1], "any", column[2], ""), column[3], column[4],
                        "EUR");
        } else if (strcmp(column[0], "studio") == 0) {
            check_price(price_of(c, "studio", "any", column[1], "ai_tokens", "any"), column[2],
                        "1000", "CREDIT");
        } else if (strcmp(column[0], "credits") == 0) {
            check_credits(plan, column);
        } else if (strcmp(column[0], "package") == 0) {
            check_package(c, column);
        } else if (strcmp(column[0], "quota") == 0) {
            REQUIRE(plan != NULL);
            CHECK_AMOUNT(plan->fee, column[2]);
            CHECK(plan->kind == PLAN_POSTPAID && plan->tariff == TARIFF_NONE && plan->enforce);
            CHECK_MEM(plan->unit->code.p, plan->unit->code.n, "EUR", 3);
            CHECK_INT(plan->quotas, 5);
        } else {
            CHECK_STR(column[0], "included");
            check_included(plan, column);
        }
        if (test_complaints) {
            printf("#   %s:%d\n", g.path, g.line);
            return;
        }
    }
}

TEST("the shipped catalogue has nothing that the price list does not")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    CHECK_INT(c->units.n, 3);
    CHECK_INT(c->metrics.n, 6);
    CHECK_INT(c->plans.n, 12);
    CHECK_INT(c->packages.n, 5);
    CHECK_INT(c->rates.n, 0);
    CHECK_INT(c->prices.n,
              2 * 9 + 4 + 1 + 5 + 2); /* models, providers, requests, studio, codegen */
}

TEST("a credit is worth a cent, requests cost nothing, payg begins with ten dollars")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = shipped();
    from_us = at_time("2025-01-01T00:00:00Z");
    const struct unit *credit = catalogue_unit(c, SLICE("CREDIT"));
    REQUIRE(credit != NULL);
    CHECK_AMOUNT(credit->value, "0.01");
    CHECK_MEM(credit->valued_in.p, credit->valued_in.n, "USD", 3);
    check_price(price_of(c, NULL, "any", "any", "requests", "any"), "0", "1", "USD");
    check_price(price_of(c, "codegen-free", "any", "any", "requests", ""), "1", "1", "CREDIT");
    check_price(price_of(c, "codegen-pro", NULL, NULL, "requests", ""), "1", "1", "CREDIT");
    const struct plan *p = catalogue_plan(c, SLICE("payg"));
    REQUIRE(p != NULL);
    CHECK_MEM(p->unit->code.p, p->unit->code.n, "USD", 3);
    CHECK(p->kind == PLAN_PREPAID && p->tariff == TARIFF_COST_PLUS && p->markup == 0 && p->enforce);
    CHECK_AMOUNT(p->welcome, "10");
    CHECK_AMOUNT(p->low_balance, "1");
    CHECK_AMOUNT(p->minimum_balance, "0.01");
    CHECK(!p->has_credits);
}

TEST("the default markup is the price list's 15 percent")
{
    FILE *f = fopen("etc/catalog.conf", "r");
    REQUIRE(f != NULL);
    char line[512];
    bool found = false;
    while (fgets(line, sizeof(line), f))
        found = found || strstr(line, "    markup = \"15\";") == line;
    fclose(f);
    CHECK(found);
}
