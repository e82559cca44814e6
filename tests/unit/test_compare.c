/* What applying a catalogue would change, without a database. The rest is in tests/integration/test_catalog.py. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"

#include "catalogue/compare.h"

static int compare(const char *current, const char *wanted, char *ret_text, size_t size)
{
    CLEANUP(catalogue_unrefp) struct catalogue *a = catalogue_of(current);
    CLEANUP(catalogue_unrefp) struct catalogue *b = catalogue_of(wanted);
    CLEANUP(comparison_fini) struct comparison c = COMPARISON_NULL;
    catalogue_compare(a, b, &c);
    snprintf(ret_text, size, "%s", c.refused ? buffer_cstr(&c.findings) : buffer_cstr(&c.text));
    return c.refused ? -c.refused : (int)c.changes.n;
}

TEST("a catalogue differs in nothing from itself")
{
    CLEANUP(catalogue_unrefp) struct catalogue *a = shipped();
    CLEANUP(catalogue_unrefp) struct catalogue *b = shipped();
    CLEANUP(comparison_fini) struct comparison c = COMPARISON_NULL;
    catalogue_compare(a, b, &c);
    CHECK_INT(c.refused, 0);
    CHECK_INT(c.changes.n, 0);
    CHECK_INT(c.text.n, 0);
}

TEST("everything of a first catalogue is new, units and metrics before what names them")
{
    CLEANUP(catalogue_unrefp) struct catalogue *none = catalogue_of("");
    CLEANUP(catalogue_unrefp) struct catalogue *b = shipped();
    CLEANUP(comparison_fini) struct comparison c = COMPARISON_NULL;
    catalogue_compare(none, b, &c);
    CHECK_INT(c.refused, 0);
    CHECK_INT(c.changes.n, 3 + 6 + 12 + 30 + 5);
    for (size_t i = 1; i < c.changes.n; i++)
        CHECK(c.changes.at[i - 1].kind <= c.changes.at[i].kind ||
              c.changes.at[i - 1].kind == CHANGE_PLAN_NEW);
    CHECK_INT(c.changes.at[0].kind, CHANGE_UNIT_NEW);
}

#define LIST(prices) TEXT_HEAD "prices = ( " prices " );\n"
#define AT(price, more) \
    "{ metric = \"tokens\"; currency = \"USD\"; price = \"" price "\"; " more " }"
#define UNTIL_MAY "effective_until = \"2026-05-01\";"
#define FROM_MAY  "effective_from = \"2026-05-01\";"

TEST("a price may end and be followed, but not change")
{
    char text[1024];
    CHECK_INT(compare(LIST(AT("1", "")), LIST(AT("1", UNTIL_MAY) ", " AT("2", FROM_MAY)), text,
                      sizeof(text)),
              2);
    CHECK_STR(text, "~ price */* tokens *: 1 USD per 1, from 2025-01-01, until 2026-05-01\n"
                    "+ price */* tokens *: 2 USD per 1, from 2026-05-01\n");
    CHECK_INT(compare(LIST(AT("1", "")), LIST(AT("2", "")), text, sizeof(text)), -1);
    CHECK_INT(compare(LIST(AT("1", "")), LIST(AT("1", "per = \"2\";")), text, sizeof(text)), -1);
    CHECK_INT(compare(LIST(AT("1", "")), LIST(""), text, sizeof(text)), -1);
    CHECK_INT(compare(LIST(AT("1", UNTIL_MAY)), LIST(AT("1", "")), text, sizeof(text)), -1);
    CHECK_INT(compare(LIST(AT("1", "")), LIST(AT("1.00", "")), text, sizeof(text)), 0);
}

TEST("what the file has left out after its end still must not be overlapped")
{
    char text[1024];
    CHECK_INT(compare(LIST(AT("1", UNTIL_MAY)), LIST(""), text, sizeof(text)), 0);
    CHECK_INT(compare(LIST(AT("1", UNTIL_MAY)), LIST(AT("2", FROM_MAY)), text, sizeof(text)), 1);
    CHECK_INT(compare(LIST(AT("1", UNTIL_MAY)), LIST(AT("2", "effective_from = \"2026-04-30\";")),
                      text, sizeof(text)),
              -1);
    CHECK(strstr(text, "overlaps") != NULL && strstr(text, ":4: ") != NULL);
    CHECK_INT(compare(LIST(AT("1", FROM_MAY "effective_until = \"2026-06-01\";")),
                      LIST(AT("2", "")), text, sizeof(text)),
              -1);
    CHECK_INT(compare(LIST(AT("1", FROM_MAY "effective_until = \"2026-06-01\";")),
                      LIST(AT("2", UNTIL_MAY)), text, sizeof(text)),
              1);
}

