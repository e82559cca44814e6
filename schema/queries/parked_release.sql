-- Takes messages out of parking. $1 parked ids bigint[], $2 outcomes text[], $3 entry ids bigint[]
UPDATE debitd.parked p SET released_at = debitd.now(), outcome = u.outcome, entry_id = u.entry_id
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) u(parked_id, outcome, entry_id)
WHERE p.parked_id = u.parked_id AND p.released_at IS NULL
