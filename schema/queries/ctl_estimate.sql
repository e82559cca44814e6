-- What it would cost. $1 account, $2 service, $3 model, $4 metric, $5 quantities jsonb
SELECT * FROM api.estimate($1::text, $2::text, $3::text, $4::text, $5::jsonb)
