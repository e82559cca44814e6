-- Gives an exchange rate its end. $1 from, $2 to, $3 effective_from, $4 effective_until
UPDATE debitd.fx x SET effective_until = $4::timestamptz
  FROM debitd.name f, debitd.name t
 WHERE f.name = $1 AND t.name = $2 AND x.from_id = f.name_id AND x.to_id = t.name_id
   AND x.effective_from = $3::timestamptz AND x.effective_until IS NULL
