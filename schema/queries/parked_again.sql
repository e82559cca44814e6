-- A parked message that still cannot be booked: for what it waits now. $1 parked id, $2 reason, $3 detail, $4 account waited for, $5 catalogue version
UPDATE debitd.parked p SET reason = $2::text, detail = $3::text, waits_for = $4::text, catalogue_version = $5::integer
WHERE p.parked_id = $1::bigint
