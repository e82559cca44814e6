-- Makes the caller the owner of a partition; waits for the owner before, if it is in the middle of a transaction.
-- $1 topic, $2 partition, $3 who the owner is, for people
SELECT c.epoch, c.next_offset, c.last_offset, c.last_fingerprint, c.halted,
       (SELECT pg_catalog.count(*) FROM debitd.position_move m WHERE m.topic = $1::text AND m.partition = $2::integer) AS moves
FROM debitd.claim($1::text, $2::integer, $3::text) c
