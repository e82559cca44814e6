-- A parked operation again. $1 parked id
SELECT outcome, coalesce(reason, '') AS reason, coalesce(detail, '') AS detail, entry_id FROM debitd.apply_parked($1::bigint)
