-- Rejected messages, newest first, without their contents. $1 how many, $2 reason or null, $3
-- topic or null
SELECT r.rejected_id AS id, r.topic, r.partition, r."offset", r.reason, r.detail, octet_length(r.value) AS bytes, r.rejected_at AS at,
       r.published_at, r.replayed_at
FROM debitd.rejected r
WHERE ($2::text IS NULL OR r.reason = $2::text) AND ($3::text IS NULL OR r.topic = $3::text)
ORDER BY r.rejected_id DESC LIMIT $1::integer
