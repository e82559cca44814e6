-- Where the positions stand, without waiting for anybody. $1 topics text[], $2 partitions int[]
SELECT p.topic, p.partition, p.epoch, p.next_offset
FROM debitd.position p JOIN unnest($1::text[], $2::integer[]) u(topic, partition) ON p.topic = u.topic AND p.partition = u.partition
