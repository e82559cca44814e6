-- $1 code, $2 valued_in, $3 value, $4 version
INSERT INTO debitd.unit (unit_id, valued_in, value, since)
SELECT n.name_id, v.name_id, $3::numeric, $4::integer
  FROM debitd.name n, debitd.name v
 WHERE n.name = $1 AND v.name = $2
