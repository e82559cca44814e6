-- Batches: the ranges of entries that wait to be summed, or were, do not overlap; each entry lies
-- in one; none is summed twice.
SELECT f.batch::text, f.what, f.entry::text
  FROM (SELECT b.batch_id AS batch, 'overlaps the batch before it' AS what, b.entry_lo AS entry
          FROM (SELECT b.*, max(b.entry_hi) OVER (ORDER BY b.entry_lo, b.batch_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest
                  FROM debitd.batch b) b
         WHERE b.entry_lo <= b.highest
        UNION ALL
        SELECT b.batch_id, 'ends before it begins', b.entry_lo FROM debitd.batch b WHERE b.entry_hi < b.entry_lo
        UNION ALL
        SELECT NULL, 'an entry is in no batch', e.entry_id
          FROM (SELECT l.entry_id, l.type, max(l.hi) OVER (ORDER BY l.entry_id, l.type ROWS UNBOUNDED PRECEDING) AS hi
                  FROM (SELECT l.entry_id, 1 AS type, NULL::bigint AS hi FROM debitd.ledger l
                        UNION ALL SELECT b.entry_lo, 0, b.entry_hi FROM debitd.batch b) l) e
         WHERE e.type = 1 AND (e.hi IS NULL OR e.hi < e.entry_id)) f
 ORDER BY f.batch, f.entry
