-- A parked operation again. $1 parked id, $2 type, $3 time, $4 data jsonb; or $5 the reason why it never can be booked, $6 in words
SELECT outcome, coalesce(reason, '') AS reason, coalesce(detail, '') AS detail, entry_id
FROM debitd.apply_parked($1::bigint, $2::text, $3::timestamptz, $4::jsonb, $5::text, $6::text)
