-- Parked events that voids name: still parked, booked since, or voided. What was rejected has no identity any more: another may bear it. $1 keys uuid[]
SELECT p.event_key, p.parked_id, p.account, p.released_at IS NULL AS open, coalesce(p.outcome, '') AS outcome, p.entry_id
FROM debitd.parked p
WHERE p.event_key = ANY ($1::uuid[]) AND p.topic_kind = 'usage' AND p.outcome IS DISTINCT FROM 'rejected'
ORDER BY p.parked_id
FOR UPDATE
