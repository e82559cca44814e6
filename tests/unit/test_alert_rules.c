/* The alert rules of contract 4 against the golden files that the SQL functions are held against as well. */
#include "tests/unit/test.h"

#include "tests/unit/catalogue_text.h"
#include "tests/unit/golden.h"

#include "rating/alert_rules.h"

static void append(char *out, size_t size, const char *word)
{
    size_t n = strlen(out);
    snprintf(out + n, size - n, "%s%s", n ? "," : "", word);
}

TEST("thresholds are raised as the golden file says")
{
    struct golden g;
    int cases = 0;
    for (golden_open(&g, "tests/golden/thresholds.txt"); golden_next(&g); cases++) {
        struct quota q = { .has_included = true, .included = quantity_of(g.column[0]) };
        char *save = NULL, raised[128] = "";
        for (char *t = strtok_r(g.column[1], ",", &save); t; t = strtok_r(NULL, ",", &save))
            q.threshold[q.thresholds++] = atoi(t);
        int32_t crossed[THRESHOLDS_MAX];
        int n = crossed_thresholds(&q, quantity_of(g.column[2]), quantity_of(g.column[3]), crossed);
        for (int i = 0; i < n; i++) {
            char word[16];
            snprintf(word, sizeof(word), "%d", crossed[i]);
            append(raised, sizeof(raised), word);
        }
        if (!CHECK_STR(n ? raised : "-", g.column[4]))
            printf("#   %s:%d\n", g.path, g.line);
    }
    CHECK_INT(cases, 22);
}

TEST("a metric with only a day limit raises no threshold")
{
    struct quota q = {
        .has_day_limit = true, .day_limit = quantity_of("20"), .thresholds = 1, .threshold = { 80 }
    };
    int32_t crossed[THRESHOLDS_MAX];
    CHECK_INT(crossed_thresholds(&q, 0, quantity_of("100"), crossed), 0);
}

TEST("balance alerts are raised as the golden file says")
{
    struct golden g;
    int cases = 0;
    for (golden_open(&g, "tests/golden/balance_alerts.txt"); golden_next(&g); cases++) {
        struct plan plan = { .kind = strcmp(g.column[0], "postpaid") == 0 ? PLAN_POSTPAID
                                                                          : PLAN_PREPAID };
        plan.has_low_balance = strcmp(g.column[1], "-") != 0;
        if (plan.has_low_balance)
            plan.low_balance = amount_of(g.column[1]);
        enum balance_alert alert[3];
        char raised[128] = "";
        int n = balance_alerts(&plan, amount_of(g.column[2]), amount_of(g.column[3]),
                               strcmp(g.column[4], "yes") == 0, alert);
        for (int i = 0; i < n; i++)
            append(raised, sizeof(raised), balance_alert_type(alert[i]) + strlen("balance."));
        if (!CHECK_STR(n ? raised : "-", g.column[5]))
            printf("#   %s:%d\n", g.path, g.line);
    }
    CHECK_INT(cases, 25);
}
