-- All metrics. No parameters.
SELECT n.name, m.aggregation
  FROM debitd.metric m JOIN debitd.name n ON n.name_id = m.metric_id
 ORDER BY n.name
