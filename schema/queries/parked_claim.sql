-- Parked messages whose reason may be gone: the account is open now, or the catalogue is newer than the one they failed against. Operations on accounts come first. $1 how many at most
SELECT p.parked_id, p.topic_kind, p.topic, p.partition, p."offset", p.message_time, p.key, p.value, p.header_names, p.header_values, p.reason
FROM debitd.parked p
WHERE p.released_at IS NULL
  AND CASE WHEN p.reason IN ('unknown_account', 'account_closed')
           THEN EXISTS (SELECT 1 FROM debitd.account a WHERE a.name = p.waits_for AND a.closed_at IS NULL)
           ELSE p.catalogue_version < (SELECT b.catalogue_version FROM debitd.books b) END
ORDER BY p.topic_kind, p.parked_id
LIMIT $1::integer
