-- What the payer of an account has used, newest period first. $1 its id, $2 a month ('2026-11-01')
-- or null: all
SELECT u.* FROM api.account a JOIN api.usage u ON u.account_id = a.payer_id
WHERE a.account_id = $1::text AND ($2::date IS NULL OR date_trunc('month', u.period_start::timestamp) = $2::date)
ORDER BY u.period_start DESC, u.period DESC, u.metric
