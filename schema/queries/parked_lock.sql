-- Those of the parked messages that are still parked and that no other releaser holds; stands: their identity is one of the month of the books already. $1 parked ids bigint[]
SELECT p.parked_id, EXISTS (SELECT FROM debitd.event_key k WHERE k.key = p.event_key AND k.month = (SELECT b.month FROM debitd.books b)) AS stands
FROM debitd.parked p
WHERE p.parked_id = ANY ($1::bigint[]) AND p.released_at IS NULL
ORDER BY p.parked_id
FOR UPDATE SKIP LOCKED
