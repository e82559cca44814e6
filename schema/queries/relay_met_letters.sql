-- Messages that are rejected again and whose letters stand on their topic since before the database lost them: one row is published for each letter. Answers how many there were, and how many letters are still ahead of the database.
-- $1 our epoch
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), letter AS (
    SELECT h.*, pg_catalog.row_number() OVER (PARTITION BY h.topic, h.partition, h."offset" ORDER BY h.rejected_id) AS n
    FROM debitd.letter_ahead h
), message AS (
    SELECT r.rejected_id, r.topic, r.partition, r."offset",
           pg_catalog.row_number() OVER (PARTITION BY r.topic, r.partition, r."offset" ORDER BY r.rejected_id) AS n
    FROM debitd.rejected r
    WHERE r.state = 0
), met AS (
    UPDATE debitd.rejected t SET state = 2, published_at = debitd.now()
    FROM message m JOIN letter l ON l.topic = m.topic AND l.partition = m.partition AND l."offset" = m."offset" AND l.n = m.n
    WHERE t.rejected_id = m.rejected_id AND EXISTS (SELECT 1 FROM fence)
    RETURNING l.topic, l.partition, l."offset", l.rejected_id
), gone AS (
    DELETE FROM debitd.letter_ahead h USING met m
    WHERE h.topic = m.topic AND h.partition = m.partition AND h."offset" = m."offset" AND h.rejected_id = m.rejected_id
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM met),
       (SELECT pg_catalog.count(*) FROM debitd.letter_ahead) - (SELECT pg_catalog.count(*) FROM gone)
