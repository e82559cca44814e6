-- usage_daily: with the entries that are not summed yet, it has the sums of all entries, by
-- account, day, metric, service, model and component.
WITH waiting AS MATERIALIZED (
    SELECT x.entry_id FROM debitd.batch b
     CROSS JOIN LATERAL (SELECT l.entry_id FROM debitd.ledger l WHERE l.entry_id BETWEEN b.entry_lo AND b.entry_hi OFFSET 0) x
     WHERE NOT b.folded
), entry AS NOT MATERIALIZED (
    SELECT l.account_id, l.counted_on AS day, l.metric_id, coalesce(l.service_id, 0) AS service_id, coalesce(l.model_id, 0) AS model_id,
           l.cost IS NOT NULL AS has_cost, CASE l.type WHEN 'usage' THEN 1 ELSE -1 END AS events,
           l.component_ids, l.component_quantities, l.component_costs, l.component_charges
      FROM debitd.ledger l
     WHERE l.type IN ('usage', 'void') AND NOT EXISTS (SELECT FROM waiting w WHERE w.entry_id = l.entry_id)
), alike AS ( -- nearly all have one or two: summed side by side, they need no unnesting
    SELECT e.account_id, e.day, e.metric_id, e.service_id, e.model_id, e.component_ids, sum(e.events) AS events,
           sum(e.component_quantities[1]) AS quantity_1, sum(e.component_costs[1]) FILTER (WHERE e.has_cost) AS cost_1,
           sum(e.component_charges[1]) AS charge_1,
           sum(e.component_quantities[2]) AS quantity_2, sum(e.component_costs[2]) FILTER (WHERE e.has_cost) AS cost_2,
           sum(e.component_charges[2]) AS charge_2
      FROM entry e WHERE cardinality(e.component_ids) <= 2
     GROUP BY 1, 2, 3, 4, 5, 6
), part AS (
    SELECT a.account_id, a.day, a.metric_id, a.service_id, a.model_id, c.component_id, c.quantity, c.cost, c.charge, a.events
      FROM alike a
     CROSS JOIN LATERAL (VALUES (a.component_ids[1], a.quantity_1, a.cost_1, a.charge_1), (a.component_ids[2], a.quantity_2, a.cost_2, a.charge_2))
           AS c (component_id, quantity, cost, charge)
     WHERE c.component_id IS NOT NULL
    UNION ALL
    SELECT e.account_id, e.day, e.metric_id, e.service_id, e.model_id, c.component_id, c.quantity, CASE WHEN e.has_cost THEN c.cost END, c.charge, e.events
      FROM entry e
     CROSS JOIN LATERAL unnest(e.component_ids, e.component_quantities, e.component_costs, e.component_charges)
           AS c (component_id, quantity, cost, charge)
     WHERE cardinality(e.component_ids) > 2
), differing AS MATERIALIZED ( -- what the entries say, less what is recorded; names only for what is left of that
    SELECT p.account_id, p.day, p.metric_id, p.service_id, p.model_id, p.component_id, coalesce(sum(p.quantity), 0) AS quantity,
           coalesce(sum(p.cost), 0) AS cost, coalesce(sum(p.charge), 0) AS charge, coalesce(sum(p.events), 0) AS events
      FROM (SELECT * FROM part
            UNION ALL
            SELECT d.account_id, d.day, d.metric_id, d.service_id, d.model_id, d.component_id, -d.quantity, -d.cost, -d.charge, -d.events
              FROM debitd.usage_daily d) p
     GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(p.quantity) <> 0 OR sum(p.cost) <> 0 OR sum(p.charge) <> 0 OR sum(p.events) <> 0
), compared AS (
    SELECT e.*, c.what, coalesce(c.recorded, 0) AS recorded, coalesce(c.recorded, 0) + c.more AS computed
      FROM differing e
      LEFT JOIN debitd.usage_daily d ON d.account_id = e.account_id AND d.day = e.day AND d.metric_id = e.metric_id
            AND d.service_id = e.service_id AND d.model_id = e.model_id AND d.component_id = e.component_id
     CROSS JOIN LATERAL (VALUES ('quantity', d.quantity, e.quantity), ('cost', d.cost, e.cost), ('charge', d.charge, e.charge),
                                ('events', d.events, e.events)) AS c (what, recorded, more)
     WHERE c.more <> 0
)
SELECT a.name AS account, c.day::text, m.name AS metric, s.name AS service, o.name AS model, k.name AS component, c.what,
       trim_scale(c.recorded)::text AS recorded, trim_scale(c.computed)::text AS computed
  FROM compared c
  LEFT JOIN debitd.account a ON a.account_id = c.account_id
  LEFT JOIN debitd.name m ON m.name_id = c.metric_id
  LEFT JOIN debitd.name s ON s.name_id = c.service_id
  LEFT JOIN debitd.name o ON o.name_id = c.model_id
  LEFT JOIN debitd.name k ON k.name_id = c.component_id
 ORDER BY c.account_id, c.day, m.name, s.name, o.name, k.name, c.what
