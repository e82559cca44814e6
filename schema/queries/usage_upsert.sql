-- Adds to the summaries, in the order of their key.
-- $1 payer, $2 metric, $3 is it a day, $4 start, $5 events, $6 used, $7 currency, $8 cost, $9 charge, $10 overage charge
INSERT INTO debitd.usage AS s (payer_id, metric_id, period, period_start, events, used, currency_id, cost, charge, overage_charge)
SELECT u.p, u.m, (CASE WHEN u.d THEN 'd' ELSE 'm' END)::"char", u.s, u.e, u.u, u.c, u.cost, u.charge, u.over
FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::date[], $5::bigint[], $6::numeric[], $7::integer[],
            $8::numeric[], $9::numeric[], $10::numeric[]) u(p, m, d, s, e, u, c, cost, charge, over)
ORDER BY 1, 2, 3, 4
ON CONFLICT (payer_id, metric_id, period, period_start) DO UPDATE
SET events = s.events + excluded.events, used = s.used + excluded.used, currency_id = excluded.currency_id,
    cost = s.cost + excluded.cost, charge = s.charge + excluded.charge, overage_charge = s.overage_charge + excluded.overage_charge
