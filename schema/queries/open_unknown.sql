-- Opens accounts that usage names and nobody opened. $1 names text[], $2 plan
SELECT debitd.open_unknown($1::text[], $2::text)
