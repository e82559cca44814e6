/* What loading and applying share. Internal to daemon/catalogue. */
#ifndef DEBITD_CATALOGUE_STORE_PARTS_H
#define DEBITD_CATALOGUE_STORE_PARTS_H

#include "catalogue/store.h"
#include "model/catalogue_build.h"

#define CATALOGUE_PARAMS_MAX 16

/* Runs schema/queries/<name>.sql with text parameters. */
enum pg_outcome catalogue_query(struct pg_session *s, const char *name, int nparams,
                                const char *const *params, struct pg_result **ret,
                                struct error *ret_error) MUST_CHECK;
/* catalogue_load inside the caller's transaction. ret_digest: of the version in force, "" where
 * there is none; at most 64 characters. */
enum pg_outcome catalogue_read(struct pg_session *s, struct catalogue **ret, char ret_digest[65],
                               struct error *ret_error) MUST_CHECK;

#endif
