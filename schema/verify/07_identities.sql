-- Identities: each entry that an event made has the key of that event, once, where keys of its
-- month are kept; a key's entry exists and is of that event. The key is the first half of SHA-256
-- over ("debitd/event/v1", source, id), each with its length.
WITH kept AS (
    SELECT min(to_date(right(k.relname, 7), 'YYYY_MM'))::timestamp AT TIME ZONE 'UTC' AS since
      FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = 'debitd.event_key'::regclass
), entry AS ( -- an operation on an account may make several entries: its key names the first
    SELECT l.entry_id, l.event_id, l.type IN ('usage', 'void') AS is_usage,
           encode(substring(sha256('\x0000000f'::bytea || 'debitd/event/v1'::bytea
                  || int4send(octet_length(s.name)) || convert_to(s.name, 'UTF8')
                  || int4send(octet_length(l.event_id)) || convert_to(l.event_id, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid AS key
      FROM debitd.ledger l JOIN debitd.name s ON s.name_id = l.source_id, kept
     WHERE l.booked_at >= kept.since
), key AS (
    SELECT k.key, k.month, coalesce(k.entry_id, p.entry_id) AS entry_id
      FROM debitd.event_key k LEFT JOIN debitd.parked p ON k.entry_id IS NULL AND p.event_key = k.key AND p.outcome = 'booked'
), found AS (
    SELECT e.entry_id, e.event_id, 'usage entry without its key' AS what, e.key
      FROM entry e, kept
     WHERE e.is_usage AND NOT EXISTS (SELECT FROM key k WHERE k.entry_id = e.entry_id AND k.key = e.key)
       AND NOT EXISTS (SELECT FROM debitd.parked p WHERE p.entry_id = e.entry_id AND p.parked_at < kept.since)
    UNION ALL
    SELECT e.entry_id, e.event_id, 'entry of an operation without its key', e.key
      FROM entry e WHERE NOT e.is_usage AND NOT EXISTS (SELECT FROM debitd.event_key k WHERE k.key = e.key)
    UNION ALL
    SELECT k.entry_id, NULL, 'key of an entry that is not there', k.key
      FROM key k, kept WHERE k.entry_id IS NOT NULL AND NOT EXISTS (SELECT FROM entry e WHERE e.entry_id = k.entry_id AND e.key = k.key)
    UNION ALL
    SELECT min(k.entry_id), NULL, 'key that stands ' || count(*) || ' times within the window', k.key
      FROM key k, debitd.books b
     GROUP BY k.key, b.dedup_months
    HAVING count(*) > 1 AND (b.dedup_months = 0 OR max(k.month) < min(k.month) + make_interval(months => b.dedup_months + 1)
                             OR count(*) > 2)
)
SELECT f.entry_id::text AS entry, f.event_id, f.what, f.key::text FROM found f ORDER BY f.entry_id, f.what
