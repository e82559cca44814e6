/* See output.h. */
#include "ctl/output.h"

#include "base/embedded.h"
#include "migrate.h"

#include <libsmartcols.h>
#include <string.h>
#include <sysexits.h>

enum look { LOOK_TEXT, LOOK_NUMBER, LOOK_DECIMAL, LOOK_BOOL, LOOK_TIME, LOOK_JSON };

#define OID_JSON       114
#define CELL_BYTES_MAX 1024 /* of a table with many rows; a single row is shown whole */
#define LINE_BYTES_MAX 4096

static enum look look_of(const struct pg_result *r, int column)
{
    switch (pg_column_type(r, column)) {
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
        return LOOK_NUMBER;
    case PG_NUMERIC:
        return LOOK_DECIMAL;
    case PG_BOOL:
        return LOOK_BOOL;
    case PG_TIMESTAMPTZ:
        return LOOK_TIME;
    case PG_JSONB:
    case OID_JSON:
        return LOOK_JSON;
    }
    return LOOK_TEXT;
}

/* "2026-11-20 12:34:56.789+00", as a session in UTC has it, becomes "2026-11-20T12:34:56.789Z". */
static void put_time(struct buffer *out, const char *text)
{
    size_t n = strlen(text);
    if (n < 13 || text[10] != ' ' || strcmp(text + n - 3, "+00") != 0) {
        buffer_text(out, text); /* infinity */
        return;
    }
    buffer_put(out, text, 10);
    buffer_text(out, "T");
    buffer_put(out, text + 11, n - 14);
    buffer_text(out, "Z");
}

/* ---------------------------------------------------------------- JSON */

void output_json_field(struct buffer *out, const struct pg_result *r, int row, int column)
{
    const char *text = pg_text(r, row, column);
    if (pg_null(r, row, column)) {
        buffer_text(out, "null");
        return;
    }
    switch (look_of(r, column)) {
    case LOOK_NUMBER:
        buffer_text(out, text);
        return;
    case LOOK_JSON:
        buffer_json_text(out, slice_of(text));
        return;
    case LOOK_BOOL:
        buffer_text(out, *text == 't' ? "true" : "false");
        return;
    case LOOK_TIME:
        buffer_text(out, "\"");
        put_time(out, text);
        buffer_text(out, "\"");
        return;
    case LOOK_DECIMAL:
    case LOOK_TEXT:
        buffer_json_string(out, slice_of(text));
        return;
    }
}

void output_json_row(struct buffer *out, const struct pg_result *r, int row)
{
    buffer_text(out, "{");
    for (int k = 0; k < pg_columns(r); k++) {
        buffer_text(out, k ? ", " : "");
        buffer_json_string(out, slice_of(pg_column_name(r, k)));
        buffer_text(out, ": ");
        output_json_field(out, r, row, k);
    }
    buffer_text(out, "}");
}

void output_json_rows(struct buffer *out, const struct pg_result *r)
{
    buffer_text(out, "[");
    for (int i = 0; i < pg_rows(r); i++) {
        buffer_text(out, i ? ",\n " : "");
        output_json_row(out, r, i);
    }
    buffer_text(out, "]");
}

/* ---------------------------------------------------------------- tables */

static bool is_listed(const char *columns, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = columns; at && (at = strstr(at, name)); at += n)
        if ((at == columns || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return columns == NULL;
}

static struct libscols_table *new_table(void)
{
    struct libscols_table *t = scols_new_table();
    ASSERT(t != NULL);
    scols_table_enable_noheadings(t, 0);
    return t;
}

/* What comes from outside must not command the terminal: control characters are shown as \xNN. */
static void set_cell(struct libscols_line *line, int cell, const struct pg_result *r, int row,
                     int column, size_t most)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    const char *text = pg_text(r, row, column);
    enum look look = look_of(r, column);
    if (pg_null(r, row, column))
        return;
    if (look == LOOK_TIME)
        put_time(&b, text);
    else if (look == LOOK_BOOL)
        buffer_text(&b, *text == 't' ? "yes" : "no");
    else if (!buffer_printable(&b, slice_of(text), most))
        buffer_text(&b, "...");
    int failed = scols_line_set_data(line, (size_t)cell, buffer_cstr(&b));
    ASSERT(!failed);
}

