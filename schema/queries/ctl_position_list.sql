-- How far each partition is in the books, how much of its log is not (null where its end is not known), who reads it, and
-- what a person decided about it last. $1 topics text[], $2 partitions int[], $3 where their logs end bigint[] (-1: not known)
SELECT p.topic, p.partition, CASE WHEN p.halted IS NOT NULL THEN 'halted' WHEN p.owner IS NULL THEN 'unclaimed' ELSE 'running' END AS state,
       p.next_offset, e.log_end, CASE WHEN e.log_end IS NOT NULL THEN greatest(e.log_end - coalesce(p.next_offset, 0), 0) END AS lag,
       p.booked, p.duplicates, p.rejected, p.parked, p.skipped, s.passed_over, s.read_again, p.last_event_time, p.updated_at, p.owner, p.epoch,
       p.halted, m.moved_at, m.moved_by, m.from_offset AS moved_from, m.to_offset AS moved_to, m.reason AS moved_because
  FROM debitd.position p
  LEFT JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS e (topic, partition, log_end)
    ON e.topic = p.topic AND e.partition = p.partition AND e.log_end >= 0
 CROSS JOIN LATERAL (SELECT coalesce(sum(x.passed_over), 0)::bigint AS passed_over, coalesce(sum(x.read_again), 0)::bigint AS read_again
                       FROM debitd.position_move x WHERE x.topic = p.topic AND x.partition = p.partition) s
  LEFT JOIN LATERAL (SELECT x.* FROM debitd.position_move x WHERE x.topic = p.topic AND x.partition = p.partition
                      ORDER BY x.move_id DESC LIMIT 1) m ON true
 ORDER BY p.topic, p.partition
