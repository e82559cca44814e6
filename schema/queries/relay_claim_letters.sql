-- Claims dead letters before they are produced: from now on they may stand on the topic, behind the floor.
-- $1 our epoch, $2 ids, $3 the partition of each, $4 the floor of each
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), claimed AS (
    UPDATE debitd.rejected t SET state = 1, relay_epoch = $1::bigint, claim_partition = u.place, claim_floor = u.floor
    FROM unnest($2::bigint[], $3::integer[], $4::bigint[]) AS u (id, place, floor)
    WHERE t.rejected_id = u.id AND t.state = 0 AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM claimed)
