-- Batches: the ranges of entries that wait to be summed, or were, do not overlap; each entry lies
-- in one, of its own month; none is summed twice. Ranges that were summed are kept for a day: of older
-- entries usage_daily alone tells.
WITH entry AS MATERIALIZED ( -- a range lies in one block of 2^20 ids
    SELECT l.entry_id, b.batch_id
      FROM debitd.ledger l
      LEFT JOIN debitd.batch b ON b.entry_lo >> 20 = l.entry_id >> 20 AND l.entry_id BETWEEN b.entry_lo AND b.entry_hi
     WHERE b.batch_id IS NULL AND l.booked_at > debitd.now() - interval '1 day'
        OR b.booked_at <> l.booked_at AND date_trunc('month', b.booked_at AT TIME ZONE 'UTC') <> date_trunc('month', l.booked_at AT TIME ZONE 'UTC')
)
SELECT f.batch::text, f.what, f.entry::text
  FROM (SELECT b.batch_id AS batch, 'overlaps the batch before it' AS what, b.entry_lo AS entry
          FROM (SELECT b.*, max(b.entry_hi) OVER (ORDER BY b.entry_lo, b.batch_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest
                  FROM debitd.batch b) b
         WHERE b.entry_lo <= b.highest
        UNION ALL
        SELECT b.batch_id, 'ends before it begins, or beyond its block of ids', b.entry_lo
          FROM debitd.batch b WHERE b.entry_hi < b.entry_lo OR b.entry_hi >> 20 <> b.entry_lo >> 20
        UNION ALL
        SELECT e.batch_id, CASE WHEN e.batch_id IS NULL THEN 'an entry is in no batch' ELSE 'its entry is of another month' END, e.entry_id
          FROM entry e) f
 ORDER BY f.batch, f.entry
