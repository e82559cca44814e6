-- The events that voids name, of whatever month: the dedup window is for what comes again. The latest counts, where an id was used again after it.
-- $1 keys uuid[]
SELECT k.key, k.digest, k.entry_id
FROM debitd.event_key k
WHERE k.key = ANY ((SELECT $1::uuid[])::uuid[])
ORDER BY k.month
