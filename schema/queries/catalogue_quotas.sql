-- The quotas of all versions of all plans, by plan_id. No parameters.
SELECT q.plan_id, n.name AS metric, q.included, q.overage_price, q.overage_per, q.day_limit, array_to_string(q.thresholds, ' ') AS thresholds
  FROM debitd.plan_quota q JOIN debitd.name n ON n.name_id = q.metric_id
 ORDER BY q.plan_id, n.name
