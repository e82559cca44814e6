-- Dead letters that were read on their topic. What is claimed, or open and by this group, is published; what is by this group and not in the database was published before the database lost it.
-- $1 our epoch, $2 ids, $3 whether the message says that it is by this group, $4, $5, $6 topic, partition and offset of the messages that were rejected
WITH fence AS MATERIALIZED (
    SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint FOR SHARE
), seen AS (
    SELECT u.id, u.topic, u.part, u.place, pg_catalog.bool_or(u.ours) AS ours
    FROM unnest($2::bigint[], $3::boolean[], $4::text[], $5::integer[], $6::bigint[]) AS u (id, ours, topic, part, place)
    GROUP BY u.id, u.topic, u.part, u.place
), marked AS (
    UPDATE debitd.rejected t SET state = 2, published_at = debitd.now()
    FROM seen s
    WHERE t.rejected_id = s.id AND t.topic = s.topic AND t.partition = s.part AND t."offset" = s.place
      AND (t.state = 1 OR t.state = 0 AND s.ours) AND EXISTS (SELECT 1 FROM fence)
    RETURNING 1
), ahead AS (
    INSERT INTO debitd.letter_ahead (topic, partition, "offset", rejected_id, seen_at)
    SELECT s.topic, s.part, s.place, s.id, debitd.now() FROM seen s
    WHERE s.ours AND EXISTS (SELECT 1 FROM fence)
      AND NOT EXISTS (SELECT 1 FROM debitd.rejected r
                      WHERE r.rejected_id = s.id AND r.topic = s.topic AND r.partition = s.part AND r."offset" = s.place)
    ORDER BY s.topic, s.part, s.place, s.id
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM fence), (SELECT pg_catalog.count(*) FROM marked), (SELECT pg_catalog.count(*) FROM ahead)
