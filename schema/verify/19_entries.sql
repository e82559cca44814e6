-- Entries: what they name exists; each counts on the day it happened, or where it was late in the month
-- of its booking; an entry that no event made is a grant; an event that made one has its source and its id.
WITH thing AS MATERIALIZED (
    SELECT l.source_id, l.service_id, l.model_id, l.metric_id, l.currency_id, l.unit_id, l.plan_id, min(l.entry_id) AS entry
      FROM debitd.ledger l GROUP BY 1, 2, 3, 4, 5, 6, 7
), odd AS MATERIALIZED (
    SELECT l.entry_id, l.type, l.counted_on, l.occurred_at, l.late, w.*
      FROM debitd.ledger l
     CROSS JOIN LATERAL (SELECT
           l.type <> 'void'
           AND CASE WHEN l.late THEN date_trunc('month', l.counted_on::timestamp) <> date_trunc('month', l.booked_at AT TIME ZONE 'UTC')
                                     OR (l.occurred_at AT TIME ZONE 'UTC')::date >= l.counted_on
                    ELSE l.counted_on <> (l.occurred_at AT TIME ZONE 'UTC')::date END AS on_another_day,
           (l.source_id IS NULL OR l.event_id IS NULL)
           AND NOT (l.type = 'grant' AND l.source_id IS NULL AND l.event_id IS NULL) AS without_event,
           l.type IN ('usage', 'void') AND (l.metric_id IS NULL OR l.quantity IS NULL OR l.currency_id IS NULL OR l.component_ids IS NULL) AS hollow) w
     WHERE w.on_another_day OR w.without_event OR w.hollow
)
SELECT f.entry::text, f.what
  FROM (SELECT t.entry, 'names a ' || w.what || ' that does not exist: ' || w.id AS what
          FROM thing t
         CROSS JOIN LATERAL (VALUES ('source', t.source_id), ('service', t.service_id), ('model', t.model_id), ('currency', t.currency_id)) AS w (what, id)
         WHERE w.id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.name n WHERE n.name_id = w.id)
        UNION ALL
        SELECT t.entry, 'names a metric that the catalogue does not have: ' || t.metric_id
          FROM thing t WHERE t.metric_id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.metric m WHERE m.metric_id = t.metric_id)
        UNION ALL
        SELECT t.entry, 'names a unit that does not exist: ' || t.unit_id
          FROM thing t WHERE NOT EXISTS (SELECT FROM debitd.unit u WHERE u.unit_id = t.unit_id)
        UNION ALL
        SELECT t.entry, 'names a plan that does not exist: ' || t.plan_id
          FROM thing t WHERE t.plan_id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.plan p WHERE p.plan_id = t.plan_id)
        UNION ALL
        SELECT l.entry_id, 'counts on ' || l.counted_on || ', but happened at ' || l.occurred_at || CASE WHEN l.late THEN ', late' ELSE '' END
          FROM odd l WHERE l.on_another_day
        UNION ALL
        SELECT l.entry_id, 'no event made it, and it is a ' || l.type
          FROM odd l WHERE l.without_event
        UNION ALL
        SELECT l.entry_id, 'usage without a metric, a quantity or a currency'
          FROM odd l WHERE l.hollow) f
 ORDER BY f.entry, f.what
