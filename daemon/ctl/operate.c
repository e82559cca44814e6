/* The verbs that change accounts and credits. What was asked for becomes the data of an event of
 * usage.accounts and is checked by the same code that checks these; then debitd.ctl_command() does
 * what an event would do. The idempotency key is the event's id: the same key twice books once. */
#include "consumers/accounts.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

#include "base/clock.h"

#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>

#define SOURCE "/debitd/operations"

/* ---------------------------------------------------------------- the data of the event */

static void put_member(struct buffer *out, const char *name)
{
    buffer_text(out, out->n > 1 ? "," : "");
    buffer_json_string(out, slice_of(name));
    buffer_text(out, ":");
}

static void put_text(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    put_member(out, name);
    buffer_json_string(out, slice_of(value));
}

/* "openai, anthropic" -> ["openai","anthropic"]; "" -> []. */
static void put_list(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    put_member(out, name);
    buffer_text(out, "[");
    for (const char *at = value; *at;) {
        size_t n = strcspn(at, ",");
        size_t skip = strspn(at, " ");
        if (skip < n) {
            buffer_text(out, out->p[out->n - 1] == '[' ? "" : ",");
            buffer_json_string(out, (struct slice){ at + skip, n - skip });
        }
        at += n + (at[n] == ',');
    }
    buffer_text(out, "]");
}

/* What may stand as an argument or as an option, but not as both. */
static int either(const struct ctl *c, int argument, const char *option, const char **ret,
                  struct error *e)
{
    const char *given = argument < c->arguments ? c->argument[argument] : NULL;
    *ret = ctl_option(c, option);
    if (given && *ret)
        return ctl_wrong_use(e, "'%s' and --%s: one of them is enough", given, option);
    *ret = *ret ? *ret : given;
    return 0;
}

/* ---------------------------------------------------------------- asking for it */

/* 128 random bits: nobody has used this key before. */
static void random_key(char out[64])
{
    unsigned char bytes[16];
    ssize_t got = getrandom(bytes, sizeof bytes, 0);
    ASSERT(got == (ssize_t)sizeof bytes);
    int n = snprintf(out, 64, "ctl-");
    for (size_t i = 0; i < sizeof bytes; i++)
        n += snprintf(out + n, 64 - (size_t)n, "%02x", bytes[i]);
}

static int refused(const char *what, const char *reason, const char *detail, struct error *e)
{
    error_set(e, EX_DATAERR, "%s was rejected: %s: %s", what, reason, detail);
    return EX_DATAERR;
}

/* The checks that events have to pass, before anything is asked of the database. *ret_data is in
 * the arena. */
static int check_data(const char *type, const char *key, const char *account, struct slice data,
                      struct json *doc, struct arena *arena, struct slice *ret_data,
                      struct error *e)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME,
                  &now); /* only looked at, never booked: the database has the clock */
    int64_t now_us = now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
    struct account_op op;
    struct refusal refusal;
    if (account_op_of_data(slice_of(type), SLICE(SOURCE), slice_of(key), slice_of(account), now_us,
                           data, doc, arena, &op, &refusal) != REASON_NONE)
        return refused(type, reason_text(refusal.reason), refusal.detail, e);
    *ret_data = op.data;
    return 0;
}

static int tell_outcome(const struct ctl *c, const char *type, const struct pg_result *r,
                        struct error *e)
{
    const char *outcome = pg_text(r, 0, 0);
    if (strcmp(outcome, "done") != 0 && strcmp(outcome, "duplicate") != 0)
        return refused(type, pg_text(r, 0, 1), pg_text(r, 0, 2), e);
    if (c->json)
        output_row(c, r);
    else if (strcmp(outcome, "duplicate") == 0)
        printf("%s: nothing done, this key was used before: %s\n", type, pg_text(r, 0, 4));
    else
        printf("%s: done%s%s, key %s\n", type, pg_null(r, 0, 3) ? "" : ", entry ", pg_text(r, 0, 3),
               pg_text(r, 0, 4));
    return 0;
}

/* The connection may have been lost when it was booked already. */
static void advise_key(const char *key, struct error *e)
{
    const struct error said = *e;
    error_set(
        e, said.exit_code,
        "%s; it may have been done all the same: to be sure, do it again with --key %s, which "
        "does it once",
        said.text, key);
}

