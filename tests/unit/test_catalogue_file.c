/* The catalogue file: what is wrong is found, with its line and words that help; what is right is taken as meant. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"

#include "model/catalogue_build.h"

#include <sysexits.h>

static struct error error;

/* Reads a text that must be refused with exactly so many findings; each of the words must be in the error. */
static bool refused(int findings, const char *text, const char *const *words)
{
    struct catalogue *c = NULL;
    error = (struct error){ 0, "" };
    bool good = test_int(read_text(text, &c, &error), -findings, text, __FILE__, __LINE__);
    good = CHECK(c == NULL) && good;
    good = CHECK_INT(error.exit_code, EX_DATAERR) && good;
    for (; *words; words++)
        if (!strstr(error.text, *words)) {
            test_complaints++;
            printf("# \"%s\" is not said in:\n%s\n", *words, error.text);
            good = false;
        }
    catalogue_unref(c);
    return good;
}
#define REFUSED(n, text, ...) refused((n), (text), (const char *const[]){ __VA_ARGS__, NULL })

#define PRICE(more) "prices = ( { metric = \"tokens\"; currency = \"USD\"; " more " } );\n"
#define PLAN(more)  "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; " more " } );\n"

TEST("a file that is not there is named")
{
    struct catalogue *c = NULL;
    CHECK(catalogue_read_file("/nowhere/catalog.conf", &c, &error) < 0);
    CHECK_INT(error.exit_code, EX_DATAERR);
    CHECK(strstr(error.text, "/nowhere/catalog.conf") && strstr(error.text, "No such file"));
}

TEST("broken syntax is refused with its line")
{
    struct catalogue *c = NULL;
    CHECK_INT(read_text("units = (\n  { code = ; }\n);\n", &c, &error), -1);
    CHECK_INT(error.exit_code, EX_DATAERR);
    CHECK(strstr(error.text, ":2: ") != NULL);
}

TEST("an unknown key is refused with the nearest one")
{
    REFUSED(1, TEXT_HEAD "prises = ();\n", ":4: ", "'prises'", "did you mean 'prices'");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\";\n perr = \"2\";"), ":5: ", "a price has no key 'perr'",
            "'per'");
    REFUSED(1, TEXT_HEAD PLAN("welcom = \"1\";"), "'welcom'", "'welcome'");
    REFUSED(1,
            TEXT_HEAD PLAN(
                "quotas = ( { metric = \"calls\"; day_limit = \"1\"; includes = \"3\"; } );"),
            "'included'");
    REFUSED(1, TEXT_HEAD "elephants = 1;\n", "no key 'elephants'");
    CHECK(strstr(error.text, "did you mean") == NULL);
}

TEST("bare numbers are refused with the reason why")
{
    REFUSED(1, TEXT_HEAD PRICE("price = 0.15;"), ":4: ", "'price'", "binary", "quotes");
    REFUSED(1, TEXT_HEAD PRICE("price = 1;"), "quotes");
    REFUSED(1, TEXT_HEAD PRICE("price = 10000000000L;"), "quotes");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; per = 1000;"), "'per'");
    REFUSED(1, TEXT_HEAD PRICE("price = { input = 0.15; };"), "'input'");
}

TEST("wrong types are refused")
{
    REFUSED(1, TEXT_HEAD PRICE("price = true;"), "'price' must be a decimal in quotes");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; service = 5;"), "'service' must be text");
    REFUSED(1, TEXT_HEAD "plans = { };\n", "list of groups");
    REFUSED(1, TEXT_HEAD "plans = ( 5 );\n", "element 1 of 'plans'");
    REFUSED(1, TEXT_HEAD PLAN("enforce = \"yes\";"), "true or false");
    REFUSED(
        1,
        TEXT_HEAD PLAN(
            "quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ 100, 80 ]; } );"),
        "ascending");
    REFUSED(1,
            TEXT_HEAD PLAN(
                "quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ 0 ]; } );"),
            "1 to 10000");
    REFUSED(1,
            TEXT_HEAD PLAN(
                "quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ 0.5 ]; } );"),
            "whole");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; effective_from = \"1.1.2025\";"), "1.1.2025",
            "neither a day");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; effective_from = \"2025-02-30\";"), "2025-02-30");
}

TEST("decimals out of their bounds are refused")
{
    REFUSED(1, TEXT_HEAD PRICE("price = \"-1\";"), "negative");
    REFUSED(1, TEXT_HEAD PRICE("price = \"-1e40\";"), "negative");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1000000.000000000001\";"), "from 0 to 1000000");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1e30\";"), "from 0 to 1000000");
    REFUSED(1, TEXT_HEAD PRICE("price = \"0.0000000000001\";"), "more than 12 places");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1,5\";"), "no decimal");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; per = \"0\";"), "'per' is 0", "from 0.000001");
    REFUSED(1, TEXT_HEAD "fx = ( { from = \"USD\"; to = \"EUR\"; rate = \"0\"; } );\n", "'rate'");
    REFUSED(1, TEXT_HEAD PLAN("credits_per_period = \"0\";"), "'credits_per_period'");
}

