-- A page of an account's entries, newest first. $1 its id, $2 how many, $3 only entries before
-- this one, or null
SELECT * FROM api.ledger_page($1::text, $2::integer, $3::bigint)
