-- One account. $1 its id
SELECT a.account_id, a.payer_id, a.name, a.plan, a.unit, a.charged, to_jsonb(a.byok) AS byok, a.plan_until, a.opened_at, a.closed_at
  FROM api.account a WHERE a.account_id = $1::text
