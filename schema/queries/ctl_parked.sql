-- Parked messages, oldest first. $1 how many, $2 those released already, too
SELECT p.parked_id AS id, p.topic, p.partition, p."offset", p.reason, p.detail, p.account AS account_id, p.source AS event_source,
       p.event_id, p.parked_at AS at, p.released_at, p.outcome
FROM debitd.parked p
WHERE $2::boolean OR p.released_at IS NULL
ORDER BY p.parked_id LIMIT $1::integer
