-- Whether an unanswered COMMIT landed: waits for whatever still holds the rows. $1 topics text[], $2 partitions int[]
SELECT p.topic, p.partition, p.epoch, p.next_offset
FROM debitd.position p JOIN unnest($1::text[], $2::integer[]) u(topic, partition) ON p.topic = u.topic AND p.partition = u.partition
ORDER BY p.topic, p.partition
FOR UPDATE OF p
