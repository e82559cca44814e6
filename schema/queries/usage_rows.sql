-- What payers have used of a metric in a month. Read after the payers' locks.
-- OFFSET 0: each row is looked up by its key, however small the table was when this was planned.
-- $1 payer ids bigint[], $2 metric ids int[], $3 months date[], of one row each
SELECT k.payer_id, k.metric_id, k.month, u.used
FROM unnest($1::bigint[], $2::integer[], $3::date[]) AS k (payer_id, metric_id, month)
CROSS JOIN LATERAL (
    SELECT x.used FROM debitd.usage x
    WHERE x.payer_id = k.payer_id AND x.metric_id = k.metric_id AND x.period = 'm' AND x.period_start = k.month
    OFFSET 0
) u
