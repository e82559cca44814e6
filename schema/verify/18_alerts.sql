-- Alerts of balances and prices: each entry that took a prepaid balance below its plan's low balance,
-- to 0 or below, or back, was alerted once, with the balance after it, and no other was; each day's usage
-- without a price was told of once, and nothing else was. (Thresholds of quotas: see there.)
WITH plan AS MATERIALIZED (
    SELECT p.plan_id, p.low_balance FROM debitd.plan p WHERE p.kind = 'prepaid'
), crossed AS MATERIALIZED ( -- what was taken back for another unit (a grant below 0) is quiet
    SELECT l.entry_id, l.payer_id, l.unit_id, l.balance_after, l.source_id, l.event_id, p.low_balance, l.balance_after - l.amount AS before
      FROM debitd.ledger l JOIN plan p ON p.plan_id = l.plan_id
     WHERE l.amount <> 0 AND NOT (l.type = 'grant' AND l.amount < 0)
       AND (p.low_balance > l.balance_after AND l.balance_after - l.amount >= p.low_balance
            OR 0 >= l.balance_after AND l.balance_after - l.amount > 0
            OR p.low_balance <= l.balance_after AND l.balance_after - l.amount < p.low_balance)
), due AS MATERIALIZED (
    SELECT c.*, w.type, w.threshold
      FROM crossed c
     CROSS JOIN LATERAL (VALUES
           ('balance.low', c.low_balance, c.before >= c.low_balance AND c.low_balance > c.balance_after),
           ('balance.exhausted', 0, c.before > 0 AND c.balance_after <= 0),
           ('balance.recovered', c.low_balance, c.before < c.low_balance AND c.low_balance <= c.balance_after
            AND EXISTS (SELECT FROM debitd.ledger e WHERE e.payer_id = c.payer_id AND e.entry_id <= c.entry_id
                           AND e.type = 'usage' AND e.amount <> 0))) AS w (type, threshold, is_due)
     WHERE w.is_due
), alert AS MATERIALIZED (
    SELECT l.alert_id, l.type, l.payer_id, l.entry_id, l.threshold, l.event -> 'data' AS data, (l.raised_at AT TIME ZONE 'UTC')::date AS day
      FROM debitd.alert l WHERE l.type LIKE 'balance.%' OR l.type = 'price.missing'
), unpriced AS MATERIALIZED (
    SELECT (l.booked_at AT TIME ZONE 'UTC')::date AS day, l.service_id, l.model_id, l.metric_id, c.component_id, min(l.entry_id) AS entry_id
      FROM debitd.ledger l
     CROSS JOIN LATERAL unnest(l.component_ids, l.component_costs) AS c (component_id, cost)
     WHERE l.type = 'usage' AND l.cost IS NULL AND c.cost IS NULL
     GROUP BY 1, 2, 3, 4, 5
), missing AS MATERIALIZED (
    SELECT u.day, u.entry_id, jsonb_build_object('service', s.name, 'model', o.name, 'metric', m.name, 'component', k.name) AS thing
      FROM unpriced u
      LEFT JOIN debitd.name s ON s.name_id = u.service_id
      LEFT JOIN debitd.name o ON o.name_id = u.model_id
      LEFT JOIN debitd.name m ON m.name_id = u.metric_id
      LEFT JOIN debitd.name k ON k.name_id = u.component_id
)
SELECT a.name AS payer, f.entry_id::text AS entry, f.type, f.what, f.recorded, f.computed
  FROM (SELECT d.payer_id, d.entry_id, d.type, 'no alert' AS what, NULL AS recorded,
               trim_scale(d.before) || ' -> ' || trim_scale(d.balance_after) AS computed
          FROM due d
          LEFT JOIN debitd.name s ON s.name_id = d.source_id
         WHERE NOT EXISTS (SELECT FROM alert l WHERE l.type = d.type AND l.payer_id = d.payer_id
                              AND (l.entry_id = d.entry_id OR l.threshold = d.threshold AND l.data ->> 'event_source' = s.name
                                                              AND l.data ->> 'event_id' = d.event_id)) -- an id that was used again after the window
        UNION ALL
        SELECT l.payer_id, l.entry_id, l.type, 'an alert that this entry did not cause', l.alert_id::text, NULL
          FROM alert l
         WHERE l.type <> 'price.missing'
           AND NOT EXISTS (SELECT FROM due d WHERE d.type = l.type AND d.payer_id = l.payer_id AND d.entry_id = l.entry_id)
        UNION ALL
        SELECT l.payer_id, l.entry_id, l.type, 'two alerts of one entry', max(l.alert_id::text), min(l.alert_id::text)
          FROM alert l WHERE l.type <> 'price.missing' GROUP BY 1, 2, 3 HAVING count(*) > 1
        UNION ALL
        SELECT l.payer_id, l.entry_id, l.type, 'its alert says other figures', l.data::text,
               trim_scale(d.balance_after) || ' ' || u.name || ', threshold ' || trim_scale(d.threshold)
          FROM alert l
          JOIN due d ON d.type = l.type AND d.payer_id = l.payer_id AND d.entry_id = l.entry_id
          JOIN debitd.name u ON u.name_id = d.unit_id
          LEFT JOIN debitd.name s ON s.name_id = d.source_id
         WHERE (l.data ->> 'balance', l.data ->> 'threshold', l.data ->> 'unit', l.data ->> 'event_source', l.data ->> 'event_id', l.threshold)
               IS DISTINCT FROM (trim_scale(d.balance_after)::text, trim_scale(d.threshold)::text, u.name::text, s.name::text, d.event_id, d.threshold)
        UNION ALL
        SELECT NULL, m.entry_id, 'price.missing', 'no alert on ' || m.day, NULL, m.thing::text
          FROM missing m
         WHERE NOT EXISTS (SELECT FROM alert l WHERE l.type = 'price.missing' AND l.day = m.day
                              AND l.data - '{event_source,event_id}'::text[] = m.thing)
        UNION ALL
        SELECT NULL, l.entry_id, l.type, 'an alert, but its event was neither booked without a cost nor parked', l.alert_id::text, l.data::text
          FROM alert l
         WHERE l.type = 'price.missing'
           AND NOT EXISTS (SELECT FROM missing m WHERE m.day = l.day AND m.thing = l.data - '{event_source,event_id}'::text[])
           AND NOT EXISTS (SELECT FROM debitd.parked p WHERE p.source = l.data ->> 'event_source' AND p.event_id = l.data ->> 'event_id')
        UNION ALL
        SELECT NULL, NULL, l.type, 'two alerts of one day', max(l.alert_id::text), min(l.alert_id::text)
          FROM alert l WHERE l.type = 'price.missing'
         GROUP BY l.type, l.day, l.data - '{event_source,event_id}'::text[] HAVING count(*) > 1) f
  LEFT JOIN debitd.account a ON a.account_id = f.payer_id
 ORDER BY f.payer_id, f.entry_id, f.type, f.what
