/* How debitctl prints what the database answered: a table for people, JSON for programs. The type
 * of a column decides how it looks: decimals are strings in JSON and stand to the right in a
 * table, moments are RFC 3339, what is JSON already stays so. */
#ifndef DEBITD_CTL_OUTPUT_H
#define DEBITD_CTL_OUTPUT_H

#include "ctl/ctl.h"

/* All rows: an array of objects with all columns, or a table with those of `columns` (names with
 * spaces between them; NULL: all). */
void output_rows(const struct ctl *c, const struct pg_result *r, const char *columns);
/* The first row: an object, or a table of two columns. */
void output_row(const struct ctl *c, const struct pg_result *r);

/* One field or row as JSON, for a verb that builds its own. */
void output_json_field(struct buffer *out, const struct pg_result *r, int row, int column);
void output_json_row(struct buffer *out, const struct pg_result *r, int row);
void output_json_rows(struct buffer *out, const struct pg_result *r);

/* Runs schema/queries/ctl_NAME.sql with text parameters. 0 and the result, or the exit code. */
int ctl_query(struct ctl *c, const char *name, int n, const char *const *parameters,
              struct pg_result **ret, struct error *ret_error) MUST_CHECK;
/* 0, or EX_DATAERR: no account of that name. */
int ctl_require_account(struct ctl *c, const char *account, struct error *ret_error) MUST_CHECK;

/* To standard error, behind the name of the program; its lines with nothing in them that could
 * command a terminal. */
void output_complaint(const char *text);

#endif
