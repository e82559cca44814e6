-- What is known of accounts, with the version of the payer it was read at (one snapshot).
-- $1 names text[]
SELECT a.name, a.account_id, a.payer_id, p.version, a.charged, a.closed_at IS NOT NULL AS closed,
       pg_catalog.array_to_string(a.byok, E'\x01') AS byok
FROM debitd.account a JOIN debitd.payer p ON p.payer_id = a.payer_id
WHERE a.name = ANY ($1::text[])
