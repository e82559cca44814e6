-- Parked messages: those that wait have their identity; those that were booked have their entry; a
-- moment and a way of release go together.
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
        SELECT p.parked_id, 'usage was released as booked, but its entry is not there', p.event_id
          FROM debitd.parked p
         WHERE p.outcome = 'booked' AND p.topic_kind = 'usage'
           AND NOT EXISTS (SELECT FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id
                            WHERE l.entry_id = p.entry_id AND l.event_id = p.event_id AND n.name = p.source)
        UNION ALL
        SELECT p.parked_id, 'released, but not how, or the other way round', p.event_id
          FROM debitd.parked p WHERE (p.released_at IS NULL) <> (p.outcome IS NULL)) f
 ORDER BY 1, 2
