-- Marks claimed dead letters as published: their transaction was committed. With them, how far the topic is known: the commit's own record stands behind the last of them, and of ours nothing can be there.
-- $1 our epoch, $2 ids, $3 the partition of each, $4 the offset behind the last in that partition, $5 topic
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), marked AS (
    UPDATE debitd.rejected SET state = 2, published_at = debitd.now()
    WHERE rejected_id = ANY ($2::bigint[]) AND state = 1 AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
), placed AS (
    INSERT INTO debitd.relay_place (topic, partition, known)
    SELECT $5::text, u.place, pg_catalog.max(u.behind) + 1 FROM unnest($3::integer[], $4::bigint[]) AS u (place, behind)
    WHERE EXISTS (SELECT 1 FROM fence)
    GROUP BY u.place
    ON CONFLICT (topic, partition) DO UPDATE SET known = EXCLUDED.known
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM marked)