/* data: the members, with the opening brace. */
static int operate(struct ctl *c, const char *type, struct buffer *data, struct error *e)
{
    char made[64];
    const char *key = ctl_option(c, "key");
    if (!key) {
        random_key(made);
        key = made;
    }
    buffer_text(data, "}");
    struct arena arena = ARENA_NULL;
    struct json doc = JSON_NULL_DOC;
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    struct slice checked;
    int code = check_data(type, key, c->argument[0], (struct slice){ data->p, data->n }, &doc,
                          &arena, &checked, e);
    if (!code) {
        const char *const parameters[] = { key, type, c->argument[0], arena_text(&arena, checked) };
        code = ctl_query(c, "command", 4, parameters, &r, e);
        if (c->session && (code == EX_UNAVAILABLE || code == EX_TEMPFAIL))
            advise_key(key, e);
    }
    json_fini(&doc);
    arena_fini(&arena);
    return code ? code : tell_outcome(c, type, r, e);
}

/* ---------------------------------------------------------------- the verbs */

static void put_account(struct buffer *data, const struct ctl *c, const char *plan)
{
    put_text(data, "plan", plan);
    put_text(data, "parent", ctl_option(c, "parent"));
    put_text(data, "name", ctl_option(c, "name"));
    put_list(data, "byok", ctl_option(c, "byok"));
}

int ctl_account_open(struct ctl *c, struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer data = BUFFER_NULL;
    const char *plan;
    int code = either(c, 1, "plan", &plan, ret_error);
    if (code)
        return code;
    buffer_text(&data, "{");
    put_account(&data, c, plan);
    if (ctl_option(c, "guest")) {
        put_member(&data, "charged");
        buffer_text(&data, "false");
    }
    return operate(c, "account.opened", &data, ret_error);
}

int ctl_account_update(struct ctl *c, struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer data = BUFFER_NULL;
    const char *charged = ctl_option(c, "charged");
    if (charged && strcmp(charged, "yes") != 0 && strcmp(charged, "no") != 0)
        return ctl_wrong_use(ret_error, "--charged is yes or no, not '%s'", charged);
    buffer_text(&data, "{");
    put_account(&data, c, ctl_option(c, "plan"));
    if (charged) {
        put_member(&data, "charged");
        buffer_text(&data, *charged == 'y' ? "true" : "false");
    }
    if (data.n == 1)
        return ctl_wrong_use(ret_error, "nothing to update: name what is to change by an option");
    return operate(c, "account.updated", &data, ret_error);
}

int ctl_account_assign(struct ctl *c, struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer data = BUFFER_NULL;
    const char *plan;
    int code = either(c, 1, "plan", &plan, ret_error);
    if (code)
        return code;
    if (!plan)
        return ctl_wrong_use(ret_error, "which plan?");
    buffer_text(&data, "{");
    put_text(&data, "plan", plan);
    return operate(c, "plan.assigned", &data, ret_error);
}

int ctl_account_close(struct ctl *c, struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer data = BUFFER_NULL;
    buffer_text(&data, "{");
    put_text(&data, "reason", ctl_option(c, "reason"));
    return operate(c, "account.closed", &data, ret_error);
}

/* The amount goes as text: what was written is what is booked. */
static int credit(struct ctl *c, const char *type, const char *const *options, struct error *e)
{
    CLEANUP(buffer_fini) struct buffer data = BUFFER_NULL;
    const char *amount;
    int code = either(c, 1, "amount", &amount, e);
    if (code)
        return code;
    bool package = strcmp(*options, "package") == 0 && ctl_option(c, "package");
    if (!amount && !package)
        return ctl_wrong_use(e, "an argument is missing: %s", c->command->arguments);
    if (amount && package)
        return ctl_wrong_use(e, "'%s' and --package: one of them is enough", amount);
    buffer_text(&data, "{");
    put_text(&data, "amount", amount);
    for (; *options; options++)
        put_text(&data, *options, ctl_option(c, *options));
    return operate(c, type, &data, e);
}

int ctl_credit_purchase(struct ctl *c, struct error *ret_error)
{
    static const char *const options[] = { "package", "reference", NULL };
    return credit(c, "credits.purchased", options, ret_error);
}

int ctl_credit_grant(struct ctl *c, struct error *ret_error)
{
    static const char *const options[] = { "reason", NULL };
    return credit(c, "credits.granted", options, ret_error);
}

int ctl_credit_refund(struct ctl *c, struct error *ret_error)
{
    static const char *const options[] = { "reference", "reason", NULL };
    return credit(c, "credits.refunded", options, ret_error);
}

int ctl_credit_adjust(struct ctl *c, struct error *ret_error)
{
    static const char *const options[] = { "reason", NULL };
    return credit(c, "credits.adjusted", options, ret_error);
}
