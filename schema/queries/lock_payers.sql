-- The payers' locks, in order: each is the mutex of its payer's summaries, balance and entries. $1 payer ids bigint[]
-- `as_one`: where a lock was waited for, PostgreSQL gives the payer's row of now, joined with the names and units of before, or with none where that
-- does not fit; then it is asked again, by a statement that sees the others as well.
SELECT p.payer_id, p.version, n.name AS plan, p.unit_id, u.valued_in, p.balance, p.has_charge,
       n.name_id IS NOT DISTINCT FROM p.plan_name_id AND u.unit_id IS NOT DISTINCT FROM p.unit_id AS as_one
FROM debitd.payer p
LEFT JOIN debitd.name n ON n.name_id = p.plan_name_id
LEFT JOIN debitd.unit u ON u.unit_id = p.unit_id
WHERE p.payer_id = ANY ($1::bigint[])
ORDER BY p.payer_id
FOR NO KEY UPDATE OF p
