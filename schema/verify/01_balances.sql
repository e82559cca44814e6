-- Balances: each sum of a payer is that of its entries, by type; the balance is what they come to,
-- and what its last entry says.
WITH kind AS ( -- summed by type first: a million entries are asked once which sum they belong to
    SELECT l.payer_id, l.type, sum(l.amount) AS amount, bool_or(l.amount <> 0) AS not_zero FROM debitd.ledger l GROUP BY 1, 2
), entries AS (
    SELECT k.payer_id, sum(k.amount) AS balance,
           coalesce(sum(k.amount) FILTER (WHERE k.type = 'purchase'), 0) AS purchased,
           coalesce(sum(k.amount) FILTER (WHERE k.type IN ('grant', 'bonus')), 0) AS granted,
           coalesce(sum(k.amount) FILTER (WHERE k.type = 'refund'), 0) AS refunded,
           coalesce(sum(k.amount) FILTER (WHERE k.type = 'adjustment'), 0) AS adjusted,
           coalesce(sum(k.amount) FILTER (WHERE k.type = 'settlement'), 0) AS settled,
           coalesce(-sum(k.amount) FILTER (WHERE k.type IN ('usage', 'void')), 0) AS spent,
           coalesce(-sum(k.amount) FILTER (WHERE k.type = 'expiry'), 0) AS expired,
           coalesce(bool_or(k.type = 'usage' AND k.not_zero), false) AS has_charge
      FROM kind k GROUP BY k.payer_id
), compared AS (
    SELECT coalesce(p.payer_id, e.payer_id) AS payer_id, c.what, c.recorded, c.computed
      FROM debitd.payer p
      FULL JOIN entries e ON e.payer_id = p.payer_id
     CROSS JOIN LATERAL (VALUES
           ('purchased', p.purchased, e.purchased), ('granted', p.granted, e.granted), ('refunded', p.refunded, e.refunded),
           ('adjusted', p.adjusted, e.adjusted), ('settled', p.settled, e.settled), ('spent', p.spent, e.spent),
           ('expired', p.expired, e.expired), ('balance', p.balance, e.balance),
           ('balance (by its sums)', p.balance, p.purchased + p.granted + p.refunded + p.adjusted + p.settled - p.spent - p.expired),
           ('has been charged', p.has_charge::integer, e.has_charge::integer)
           ) AS c (what, recorded, computed)
     WHERE p.payer_id IS NULL OR c.recorded <> coalesce(c.computed, 0)
)
SELECT a.name AS payer, c.what, trim_scale(c.recorded)::text AS recorded, trim_scale(coalesce(c.computed, 0))::text AS computed
  FROM compared c LEFT JOIN debitd.account a ON a.account_id = c.payer_id
 ORDER BY c.payer_id, c.what
