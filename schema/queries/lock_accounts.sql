-- The payers of the accounts that a batch of operations names, in order. $1 names text[]
SELECT debitd.lock_accounts($1::text[]), set_config('debitd.batch', 'on', true)