TEST("what is missing is named where it is missing")
{
    REFUSED(1, TEXT_HEAD PRICE(""), "'price' is missing");
    REFUSED(1, TEXT_HEAD "prices = ( { metric = \"tokens\"; price = \"1\"; } );\n",
            "'currency' is missing");
    REFUSED(1, TEXT_HEAD "prices = ( { currency = \"USD\"; price = \"1\"; } );\n",
            "'metric' is missing");
    REFUSED(1, "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; } );\n",
            "'effective_from' is missing");
    REFUSED(2, TEXT_HEAD "plans = ( { name = \"p\"; } );\n", "'unit' is missing",
            "'kind' is missing");
    REFUSED(1, TEXT_HEAD PLAN("tariff = \"cost_plus\";"), "'markup'");
    REFUSED(1, TEXT_HEAD PLAN("quotas = ( { metric = \"calls\"; } );"), "'included'",
            "'day_limit'");
    REFUSED(1, TEXT_HEAD PRICE("price = { };"), "no component");
}

TEST("references that lead nowhere are refused")
{
    REFUSED(1,
            TEXT_HEAD "prices = ( { metric = \"token\"; currency = \"USD\"; price = \"1\"; } );\n",
            "no metric 'token'");
    REFUSED(1,
            TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"CHF\"; price = \"1\"; } );\n",
            "no unit 'CHF'");
    REFUSED(1,
            TEXT_HEAD
            "prices = ( { metric = \"tokens\"; currency = \"CREDIT\"; price = \"1\"; } );\n",
            "'CREDIT' is no currency");
    REFUSED(1, TEXT_HEAD "plans = ( { name = \"p\"; unit = \"COIN\"; kind = \"prepaid\"; } );\n",
            "no unit 'COIN'");
    REFUSED(1,
            TEXT_HEAD
            "plans = ();\nprices = ( { plan = \"q\"; metric = \"tokens\"; price = \"1\"; } );\n",
            ":5: ", "no plan 'q'");
    REFUSED(1, "units = ( { code = \"COIN\"; valued_in = \"USD\"; value = \"1\"; } );\n",
            "'USD', which is no currency");
    REFUSED(1, TEXT_HEAD PLAN("quotas = ( { metric = \"call\"; day_limit = \"1\"; } );"),
            "no metric 'call'");
}

TEST("names are held to the bounds of the contract")
{
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; service = \"a\\tb\";"), "control characters");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; service = \"\\xff\";"), "UTF-8");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; service = \"\";"), "1-256 bytes");
    REFUSED(1, TEXT_HEAD "plans = ( { name = \"*\"; unit = \"USD\"; kind = \"prepaid\"; } );\n",
            "'*' has no meaning");
}

TEST("prices that overlap are refused with both lines; neighbours are not")
{
    REFUSED(1,
            TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; },\n"
                      " { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
                      "\"2026-01-01\"; } );\n",
            ":5: ", "line 4", "effective_until = \"2026-01-01\"");
    REFUSED(1,
            TEXT_HEAD
            "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
            "\"2026-01-01\"; },\n"
            " { service = \"*\"; metric = \"tokens\"; component = \"*\"; currency = \"USD\"; price "
            "= \"1\"; effective_until = \"2026-01-01T00:00:00.000001Z\"; } );\n",
            ":4: ", "line 5", "until 2026-01-01T00:00:00.000001Z");
    /* the long one hides behind a short one in between */
    REFUSED(2,
            TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; },\n"
                      " { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
                      "\"2026-01-01\"; effective_until = \"2026-02-01\"; },\n"
                      " { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
                      "\"2026-03-01\"; } );\n",
            ":5: ", ":6: ");
    REFUSED(1,
            TEXT_HEAD "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; },\n { "
                      "metric = \"tokens\"; currency = \"USD\"; price = \"2\"; } );\n",
            ":5: ", "line 4");
    REFUSED(1,
            TEXT_HEAD "fx = ( { from = \"USD\"; to = \"EUR\"; rate = \"1\"; },\n { from = \"USD\"; "
                      "to = \"EUR\"; rate = \"1\"; effective_from = \"2026-01-01\"; } );\n",
            ":5: ", "rate", "line 4");
    REFUSED(1, TEXT_HEAD PRICE("price = \"1\"; effective_until = \"2025-01-01\";"), "not after");
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_until = "
        "\"2026-01-01\"; },\n"
        " { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
        "\"2026-01-01\"; },\n"
        " { metric = \"tokens\"; currency = \"EUR\"; price = \"1\"; },\n"
        " { metric = \"calls\"; currency = \"USD\"; price = \"1\"; },\n"
        " { metric = \"tokens\"; currency = \"USD\"; component = \"\"; price = \"1\"; } );\n");
    CHECK_INT(c->prices.n, 5);
}

