-- May it? $1 account, $2 metric, $3 quantity
SELECT * FROM api.check_usage($1::text, $2::text, $3::numeric)
