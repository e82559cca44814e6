-- A package, or its next version. $1 name, $2 unit, $3 amount, $4 bonus, $5 price, $6 currency, $7 version
INSERT INTO debitd.package (name, unit_id, amount, bonus, price, currency_id, since)
SELECT $1, u.name_id, $3::numeric, $4::numeric, $5::numeric, c.name_id, $7::integer
  FROM debitd.name u, debitd.name c
 WHERE u.name = $2 AND c.name = $6
