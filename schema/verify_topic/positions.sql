-- The positions that the topics are read up to, where something was consumed, and whether keys are led by the time of ids. $1 usage topic, $2 accounts topic
SELECT p.topic, p.partition, p.next_offset, p.last_offset, p.last_fingerprint, b.timed_keys
  FROM debitd.position p, debitd.books b WHERE p.topic IN ($1::text, $2::text) AND p.next_offset IS NOT NULL
 ORDER BY p.topic, p.partition
