-- Quotas: what each entry was charged beyond its plan's quota, and what each void gave back, follow from
-- what was used in the month before it, entry by entry in their order; each threshold of the plan that
-- an entry crossed was alerted once, and none that no entry crossed.
--
-- An alert that a change of the plan raised names no entry of usage: that its figures fit is checked,
-- that it was due is not, as the ledger does not tell when a plan changed.
WITH quota AS MATERIALIZED (
    SELECT q.plan_id, q.metric_id, q.included, q.overage_price AS price, q.overage_per AS per, q.thresholds
      FROM debitd.plan_quota q WHERE q.included IS NOT NULL
), void AS MATERIALIZED (
    SELECT l.entry_id, l.payer_id, l.metric_id, l.plan_id, l.charge_kind, l.amount, l.corrects FROM debitd.ledger l WHERE l.type = 'void'
), counted AS MATERIALIZED (
    SELECT DISTINCT l.payer_id, l.metric_id
      FROM debitd.ledger l JOIN quota q ON q.plan_id = l.plan_id AND q.metric_id = l.metric_id
    UNION -- a void on a plan without the quota gives back what was charged on one with it
    SELECT v.payer_id, v.metric_id FROM void v WHERE v.charge_kind = 'quota'
), running AS MATERIALIZED ( -- with the quota of its plan, where that has one
    SELECT l.entry_id, l.payer_id, l.metric_id, date_trunc('month', l.counted_on::timestamp)::date AS month, l.type = 'usage' AS is_usage,
           l.charge_kind = 'quota' AS by_quota, l.quantity, l.amount, l.source_id, l.event_id, q.plan_id, q.included, q.price, q.per, q.thresholds,
           sum(l.quantity) OVER (PARTITION BY l.payer_id, l.metric_id, date_trunc('month', l.counted_on::timestamp)::date
                                 ORDER BY l.entry_id ROWS UNBOUNDED PRECEDING) AS used
      FROM debitd.ledger l
      JOIN counted c ON c.payer_id = l.payer_id AND c.metric_id = l.metric_id
      LEFT JOIN quota q ON q.plan_id = l.plan_id AND q.metric_id = l.metric_id
     WHERE l.type IN ('usage', 'void')
), charged AS ( -- C(after) - C(before); rounded half-even, and by the exact function only where that is not plain
    SELECT r.entry_id, r.payer_id, r.metric_id, -r.amount AS charge, a.rounded - b.rounded AS computed
      FROM running r
     CROSS JOIN LATERAL (SELECT CASE WHEN r.price IS NULL OR r.used <= r.included THEN 0
           WHEN abs(round((r.used - r.included) * r.price / r.per, 12) * r.per - (r.used - r.included) * r.price) * 2e12 < r.per
           THEN round((r.used - r.included) * r.price / r.per, 12)
           ELSE debitd.mul_div_half_even(r.used - r.included, r.price, r.per, 12) END AS rounded) a
     CROSS JOIN LATERAL (SELECT CASE WHEN r.price IS NULL OR r.used - r.quantity <= r.included THEN 0
           WHEN abs(round((r.used - r.quantity - r.included) * r.price / r.per, 12) * r.per - (r.used - r.quantity - r.included) * r.price) * 2e12 < r.per
           THEN round((r.used - r.quantity - r.included) * r.price / r.per, 12)
           ELSE debitd.mul_div_half_even(r.used - r.quantity - r.included, r.price, r.per, 12) END AS rounded) b
     WHERE r.by_quota AND r.plan_id IS NOT NULL
), crossed AS MATERIALIZED (
    SELECT r.entry_id, r.payer_id, r.metric_id, r.month, t.threshold, r.used, r.included, r.source_id, r.event_id
      FROM running r
     CROSS JOIN LATERAL unnest(r.thresholds) AS t (threshold)
     WHERE r.is_usage
       AND CASE WHEN r.included = 0 THEN r.used > 0 AND r.used - r.quantity <= 0
                ELSE r.used * 100 >= t.threshold * r.included AND (r.used - r.quantity) * 100 < t.threshold * r.included END
), alert AS MATERIALIZED (
    SELECT l.alert_id, l.payer_id, l.metric_id, l.period_start, l.threshold, l.entry_id, l.event -> 'data' AS data, l.raised_at
      FROM debitd.alert l WHERE l.type = 'usage.threshold.reached'
)
SELECT a.name AS payer, m.name AS metric, f.entry_id::text AS entry, f.what, f.recorded, f.computed
  FROM (SELECT c.payer_id, c.metric_id, c.entry_id, 'charge' AS what, trim_scale(c.charge)::text AS recorded, trim_scale(c.computed)::text AS computed
          FROM charged c WHERE c.charge <> c.computed
        UNION ALL
        SELECT v.payer_id, v.metric_id, v.entry_id, 'given back', trim_scale(v.amount)::text, trim_scale(-o.amount)::text
          FROM void v JOIN debitd.ledger o ON o.entry_id = v.corrects AND o.type = 'usage' AND o.payer_id = v.payer_id
         WHERE v.amount <> -o.amount
           AND NOT (o.charge_kind = 'quota' AND EXISTS (SELECT FROM quota q WHERE q.plan_id = v.plan_id AND q.metric_id = v.metric_id))
        UNION ALL
        SELECT c.payer_id, c.metric_id, c.entry_id, 'no alert at ' || c.threshold || ' %', NULL, trim_scale(c.used) || ' of ' || trim_scale(c.included)
          FROM crossed c
          JOIN debitd.name s ON s.name_id = c.source_id
         WHERE NOT EXISTS (SELECT FROM alert l WHERE l.payer_id = c.payer_id AND l.metric_id = c.metric_id AND l.period_start = c.month
                              AND l.threshold = c.threshold AND (l.entry_id = c.entry_id
                                  OR l.data ->> 'event_source' = s.name AND l.data ->> 'event_id' = c.event_id)) -- an id that was used again after the window
        UNION ALL
        SELECT l.payer_id, l.metric_id, l.entry_id, 'an alert at ' || coalesce(l.threshold::text, 'no') || ' % that this entry did not cross', l.alert_id::text, NULL
          FROM alert l
         WHERE EXISTS (SELECT FROM debitd.ledger e WHERE e.entry_id = l.entry_id AND e.payer_id = l.payer_id AND e.type IN ('usage', 'void'))
           AND NOT EXISTS (SELECT FROM crossed c WHERE c.payer_id = l.payer_id AND c.metric_id = l.metric_id AND c.month = l.period_start
                              AND c.threshold = l.threshold AND c.entry_id = l.entry_id)
        UNION ALL
        SELECT l.payer_id, l.metric_id, l.entry_id, 'two alerts at ' || l.threshold || ' % of one entry', max(l.alert_id::text), min(l.alert_id::text)
          FROM alert l WHERE l.entry_id IS NOT NULL GROUP BY l.payer_id, l.metric_id, l.entry_id, l.threshold, l.period_start HAVING count(*) > 1
        UNION ALL
        SELECT l.payer_id, l.metric_id, l.entry_id, 'its alert at ' || l.threshold || ' % says other figures', l.data::text,
               trim_scale(c.used) || ' of ' || trim_scale(c.included)
          FROM alert l
          JOIN crossed c ON c.payer_id = l.payer_id AND c.metric_id = l.metric_id AND c.month = l.period_start AND c.threshold = l.threshold
                        AND c.entry_id = l.entry_id
          JOIN debitd.name s ON s.name_id = c.source_id
         WHERE (l.data ->> 'used', l.data ->> 'included', l.data ->> 'event_source', l.data ->> 'event_id')
               IS DISTINCT FROM (trim_scale(c.used)::text, trim_scale(c.included)::text, s.name::text, c.event_id)
        UNION ALL
        SELECT l.payer_id, l.metric_id, l.entry_id, 'an alert whose figures do not fit each other', l.data::text, NULL
          FROM alert l
          LEFT JOIN debitd.name n ON n.name_id = l.metric_id
         WHERE ((l.data ->> 'metric', l.data ->> 'period', l.data ->> 'period_start', (l.data ->> 'threshold')::numeric)
                IS NOT DISTINCT FROM (n.name::text, 'month', l.period_start::text, l.threshold)
                AND debitd.reached(l.threshold, (l.data ->> 'included')::numeric, (l.data ->> 'used')::numeric)
                AND l.data ->> 'percent' IS NOT DISTINCT FROM debitd.plain(debitd.percent((l.data ->> 'used')::numeric, (l.data ->> 'included')::numeric))
                AND l.data ->> 'event_source' IS NOT NULL AND l.data ->> 'event_id' IS NOT NULL
                AND EXISTS (SELECT FROM quota q WHERE q.metric_id = l.metric_id AND q.included = (l.data ->> 'included')::numeric
                               AND l.threshold = ANY (q.thresholds))) IS NOT TRUE) f
  LEFT JOIN debitd.account a ON a.account_id = f.payer_id
  LEFT JOIN debitd.name m ON m.name_id = f.metric_id
 ORDER BY f.payer_id, f.entry_id, f.what
