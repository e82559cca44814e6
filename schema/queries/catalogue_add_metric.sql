-- $1 name, $2 aggregation, $3 version
INSERT INTO debitd.metric (metric_id, aggregation, since)
SELECT n.name_id, $2, $3::integer FROM debitd.name n WHERE n.name = $1
