-- Notes messages of the output topics. $1 a JSON array: letter, id, topic, partition, offset, key, value
INSERT INTO pg_temp.verify_out (letter, id, topic, partition, "offset", key, value)
SELECT m.* FROM jsonb_to_recordset($1::jsonb) AS m (letter boolean, id text, topic text, partition integer, "offset" bigint, key uuid, value uuid)
