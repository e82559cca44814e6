-- The balance that an account is paid from: its own, or its payer's. $1 its id
SELECT b.* FROM api.account a JOIN api.balance b ON b.account_id = a.payer_id WHERE a.account_id = $1::text
