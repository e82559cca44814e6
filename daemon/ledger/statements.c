/* Finds the embedded text of each statement. */
#include "ledger/statements.h"

#include "base/embedded.h"

void statements_load(struct statements *ret)
{
#define X(name) ret->name = (struct pg_statement){ #name, embedded_sql("queries", #name) };
    LEDGER_STATEMENTS(X)
#undef X
    /* Faults on purpose: ./run check proves that the tests find each (tests/checks/mutants.txt). */
#if MUTANT == 1 /* the position is moved without comparing */
    ret->advance.sql = "UPDATE debitd.position SET next_offset = $5::bigint, last_offset = "
                       "$6::bigint, last_fingerprint = $7::bigint"
                       " WHERE topic = $1::text AND partition = $2::integer AND $3::bigint > 0 AND "
                       "coalesce($4::bigint, 0) >= 0";
#elif MUTANT == 3 /* the payers are read, not locked */
    ret->lock_payers.sql =
        "SELECT p.payer_id, p.version, n.name AS plan, p.unit_id, u.valued_in, p.balance, "
        "p.has_charge, true"
        " FROM debitd.payer p LEFT JOIN debitd.name n ON n.name_id = p.plan_name_id"
        " LEFT JOIN debitd.unit u ON u.unit_id = p.unit_id WHERE p.payer_id = ANY ($1::bigint[])";
#elif MUTANT == 6 /* each session locks the payers in an order of its own */
    ret->lock_payers.sql =
        "SELECT p.payer_id, p.version, n.name AS plan, p.unit_id, u.valued_in, p.balance, "
        "p.has_charge, true"
        " FROM debitd.payer p LEFT JOIN debitd.name n ON n.name_id = p.plan_name_id"
        " LEFT JOIN debitd.unit u ON u.unit_id = p.unit_id WHERE p.payer_id = ANY ($1::bigint[])"
        " ORDER BY pg_catalog.md5(p.payer_id::text || pg_catalog.pg_backend_pid())"
        " FOR NO KEY UPDATE OF p";
#elif MUTANT == 7 /* whether an unanswered COMMIT landed is asked without waiting for it */
    ret->positions_lock.sql =
        "SELECT p.topic, p.partition, p.epoch, p.next_offset"
        " FROM debitd.position p JOIN unnest($1::text[], $2::integer[]) u(topic, partition)"
        " ON p.topic = u.topic AND p.partition = u.partition ORDER BY p.topic, p.partition";
#endif
}
