-- Marks claimed alerts as published: their transaction was committed, or they were seen on the topic.
-- $1 our epoch, $2 ids
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), marked AS (
    UPDATE debitd.alert SET state = 2, published_at = debitd.now()
    WHERE alert_id = ANY ($2::uuid[]) AND state = 1 AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM marked)
