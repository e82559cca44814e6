-- Halts a partition that is ours: it is consumed no more until a person has decided. No row: it is not ours any more.
-- $1 topic, $2 partition, $3 epoch, $4 why, for people
UPDATE debitd.position SET halted = $4::text, updated_at = debitd.now()
 WHERE topic = $1::text AND partition = $2::integer AND epoch = $3::bigint
RETURNING epoch
