-- Parked usage that a void takes back before it was ever booked. $1 event keys uuid[]
UPDATE debitd.parked p SET released_at = debitd.now(), outcome = 'voided'
WHERE p.event_key = ANY ($1::uuid[]) AND p.topic_kind = 'usage' AND p.released_at IS NULL
