-- Components: what an entry says of its components sums up to its quantity, its cost and its
-- amount; usage takes, a void gives.
--
-- One or two components, as nearly all entries have, are added without unnesting them.
WITH suspect AS MATERIALIZED (
    SELECT l.entry_id, l.type, l.quantity, l.cost, l.amount, l.component_ids, l.component_quantities, l.component_costs, l.component_charges,
           l.component_prices
      FROM debitd.ledger l
     WHERE l.type IN ('usage', 'void')
       AND NOT coalesce(
           CASE l.type WHEN 'usage' THEN l.amount <= 0 AND l.quantity >= 0 AND coalesce(l.cost >= 0, true)
                       ELSE l.amount >= 0 AND l.quantity <= 0 AND coalesce(l.cost <= 0, true) END
       AND CASE cardinality(l.component_ids)
           WHEN 1 THEN l.quantity = l.component_quantities[1] AND l.cost IS NOT DISTINCT FROM l.component_costs[1]
                   AND l.amount = -l.component_charges[1]
           WHEN 2 THEN l.quantity = l.component_quantities[1] + l.component_quantities[2]
                   AND l.cost IS NOT DISTINCT FROM l.component_costs[1] + l.component_costs[2]
                   AND l.amount = -(l.component_charges[1] + l.component_charges[2]) AND l.component_ids[1] <> l.component_ids[2]
           END
       AND cardinality(l.component_quantities) = cardinality(l.component_ids) AND cardinality(l.component_costs) = cardinality(l.component_ids)
       AND cardinality(l.component_charges) = cardinality(l.component_ids)
       AND cardinality(l.component_prices) = cardinality(l.component_ids), false)
)
SELECT l.entry_id::text AS entry, c.what, c.recorded::text, c.computed::text
  FROM suspect l
 CROSS JOIN LATERAL (
       SELECT count(*) AS parts, count(DISTINCT p.id) AS ids, sum(p.quantity) AS quantity,
              CASE WHEN bool_and(p.cost IS NOT NULL) THEN sum(p.cost) END AS cost, sum(p.charge) AS charge,
              bool_and(p.quantity IS NOT NULL AND p.charge IS NOT NULL AND p.id IS NOT NULL)
              AND cardinality(l.component_costs) = count(*) AND cardinality(l.component_prices) = count(*) AS whole
         FROM unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_charges) AS p (id, quantity, cost, charge)) s
 CROSS JOIN LATERAL (VALUES
       ('quantity', l.quantity, s.quantity, l.quantity IS DISTINCT FROM s.quantity),
       ('cost', l.cost, s.cost, l.cost IS DISTINCT FROM s.cost),
       ('amount', l.amount, -s.charge, l.amount IS DISTINCT FROM -s.charge),
       ('a component twice, or none, or a part missing', s.parts, s.ids, s.ids <> s.parts OR s.whole IS NOT TRUE),
       ('sign', l.amount, l.quantity, CASE l.type WHEN 'usage' THEN l.amount > 0 OR l.quantity < 0 OR l.cost < 0
                                                  ELSE l.amount < 0 OR l.quantity > 0 OR l.cost > 0 END)
       ) AS c (what, recorded, computed, differs)
 WHERE c.differs
 ORDER BY l.entry_id, c.what
