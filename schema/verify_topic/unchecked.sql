-- What could not be checked, in words. No parameters.
SELECT format('%s partition %s begins at offset %s: of %s messages that were read once, %s are gone from the log', l.topic, l.partition, l.log_begin,
              c.counted, greatest(c.counted - c.seen, 0)) AS words
  FROM pg_temp.verify_log l
  JOIN debitd.position p ON p.topic = l.topic AND p.partition = l.partition
  JOIN pg_temp.verify_place x ON x.topic = l.topic AND x.partition = l.partition
 CROSS JOIN LATERAL (SELECT p.booked + p.duplicates + p.rejected + p.parked + p.skipped AS counted,
                            (SELECT count(*) FROM pg_temp.verify_seen s WHERE s.log = x.log) AS seen) c
 WHERE NOT l.out_topic AND l.log_begin > 0
UNION ALL
SELECT format('%s partition %s begins at offset %s: what was published before is not looked for', l.topic, l.partition, l.log_begin)
  FROM pg_temp.verify_log l WHERE l.out_topic AND l.log_begin > 0
UNION ALL
SELECT format('the positions of topic %s partition %s are another topic''s: it was not read', p.topic, p.partition)
  FROM debitd.position p
 WHERE p.next_offset IS NOT NULL AND NOT EXISTS (SELECT FROM pg_temp.verify_log l WHERE l.topic = p.topic AND l.partition = p.partition)
