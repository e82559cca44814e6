-- Notes a partition that was read. $1 is it of an output topic, $2 topic, $3 partition, $4 up to where, $5 where its log begins, $6 where reading ended, $7 number
WITH placed AS (
    INSERT INTO pg_temp.verify_place (log, topic, partition) SELECT $7::integer, $2::text, $3::integer WHERE NOT $1::boolean
)
INSERT INTO pg_temp.verify_log (out_topic, topic, partition, until, log_begin, log_end)
VALUES ($1::boolean, $2::text, $3::integer, $4::bigint, $5::bigint, $6::bigint)
