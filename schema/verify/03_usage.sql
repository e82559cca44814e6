-- Usage of months and days: events, used, cost, charge and overage_charge of each row are the sums
-- of the payer's entries that count in it. Days count where the plan that the entry was charged
-- under limits the day.
WITH alike AS ( -- summed first, asked of plans and kinds afterwards
    SELECT l.payer_id, l.metric_id, l.counted_on, l.plan_id, l.type, l.charge_kind,
           count(*) AS entries, sum(l.quantity) AS used, sum(l.cost) AS cost, sum(l.amount) AS amount
      FROM debitd.ledger l
     WHERE l.type IN ('usage', 'void')
     GROUP BY 1, 2, 3, 4, 5, 6
), entries AS (
    SELECT a.payer_id, a.metric_id, a.counted_on, q.day_limit IS NOT NULL AS limited,
           sum(CASE a.type WHEN 'usage' THEN a.entries ELSE -a.entries END) AS events, sum(a.used) AS used, coalesce(sum(a.cost), 0) AS cost,
           -sum(a.amount) AS charge, coalesce(-sum(a.amount) FILTER (WHERE a.charge_kind = 'quota'), 0) AS overage_charge
      FROM alike a
      LEFT JOIN debitd.plan_quota q ON q.plan_id = a.plan_id AND q.metric_id = a.metric_id
     GROUP BY 1, 2, 3, 4
), computed AS (
    SELECT e.payer_id, e.metric_id, 'm'::"char" AS period, date_trunc('month', e.counted_on::timestamp)::date AS period_start,
           sum(e.events) AS events, sum(e.used) AS used, sum(e.cost) AS cost, sum(e.charge) AS charge,
           sum(e.overage_charge) AS overage_charge
      FROM entries e GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT e.payer_id, e.metric_id, 'd', e.counted_on, e.events, e.used, e.cost, e.charge, e.overage_charge
      FROM entries e WHERE e.limited
), compared AS (
    SELECT coalesce(u.payer_id, e.payer_id) AS payer_id, coalesce(u.metric_id, e.metric_id) AS metric_id,
           coalesce(u.period, e.period) AS period, coalesce(u.period_start, e.period_start) AS period_start,
           c.what, coalesce(c.recorded, 0) AS recorded, coalesce(c.computed, 0) AS computed
      FROM debitd.usage u
      FULL JOIN computed e ON e.payer_id = u.payer_id AND e.metric_id = u.metric_id AND e.period = u.period
                          AND e.period_start = u.period_start
     CROSS JOIN LATERAL (VALUES ('events', u.events, e.events), ('used', u.used, e.used), ('cost', u.cost, e.cost),
                                ('charge', u.charge, e.charge), ('overage_charge', u.overage_charge, e.overage_charge)
                        ) AS c (what, recorded, computed)
     WHERE coalesce(c.recorded, 0) <> coalesce(c.computed, 0)
)
SELECT a.name AS payer, n.name AS metric, CASE c.period WHEN 'm' THEN 'month' ELSE 'day' END AS period,
       c.period_start::text, c.what, trim_scale(c.recorded)::text AS recorded, trim_scale(c.computed)::text AS computed
  FROM compared c
  LEFT JOIN debitd.account a ON a.account_id = c.payer_id
  LEFT JOIN debitd.name n ON n.name_id = c.metric_id
 ORDER BY c.payer_id, n.name, c.period, c.period_start, c.what
