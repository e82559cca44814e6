-- The packages in force. No parameters.
SELECT p.name, u.name AS unit, p.amount, p.bonus, p.price, c.name AS currency
  FROM debitd.package p
  JOIN debitd.name u ON u.name_id = p.unit_id
  JOIN debitd.name c ON c.name_id = p.currency_id
 WHERE p.until IS NULL
 ORDER BY p.name