TEST("what contradicts itself is refused")
{
    REFUSED(1,
            TEXT_HEAD "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"prepaid\"; }, { name = "
                      "\"p\"; unit = \"EUR\"; kind = \"prepaid\"; } );\n",
            "plan 'p'", "second time");
    REFUSED(1, "units = ( { code = \"USD\"; }, { code = \"USD\"; } );\n", "unit 'USD'",
            "second time");
    REFUSED(1, "metrics = ( { name = \"a\"; }, { name = \"a\"; } );\n", "metric 'a'",
            "second time");
    REFUSED(1, TEXT_HEAD PLAN("markup = \"15\";"), "'markup'");
    REFUSED(1, TEXT_HEAD PLAN("prices = ( { metric = \"tokens\"; price = \"1\"; } );"),
            "never applies");
    REFUSED(1,
            TEXT_HEAD PLAN("tariff = \"fixed\"; quotas = ( { metric = \"tokens\"; included = "
                           "\"1\"; } );\n prices = ( { metric = \"tokens\"; price = \"1\"; } );"),
            ":5: ", "month quota", "line 4");
    REFUSED(1,
            TEXT_HEAD PLAN("quotas = ( { metric = \"calls\"; included = \"1\"; }, { metric = "
                           "\"calls\"; day_limit = \"1\"; } );"),
            "already");
    REFUSED(1,
            TEXT_HEAD PLAN(
                "quotas = ( { metric = \"calls\"; day_limit = \"1\"; overage_price = \"1\"; } );"),
            "'overage_price'");
    REFUSED(1,
            TEXT_HEAD PLAN(
                "quotas = ( { metric = \"calls\"; included = \"1\"; overage_per = \"1\"; } );"),
            "'overage_per'");
    REFUSED(1, TEXT_HEAD PLAN("credits_policy = \"reset\";"), "'credits_policy'");
    REFUSED(1,
            TEXT_HEAD "plans = ( { name = \"p\"; unit = \"USD\"; kind = \"postpaid\"; low_balance "
                      "= \"1\"; } );\n",
            "postpaid");
    REFUSED(1, TEXT_HEAD PRICE("component = \"a\"; price = { b = \"1\"; };"), "contradicts");
    REFUSED(1, TEXT_HEAD "fx = ( { from = \"USD\"; to = \"USD\"; rate = \"1\"; } );\n", "another");
    REFUSED(1, "units = ( { code = \"USD\"; value = \"2\"; } );\n", "one of itself");
    REFUSED(1,
            TEXT_HEAD "packages = ( { name = \"a\"; unit = \"USD\"; amount = \"1\"; price = \"1\"; "
                      "currency = \"USD\"; },\n { name = \"a\"; unit = \"USD\"; amount = \"1\"; "
                      "price = \"1\"; currency = \"USD\"; } );\n",
            ":5: ", "package 'a'");
    REFUSED(1, TEXT_HEAD PLAN("tariff = \"flat\";"), "\"flat\"",
            "\"none\" | \"fixed\" | \"cost_plus\"");
    REFUSED(1,
            TEXT_HEAD PLAN("tariff = \"fixed\"; prices = ( { metric = \"tokens\"; price = \"1\"; "
                           "currency = \"USD\"; } );"),
            "no key 'currency'");
}

TEST("aggregation by max is refused in words")
{
    REFUSED(1, "metrics = ( { name = \"seats\"; aggregation = \"max\"; } );\n",
            "\"max\" is not booked by this version");
    REFUSED(1, "metrics = ( { name = \"seats\"; aggregation = \"mean\"; } );\n", "must be \"sum\"");
}

