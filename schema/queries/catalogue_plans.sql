-- All versions of all plans, by plan_id. No parameters.
SELECT p.plan_id, n.name, u.name AS unit, p.kind, p.tariff, p.markup, p.trust_cost, p.credits_per_period, p.credits_policy, p.welcome,
       p.low_balance, p.minimum_balance, p.fee, p.enforce, p.until IS NULL AS in_force
  FROM debitd.plan p
  JOIN debitd.name n ON n.name_id = p.plan_name_id
  JOIN debitd.name u ON u.name_id = p.unit_id
 ORDER BY p.plan_id
