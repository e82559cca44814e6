-- Accounts: each pays itself or has a parent that does; who pays has a balance with a plan and a
-- unit; entries name accounts, payers and units that exist.
SELECT f.account, f.what
  FROM (SELECT a.name AS account, 'its payer does not exist, or is paid for by another' AS what
          FROM debitd.account a LEFT JOIN debitd.account p ON p.account_id = a.payer_id
         WHERE p.account_id IS NULL OR p.payer_id <> p.account_id
        UNION ALL
        SELECT a.name, 'pays, but has no balance with plan and unit'
          FROM debitd.account a LEFT JOIN debitd.payer p ON p.payer_id = a.account_id
         WHERE a.payer_id = a.account_id AND (p.payer_id IS NULL OR p.plan_name_id IS NULL OR p.unit_id IS NULL)
        UNION ALL
        SELECT a.name, 'its plan differs from that of its balance'
          FROM debitd.account a JOIN debitd.payer p ON p.payer_id = a.account_id
         WHERE a.payer_id = a.account_id AND a.plan_name_id IS DISTINCT FROM p.plan_name_id
        UNION ALL
        SELECT NULL, 'entry ' || l.entry_id || ' names an account, payer, unit, metric or source that does not exist'
          FROM debitd.ledger l
         WHERE NOT EXISTS (SELECT FROM debitd.account a WHERE a.account_id = l.account_id)
            OR NOT EXISTS (SELECT FROM debitd.payer p WHERE p.payer_id = l.payer_id)
            OR NOT EXISTS (SELECT FROM debitd.unit u WHERE u.unit_id = l.unit_id)
            OR l.metric_id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.name n WHERE n.name_id = l.metric_id)
            OR l.source_id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.name n WHERE n.name_id = l.source_id)
        UNION ALL
        SELECT a.name, 'entry ' || l.entry_id || ' counts on ' || l.counted_on || ', but happened at ' || l.occurred_at
          FROM debitd.ledger l JOIN debitd.account a ON a.account_id = l.account_id
         WHERE l.type = 'usage' AND NOT l.late AND l.counted_on <> (l.occurred_at AT TIME ZONE 'UTC')::date) f
 ORDER BY 1, 2
