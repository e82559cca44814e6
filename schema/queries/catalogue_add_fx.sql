-- $1 from, $2 to, $3 rate, $4 effective_from, $5 effective_until, $6 version
INSERT INTO debitd.fx (from_id, to_id, rate, effective_from, effective_until, since)
SELECT f.name_id, t.name_id, $3::numeric, $4::timestamptz, $5::timestamptz, $6::integer
  FROM debitd.name f, debitd.name t
 WHERE f.name = $1 AND t.name = $2
