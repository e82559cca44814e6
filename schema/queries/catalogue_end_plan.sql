-- The version of a plan that was in force until now. $1 name, $2 version
UPDATE debitd.plan p SET until = $2::integer
  FROM debitd.name n
 WHERE n.name = $1 AND p.plan_name_id = n.name_id AND p.until IS NULL
