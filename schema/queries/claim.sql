-- Makes the caller the owner of a partition; waits for the owner before, if it is in the middle of a transaction.
-- $1 topic, $2 partition, $3 who the owner is, for people
SELECT epoch, next_offset, last_offset, last_fingerprint, halted FROM debitd.claim($1::text, $2::integer, $3::text)
