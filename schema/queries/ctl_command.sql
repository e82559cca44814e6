-- An operation on an account. $1 idempotency key, $2 type, $3 account, $4 data jsonb
SELECT c.outcome, c.reason, c.detail, c.entry_id, $1::text AS key
FROM debitd.ctl_command($1::text, $2::text, $3::text, $4::jsonb) c
