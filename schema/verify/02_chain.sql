-- The chain: in order of entry_id, each entry's balance_after is the one before it plus its
-- amount; the last is the payer's balance.
WITH chained AS (
    SELECT l.payer_id, l.entry_id, l.balance_after, coalesce(lag(l.balance_after) OVER chain, 0) + l.amount AS computed,
           lag(l.entry_id) OVER chain AS before
      FROM debitd.ledger l
    WINDOW chain AS (PARTITION BY l.payer_id ORDER BY l.entry_id)
)
SELECT a.name AS payer, f.entry_id::text AS entry, f.what, trim_scale(f.recorded)::text AS recorded, trim_scale(f.computed)::text AS computed
  FROM (SELECT c.payer_id, c.entry_id, w.what, w.recorded, w.computed
          FROM chained c
         CROSS JOIN LATERAL (VALUES ('balance_after', c.balance_after, c.computed),
                                    ('the entry_id of the entry before it, too', c.entry_id, nullif(c.before, c.entry_id))) AS w (what, recorded, computed)
         WHERE (c.balance_after <> c.computed OR c.entry_id = c.before) AND (w.recorded = w.computed) IS NOT TRUE
        UNION ALL
        SELECT p.payer_id, e.entry_id, 'balance after the last entry', p.balance, e.balance_after
          FROM debitd.payer p
         CROSS JOIN LATERAL (SELECT l.entry_id, l.balance_after FROM debitd.ledger l
                              WHERE l.payer_id = p.payer_id ORDER BY l.entry_id DESC LIMIT 1) e
         WHERE p.balance <> e.balance_after) f
  LEFT JOIN debitd.account a ON a.account_id = f.payer_id
 ORDER BY f.payer_id, f.entry_id, f.what
