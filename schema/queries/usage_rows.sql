-- What the payers have used, in the months that the batch counts in. Read after their locks.
-- $1 payer ids bigint[], $2 metric ids int[], $3 months date[]
SELECT payer_id, metric_id, period_start, used
FROM debitd.usage
WHERE payer_id = ANY ($1::bigint[]) AND metric_id = ANY ($2::integer[]) AND period = 'm' AND period_start = ANY ($3::date[])
