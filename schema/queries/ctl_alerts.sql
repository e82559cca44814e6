-- The alerts of an account (or 'platform'), newest first. $1 its id, $2 how many
SELECT v.* FROM (
    SELECT l.alert_id, l.alert_seq FROM debitd.alert l
     WHERE l.payer_id = (SELECT a.account_id FROM debitd.account a WHERE a.name = $1::text)
        OR ($1::text = 'platform' AND l.payer_id IS NULL)
     ORDER BY l.alert_seq DESC LIMIT $2::integer) l
  JOIN LATERAL (SELECT * FROM api.alert w WHERE w.account_id = $1::text AND w.alert_id = l.alert_id::text) v ON true
 ORDER BY l.alert_seq DESC
