-- $1 plan_id, $2 metric, $3 included, $4 overage_price, $5 overage_per, $6 day_limit, $7 thresholds
INSERT INTO debitd.plan_quota (plan_id, metric_id, included, overage_price, overage_per, day_limit, thresholds)
SELECT $1::integer, n.name_id, $3::numeric, $4::numeric, $5::numeric, $6::numeric, $7::numeric[]
  FROM debitd.name n
 WHERE n.name = $2
