-- Booked twice: no usage event (source, id) has two entries within the dedup window, nor two voids
-- of one entry, nor an operation on an account in two places.
WITH again AS MATERIALIZED ( -- by a short hash first, which may take two for one; sorted, as nearly all differ: a hash table of them takes twice the time
    SELECT e.hash
      FROM (SELECT hashtextextended(l.event_id, l.source_id) AS hash FROM debitd.ledger l WHERE l.type IN ('usage', 'void') ORDER BY 1) e
     GROUP BY e.hash HAVING count(*) > 1
), rare AS MATERIALIZED (
    SELECT l.entry_id, l.type, l.corrects, l.source_id, l.event_id, l.booked_at FROM debitd.ledger l WHERE l.type <> 'usage'
)
SELECT f.entry::text, f.other::text, f.what, f.event_source, f.event_id
  FROM (SELECT l.entry_id AS entry, l.before AS other, 'the same usage event' AS what, n.name AS event_source, l.event_id
          FROM (SELECT l.entry_id, l.source_id, l.event_id, date_trunc('month', l.booked_at AT TIME ZONE 'UTC') AS month,
                       lag(l.entry_id) OVER same AS before,
                       lag(date_trunc('month', l.booked_at AT TIME ZONE 'UTC')) OVER same AS month_before
                  FROM again a
                  JOIN debitd.ledger l ON hashtextextended(l.event_id, l.source_id) = a.hash AND l.type IN ('usage', 'void')
                WINDOW same AS (PARTITION BY l.source_id, l.event_id ORDER BY l.booked_at, l.entry_id)) l
          CROSS JOIN debitd.books b
          JOIN debitd.name n ON n.name_id = l.source_id
         WHERE l.before IS NOT NULL
           AND (b.dedup_months = 0 OR l.month <= l.month_before + make_interval(months => b.dedup_months))
        UNION ALL
        SELECT max(l.entry_id), min(l.entry_id), 'voids of one entry', NULL, l.corrects::text
          FROM rare l WHERE l.type = 'void' GROUP BY l.corrects HAVING count(*) > 1
        UNION ALL
        SELECT max(l.entry_id), min(l.entry_id), 'entries of one operation that do not stand together', n.name, l.event_id
          FROM rare l JOIN debitd.name n ON n.name_id = l.source_id
         WHERE l.type <> 'void'
         GROUP BY n.name, l.event_id, date_trunc('month', l.booked_at AT TIME ZONE 'UTC')
        HAVING max(l.entry_id) - min(l.entry_id) <> count(*) - 1) f
 ORDER BY f.entry
