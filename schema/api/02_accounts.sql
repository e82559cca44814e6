-- Accounts, balances, and what was used of quotas.

-- plan is the account's own, unit that of the balance that it is paid from. A session of role
-- debitd_account sees its own account only.
CREATE OR REPLACE VIEW api.account WITH (security_invoker = true) AS
SELECT a.name AS account_id, payer.name AS payer_id, a.title AS name, plan.name AS plan, unit.name AS unit, a.charged, a.byok,
       a.plan_until, a.opened_at, a.closed_at
  FROM debitd.account a
  JOIN debitd.account payer ON payer.account_id = a.payer_id
  LEFT JOIN debitd.payer p ON p.payer_id = a.payer_id
  LEFT JOIN debitd.name plan ON plan.name_id = a.plan_name_id
  LEFT JOIN debitd.name unit ON unit.name_id = p.unit_id
 WHERE a.account_id = (SELECT debitd.only_account()) OR (SELECT debitd.only_account()) IS NULL;

-- A row for each account that pays, or did: the balance of one that was given a parent stays where
-- it is.
CREATE OR REPLACE VIEW api.balance WITH (security_invoker = true) AS
SELECT a.name AS account_id, unit.name AS unit, trim_scale(p.balance) AS balance, trim_scale(p.purchased) AS purchased,
       trim_scale(p.granted) AS granted, trim_scale(p.refunded) AS refunded, trim_scale(p.adjusted) AS adjusted,
       trim_scale(p.settled) AS settled, trim_scale(p.spent) AS spent, trim_scale(p.expired) AS expired, p.updated_at
  FROM debitd.payer p
  JOIN debitd.account a ON a.account_id = p.payer_id
  LEFT JOIN debitd.name unit ON unit.name_id = p.unit_id;

-- The payer's usage with that of its children, by month, and by day where a plan limits the day.
-- included: of the payer's plan as it is now, of the month or of the day; without one nothing is
-- beyond it, so overage_quantity is 0.
CREATE OR REPLACE VIEW api.usage WITH (security_invoker = true) AS
SELECT a.name AS account_id, metric.name AS metric, CASE u.period WHEN 'm' THEN 'month' ELSE 'day' END AS period,
       u.period_start, trim_scale(u.used) AS used, trim_scale(limits.included) AS included,
       debitd.percent(u.used, limits.included) AS percent, currency.name AS currency, trim_scale(u.cost) AS cost,
       unit.name AS unit, trim_scale(u.charge) AS charge,
       trim_scale(greatest(u.used - limits.included, 0)) AS overage_quantity, trim_scale(u.overage_charge) AS overage_charge
  FROM debitd.usage u
  JOIN debitd.account a ON a.account_id = u.payer_id
  JOIN debitd.name metric ON metric.name_id = u.metric_id
  JOIN debitd.payer p ON p.payer_id = u.payer_id
  LEFT JOIN debitd.name unit ON unit.name_id = p.unit_id
  LEFT JOIN debitd.name currency ON currency.name_id = u.currency_id
  LEFT JOIN LATERAL (
       SELECT CASE u.period WHEN 'm' THEN q.included ELSE q.day_limit END AS included
         FROM debitd.plan plan JOIN debitd.plan_quota q ON q.plan_id = plan.plan_id
        WHERE plan.plan_name_id = p.plan_name_id AND plan.until IS NULL AND q.metric_id = u.metric_id
       ) limits ON true;
