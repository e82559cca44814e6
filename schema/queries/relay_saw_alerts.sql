-- Alerts that were read on their topic. What is claimed, or open and by this group, is published; what is by this group and not in the database was published before the database lost it.
-- $1 our epoch, $2 ids, $3 whether the message says that it is by this group
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), seen AS (
    SELECT u.id, pg_catalog.bool_or(u.ours) AS ours FROM unnest($2::uuid[], $3::boolean[]) AS u (id, ours) GROUP BY u.id
), marked AS (
    UPDATE debitd.alert t SET state = 2, published_at = debitd.now()
    FROM seen s
    WHERE t.alert_id = s.id AND (t.state = 1 OR t.state = 0 AND s.ours) AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
), ahead AS (
    INSERT INTO debitd.alert_ahead (alert_id, seen_at)
    SELECT s.id, debitd.now() FROM seen s
    WHERE s.ours AND NOT EXISTS (SELECT 1 FROM debitd.alert a WHERE a.alert_id = s.id) AND EXISTS (SELECT 1 FROM fence)
    ORDER BY s.id
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM marked), (SELECT pg_catalog.count(*) FROM ahead)
