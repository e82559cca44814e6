-- Identities: each entry that an event made has the key of that event, once, in the month it was
-- booked in, where keys of its month are kept; a key's entry exists and is of that event; a parked
-- message has the key of what it says it is (debitd.key_of).
WITH leaf AS (
    SELECT to_date(right(k.relname, 7), 'YYYY_MM') AS first
      FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = 'debitd.event_key'::regclass
), kept AS MATERIALIZED (
    SELECT min(m.first)::timestamp AT TIME ZONE 'UTC' AS since FROM leaf m
), month AS MATERIALIZED ( -- those that have keys: a look at each leaf, for no index knows
    SELECT m.first FROM leaf m
     CROSS JOIN LATERAL (SELECT FROM debitd.event_key k WHERE k.month >= m.first AND k.month < (m.first + interval '1 month')::date LIMIT 1) k
), source AS MATERIALIZED ( -- what the keys of its events begin with
    SELECT n.name_id, debitd.key_head(n.name) AS head FROM debitd.name n
), books AS MATERIALIZED (
    SELECT b.timed_keys FROM debitd.books b
), pair AS MATERIALIZED ( -- what does not fit, of entries and keys side by side; an operation may make several entries: its key names the first
    SELECT coalesce(l.entry_id, k.entry_id) AS entry_id, l.event_id, l.type, l.booked_at, k.key, k.month, s.head
      FROM debitd.ledger l
      FULL JOIN debitd.event_key k ON k.entry_id = l.entry_id
      LEFT JOIN source s ON s.name_id = l.source_id
     WHERE CASE WHEN l.entry_id IS NULL THEN k.entry_id IS NOT NULL
                WHEN k.key IS NULL THEN (l.source_id IS NOT NULL OR l.type IN ('usage', 'void')) AND l.booked_at >= (SELECT since FROM kept)
                ELSE (k.month = date_trunc('month', l.booked_at AT TIME ZONE 'UTC')::date
                      AND debitd.key_of(s.head, l.event_id, (SELECT b.timed_keys FROM books b)) = k.key) IS NOT TRUE END
), found AS (
    SELECT e.entry_id, e.event_id, CASE WHEN e.type IS NULL THEN 'key of an entry that is not there'
           WHEN e.month <> date_trunc('month', e.booked_at AT TIME ZONE 'UTC')::date THEN 'its key stands in another month'
           ELSE 'its key is that of another event' END AS what, e.key
      FROM pair e WHERE e.key IS NOT NULL
    UNION ALL -- what was parked has had its key since then, without an entry
    SELECT e.entry_id, e.event_id, 'usage entry without its key', NULL
      FROM pair e
     WHERE e.key IS NULL AND e.type IN ('usage', 'void')
       AND NOT EXISTS (SELECT FROM debitd.parked p
            WHERE p.entry_id = e.entry_id AND p.outcome = 'booked'
              AND p.event_key = debitd.key_of(e.head, e.event_id, (SELECT b.timed_keys FROM books b))
              AND (p.parked_at < (SELECT since FROM kept)
                   OR EXISTS (SELECT FROM debitd.event_key o WHERE o.key = p.event_key AND o.entry_id IS NULL)))
    UNION ALL
    SELECT e.entry_id, e.event_id, 'entry of an operation without its key', NULL
      FROM pair e
     WHERE e.type NOT IN ('usage', 'void') AND e.head IS NOT NULL AND e.booked_at >= (SELECT since FROM kept)
       AND NOT EXISTS (SELECT FROM debitd.event_key k
                        WHERE k.key = debitd.key_of(e.head, e.event_id, (SELECT b.timed_keys FROM books b)))
    UNION ALL
    SELECT p.entry_id, p.event_id, 'parked under the key of another event', p.event_key
      FROM debitd.parked p
     WHERE debitd.key_of(debitd.key_head(p.source), p.event_id, (SELECT b.timed_keys FROM books b)) <> p.event_key
    UNION ALL -- within a month they are unique by their index; what was parked takes its key once more in the month that it is booked in
    SELECT min(k.entry_id), NULL, 'key that stands ' || count(*) || ' times within the window', k.key
      FROM (SELECT * FROM debitd.event_key w
             WHERE (SELECT count(*) > 1 FROM month)
               AND NOT (w.entry_id IS NULL AND EXISTS (SELECT FROM debitd.parked p WHERE p.event_key = w.key AND p.outcome = 'booked'
                                                          AND p.parked_at < (w.month + interval '2 months') AT TIME ZONE 'UTC'
                                                          AND p.released_at >= (w.month + interval '1 month') AT TIME ZONE 'UTC'))
             ORDER BY key) k
     GROUP BY k.key
    HAVING count(*) > 2 OR count(*) > 1 AND (SELECT b.dedup_months = 0 OR max(k.month) < min(k.month) + make_interval(months => b.dedup_months + 1)
                                               FROM debitd.books b)
)
SELECT f.entry_id::text AS entry, f.event_id, f.what, f.key::text FROM found f ORDER BY f.entry_id, f.what
