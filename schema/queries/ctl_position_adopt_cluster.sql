-- Makes the positions belong to another Kafka cluster. $1 its id, $2 reason, $3 who
SELECT m.from_cluster, m.to_cluster, m.moved_at, m.moved_by, m.reason FROM debitd.adopt_cluster($1::text, $2::text, $3::text) m
