-- A plan, or its next version. $1 name, $2 unit, $3 kind, $4 tariff, $5 markup, $6 trust_cost, $7 credits_per_period, $8 credits_policy,
-- $9 welcome, $10 low_balance, $11 minimum_balance, $12 fee, $13 enforce, $14 version
INSERT INTO debitd.plan (plan_name_id, unit_id, kind, tariff, markup, trust_cost, credits_per_period, credits_policy, welcome, low_balance,
                         minimum_balance, fee, enforce, since)
SELECT n.name_id, u.name_id, $3, $4, $5::numeric, $6::boolean, $7::numeric, $8, $9::numeric, $10::numeric, $11::numeric, $12::numeric,
       $13::boolean, $14::integer
  FROM debitd.name n, debitd.name u
 WHERE n.name = $1 AND u.name = $2
RETURNING plan_id
