-- Bounds: amounts and balances are below 1e18 and have at most 12 places, quantities are at most
-- 1e12 and have at most 6; nothing is NaN or infinite.
WITH suspect AS MATERIALIZED ( -- a scale within bounds needs no look at the digits
    SELECT l.entry_id, l.amount, l.balance_after, l.cost, l.quantity
      FROM debitd.ledger l
     WHERE NOT (scale(l.amount) <= 12 AND l.amount < 1e18 AND l.amount > -1e18
                AND scale(l.balance_after) <= 12 AND l.balance_after < 1e18 AND l.balance_after > -1e18
                AND coalesce(scale(l.cost) <= 12 AND l.cost < 1e18 AND l.cost > -1e18, l.cost IS NULL)
                AND coalesce(scale(l.quantity) <= 6 AND l.quantity <= 1e12 AND l.quantity >= -1e12, l.quantity IS NULL)) IS NOT FALSE
)
SELECT f.place, f.row, f.what, f.value::text
  FROM (SELECT 'ledger' AS place, 'entry ' || l.entry_id AS row, c.what, c.value, c.most, c.places
          FROM suspect l
         CROSS JOIN LATERAL (VALUES ('amount', l.amount, 1e18, 12), ('balance_after', l.balance_after, 1e18, 12), ('cost', l.cost, 1e18, 12),
                                    ('quantity', l.quantity, 1e12 + 0.000001, 6)) AS c (what, value, most, places)
        UNION ALL
        SELECT 'payer', a.name, c.what, c.value, 1e18, 12
          FROM debitd.payer p JOIN debitd.account a ON a.account_id = p.payer_id
         CROSS JOIN LATERAL (VALUES ('balance', p.balance), ('granted_by_plans', p.granted_by_plans)) AS c (what, value)
        UNION ALL
        SELECT 'usage', a.name || ' ' || n.name || ' ' || u.period_start, c.what, c.value, 'Infinity', c.places
          FROM debitd.usage u JOIN debitd.account a ON a.account_id = u.payer_id JOIN debitd.name n ON n.name_id = u.metric_id
         CROSS JOIN LATERAL (VALUES ('used', u.used, 6), ('cost', u.cost, 12), ('charge', u.charge, 12),
                                    ('overage_charge', u.overage_charge, 12)) AS c (what, value, places)) f
 WHERE f.value = 'NaN' OR abs(f.value) >= f.most OR min_scale(f.value) > f.places
 ORDER BY 1, 2, 3
