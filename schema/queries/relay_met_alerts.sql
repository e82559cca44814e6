-- Alerts that are raised again and stand on their topic since before the database lost them: they are published. Answers how many there were, and how many are still ahead of the database.
-- $1 our epoch
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), met AS (
    UPDATE debitd.alert t SET state = 2, published_at = debitd.now()
    FROM debitd.alert_ahead h
    WHERE t.alert_id = h.alert_id AND t.state = 0 AND EXISTS (SELECT 1 FROM fence)
    RETURNING t.alert_id
), gone AS (
    DELETE FROM debitd.alert_ahead h USING met m WHERE h.alert_id = m.alert_id RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM met),
       (SELECT pg_catalog.count(*) FROM debitd.alert_ahead) - (SELECT pg_catalog.count(*) FROM gone)
