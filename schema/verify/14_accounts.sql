-- Accounts: each pays itself or has a parent that does; who pays has a balance with a plan and a
-- unit, and what plans have granted it this month; entries name accounts that exist, and payers that
-- these have or had.
WITH pair AS MATERIALIZED (
    SELECT l.account_id, l.payer_id, min(l.entry_id) AS entry FROM debitd.ledger l GROUP BY 1, 2
), granted AS MATERIALIZED ( -- the first of all is the welcome, where the plan has one; what was taken back begins anew
    SELECT g.payer_id, date_trunc('month', g.booked_at AT TIME ZONE 'UTC')::date AS month, sum(g.amount) AS credits
      FROM (SELECT l.payer_id, l.entry_id, l.booked_at, l.amount, l.plan_id,
                   max(l.entry_id) FILTER (WHERE l.amount < 0) OVER (PARTITION BY l.payer_id) AS taken_back
              FROM debitd.ledger l WHERE l.type = 'grant') g
      JOIN debitd.plan p ON p.plan_id = g.plan_id
     WHERE g.entry_id > coalesce(g.taken_back, 0)
       AND NOT (coalesce(g.amount = p.welcome, false)
                AND g.entry_id = (SELECT min(l.entry_id) FROM debitd.ledger l WHERE l.payer_id = g.payer_id))
     GROUP BY 1, 2
)
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
        SELECT a.name, 'its plan is in another unit than its balance'
          FROM debitd.payer p JOIN debitd.account a ON a.account_id = p.payer_id
         WHERE p.plan_name_id IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.plan n WHERE n.plan_name_id = p.plan_name_id AND n.unit_id = p.unit_id)
        UNION ALL
        SELECT a.name, 'plans granted ' || p.granted_by_plans || ' in ' || to_char(p.granted_month, 'YYYY-MM') || ', its entries say '
                       || coalesce(g.credits, 0)
          FROM debitd.payer p
          JOIN debitd.account a ON a.account_id = p.payer_id
          LEFT JOIN granted g ON g.payer_id = p.payer_id AND g.month = p.granted_month
         WHERE p.granted_month IS NOT NULL AND p.granted_by_plans <> coalesce(g.credits, 0)
        UNION ALL
        SELECT a.name, 'plans granted ' || g.credits || ' in ' || to_char(g.month, 'YYYY-MM') || ', which its balance does not know'
          FROM granted g
          JOIN debitd.account a ON a.account_id = g.payer_id
          LEFT JOIN debitd.payer p ON p.payer_id = g.payer_id
         WHERE coalesce(p.granted_month < g.month, true)
        UNION ALL
        SELECT a.name, 'entry ' || e.entry || ' names an account that does not exist, or a payer that it never had'
          FROM pair e LEFT JOIN debitd.account a ON a.account_id = e.account_id
         WHERE (e.payer_id = a.account_id OR e.payer_id = a.payer_id OR e.payer_id = ANY (a.past_payers)) IS NOT TRUE
            OR NOT EXISTS (SELECT FROM debitd.payer p WHERE p.payer_id = e.payer_id)) f
 ORDER BY 1, 2
