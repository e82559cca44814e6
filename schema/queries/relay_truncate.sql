-- Notes that the broker refused a dead letter for its size: it is sent without its value from now on.
-- $1 our epoch, $2 id
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), noted AS (
    UPDATE debitd.rejected SET truncated = true WHERE rejected_id = $2::bigint AND EXISTS (SELECT 1 FROM fence) RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM noted)
