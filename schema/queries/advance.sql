-- Compare-and-set of one position; raises UF001 when it is not ours.
-- $1 topic, $2 partition, $3 epoch, $4 expected next offset (null: none yet), $5 next, $6 last, $7 fingerprint of the last
SELECT debitd.advance($1::text, $2::integer, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint)
