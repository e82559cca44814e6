-- The outbox: alerts and dead letters are open, claimed or published, with what goes with it; an
-- alert is what its event says, and its entry exists.
WITH rows AS (
    SELECT 'alert ' || l.alert_id AS row, l.state, l.relay_epoch, l.claim_partition, l.claim_floor, l.published_at FROM debitd.alert l
    UNION ALL
    SELECT 'dead letter ' || r.rejected_id, r.state, r.relay_epoch, r.claim_partition, r.claim_floor, r.published_at FROM debitd.rejected r
)
SELECT f.row, f.what
  FROM (SELECT r.row, 'its state is ' || r.state AS what FROM rows r WHERE r.state NOT IN (0, 1, 2)
        UNION ALL
        SELECT r.row, 'open, but has a claim or a moment of publication' FROM rows r
         WHERE r.state = 0 AND num_nonnulls(r.relay_epoch, r.claim_partition, r.claim_floor, r.published_at) > 0
        UNION ALL
        SELECT r.row, 'claimed, but by nobody or for no place, or published' FROM rows r
         WHERE r.state = 1 AND (num_nulls(r.relay_epoch, r.claim_partition, r.claim_floor) > 0 OR r.published_at IS NOT NULL)
        UNION ALL
        SELECT r.row, 'published, but at no moment' FROM rows r WHERE r.state = 2 AND r.published_at IS NULL
        UNION ALL
        SELECT r.row, 'its relay is not among those that were' FROM rows r, debitd.relay y WHERE r.relay_epoch > y.epoch
        UNION ALL
        SELECT 'alert ' || l.alert_id, 'its event is another: ' || left(l.event::text, 200)
          FROM debitd.alert l LEFT JOIN debitd.account a ON a.account_id = l.payer_id
         WHERE (l.event ->> 'id', l.event ->> 'type', l.event ->> 'subject')
               IS DISTINCT FROM (l.alert_id::text, l.type, CASE WHEN l.payer_id IS NULL THEN 'platform' ELSE a.name END)
        UNION ALL
        SELECT 'alert ' || l.alert_id, 'its entry ' || l.entry_id || ' is not one of its payer'
          FROM debitd.alert l
         WHERE l.entry_id IS NOT NULL AND l.payer_id IS NOT NULL AND l.type <> 'usage.threshold.reached'
           AND NOT EXISTS (SELECT FROM debitd.ledger e WHERE e.entry_id = l.entry_id AND e.payer_id = l.payer_id)) f
 ORDER BY 1, 2
