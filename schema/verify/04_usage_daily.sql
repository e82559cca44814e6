-- usage_daily: with the entries that are not summed yet, it has the sums of all entries, by
-- account, day, metric, service, model and component.
WITH entry AS NOT MATERIALIZED (
    SELECT l.entry_id, l.account_id, l.counted_on AS day, l.metric_id, coalesce(l.service_id, 0) AS service_id,
           coalesce(l.model_id, 0) AS model_id, l.cost IS NOT NULL AS has_cost, CASE l.type WHEN 'usage' THEN 1 ELSE -1 END AS events,
           cardinality(l.component_ids) AS parts, l.component_ids, l.component_quantities, l.component_costs, l.component_charges
      FROM debitd.ledger l
     WHERE l.type IN ('usage', 'void')
), parts AS ( -- nearly all have one or two: to pick those is cheaper than to unnest four arrays
    SELECT e.*, e.component_ids[i.at] AS component_id, e.component_quantities[i.at] AS quantity, e.component_costs[i.at] AS cost,
           e.component_charges[i.at] AS charge
      FROM entry e CROSS JOIN (VALUES (1), (2)) AS i (at)
     WHERE e.parts <= 2 AND i.at <= e.parts
    UNION ALL
    SELECT e.*, c.component_id, c.quantity, c.cost, c.charge
      FROM entry e
     CROSS JOIN LATERAL unnest(e.component_ids, e.component_quantities, e.component_costs, e.component_charges)
           AS c (component_id, quantity, cost, charge)
     WHERE e.parts > 2
), waiting AS MATERIALIZED (
    SELECT x.entry_id FROM debitd.batch b
     CROSS JOIN LATERAL (SELECT l.entry_id FROM debitd.ledger l WHERE l.entry_id BETWEEN b.entry_lo AND b.entry_hi OFFSET 0) x
     WHERE NOT b.folded
), computed AS (
    SELECT p.account_id, p.day, p.metric_id, p.service_id, p.model_id, p.component_id, sum(p.quantity) AS quantity,
           coalesce(sum(p.cost) FILTER (WHERE p.has_cost), 0) AS cost, sum(p.charge) AS charge, sum(p.events) AS events
      FROM parts p WHERE NOT EXISTS (SELECT FROM waiting w WHERE w.entry_id = p.entry_id)
     GROUP BY 1, 2, 3, 4, 5, 6
), compared AS (
    SELECT coalesce(d.account_id, e.account_id) AS account_id, coalesce(d.day, e.day) AS day,
           coalesce(d.metric_id, e.metric_id) AS metric_id, coalesce(d.service_id, e.service_id) AS service_id,
           coalesce(d.model_id, e.model_id) AS model_id, coalesce(d.component_id, e.component_id) AS component_id,
           c.what, coalesce(c.recorded, 0) AS recorded, coalesce(c.computed, 0) AS computed
      FROM debitd.usage_daily d
      FULL JOIN computed e ON e.account_id = d.account_id AND e.day = d.day AND e.metric_id = d.metric_id
            AND e.service_id = d.service_id AND e.model_id = d.model_id AND e.component_id = d.component_id
     CROSS JOIN LATERAL (VALUES ('quantity', d.quantity, e.quantity), ('cost', d.cost, e.cost), ('charge', d.charge, e.charge),
                                ('events', d.events, e.events)) AS c (what, recorded, computed)
     WHERE coalesce(c.recorded, 0) <> coalesce(c.computed, 0)
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
