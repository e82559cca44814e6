-- One operation on an account. $1 key, $2 digest, $3 source, $4 id, $5 type, $6 account, $7 time, $8 data jsonb
SELECT outcome, coalesce(reason, '') AS reason, coalesce(detail, '') AS detail, entry_id
FROM debitd.account_event($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::timestamptz, $8::jsonb)