static void print_rows(const struct pg_result *r, const char *columns)
{
    struct libscols_table *t = new_table();
    int cells = 0, *shown = xcalloc((size_t)pg_columns(r), sizeof *shown);
    for (int k = 0; k < pg_columns(r); k++) {
        if (!is_listed(columns, pg_column_name(r, k)))
            continue;
        enum look look = look_of(r, k);
        bool right = look == LOOK_NUMBER || look == LOOK_DECIMAL;
        struct libscols_column *made =
            scols_table_new_column(t, pg_column_name(r, k), 0, right ? SCOLS_FL_RIGHT : 0);
        ASSERT(made != NULL);
        shown[cells++] = k;
    }
    for (int i = 0; i < pg_rows(r); i++) {
        struct libscols_line *line = scols_table_new_line(t, NULL);
        ASSERT(line != NULL);
        for (int k = 0; k < cells; k++)
            set_cell(line, k, r, i, shown[k], CELL_BYTES_MAX);
    }
    scols_print_table(t);
    scols_unref_table(t);
    free(shown);
}

static void print_row(const struct pg_result *r)
{
    struct libscols_table *t = new_table();
    scols_table_enable_noheadings(t, 1);
    struct libscols_column *name = scols_table_new_column(t, "", 0, 0),
                           *value = scols_table_new_column(t, "", 0, 0);
    ASSERT(name && value);
    for (int k = 0; k < pg_columns(r); k++) {
        struct libscols_line *line = scols_table_new_line(t, NULL);
        ASSERT(line != NULL);
        int failed = scols_line_set_data(line, 0, pg_column_name(r, k));
        ASSERT(!failed);
        set_cell(line, 1, r, 0, k, SIZE_MAX);
    }
    scols_print_table(t);
    scols_unref_table(t);
}

/* ---------------------------------------------------------------- both */

void output_complaint(const char *text)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    buffer_text(&b, "debitctl: ");
    for (const char *p = text; *p; p += *p == '\n') {
        size_t n = strcspn(p, "\n");
        if (!buffer_printable(&b, (struct slice){ p, n }, LINE_BYTES_MAX))
            buffer_text(&b, "...");
        buffer_text(&b, "\n");
        p += n;
    }
    fputs(buffer_cstr(&b), stderr);
}

void output_rows(const struct ctl *c, const struct pg_result *r, const char *columns)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    if (c->json) {
        output_json_rows(&b, r);
        printf("%s\n", buffer_cstr(&b));
    } else if (pg_rows(r) > 0) {
        print_rows(r, columns);
    } else {
        printf("none\n");
    }
}

void output_row(const struct ctl *c, const struct pg_result *r)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    if (!c->json) {
        print_row(r);
        return;
    }
    output_json_row(&b, r, 0);
    printf("%s\n", buffer_cstr(&b));
}

int ctl_query(struct ctl *c, const char *name, int n, const char *const *parameters,
              struct pg_result **ret, struct error *ret_error)
{
    char file[64], doing[80];
    snprintf(file, sizeof file, "ctl_%s", name);
    snprintf(doing, sizeof doing, "asking for %s", name);
    int code = ctl_connect(c, ret_error);
    if (code)
        return code;
    enum pg_outcome o =
        pg_run(c->session, doing, embedded_sql("queries", file), n, parameters, ret, ret_error);
    struct error strange = { 0 };
    /* Most likely the database is not migrated, or by another version: then that is what to say. */
    if (o == PG_DEFECT && ret_error->exit_code != EX_NOPERM &&
        schema_check(c->session, &strange) < 0)
        *ret_error = strange;
    return o == PG_DONE ? 0 : ctl_failed(ret_error);
}

int ctl_require_account(struct ctl *c, const char *account, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_query(c, "account", 1, &account, &r, ret_error);
    if (code || pg_rows(r) > 0)
        return code;
    error_set(ret_error, EX_DATAERR,
              "there is no account '%s'; open it with: debitctl account open %s PLAN", account,
              account);
    return EX_DATAERR;
}
