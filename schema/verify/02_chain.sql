-- The chain: in order of entry_id, each entry's balance_after is the one before it plus its
-- amount; the last is the payer's balance.
WITH chained AS (
    SELECT l.payer_id, l.entry_id, l.balance_after,
           coalesce(lag(l.balance_after) OVER (PARTITION BY l.payer_id ORDER BY l.entry_id), 0) + l.amount AS computed,
           lead(l.entry_id) OVER (PARTITION BY l.payer_id ORDER BY l.entry_id) AS following
      FROM debitd.ledger l
)
SELECT a.name AS payer, f.entry_id::text AS entry, f.what, trim_scale(f.recorded)::text AS recorded, trim_scale(f.computed)::text AS computed
  FROM (SELECT c.payer_id, c.entry_id, 'balance_after' AS what, c.balance_after AS recorded, c.computed
          FROM chained c WHERE c.balance_after <> c.computed
        UNION ALL
        SELECT c.payer_id, c.entry_id, 'balance after the last entry', p.balance, c.balance_after
          FROM chained c JOIN debitd.payer p ON p.payer_id = c.payer_id
         WHERE c.following IS NULL AND p.balance <> c.balance_after
        UNION ALL
        SELECT l.payer_id, l.entry_id, 'more than one entry has this entry_id', count(*), 1
          FROM debitd.ledger l GROUP BY l.payer_id, l.entry_id HAVING count(*) > 1) f
  LEFT JOIN debitd.account a ON a.account_id = f.payer_id
 ORDER BY f.payer_id, f.entry_id
