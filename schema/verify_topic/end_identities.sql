-- No identity, entry, parked or rejected message without its message on the topics, and as many booked as identities; an entry says the time of one of its
-- messages. Operations by debitctl and SQL have no message. What retention took is no difference as long as it may have been that much. No parameters.
WITH read AS (
    SELECT (SELECT bool_or(l.log_begin > 0) FROM pg_temp.verify_log l WHERE NOT l.out_topic) AS begins_late,
           (SELECT coalesce(sum(p.booked + p.duplicates + p.rejected + p.parked + p.skipped), 0) FROM debitd.position p
              JOIN pg_temp.verify_log l ON l.topic = p.topic AND l.partition = p.partition)
           - (SELECT count(*) FROM pg_temp.verify_seen s WHERE s.fate <> 'l') AS gone
), seen AS MATERIALIZED (
    SELECT s.key, bool_or(s.fate = 'p') AS parked, bool_or(s.time_fits) AS time_fits, min(s.log) AS log, min(s."offset") AS "offset"
      FROM pg_temp.verify_seen s WHERE s.key IS NOT NULL GROUP BY s.key
), untold AS MATERIALIZED (
    SELECT k.key, k.entry_id, coalesce(l.type::text, CASE WHEN p.parked_id IS NOT NULL THEN 'parked' END) AS type, n.name AS source, l.event_id
      FROM debitd.event_key k
      LEFT JOIN debitd.ledger l ON l.entry_id = k.entry_id
      LEFT JOIN debitd.name n ON n.name_id = l.source_id
      LEFT JOIN LATERAL (SELECT x.parked_id FROM debitd.parked x WHERE k.entry_id IS NULL AND x.event_key = k.key LIMIT 1) p ON true
     WHERE NOT EXISTS (SELECT FROM seen s WHERE s.key = k.key)
       AND n.name IS DISTINCT FROM '/debitd/operations'
       AND (k.entry_id IS NOT NULL OR p.parked_id IS NOT NULL) -- an operation that made no entry may be one of debitctl
)
SELECT f.entry, f.topic, f.partition, f."offset", f.what, f.recorded, f.read
  FROM (SELECT u.entry_id::text AS entry, NULL AS topic, NULL AS partition, NULL AS "offset", 'no message made it (' || u.type || ')' AS what,
               u.source || ' ' || u.event_id AS recorded, NULL AS read
          FROM untold u, read r WHERE NOT r.begins_late OR (SELECT count(*) FROM untold) > r.gone
        UNION ALL
        SELECT NULL, p.topic, p.partition::text, s."offset"::text, 'its entry says another time, and no resend of it has that', s.key::text, NULL
          FROM seen s JOIN pg_temp.verify_place p ON p.log = s.log, read r
         WHERE s.time_fits IS FALSE AND NOT r.begins_late
        UNION ALL
        SELECT NULL, x.topic, x.partition::text, x."offset"::text, x.what, NULL, NULL
          FROM (SELECT p.topic, p.partition, p."offset", 'parked, but not on the topic' AS what FROM debitd.parked p
                UNION ALL
                SELECT r.topic, r.partition, r."offset", 'rejected, but not on the topic' FROM debitd.rejected r) x
          JOIN pg_temp.verify_log l ON l.topic = x.topic AND l.partition = x.partition AND NOT l.out_topic AND x."offset" >= l.log_begin
          JOIN pg_temp.verify_place p ON p.topic = x.topic AND p.partition = x.partition
         WHERE NOT EXISTS (SELECT FROM pg_temp.verify_seen s WHERE s.log = p.log AND s."offset" = x."offset")
        UNION ALL
        SELECT NULL, NULL, NULL, NULL, 'booked in all, and identities that the messages took', b.booked::text, b.taken::text
          FROM (SELECT (SELECT coalesce(sum(p.booked), 0) FROM debitd.position p
                          JOIN pg_temp.verify_log l ON l.topic = p.topic AND l.partition = p.partition) AS booked,
                       (SELECT count(*) FROM debitd.event_key k JOIN seen s ON s.key = k.key)
                       - (SELECT count(*) FROM debitd.parked p JOIN seen s ON s.key = p.event_key WHERE p.outcome IS DISTINCT FROM 'rejected') AS taken) b,
               read r
         WHERE CASE WHEN r.begins_late THEN b.booked < b.taken OR b.booked > b.taken + r.gone ELSE b.booked <> b.taken END) f
 ORDER BY f.what, f.entry, f.topic, f.partition, f."offset"
