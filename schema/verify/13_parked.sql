-- Parked messages: those that wait have their identity, and something to wait for; those that were booked
-- have their entry, those taken back their mark, those rejected their row among the rejected; a moment
-- and a way of release go together; no message is parked twice, but where a position was moved back.
SELECT f.parked::text, f.what, f.event_id
  FROM (SELECT p.parked_id AS parked, 'waits, but has no key' AS what, p.event_id
          FROM debitd.parked p
         WHERE p.released_at IS NULL AND NOT EXISTS (SELECT FROM debitd.event_key k WHERE k.key = p.event_key)
        UNION ALL
        SELECT p.parked_id, 'waits, but its event is booked', p.event_id
          FROM debitd.parked p WHERE p.released_at IS NULL AND EXISTS (
               SELECT FROM debitd.event_key k WHERE k.key = p.event_key AND k.entry_id IS NOT NULL)
        UNION ALL
        SELECT p.parked_id, 'two of the same event wait', p.event_id
          FROM debitd.parked p WHERE p.released_at IS NULL AND EXISTS (
               SELECT FROM debitd.parked o WHERE o.event_key = p.event_key AND o.parked_id < p.parked_id AND o.released_at IS NULL)
        UNION ALL
        SELECT p.parked_id, 'waits for ' || p.reason || ', which is nothing to wait for', p.event_id
          FROM debitd.parked p
         WHERE p.released_at IS NULL AND (p.waits_for IS NULL
               OR p.reason NOT IN ('unknown_account', 'account_closed', 'unknown_metric', 'unpriced')
               OR p.catalogue_version > (SELECT b.catalogue_version FROM debitd.books b))
        UNION ALL
        SELECT p.parked_id, 'usage was released as booked, but its entry is not there', p.event_id
          FROM debitd.parked p
         WHERE p.outcome = 'booked' AND p.topic_kind = 'usage'
           AND NOT EXISTS (SELECT FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id
                            WHERE l.entry_id = p.entry_id AND l.event_id = p.event_id AND n.name = p.source)
        UNION ALL
        SELECT p.parked_id, 'an operation was released as booked, but its entry is not there', p.event_id
          FROM debitd.parked p
         WHERE p.outcome = 'booked' AND p.topic_kind = 'accounts' AND p.entry_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id
                            WHERE l.entry_id = p.entry_id AND l.event_id = p.event_id AND n.name = p.source)
        UNION ALL
        SELECT p.parked_id, 'not booked, but it has an entry', p.event_id
          FROM debitd.parked p WHERE p.entry_id IS NOT NULL AND p.outcome IS DISTINCT FROM 'booked'
        UNION ALL
        SELECT p.parked_id, 'taken back, but not marked so', p.event_id
          FROM debitd.parked p WHERE p.outcome = 'voided' AND NOT EXISTS (SELECT FROM debitd.voided v WHERE v.key = p.event_key)
        UNION ALL
        SELECT p.parked_id, 'rejected, but not among the rejected', p.event_id
          FROM debitd.parked p
         WHERE p.outcome = 'rejected' AND NOT EXISTS (SELECT FROM debitd.rejected r WHERE r.topic = p.topic AND r.partition = p.partition
                                                         AND r."offset" = p."offset")
        UNION ALL
        SELECT p.parked_id, 'released, but not how, or the other way round', p.event_id
          FROM debitd.parked p WHERE (p.released_at IS NULL) <> (p.outcome IS NULL)
        UNION ALL
        SELECT max(p.parked_id), 'offset ' || p."offset" || ' of ' || p.topic || ' ' || p.partition || ' is parked ' || count(*) || ' times', max(p.event_id)
          FROM debitd.parked p
         GROUP BY p.topic, p.partition, p."offset"
        HAVING count(*) > 1 + (SELECT count(*) FROM debitd.position_move m WHERE m.topic = p.topic AND m.partition = p.partition
                                  AND m.to_offset <= p."offset" AND m.from_offset > p."offset")) f
 ORDER BY 1, 2
