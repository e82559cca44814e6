-- Components: what an entry says of its components sums up to its quantity, its cost and its
-- amount; usage takes, a void gives.
SELECT l.entry_id::text AS entry, c.what, c.recorded::text, c.computed::text
  FROM debitd.ledger l
 CROSS JOIN LATERAL (
       SELECT sum(p.quantity) AS quantity, sum(p.cost) AS cost, sum(p.charge) AS charge, bool_or(p.cost IS NULL) AS unknown,
              count(*) AS parts, count(DISTINCT p.id) AS ids,
              bool_or(p.quantity IS NULL OR p.charge IS NULL OR p.id IS NULL) AS holes
         FROM unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_charges) AS p (id, quantity, cost, charge)) s
 CROSS JOIN LATERAL (VALUES
       ('quantity', l.quantity, s.quantity, l.quantity IS DISTINCT FROM s.quantity),
       ('cost', l.cost, s.cost, l.cost IS NOT NULL AND (l.cost <> s.cost OR s.unknown)),
       ('amount', l.amount, -s.charge, l.amount IS DISTINCT FROM -s.charge),
       ('a component twice, or none, or a part missing', s.parts, s.ids, s.parts <> s.ids OR s.parts = 0 OR s.holes),
       ('sign', l.amount, l.quantity, CASE l.type WHEN 'usage' THEN l.amount > 0 OR l.quantity < 0 OR l.cost < 0
                                                  ELSE l.amount < 0 OR l.quantity > 0 OR l.cost > 0 END)
       ) AS c (what, recorded, computed, differs)
 WHERE l.type IN ('usage', 'void') AND c.differs
 ORDER BY l.entry_id, c.what
