-- Positions: rejected and parked messages are as many as their rows and lie before the highest offset
-- that was ever next; the five counts together are not more than the offsets that were read, where
-- what a person has moved a position over (debitd.position_move) is not read, or read again; what
-- counts as booked is not less than the entries of messages, nor more than the identities of what was
-- booked (while none of these is purged).
WITH month AS MATERIALIZED ( -- those that have keys: a look at each leaf, for no index knows
    SELECT m.first
      FROM (SELECT to_date(right(k.relname, 7), 'YYYY_MM') AS first
              FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = 'debitd.event_key'::regclass) m
     CROSS JOIN LATERAL (SELECT FROM debitd.event_key k WHERE k.month >= m.first AND k.month < (m.first + interval '1 month')::date LIMIT 1) k
), place AS (
    SELECT p.topic, p.partition, count(*) AS parked, max(p."offset") AS last,
           count(*) FILTER (WHERE p.outcome = 'rejected') AS refused_later
      FROM debitd.parked p GROUP BY 1, 2
), refused AS (
    SELECT r.topic, r.partition, count(*) AS rejected, max(r."offset") AS last FROM debitd.rejected r GROUP BY 1, 2
), moved AS (
    SELECT m.topic, m.partition, max(m.from_offset) AS reached, sum(m.passed_over - m.read_again) AS not_read
      FROM debitd.position_move m GROUP BY 1, 2
), booked AS (
    SELECT (SELECT coalesce(sum(p.booked), 0) FROM debitd.position p) AS counted,
           -- all, less the few that were parked first
           (SELECT count(*) FROM debitd.ledger l WHERE l.type IN ('usage', 'void'))
           - (SELECT count(*) FROM debitd.ledger l WHERE l.type IN ('usage', 'void')
                 AND EXISTS (SELECT FROM debitd.parked p WHERE p.entry_id = l.entry_id)) AS entries,
           (SELECT count(*) FROM debitd.event_key k)
           - (SELECT count(*) FROM debitd.event_key k
               WHERE EXISTS (SELECT FROM debitd.parked p WHERE p.event_key = k.key AND k.entry_id IS NULL AND p.outcome IS DISTINCT FROM 'rejected')) AS identities,
           NOT EXISTS (SELECT FROM debitd.ledger l WHERE l.booked_at < (SELECT min(m.first)::timestamp AT TIME ZONE 'UTC' FROM month m)
                          AND l.event_id IS NOT NULL) AS whole
), found AS (
    SELECT coalesce(p.topic, k.topic, r.topic) AS topic, coalesce(p.partition, k.partition, r.partition) AS partition, c.what, c.recorded, c.computed
      FROM debitd.position p
      FULL JOIN place k ON k.topic = p.topic AND k.partition = p.partition
      FULL JOIN refused r ON r.topic = coalesce(p.topic, k.topic) AND r.partition = coalesce(p.partition, k.partition)
      LEFT JOIN moved m ON m.topic = p.topic AND m.partition = p.partition
     CROSS JOIN LATERAL (VALUES
           ('parked', coalesce(p.parked, 0), coalesce(k.parked, 0), coalesce(p.parked, 0) <> coalesce(k.parked, 0)),
           -- what was parked first and rejected on release counts as parked
           ('rejected', coalesce(p.rejected, 0), coalesce(r.rejected, 0) - coalesce(k.refused_later, 0),
            coalesce(p.rejected, 0) <> coalesce(r.rejected, 0) - coalesce(k.refused_later, 0)),
           ('highest offset that was next, and a message beyond it', greatest(p.next_offset, m.reached, 0), greatest(k.last, r.last),
            greatest(k.last, r.last) >= greatest(p.next_offset, m.reached, 0)),
           ('offsets read, and messages counted', coalesce(p.next_offset, 0) - coalesce(m.not_read, 0),
            p.booked + p.duplicates + p.rejected + p.parked + p.skipped,
            p.booked + p.duplicates + p.rejected + p.parked + p.skipped > coalesce(p.next_offset, 0) - coalesce(m.not_read, 0))
           ) AS c (what, recorded, computed, differs)
     WHERE c.differs
    UNION ALL
    SELECT NULL, NULL, 'booked in all, and entries of messages', b.counted, b.entries FROM booked b WHERE b.counted < b.entries
    UNION ALL
    SELECT NULL, NULL, 'booked in all, and identities', b.counted, b.identities FROM booked b WHERE b.whole AND b.counted > b.identities
)
SELECT f.topic, f.partition::text, f.what, f.recorded::text, f.computed::text FROM found f ORDER BY 1, 2, 3
