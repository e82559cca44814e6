/* debitctl status: what the database knows of the books; whether it is this program's schema; how
 * far each partition is, and how far behind where Kafka can be asked. */
#include "ctl/output.h"
#include "ctl/places.h"
#include "ctl/verbs.h"

#include "migrate.h"

static void print_json(const struct pg_result *books, const struct pg_result *positions,
                       const char *schema)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    buffer_text(&b, "{\"schema\": ");
    buffer_json_string(&b, slice_of(schema));
    buffer_text(&b, ",\n\"books\": ");
    output_json_row(&b, books, 0);
    buffer_text(&b, ",\n\"positions\": ");
    output_json_rows(&b, positions);
    printf("%s}\n", buffer_cstr(&b));
}

int ctl_status(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *books = NULL, *positions = NULL;
    int code = ctl_connect(c, ret_error);
    if (code)
        return code;
    struct error strange = { 0 };
    bool fits = schema_check(c->session, &strange) == 0;
    if ((code = ctl_query(c, "status", 0, NULL, &books, ret_error)) ||
        (code = places_query(c, "positions", &positions, ret_error)))
        return code;
    const char *schema = fits ? "is this program's" : strange.text;
    if (c->json) {
        print_json(books, positions, schema);
        return 0;
    }
    output_row(c, books);
    printf("schema: %s\n\n", schema);
    output_rows(c, positions, NULL);
    return 0;
}
