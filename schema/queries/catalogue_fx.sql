-- All exchange rates with their history; times in microseconds since 1970. No parameters.
SELECT f.name AS from_currency, t.name AS to_currency, x.rate,
       (extract(epoch FROM x.effective_from) * 1000000)::bigint AS from_us,
       (extract(epoch FROM x.effective_until) * 1000000)::bigint AS until_us
  FROM debitd.fx x
  JOIN debitd.name f ON f.name_id = x.from_id
  JOIN debitd.name t ON t.name_id = x.to_id
 ORDER BY f.name, t.name, x.effective_from
