-- How far each partition is in the books, and how much of its log is not: null where its end is not
-- known. $1 topics text[], $2 partitions int[], $3 where their logs end bigint[] (-1: not known)
SELECT p.topic, p.partition, p.next_offset, CASE WHEN e.log_end IS NOT NULL THEN greatest(e.log_end - coalesce(p.next_offset, 0), 0) END AS lag,
       p.booked, p.duplicates,
       p.rejected, p.parked, p.skipped, p.last_event_time, p.updated_at, p.owner, pg_catalog.split_part(p.halted, E'\n', 1) AS halted
  FROM debitd.position p
  LEFT JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS e (topic, partition, log_end)
    ON e.topic = p.topic AND e.partition = p.partition AND e.log_end >= 0
 ORDER BY p.topic, p.partition
