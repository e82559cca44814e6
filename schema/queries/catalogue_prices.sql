-- All prices, cost prices and fixed ones, with their history; times in microseconds since 1970. No parameters.
SELECT p.price_id, pl.name AS plan, s.name AS service, m.name AS model, me.name AS metric, c.name AS component, cu.name AS currency,
       p.price, p.per, (extract(epoch FROM p.effective_from) * 1000000)::bigint AS from_us,
       (extract(epoch FROM p.effective_until) * 1000000)::bigint AS until_us
  FROM debitd.price p
  LEFT JOIN debitd.name pl ON pl.name_id = p.plan_name_id
  LEFT JOIN debitd.name s ON s.name_id = p.service_id
  LEFT JOIN debitd.name m ON m.name_id = p.model_id
  JOIN debitd.name me ON me.name_id = p.metric_id
  LEFT JOIN debitd.name c ON c.name_id = p.component_id
  JOIN debitd.name cu ON cu.name_id = p.currency_id
 ORDER BY p.price_id
