-- All units. No parameters.
SELECT n.name AS code, v.name AS valued_in, u.value
  FROM debitd.unit u
  JOIN debitd.name n ON n.name_id = u.unit_id
  JOIN debitd.name v ON v.name_id = u.valued_in
 ORDER BY n.name
