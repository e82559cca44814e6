-- Opens claimed dead letters again: it is certain that they do not stand on the topic.
-- $1 our epoch
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), reset AS (
    UPDATE debitd.rejected SET state = 0, relay_epoch = NULL, claim_partition = NULL, claim_floor = NULL
    WHERE state = 1 AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM reset)
