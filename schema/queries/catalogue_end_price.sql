-- Gives a price its end; the only change a price ever sees. $1 price_id, $2 effective_until
UPDATE debitd.price SET effective_until = $2::timestamptz
 WHERE price_id = $1::integer AND effective_until IS NULL
