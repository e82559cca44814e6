-- Those of the parked messages that are still parked and that no other releaser holds. $1 parked ids bigint[]
SELECT p.parked_id FROM debitd.parked p
WHERE p.parked_id = ANY ($1::bigint[]) AND p.released_at IS NULL
ORDER BY p.parked_id
FOR UPDATE SKIP LOCKED
