-- Charges: what an entry was charged follows from its plan, its cost and its quantities, as far as the
-- entry alone tells (quotas: see there); the plan has its unit and charges that way; a charge of the
-- whole event is split over its components by cost.
--
-- Not recomputed: fixed prices of the price file of a configuration (price_source "file"). A price that
-- was applied less than five minutes before a booking, or ended since, may or may not have been seen by it.
WITH plan AS MATERIALIZED (
    SELECT r.*, CASE WHEN r.rate / r.per * r.per = r.rate THEN r.rate / r.per END AS each -- of one in the currency, where that is exact
      FROM (SELECT p.plan_id, p.plan_name_id, p.unit_id, p.tariff, u.valued_in, 100 + coalesce(p.markup, 0) AS rate, 100 * u.value AS per
              FROM debitd.plan p JOIN debitd.unit u ON u.unit_id = p.unit_id) r
), suspect AS MATERIALIZED (
    SELECT l.entry_id, l.amount, w.what
      FROM debitd.ledger l
      LEFT JOIN plan p ON p.plan_id = l.plan_id
      LEFT JOIN debitd.plan_quota q ON q.plan_id = l.plan_id AND q.metric_id = l.metric_id
     CROSS JOIN LATERAL (SELECT CASE
           WHEN l.plan_id IS NULL THEN CASE WHEN l.type = 'usage' THEN 'charged under no plan' END
           WHEN p.plan_id IS NULL THEN 'its plan does not exist'
           WHEN p.unit_id <> l.unit_id THEN 'its plan is in another unit'
           WHEN l.type <> 'usage' THEN CASE WHEN l.type <> 'void' AND num_nonnulls(l.metric_id, l.quantity, l.cost, l.charge_kind, l.component_ids,
                                             l.price_source, l.corrects) > 0 THEN 'no usage, but it has what only usage has' END
           WHEN p.valued_in IS DISTINCT FROM l.currency_id THEN 'its cost is in another currency than its unit is valued in'
           WHEN l.charge_kind IS NULL THEN 'nothing says how it was charged'
           WHEN l.charge_kind = 'free' AND l.amount <> 0 THEN 'free, but charged'
           WHEN l.charge_kind = 'quota' AND q.included IS NULL THEN 'its plan has no quota on the metric'
           WHEN l.charge_kind IN ('fixed', 'cost_plus') AND (q.included IS NOT NULL OR p.tariff <> l.charge_kind::text)
           THEN 'its plan does not charge that way'
           WHEN l.charge_kind = 'cost_plus' AND l.amount = -(l.cost * p.each) AND cardinality(l.component_ids) = 2
                AND l.component_charges[1] = l.component_costs[1] * p.each AND l.cost = l.component_costs[1] + l.component_costs[2]
           THEN NULL -- as nearly all: nothing was rounded, so that each component's charge is its own cost plus the markup
           WHEN l.charge_kind = 'cost_plus' AND NOT (abs(-l.amount * p.per - l.cost * p.rate) * 2e12 < p.per
                    OR abs(-l.amount * p.per - l.cost * p.rate) * 2e12 = p.per AND mod(l.amount * 1e12, 2) = 0) IS TRUE
           THEN 'not its cost plus the markup'
           WHEN l.charge_kind IN ('quota', 'cost_plus') AND l.amount <> 0 AND cardinality(l.component_ids) = 2
                AND l.component_costs[1] + l.component_costs[2] <> 0
                AND abs(l.component_charges[1] * (l.component_costs[1] + l.component_costs[2]) + l.amount * l.component_costs[1]) * 2e12
                    < l.component_costs[1] + l.component_costs[2]
           THEN NULL -- two components, not half-way between two roundings
           WHEN l.charge_kind IN ('quota', 'cost_plus') AND l.amount <> 0 AND cardinality(l.component_ids) > 1
                AND EXISTS (SELECT FROM unnest(l.component_costs, l.component_charges) WITH ORDINALITY AS c (cost, charge, at),
                                   (SELECT coalesce(sum(t.cost), 0) AS cost FROM unnest(l.component_costs) AS t (cost)) AS whole
                             WHERE c.at < cardinality(l.component_ids)
                               AND CASE WHEN whole.cost = 0 THEN c.charge <> 0
                                        ELSE NOT (abs(c.charge * whole.cost + l.amount * coalesce(c.cost, 0)) * 2e12 < whole.cost
                                                  OR abs(c.charge * whole.cost + l.amount * coalesce(c.cost, 0)) * 2e12 = whole.cost
                                                     AND mod(c.charge * 1e12, 2) = 0) END)
           THEN 'its charge is not split by cost'
           END AS what) w
     WHERE w.what IS NOT NULL
), fixed AS MATERIALIZED (
    SELECT l.entry_id, p.plan_name_id, l.metric_id, coalesce(l.service_id, 0) AS service_id, coalesce(l.model_id, 0) AS model_id,
           c.component_id, c.quantity, c.charge, l.occurred_at, l.booked_at
      FROM debitd.ledger l
      JOIN plan p ON p.plan_id = l.plan_id
     CROSS JOIN LATERAL unnest(l.component_ids, l.component_quantities, l.component_charges) AS c (component_id, quantity, charge)
     WHERE l.type = 'usage' AND l.charge_kind = 'fixed' AND l.price_source IS DISTINCT FROM 'file'
), candidate AS MATERIALIZED ( -- the prices that may apply to each kind of it; lower ranks go first
    SELECT k.*, b.price_id, b.price, b.per, b.effective_from, coalesce(b.effective_until, 'infinity') AS effective_until, c.applied_at,
           4 * (b.service_id IS NULL)::integer + 2 * (b.model_id IS NULL)::integer + (b.component_id IS NULL)::integer AS rank
      FROM (SELECT DISTINCT f.plan_name_id, f.metric_id, f.service_id, f.model_id, f.component_id FROM fixed f) k
      JOIN debitd.price b ON b.plan_name_id = k.plan_name_id AND b.metric_id = k.metric_id
                         AND (b.service_id IS NULL OR b.service_id = k.service_id) AND (b.model_id IS NULL OR b.model_id = k.model_id)
                         AND (b.component_id IS NULL OR b.component_id = k.component_id)
      JOIN debitd.catalogue c ON c.version = b.since
), unexplained AS MATERIALIZED ( -- at first sight: no price that may apply makes this charge, or several may
    SELECT f.*
      FROM fixed f
     WHERE NOT EXISTS (
           SELECT FROM (SELECT c.plan_name_id, c.metric_id, c.service_id, c.model_id, c.component_id, min(c.price) AS price, min(c.per) AS per,
                               min(c.effective_from) AS effective_from
                          FROM candidate c GROUP BY 1, 2, 3, 4, 5 HAVING count(*) = 1) c
            WHERE c.plan_name_id = f.plan_name_id AND c.metric_id = f.metric_id AND c.service_id = f.service_id AND c.model_id = f.model_id
              AND c.component_id = f.component_id AND c.effective_from <= f.occurred_at
              AND (abs(f.charge * c.per - f.quantity * c.price) * 2e12 < c.per
                   OR abs(f.charge * c.per - f.quantity * c.price) * 2e12 = c.per AND mod(f.charge * 1e12, 2) = 0))
)
SELECT f.entry_id::text AS entry, f.what, f.charge::text
  FROM (SELECT s.entry_id, s.what, -s.amount AS charge FROM suspect s
        UNION ALL
        SELECT u.entry_id, 'not its quantity at a fixed price of its plan', u.charge
          FROM unexplained u
         WHERE NOT EXISTS (
               SELECT FROM candidate c
                WHERE c.plan_name_id = u.plan_name_id AND c.metric_id = u.metric_id AND c.service_id = u.service_id AND c.model_id = u.model_id
                  AND c.component_id = u.component_id AND c.effective_from <= u.occurred_at AND c.applied_at <= u.booked_at
                  AND (abs(u.charge * c.per - u.quantity * c.price) * 2e12 < c.per
                       OR abs(u.charge * c.per - u.quantity * c.price) * 2e12 = c.per AND mod(u.charge * 1e12, 2) = 0)
                  AND NOT EXISTS ( -- none was surely there that goes before it
                      SELECT FROM candidate b
                       WHERE b.plan_name_id = u.plan_name_id AND b.metric_id = u.metric_id AND b.service_id = u.service_id
                         AND b.model_id = u.model_id AND b.component_id = u.component_id AND b.price_id <> c.price_id AND b.rank <= c.rank
                         AND b.effective_from <= u.occurred_at AND b.effective_until > u.occurred_at
                         AND b.applied_at + interval '5 minutes' < u.booked_at))) f
 ORDER BY f.entry_id, f.what
