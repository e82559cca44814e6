-- Voids: each takes back one usage entry of the same account, with its quantity and cost, on the
-- day that it counted on; the entry is marked as taken back, and nothing else is.
SELECT f.entry::text, f.what, f.recorded, f.computed
  FROM (SELECT v.entry_id AS entry, c.what, c.recorded, c.computed
          FROM debitd.ledger v
          LEFT JOIN debitd.ledger o ON o.entry_id = v.corrects AND o.type = 'usage'
         CROSS JOIN LATERAL (VALUES
               ('the entry taken back', v.corrects::text, o.entry_id::text),
               ('account', v.account_id::text, o.account_id::text), ('payer', v.payer_id::text, o.payer_id::text),
               ('metric', v.metric_id::text, o.metric_id::text),
               ('quantity', trim_scale(v.quantity)::text, trim_scale(-o.quantity)::text),
               ('cost', trim_scale(v.cost)::text, trim_scale(-o.cost)::text)
               ) AS c (what, recorded, computed)
         WHERE v.type = 'void' AND c.recorded IS DISTINCT FROM c.computed
        UNION ALL
        SELECT v.entry_id, 'mark that the entry was taken back', NULL, k.key::text
          FROM debitd.ledger v
          JOIN debitd.event_key k ON k.entry_id = v.corrects
         WHERE v.type = 'void' AND NOT EXISTS (SELECT FROM debitd.voided d WHERE d.key = k.key)
        UNION ALL
        SELECT k.entry_id, 'marked as taken back, but no void says so', d.key::text, NULL
          FROM debitd.voided d
          JOIN debitd.event_key k ON k.key = d.key AND k.entry_id IS NOT NULL
         WHERE NOT EXISTS (SELECT FROM debitd.ledger v WHERE v.type = 'void' AND v.corrects = k.entry_id)) f
 ORDER BY f.entry, f.what
