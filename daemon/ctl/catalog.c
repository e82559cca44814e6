/* debitctl catalog check | diff | apply. */
#include "base/macros.h"
#include "catalogue/file.h"
#include "catalogue/store.h"
#include "ctl/ctl.h"
#include "model/catalogue_build.h"

#include <pwd.h>
#include <unistd.h>

static int read_argument(struct ctl *c, struct catalogue **ret, struct error *ret_error)
{
    return catalogue_read_file(c->argument[0], ret, ret_error) < 0 ? ctl_failed(ret_error) : 0;
}

static void put_json_member(struct buffer *b, const char *name, const char *text)
{
    buffer_format(b, "\"%s\": ", name);
    buffer_json_string(b, slice_of(text));
}

int ctl_catalog_check(struct ctl *c, struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *wanted = NULL;
    int code = read_argument(c, &wanted, ret_error);
    if (code)
        return code;
    if (c->json) {
        CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
        put_json_member(&b, "file", c->argument[0]);
        printf("{%s, \"units\": %zu, \"metrics\": %zu, \"prices\": %zu, \"rates\": %zu, \"plans\": "
               "%zu, "
               "\"packages\": %zu}\n",
               buffer_cstr(&b), wanted->units.n, wanted->metrics.n, wanted->prices.n,
               wanted->rates.n, wanted->plans.n, wanted->packages.n);
        return 0;
    }
    printf("%s is good: %zu units, %zu metrics, %zu prices, %zu rates, %zu plans, %zu packages\n",
           c->argument[0], wanted->units.n, wanted->metrics.n, wanted->prices.n, wanted->rates.n,
           wanted->plans.n, wanted->packages.n);
    return 0;
}

/* {"changes": 2, "text": ["+ unit …", …]} */
static void print_changes_json(int changes, struct slice text)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    buffer_format(&b, "{\"changes\": %d, \"text\": [", changes);
    for (const char *at = text.p, *end = text.p + text.n; at < end;) {
        size_t n = strcspn(at, "\n");
        buffer_text(&b, at > text.p ? ", " : "");
        buffer_json_string(&b, (struct slice){ at, n });
        at += n + 1;
    }
    printf("%s]}\n", buffer_cstr(&b));
}

int ctl_catalog_diff(struct ctl *c, struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *wanted = NULL;
    CLEANUP(buffer_fini) struct buffer text = BUFFER_NULL;
    int changes;
    int code = read_argument(c, &wanted, ret_error);
    if (!code)
        code = ctl_connect(c, ret_error);
    if (code)
        return code;
    if (catalogue_diff(c->session, wanted, &text, &changes, ret_error) != PG_DONE)
        return ctl_failed(ret_error);
    buffer_cstr(&text);
    if (c->json)
        print_changes_json(changes, (struct slice){ text.p, text.n });
    else if (changes == 0)
        printf("no difference: %s is in force\n", c->argument[0]);
    else
        fputs(text.p, stdout);
    return 0;
}

int ctl_catalog_apply(struct ctl *c, struct error *ret_error)
{
    CLEANUP(catalogue_unrefp) struct catalogue *wanted = NULL;
    int32_t version;
    int changes;
    int code = read_argument(c, &wanted, ret_error);
    if (!code)
        code = ctl_connect(c, ret_error);
    if (code)
        return code;
    const struct passwd *who = getpwuid(geteuid());
    if (catalogue_apply(c->session, wanted, who ? who->pw_name : "debitctl", &version, &changes,
                        ret_error) != PG_DONE)
        return ctl_failed(ret_error);
    if (c->json)
        printf("{\"version\": %d, \"changes\": %d}\n", version, changes);
    else if (changes == 0)
        printf("nothing to do: version %d says the same\n", version);
    else
        printf("version %d is in force, with %d change%s\n", version, changes,
               changes == 1 ? "" : "s");
    return 0;
}
