/* The schema that this program carries (base/embedded.h), put into a database and compared with
 * one.
 *
 *   schema/NNNN_what.sql    numbered migrations: tables. Each is run once, in a transaction of its
 *                           own, and recorded with its SHA-256 in debitd.schema_version. One that
 *                           was changed after it was applied is refused.
 *   schema/functions, api   everything that can be replaced: all of it in one transaction, in the
 *                           order of the paths, functions first; skipped when nothing changed since
 *                           (debitd.schema_code has the SHA-256 over all of it, a row for each time
 *                           that it was run).
 *   schema/api/zz_*.sql     roles and grants: the last of them, and run every time, because roles
 *                           belong to the cluster and may be gone.
 *
 * The views of schema api are replaced, never dropped: what users have built upon them, and what
 * they have granted, stays. CREATE OR REPLACE VIEW only lets columns be added at the end, which is
 * what the contract promises readers anyway; a view that must change otherwise is dropped by a
 * numbered migration, in the open.
 *
 * One migration at a time: an advisory lock of the session is held throughout. Daemons that are
 * booking need not be stopped. */
#ifndef DEBITD_MIGRATE_H
#define DEBITD_MIGRATE_H

#include "base/error.h"
#include "pg/session.h"

#include <stdbool.h>

/* How a migration tells what it does: one line a step. */
struct migrate_report {
    void (*line)(void *to, const char *text);
    void *to;
};

/* Brings the database to this program's schema, then makes missing roles and the months ahead.
 * dry_run: changes nothing, reports what it would do. *ret_steps counts what was (or would be)
 * done. 0, or -1 with the error: EX_NOPERM where the session's role may not (run as the database's
 * owner), EX_CONFIG where the database's schema is not one that this program can bring forward
 * (newer, or changed), or not in UTF-8. What was done before a failure stays; running again goes on from there. The
 * session is of no other use afterwards (its time-outs are off, after a failure it still holds the
 * lock): close it. */
int schema_migrate(struct pg_session *s, bool dry_run, struct migrate_report report, int *ret_steps,
                   struct error *ret_error) MUST_CHECK;

/* For debitd, at its start: 0 when the database has exactly this program's schema, else -1, exit
 * code EX_CONFIG, and in words which of the two is older and what to do; the code of
 * pg_exit_code() when the database cannot be asked. */
int schema_check(struct pg_session *s, struct error *ret_error) MUST_CHECK;

/* The number of the newest migration this program carries. */
int schema_newest(void);

#endif
