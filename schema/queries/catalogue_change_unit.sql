-- Another value of a unit that nobody has used (catalogue_unit_used.sql). $1 code, $2 valued_in, $3 value, $4 version
UPDATE debitd.unit u SET valued_in = v.name_id, value = $3::numeric, since = $4::integer
  FROM debitd.name n, debitd.name v
 WHERE n.name = $1 AND v.name = $2 AND u.unit_id = n.name_id
