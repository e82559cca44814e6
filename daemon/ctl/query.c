/* The verbs that only read: account show, balance, usage, ledger, alerts, check, estimate,
 * rejected, parked. */
#include "ctl/output.h"
#include "ctl/verbs.h"

#include "base/decimal.h"

#include <string.h>
#include <sysexits.h>

#define LIMIT_DEFAULT "50"

/* A whole number from 1 to 1,000,000,000; or NULL where it is none. */
static const char *count_option(const struct ctl *c, const char *name, const char *otherwise)
{
    const char *text = ctl_option(c, name);
    if (!text)
        return otherwise;
    size_t n = strlen(text);
    return n > 0 && n < 10 && strspn(text, "0123456789") == n && *text != '0' ? text : NULL;
}

static bool is_decimal(const char *text)
{
    quantity_t ignored;
    return decimal_parse(slice_of(text), QUANTITY_PLACES, QUANTITY_MAX, &ignored) == DECIMAL_OK &&
           ignored >= 0;
}

int ctl_account_show(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_require_account(c, c->argument[0], ret_error);
    if (code || (code = ctl_query(c, "account", 1, c->argument, &r, ret_error)))
        return code;
    output_row(c, r);
    return 0;
}

int ctl_balance(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_require_account(c, c->argument[0], ret_error);
    if (code || (code = ctl_query(c, "balance", 1, c->argument, &r, ret_error)))
        return code;
    output_row(c, r);
    return 0;
}

int ctl_usage(struct ctl *c, struct error *ret_error)
{
    const char *month = ctl_option(c, "month");
    char day[11];
    if (month && (strlen(month) != 7 || strspn(month, "0123456789") != 4 || month[4] != '-' ||
                  strspn(month + 5, "0123456789") != 2 || strcmp(month + 5, "01") < 0 ||
                  strcmp(month + 5, "12") > 0))
        return ctl_wrong_use(ret_error, "--month is a month like 2026-11, not '%s'", month);
    if (month)
        snprintf(day, sizeof day, "%s-01", month);
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { c->argument[0], month ? day : NULL };
    int code = ctl_require_account(c, c->argument[0], ret_error);
    if (code || (code = ctl_query(c, "usage", 2, parameters, &r, ret_error)))
        return code;
    output_rows(c, r,
                "metric period period_start used included percent cost currency charge unit "
                "overage_quantity overage_charge");
    return 0;
}

int ctl_ledger(struct ctl *c, struct error *ret_error)
{
    const char *limit = count_option(c, "limit", LIMIT_DEFAULT), *before = ctl_option(c, "before");
    if (!limit)
        return ctl_wrong_use(ret_error, "--limit is a number of entries from 1 on");
    if (before &&
        (!*before || strlen(before) > 18 || strspn(before, "0123456789") != strlen(before)))
        return ctl_wrong_use(ret_error, "--before is the number of an entry, not '%s'", before);
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { c->argument[0], limit, before };
    int code = ctl_require_account(c, c->argument[0], ret_error);
    if (code || (code = ctl_query(c, "ledger", 3, parameters, &r, ret_error)))
        return code;
    output_rows(c, r,
                "entry_id type occurred_at service model metric quantity cost currency amount unit "
                "balance_after event_id");
    return 0;
}

int ctl_alerts(struct ctl *c, struct error *ret_error)
{
    const char *limit = count_option(c, "limit", LIMIT_DEFAULT);
    if (!limit)
        return ctl_wrong_use(ret_error, "--limit is a number of alerts from 1 on");
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { c->argument[0], limit };
    int code =
        strcmp(c->argument[0], "platform") ? ctl_require_account(c, c->argument[0], ret_error) : 0;
    if (code || (code = ctl_query(c, "alerts", 2, parameters, &r, ret_error)))
        return code;
    output_rows(c, r, "type metric period_start threshold raised_at published_at");
    return 0;
}

int ctl_check(struct ctl *c, struct error *ret_error)
{
    if (!is_decimal(c->argument[2]))
        return ctl_wrong_use(ret_error,
                             "QUANTITY is a decimal from 0 to 1e12 with at most 6 places, not '%s'",
                             c->argument[2]);
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_query(c, "check", 3, c->argument, &r, ret_error);
    if (code)
        return code;
    output_row(c, r);
    return *pg_text(r, 0, 0) == 't' ? 0 : EXIT_NO;
}

/* "512", or "input=512": a member of the quantities. */
static bool put_quantity(struct buffer *out, const char *given)
{
    const char *equals = strrchr(given, '=');
    const char *value = equals ? equals + 1 : given;
    if (!is_decimal(value))
        return false;
    buffer_text(out, out->n > 1 ? ", " : "");
    buffer_json_string(out, (struct slice){ given, equals ? (size_t)(equals - given) : 0 });
    buffer_format(out, ": \"%s\"", value);
    return true;
}

int ctl_estimate(struct ctl *c, struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer quantities = BUFFER_NULL;
    buffer_text(&quantities, "{");
    for (int i = 2; i < c->arguments; i++)
        if (!put_quantity(&quantities, c->argument[i]))
            return ctl_wrong_use(
                ret_error,
                "'%s' is no quantity: write 512, or COMPONENT=512, with a decimal from 0 to 1e12",
                c->argument[i]);
    buffer_text(&quantities, "}");
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { c->argument[0], ctl_option(c, "service"),
                                       ctl_option(c, "model"), c->argument[1],
                                       buffer_cstr(&quantities) };
    int code = ctl_require_account(c, c->argument[0], ret_error);
    if (code || (code = ctl_query(c, "estimate", 5, parameters, &r, ret_error)))
        return code;
    output_row(c, r);
    return 0;
}

int ctl_rejected_list(struct ctl *c, struct error *ret_error)
{
    const char *limit = count_option(c, "limit", LIMIT_DEFAULT);
    if (!limit)
        return ctl_wrong_use(ret_error, "--limit is a number of messages from 1 on");
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { limit, ctl_option(c, "reason"), ctl_option(c, "topic") };
    int code = ctl_query(c, "rejected", 3, parameters, &r, ret_error);
    if (code)
        return code;
    output_rows(c, r, "id topic partition offset reason detail bytes at");
    return 0;
}

int ctl_rejected_show(struct ctl *c, struct error *ret_error)
{
    const char *id = c->argument[0];
    if (strlen(id) > 18 || strspn(id, "0123456789") != strlen(id))
        return ctl_wrong_use(ret_error, "ID is a number of debitctl rejected list, not '%s'", id);
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_query(c, "rejected_one", 1, c->argument, &r, ret_error);
    if (code)
        return code;
    if (pg_rows(r) == 0) {
        error_set(ret_error, EX_DATAERR,
                  "no rejected message has the id %s; see: debitctl rejected list", id);
        return EX_DATAERR;
    }
    output_row(c, r);
    return 0;
}

int ctl_parked_list(struct ctl *c, struct error *ret_error)
{
    const char *limit = count_option(c, "limit", LIMIT_DEFAULT);
    if (!limit)
        return ctl_wrong_use(ret_error, "--limit is a number of messages from 1 on");
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { limit, ctl_option(c, "all") ? "true" : "false" };
    int code = ctl_query(c, "parked", 2, parameters, &r, ret_error);
    if (code)
        return code;
    output_rows(c, r, "id topic partition offset reason detail account_id event_id at released_at");
    return 0;
}