TEST("all findings are told, a line each")
{
    REFUSED(4,
            "units = ( { code = \"USD\"; } );\nmetrics = ( { name = \"tokens\"; } );\n"
            "prices = (\n  { metric = \"tokens\"; currency = \"USD\"; price = 0.5; effective_from "
            "= \"2025-01-01\"; },\n"
            "  { metric = \"tokens\"; currency = \"USD\"; prise = \"1\"; effective_from = "
            "\"2025-01-01\"; },\n"
            "  { metric = \"sms\"; currency = \"USD\"; price = \"1\"; effective_from = "
            "\"2025-01-01\"; } );\n",
            ":4: ", ":5: ", "'prise'", "'price' is missing", ":6: ", "'sms'");
    int lines = 1;
    for (const char *p = error.text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    CHECK_INT(lines, 4);
}

TEST("defaults hold for those who say nothing else")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        "units = ( { code = \"USD\"; } ); metrics = ( { name = \"tokens\"; }, { name = \"calls\"; "
        "} );\n"
        "defaults = { effective_from = \"2025-03-01\"; markup = \"15\"; thresholds = [ 50, 75, 90 "
        "]; };\n"
        "prices = ( { metric = \"tokens\"; currency = \"USD\"; price = \"1\"; effective_from = "
        "\"2025-04-01T12:00:00+02:00\"; effective_until = \"2026-01-01\"; } );\n"
        "plans = ( { name = \"a\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"cost_plus\"; "
        "quotas = ( { metric = \"calls\"; included = \"1\"; } ); },\n"
        " { name = \"b\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"cost_plus\"; markup = "
        "\"0.5\"; quotas = ( { metric = \"calls\"; included = \"1\"; thresholds = [ 100 ]; } ); "
        "},\n"
        " { name = \"c\"; unit = \"USD\"; kind = \"prepaid\"; tariff = \"fixed\"; prices = ( { "
        "metric = \"tokens\"; price = \"2\"; } ); } );\n");
    CHECK_AMOUNT(catalogue_plan(c, SLICE("a"))->markup, "15");
    CHECK_INT(catalogue_plan(c, SLICE("a"))->quota->thresholds, 3);
    CHECK_INT(catalogue_plan(c, SLICE("a"))->quota->threshold[1], 75);
    CHECK_AMOUNT(catalogue_plan(c, SLICE("b"))->markup, "0.5");
    CHECK_INT(catalogue_plan(c, SLICE("b"))->quota->thresholds, 1);
    const struct price *p =
        catalogue_price(c, SLICE_ABSENT, SLICE_ABSENT, SLICE_ABSENT, SLICE("tokens"), SLICE(""),
                        at_time("2025-05-01T00:00:00Z"));
    REQUIRE(p != NULL);
    CHECK(p->from_us == at_time("2025-04-01T10:00:00Z") &&
          p->until_us == at_time("2026-01-01T00:00:00Z"));
    p = catalogue_price(c, SLICE("c"), SLICE_ABSENT, SLICE_ABSENT, SLICE("tokens"), SLICE(""),
                        at_time(NOON));
    REQUIRE(p != NULL);
    CHECK(p->from_us == at_time("2025-03-01T00:00:00Z") && p->until_us == TIME_FOREVER);
    CHECK(slice_is(p->currency, "USD"));
}

TEST("without the group of defaults thresholds are 80 and 100, and plans trust costs and are "
     "enforced")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c =
        catalogue_of("units = ( { code = \"USD\"; } ); metrics = ( { name = \"calls\"; } );\n" PLAN(
            "quotas = ( { metric = \"calls\"; included = \"1\"; } );"));
    const struct plan *p = catalogue_plan(c, SLICE("p"));
    REQUIRE(p != NULL);
    CHECK(p->quota->thresholds == 2 && p->quota->threshold[0] == 80 &&
          p->quota->threshold[1] == 100);
    CHECK(p->trust_cost && p->enforce && p->tariff == TARIFF_NONE && p->fee == 0);
    CHECK(!p->has_credits && !p->has_welcome && !p->has_low_balance && !p->has_minimum);
}

TEST("a price file has prices and rates only, and refers to a catalogue elsewhere")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c =
        catalogue_of("defaults = { effective_from = \"2025-01-01\"; };\n"
                     "prices = ( { metric = \"anything\"; currency = \"CHF\"; price = \"1\"; }, { "
                     "plan = \"any\"; metric = \"anything\"; price = \"2\"; } );\n"
                     "fx = ( { from = \"CHF\"; to = \"EUR\"; rate = \"1.05\"; } );\n");
    CHECK_INT(c->prices.n, 2);
    CHECK_INT(c->rates.n, 1);
    CHECK(catalogue_price(c, SLICE("any"), SLICE_ABSENT, SLICE_ABSENT, SLICE("anything"), SLICE(""),
                          at_time(NOON)) != NULL);
}

TEST("a plan may keep ended fixed prices as history after its tariff changed")
{
    CLEANUP(catalogue_unrefp)
    struct catalogue *c = catalogue_of(
        TEXT_HEAD PLAN("tariff = \"cost_plus\"; markup = \"0\"; prices = ( { metric = \"tokens\"; "
                       "price = \"1\"; effective_until = \"2026-01-01\"; } );"));
    CHECK_INT(c->prices.n, 1);
}

TEST("an empty file is a catalogue of nothing")
{
    CLEANUP(catalogue_unrefp) struct catalogue *c = catalogue_of("");
    CHECK_INT(catalogue_version(c), 0);
    CHECK(catalogue_plan(c, SLICE("p")) == NULL && !catalogue_has_metric(c, SLICE("m")));
}
