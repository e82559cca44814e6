-- Voids: each takes back one usage entry of the same account, exactly, component by component, on the
-- day that it counted on; the entry is marked as taken back, and nothing else is. What was charged
-- may come back at the margin of a quota: see quotas.
WITH back AS MATERIALIZED ( -- a million entries are asked once, for few of them take anything back
    SELECT l.*, l.type = 'void' AS is_void FROM debitd.ledger l WHERE l.type = 'void' OR l.corrects IS NOT NULL
)
SELECT f.entry::text, f.what, f.recorded, f.computed
  FROM (SELECT v.entry_id AS entry, c.what, c.recorded, c.computed
          FROM back v
          LEFT JOIN debitd.ledger o ON o.entry_id = v.corrects AND o.type = 'usage'
         CROSS JOIN LATERAL (VALUES
               ('the entry taken back', v.corrects::text, o.entry_id::text),
               ('account', v.account_id::text, o.account_id::text), ('payer', v.payer_id::text, o.payer_id::text),
               ('metric', v.metric_id::text, o.metric_id::text), ('service', v.service_id::text, o.service_id::text),
               ('model', v.model_id::text, o.model_id::text), ('day it counts on', v.counted_on::text, o.counted_on::text),
               ('unit', v.unit_id::text, o.unit_id::text), ('currency', v.currency_id::text, o.currency_id::text),
               ('way it was charged', v.charge_kind::text, o.charge_kind::text),
               ('user, thread, execution, agent', ROW(v.user_id, v.thread_id, v.execution_id, v.agent_id)::text,
                ROW(o.user_id, o.thread_id, o.execution_id, o.agent_id)::text),
               ('components', v.component_ids::text, o.component_ids::text), ('prices', v.component_prices::text, o.component_prices::text),
               ('quantities', (SELECT array_agg(trim_scale(q.n) ORDER BY q.at) FROM unnest(v.component_quantities) WITH ORDINALITY AS q (n, at))::text,
                (SELECT array_agg(trim_scale(-q.n) ORDER BY q.at) FROM unnest(o.component_quantities) WITH ORDINALITY AS q (n, at))::text),
               ('costs', (SELECT array_agg(trim_scale(q.n) ORDER BY q.at) FROM unnest(v.component_costs) WITH ORDINALITY AS q (n, at))::text,
                (SELECT array_agg(trim_scale(-q.n) ORDER BY q.at) FROM unnest(o.component_costs) WITH ORDINALITY AS q (n, at))::text),
               ('charges', CASE WHEN v.amount = -o.amount THEN
                (SELECT array_agg(trim_scale(q.n) ORDER BY q.at) FROM unnest(v.component_charges) WITH ORDINALITY AS q (n, at))::text END,
                CASE WHEN v.amount = -o.amount THEN
                (SELECT array_agg(trim_scale(-q.n) ORDER BY q.at) FROM unnest(o.component_charges) WITH ORDINALITY AS q (n, at))::text END),
               ('quantity', trim_scale(v.quantity)::text, trim_scale(-o.quantity)::text),
               ('cost', trim_scale(v.cost)::text, trim_scale(-o.cost)::text)
               ) AS c (what, recorded, computed)
         WHERE v.is_void AND c.recorded IS DISTINCT FROM c.computed
        UNION ALL
        SELECT l.entry_id, 'takes an entry back, but is no void', l.corrects::text, NULL
          FROM back l WHERE NOT l.is_void
        UNION ALL
        SELECT v.entry_id, 'mark that the entry was taken back', NULL, k.key::text
          FROM back v
          JOIN debitd.event_key k ON k.entry_id = v.corrects
         WHERE v.is_void AND NOT EXISTS (SELECT FROM debitd.voided d JOIN debitd.event_key b ON b.key = d.by_key
                                                WHERE d.key = k.key AND b.entry_id = v.entry_id)
        UNION ALL
        SELECT k.entry_id, 'marked as taken back, but no void says so', d.key::text, NULL
          FROM debitd.voided d
          JOIN debitd.event_key k ON k.key = d.key AND k.entry_id IS NOT NULL
         WHERE NOT EXISTS (SELECT FROM back v WHERE v.is_void AND v.corrects = k.entry_id)) f
 ORDER BY f.entry, f.what
