-- Alerts to be published (what stands on the topic already is not), in the order in which they were raised, with their key. Asked for every 50 ms: the partial index alert_open holds what is not published, nothing else.
-- $1 at most so many
SELECT a.alert_id, coalesce(c.name, 'platform') AS key, a.event::text
FROM debitd.alert a LEFT JOIN debitd.account c ON c.account_id = a.payer_id
WHERE a.state = 0 AND NOT EXISTS (SELECT 1 FROM debitd.alert_ahead h WHERE h.alert_id = a.alert_id)
ORDER BY a.alert_seq
LIMIT $1::integer