#define PLANS(more) \
    TEXT_HEAD "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; " more " } );\n"
#define QUOTA(metric, included) "{ metric = \"" metric "\"; included = \"" included "\"; }"

TEST("a plan is new only where it says something else, whatever the order of its quotas")
{
    char text[1024];
    CHECK_INT(compare(PLANS("quotas = ( " QUOTA("tokens", "1") ", " QUOTA("calls", "2") " );"),
                      PLANS("quotas = ( " QUOTA("calls", "2.0") ", " QUOTA("tokens",
                                                                           "1") " ); fee = \"0\";"),
                      text, sizeof(text)),
              0);
    CHECK_INT(compare(PLANS("quotas = ( " QUOTA("tokens", "1") " );"),
                      PLANS("quotas = ( " QUOTA("tokens", "3") " ); enforce = false;"), text,
                      sizeof(text)),
              1);
    CHECK_STR(text, "~ plan p\n"
                    "    - enforce = true\n"
                    "    - quota on tokens = 1 a month (thresholds 80, 100)\n"
                    "    + enforce = false\n"
                    "    + quota on tokens = 3 a month (thresholds 80, 100)\n");
}

TEST("every fact of a plan makes a difference")
{
    static const char *const wanted[] = {
        PLANS("tariff = \"fixed\";"),
        PLANS("tariff = \"cost_plus\"; markup = \"1\";"),
        PLANS("trust_cost = false;"),
        PLANS("credits_per_period = \"1\";"),
        PLANS("welcome = \"1\";"),
        PLANS("low_balance = \"1\";"),
        PLANS("minimum_balance = \"1\";"),
        PLANS("fee = \"1\";"),
        PLANS("enforce = false;"),
        PLANS("quotas = ( { metric = \"calls\"; day_limit = \"1\"; } );"),
        TEXT_HEAD "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"postpaid\"; } );\n",
    };
    char text[1024];
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        CHECK_INT(compare(PLANS(""), wanted[i], text, sizeof(text)), 1);
    CHECK_INT(compare(PLANS("credits_per_period = \"1\";"),
                      PLANS("credits_per_period = \"1\"; credits_policy = \"rollover\";"), text,
                      sizeof(text)),
              1);
    CHECK_INT(compare(PLANS("tariff = \"cost_plus\"; markup = \"1\";"),
                      PLANS("tariff = \"cost_plus\"; markup = \"2\";"), text, sizeof(text)),
              1);
    static const char *const quotas[] = {
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; overage_price = \"1\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; overage_price = \"2\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; overage_price = \"2\"; "
              "overage_per = \"2\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; day_limit = \"1\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; day_limit = \"2\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; day_limit = \"2\"; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ 80 ]; } );"),
        PLANS("quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ ]; } );"),
        PLANS("quotas = ( { metric = \"tokens\"; included = \"1\"; } );"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++)
        for (size_t j = 0; j < ARRAY_SIZE(quotas); j++)
            if (!CHECK_INT(compare(quotas[i], quotas[j], text, sizeof(text)), i != j))
                printf("# %s against %s", quotas[i], quotas[j]);
}

TEST("a plan cannot change its unit, a price file cannot be applied")
{
    char text[1024];
    CHECK_INT(compare(PLANS(""),
                      TEXT_HEAD
                      "plans = ( { name = \"p\"; unit = \"EUR\"; kind = \"prepaid\"; } );\n",
                      text, sizeof(text)),
              -1);
    CHECK(strstr(text, ":4: plan 'p' cannot change its unit from USD to EUR") != NULL);
    CHECK_INT(compare("",
                      "prices = ( { metric = \"m\"; currency = \"USD\"; price = \"1\"; "
                      "effective_from = \"2025-01-01\"; } );\n",
                      text, sizeof(text)),
              -1);
}
