/* debitctl migrate. */
#include "migrate.h"

#include "ctl/ctl.h"

static void print_step(void *to, const char *text)
{
    struct ctl *c = to;
    if (!c->json)
        printf("%s\n", text);
}

int ctl_migrate(struct ctl *c, struct error *ret_error)
{
    int code = ctl_connect(c, ret_error);
    if (code)
        return code;
    bool dry_run = ctl_option(c, "dry-run") != NULL;
    int steps;
    if (schema_migrate(c->session, dry_run, (struct migrate_report){ print_step, c }, &steps,
                       ret_error) < 0)
        return ctl_failed(ret_error);
    if (c->json)
        printf("{\"steps\": %d, \"newest\": %d, \"dry_run\": %s}\n", steps, schema_newest(),
               dry_run ? "true" : "false");
    else if (steps == 0)
        printf("nothing to do: the schema is at migration %04d\n", schema_newest());
    return 0;
}
