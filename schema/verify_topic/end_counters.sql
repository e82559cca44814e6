-- Every offset below the position is exactly one of booked, duplicate, rejected, parked, skipped: what became of the messages on the topic is what the
-- counters say; what a person passed over counts in none, what was read again counts once more. What retention took cannot be told apart: then the
-- counters are not less than what is left. No parameters.
WITH move AS (
    SELECT m.topic, m.partition, coalesce(m.from_offset, 0) AS from_offset, m.to_offset FROM debitd.position_move m
), seen AS (
    SELECT p.topic, p.partition, s.fate, s."offset",
           1 + (SELECT coalesce(sum(CASE WHEN s."offset" >= m.to_offset AND s."offset" < m.from_offset THEN 1
                                         WHEN s."offset" >= m.from_offset AND s."offset" < m.to_offset THEN -1 ELSE 0 END), 0)
                  FROM move m WHERE m.topic = p.topic AND m.partition = p.partition) AS times
      FROM pg_temp.verify_seen s JOIN pg_temp.verify_place p ON p.log = s.log
), counted AS (
    SELECT l.topic, l.partition, l.until, l.log_begin, l.log_end, coalesce(sum(s.times), 0) AS read,
           coalesce(sum(s.times) FILTER (WHERE s.fate = 'r'), 0) AS rejected, coalesce(sum(s.times) FILTER (WHERE s.fate = 'p'), 0) AS parked,
           coalesce(sum(s.times) FILTER (WHERE s.fate = 's'), 0) AS skipped, coalesce(sum(s.times) FILTER (WHERE s.fate = 'k'), 0) AS known,
           EXISTS (SELECT FROM move m WHERE m.topic = l.topic AND m.partition = l.partition) AS moved
      FROM pg_temp.verify_log l LEFT JOIN seen s ON s.topic = l.topic AND s.partition = l.partition
     WHERE NOT l.out_topic
     GROUP BY l.topic, l.partition, l.until, l.log_begin, l.log_end
)
SELECT f.topic, f.partition::text, f."offset"::text, f.what, f.recorded::text, f.read::text
  FROM (SELECT s.topic, s.partition, s."offset", 'neither booked nor a duplicate, rejected, parked or skipped' AS what, NULL::numeric AS recorded,
               NULL::numeric AS read
          FROM seen s WHERE s.fate = 'l' AND s.times > 0
        UNION ALL
        SELECT c.topic, c.partition, c.log_end, 'the log ends before the position', c.until, c.log_end FROM counted c WHERE c.log_end < c.until
        UNION ALL
        SELECT c.topic, c.partition, NULL, w.what, w.recorded, w.read
          FROM counted c
          JOIN debitd.position p ON p.topic = c.topic AND p.partition = c.partition
         CROSS JOIN LATERAL (VALUES
               ('messages in all', p.booked + p.duplicates + p.rejected + p.parked + p.skipped, c.read, false),
               ('booked and duplicates', p.booked + p.duplicates, c.known, c.moved), ('rejected', p.rejected, c.rejected, c.moved),
               ('parked', p.parked, c.parked, c.moved), ('skipped', p.skipped, c.skipped, c.moved)) AS w (what, recorded, read, unclear)
         WHERE NOT w.unclear AND CASE WHEN c.log_begin > 0 THEN w.recorded < w.read ELSE w.recorded <> w.read END) f
 ORDER BY f.topic, f.partition, f."offset", f.what
