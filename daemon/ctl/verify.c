/* debitctl verify: runs schema/verify, in the order of the paths. Each file is one query whose
 * rows are differences; its first comment line says what it checks. All see one snapshot, so that
 * what is booked meanwhile makes no difference. */
#include "ctl/output.h"
#include "ctl/verbs.h"

#include "base/embedded.h"
#include "migrate.h"

#include <string.h>

#define FOLDER "schema/verify/"

struct verification {
    struct ctl *ctl;
    struct buffer json;
    int checks, differences;
};

/* "schema/verify/02_chain.sql" -> "chain" */
static void name_of(const char *path, char out[64])
{
    const char *name = path + strlen(FOLDER);
    name += strspn(name, "0123456789_");
    snprintf(out, 64, "%.*s", (int)strcspn(name, "."), name);
}

static void print_difference(const char *check, const struct pg_result *r, int row)
{
    CLEANUP(buffer_fini) struct buffer line = BUFFER_NULL;
    for (int k = 0; k < pg_columns(r); k++) {
        buffer_format(&line, " %s=", pg_column_name(r, k));
        if (pg_null(r, row, k))
            buffer_text(&line, "(none)");
        else
            buffer_printable(&line, slice_of(pg_text(r, row, k)), 512);
    }
    printf("%s:%s\n", check, buffer_cstr(&line));
}

static void json_difference(struct verification *v, const char *check, const struct pg_result *r,
                            int row)
{
    buffer_format(&v->json, "%s{\"check\": \"%s\", \"difference\": ", v->differences ? ",\n " : "",
                  check);
    output_json_row(&v->json, r, row);
    buffer_text(&v->json, "}");
}

static int run_check(struct verification *v, const struct embedded_file *f, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    char check[64], doing[100];
    name_of(f->path, check);
    snprintf(doing, sizeof doing, "checking %s", check);
    if (pg_run(v->ctl->session, doing, f->text, 0, NULL, &r, e) != PG_DONE)
        return ctl_failed(e);
    for (int i = 0; i < pg_rows(r); i++, v->differences++)
        if (v->ctl->json)
            json_difference(v, check, r, i);
        else
            print_difference(check, r, i);
    v->checks++;
    return 0;
}

static int run_all(struct verification *v, struct error *e)
{
    static const char begin[] =
        "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    if (pg_script(v->ctl->session, "beginning to verify", begin, e) != PG_DONE)
        return ctl_failed(e);
    for (const struct embedded_file *f = embedded_first(); f->path; f++) {
        int code = strncmp(f->path, FOLDER, strlen(FOLDER)) ? 0 : run_check(v, f, e);
        if (code)
            return code;
    }
    return pg_script(v->ctl->session, "ending the snapshot", "COMMIT", e) == PG_DONE
               ? 0
               : ctl_failed(e);
}

int ctl_verify(struct ctl *c, struct error *ret_error)
{
    int code = ctl_connect(c, ret_error);
    if (code)
        return code;
    if (schema_check(c->session, ret_error) < 0)
        return ctl_failed(ret_error);
    struct verification v = { .ctl = c };
    buffer_text(&v.json, "[");
    code = run_all(&v, ret_error);
    if (!code && c->json)
        printf("%s]\n", buffer_cstr(&v.json));
    else if (!code)
        printf("%d checks, %d differences\n", v.checks, v.differences);
    buffer_fini(&v.json);
    return code ? code : v.differences ? EXIT_NO : 0;
}
