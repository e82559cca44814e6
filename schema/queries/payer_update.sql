-- Writes the balances that the batch computed under the payers' locks.
-- $1 payer, $2 balance, $3 spent in this batch, $4 had a charge, $5 the time of booking
UPDATE debitd.payer p
SET balance = u.balance, spent = p.spent + u.spent, has_charge = p.has_charge OR u.has_charge, updated_at = $5::timestamptz
FROM unnest($1::bigint[], $2::numeric[], $3::numeric[], $4::boolean[]) u(payer_id, balance, spent, has_charge)
WHERE p.payer_id = u.payer_id
