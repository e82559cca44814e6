-- Costs: each component's cost is its quantity at the price that its entry names, which is the first
-- that applies of those in the catalogue at that time; a cost that came with the event is split by
-- quantity; no cost is made of nothing.
--
-- Not recomputed: what the price file of a configuration said (price_source "file"). A price that was
-- applied less than five minutes before a booking, or ended since, may or may not have been seen by it.
WITH price AS MATERIALIZED (
    SELECT p.*, CASE WHEN p.price / p.per * p.per = p.price THEN p.price / p.per END AS each, -- of one, where that is exact
           c.applied_at, 4 * (p.service_id IS NULL)::integer + 2 * (p.model_id IS NULL)::integer + (p.component_id IS NULL)::integer AS rank
      FROM debitd.price p JOIN debitd.catalogue c ON c.version = p.since
     WHERE p.plan_name_id IS NULL
), odd AS MATERIALIZED ( -- nearly all have one or two components, priced by the catalogue in their currency: those need no unnesting
    SELECT l.entry_id, l.occurred_at, l.booked_at, l.metric_id, l.service_id, l.model_id, l.currency_id, l.quantity, l.cost,
           l.amount, l.price_source, l.component_ids, l.component_quantities, l.component_costs, l.component_prices
      FROM debitd.ledger l
      LEFT JOIN price a ON a.price_id = l.component_prices[1]
      LEFT JOIN price b ON b.price_id = l.component_prices[2]
     WHERE l.type = 'usage'
       AND (l.price_source = 'catalogue' AND a.currency_id = l.currency_id
            AND (l.component_costs[1] = l.component_quantities[1] * a.each
                 OR abs(l.component_costs[1] * a.per - l.component_quantities[1] * a.price) * 2e12 < a.per)
            AND CASE cardinality(l.component_ids) WHEN 1 THEN true
                WHEN 2 THEN b.currency_id = l.currency_id
                        AND (l.component_costs[2] = l.component_quantities[2] * b.each
                             OR abs(l.component_costs[2] * b.per - l.component_quantities[2] * b.price) * 2e12 < b.per) END) IS NOT TRUE
), part AS (
    SELECT e.entry_id, e.occurred_at, e.booked_at, e.metric_id, e.service_id, e.model_id, e.currency_id, e.quantity AS total, e.cost AS whole,
           e.amount, e.price_source, cardinality(e.component_ids) AS parts, c.at, c.component_id, c.quantity, c.cost, c.price_id
      FROM odd e
     CROSS JOIN LATERAL unnest(e.component_ids, e.component_quantities, e.component_costs, e.component_prices) WITH ORDINALITY
           AS c (component_id, quantity, cost, price_id, at)
), judged AS (
    SELECT r.*,
           CASE WHEN r.price_id IS NOT NULL AND r.cost IS NULL THEN 'a price, but no cost'
                WHEN r.price_id IS NOT NULL AND r.price IS NULL THEN 'its price is not in the catalogue'
                WHEN r.price_id IS NOT NULL AND r.price_source NOT IN ('catalogue', 'file') THEN 'a price, but its source is another'
                WHEN r.price_id IS NOT NULL AND r.price_currency = r.currency_id -- half-even at 12 places, without dividing
                     AND NOT (abs(r.cost * r.per - r.quantity * r.price) * 2e12 < r.per
                              OR abs(r.cost * r.per - r.quantity * r.price) * 2e12 = r.per AND mod(r.cost * 1e12, 2) = 0)
                THEN 'not its quantity at its price'
                WHEN r.price_id IS NOT NULL AND r.price_currency <> r.currency_id AND r.price_source = 'catalogue'
                     AND NOT EXISTS (SELECT FROM debitd.fx x
                          WHERE x.from_id = r.price_currency AND x.to_id = r.currency_id AND x.effective_from <= r.occurred_at
                            AND r.cost = debitd.mul_div_half_even(r.quantity * r.price, x.rate, r.per, 12))
                THEN 'not its quantity at its price, converted'
                WHEN r.price_id IS NULL AND r.price_source = 'event' AND r.at < r.parts AND r.total > 0
                     AND NOT (abs(r.cost * r.total - r.whole * r.quantity) * 2e12 < r.total
                              OR abs(r.cost * r.total - r.whole * r.quantity) * 2e12 = r.total AND mod(r.cost * 1e12, 2) = 0)
                THEN 'not its part of the cost that came with the event'
                WHEN r.price_id IS NULL AND r.price_source = 'catalogue' AND r.cost IS NOT NULL THEN 'a cost of the catalogue, but without a price'
                WHEN r.price_id IS NULL AND r.price_source IS NULL AND (r.cost <> 0 OR r.cost = 0 AND r.amount <> 0)
                THEN 'a cost or a charge without a source'
           END AS wrong
      FROM (SELECT p.*, c.price, c.per, c.currency_id AS price_currency FROM part p LEFT JOIN price c ON c.price_id = p.price_id) r
), alike AS MATERIALIZED ( -- what was priced alike
    SELECT l.metric_id, l.service_id, l.model_id, l.currency_id, l.price_source IS NOT DISTINCT FROM 'event' AS sent, l.component_ids, l.component_prices,
           CASE WHEN l.cost IS NULL THEN l.component_costs END AS costs,
           min(l.occurred_at) AS occurred_lo, max(l.occurred_at) AS occurred_hi, max(l.booked_at) AS booked_hi
      FROM debitd.ledger l WHERE l.type = 'usage' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), kind AS MATERIALIZED (
    SELECT a.metric_id, a.service_id, a.model_id, c.component_id, a.currency_id, c.price_id, a.sent,
           a.costs IS NOT NULL AND a.costs[c.at] IS NULL AS unknown,
           min(a.occurred_lo) AS occurred_lo, max(a.occurred_hi) AS occurred_hi, max(a.booked_hi) AS booked_hi
      FROM alike a CROSS JOIN LATERAL unnest(a.component_ids, a.component_prices) WITH ORDINALITY AS c (component_id, price_id, at)
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), better AS MATERIALIZED ( -- prices that go before the one taken; without one every price does
    SELECT k.metric_id, k.service_id, k.model_id, k.component_id, k.currency_id, k.price_id, b.price_id AS better_id,
           b.effective_from, coalesce(b.effective_until, 'infinity') AS effective_until, b.applied_at + interval '5 minutes' AS known_at
      FROM kind k
      LEFT JOIN price t ON t.price_id = k.price_id
      JOIN price b ON b.metric_id = k.metric_id AND b.price_id IS DISTINCT FROM k.price_id
                  AND (b.service_id IS NULL OR b.service_id = k.service_id) AND (b.model_id IS NULL OR b.model_id = k.model_id)
                  AND (b.component_id IS NULL OR b.component_id = k.component_id)
                  AND (b.currency_id = k.currency_id AND (t.price_id IS NULL OR b.rank <= t.rank)
                       OR b.currency_id <> k.currency_id AND b.rank < t.rank
                          AND EXISTS (SELECT FROM debitd.fx x WHERE x.from_id = b.currency_id AND x.to_id = k.currency_id))
     WHERE (t.price_id IS NOT NULL OR k.unknown) AND NOT k.sent
       AND b.effective_from <= k.occurred_hi AND coalesce(b.effective_until, 'infinity') > k.occurred_lo
       AND b.applied_at + interval '5 minutes' < k.booked_hi
), misfit AS MATERIALIZED ( -- a price of another thing, or of another time
    SELECT k.*, t.effective_from, t.applied_at
      FROM kind k JOIN price t ON t.price_id = k.price_id
     WHERE (t.metric_id = k.metric_id AND (t.service_id IS NULL OR t.service_id = k.service_id) AND (t.model_id IS NULL OR t.model_id = k.model_id)
            AND (t.component_id IS NULL OR t.component_id = k.component_id)) IS NOT TRUE
        OR t.effective_from > k.occurred_lo
), whole AS NOT MATERIALIZED ( -- all components, looked at only where one of the two above has found something
    SELECT l.entry_id, l.occurred_at, l.booked_at, l.metric_id, l.service_id, l.model_id, l.currency_id, c.component_id, c.quantity, c.cost, c.price_id
      FROM debitd.ledger l
     CROSS JOIN LATERAL unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_prices) AS c (component_id, quantity, cost, price_id)
     WHERE l.type = 'usage'
       AND (l.metric_id IN (SELECT b.metric_id FROM better b) OR l.metric_id IN (SELECT m.metric_id FROM misfit m))
)
SELECT f.entry_id::text AS entry, n.name AS component, f.what, f.quantity::text, f.cost::text, f.price_id::text
  FROM (SELECT j.entry_id, j.component_id, j.wrong AS what, j.quantity, j.cost, j.price_id FROM judged j WHERE j.wrong IS NOT NULL
        UNION ALL
        SELECT p.entry_id, p.component_id, 'price ' || b.better_id || ' goes before the one taken', p.quantity, p.cost, p.price_id
          FROM better b
          JOIN whole p ON p.metric_id = b.metric_id AND p.price_id IS NOT DISTINCT FROM b.price_id AND p.component_id = b.component_id
                     AND p.service_id IS NOT DISTINCT FROM b.service_id AND p.model_id IS NOT DISTINCT FROM b.model_id
                     AND p.currency_id = b.currency_id AND (p.price_id IS NOT NULL OR p.cost IS NULL)
         WHERE p.occurred_at >= b.effective_from AND p.occurred_at < b.effective_until AND p.booked_at > b.known_at
        UNION ALL
        SELECT p.entry_id, p.component_id, 'its price is of another thing, or of another time', p.quantity, p.cost, p.price_id
          FROM misfit m
          JOIN whole p ON p.metric_id = m.metric_id AND p.price_id = m.price_id AND p.component_id = m.component_id
                     AND p.service_id IS NOT DISTINCT FROM m.service_id AND p.model_id IS NOT DISTINCT FROM m.model_id
         WHERE p.occurred_at < m.effective_from OR m.effective_from <= m.occurred_lo) f
  LEFT JOIN debitd.name n ON n.name_id = f.component_id
 ORDER BY f.entry_id, n.name, f.what
