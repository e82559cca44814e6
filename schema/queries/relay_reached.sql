-- A topic was read back to these offsets.
-- $1 our epoch, $2 topic, $3 partitions, $4 offsets
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), placed AS (
    INSERT INTO debitd.relay_place (topic, partition, known)
    SELECT $2::text, u.place, u.reached FROM unnest($3::integer[], $4::bigint[]) AS u (place, reached) WHERE EXISTS (SELECT 1 FROM fence)
    ON CONFLICT (topic, partition) DO UPDATE SET known = EXCLUDED.known
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM placed)
