/* The catalogue in the database. */
#ifndef DEBITD_CATALOGUE_STORE_H
#define DEBITD_CATALOGUE_STORE_H

#include "model/catalogue.h"
#include "pg/session.h"

/* The version in force, with all versions of plans that entries may name. Runs in a transaction of
 * its own (repeatable read), so not inside another one. */
enum pg_outcome catalogue_load(struct pg_session *s, struct catalogue **ret,
                               struct error *ret_error) MUST_CHECK;

/* What applying would change, a line each, for people; *ret_changes counts. A price that
 * disappeared from the file without effective_until, or changed, is a finding: returned as an
 * error (exit code EX_DATAERR). */
enum pg_outcome catalogue_diff(struct pg_session *s, const struct catalogue *wanted,
                               struct buffer *ret_text, int *ret_changes,
                               struct error *ret_error) MUST_CHECK;
/* Applies in one transaction under an advisory lock of its own; idempotent: no changes, no new
 * version. *ret_version is the version in force afterwards. */
enum pg_outcome catalogue_apply(struct pg_session *s, const struct catalogue *wanted,
                                const char *applied_by, int32_t *ret_version, int *ret_changes,
                                struct error *ret_error) MUST_CHECK;

#endif
