-- Alerts and dead letters stand on their topics exactly once each, as their rows say; nothing else that bears an id of ours does. What the topics have
-- lost to retention cannot be looked for. No parameters.
WITH row AS MATERIALIZED (
    SELECT false AS letter, a.alert_id::text AS id, a.state, a.claim_partition, a.claim_floor, uuid_send(x.digest) AS value, NULL::bytea AS key, a.published_at
      FROM debitd.alert a
     CROSS JOIN LATERAL (SELECT encode(substring(sha256(int4send(octet_length(t.text)) || t.text) FROM 1 FOR 16), 'hex')::uuid AS digest
                           FROM (SELECT convert_to(a.event::text, 'UTF8') AS text) t) x
    UNION ALL
    SELECT true, r.rejected_id::text, r.state, r.claim_partition, r.claim_floor,
           CASE WHEN NOT r.truncated THEN substring(sha256(CASE WHEN r.value IS NULL THEN '\xffffffff'::bytea
                                                                ELSE int4send(octet_length(r.value)) || r.value END) FROM 1 FOR 16) END,
           substring(sha256(CASE WHEN r.key IS NULL THEN '\xffffffff'::bytea ELSE int4send(octet_length(r.key)) || r.key END) FROM 1 FOR 16), r.published_at
      FROM debitd.rejected r
), short AS ( -- topics that have lost messages
    SELECT bool_or(l.log_begin > 0) AS begins_late FROM pg_temp.verify_log l WHERE l.out_topic
)
SELECT CASE WHEN f.letter THEN 'dead letter' ELSE 'alert' END AS message, f.id, f.topic, f.partition::text, f."offset"::text, f.what
  FROM (SELECT o.letter, o.id, o.topic, o.partition, max(o."offset") AS "offset", 'stands on the topic ' || count(*) || ' times' AS what
          FROM pg_temp.verify_out o GROUP BY o.letter, o.id, o.topic, o.partition HAVING count(*) > 1
        UNION ALL
        SELECT o.letter, o.id, max(o.topic), NULL, NULL, 'stands on several partitions'
          FROM pg_temp.verify_out o GROUP BY o.letter, o.id HAVING count(DISTINCT o.partition) > 1
        UNION ALL
        SELECT o.letter, o.id, o.topic, o.partition, o."offset", 'stands on the topic, but not in the books'
          FROM pg_temp.verify_out o
          JOIN pg_temp.verify_log l ON l.out_topic AND l.topic = o.topic AND l.partition = o.partition AND o."offset" < l.until
         WHERE NOT EXISTS (SELECT FROM row r WHERE r.letter = o.letter AND r.id = o.id)
        UNION ALL
        SELECT o.letter, o.id, o.topic, o.partition, o."offset", 'stands on the topic, but was never claimed'
          FROM pg_temp.verify_out o
          JOIN pg_temp.verify_log l ON l.out_topic AND l.topic = o.topic AND l.partition = o.partition AND o."offset" < l.until
          JOIN row r ON r.letter = o.letter AND r.id = o.id AND r.state = 0
        UNION ALL
        SELECT o.letter, o.id, o.topic, o.partition, o."offset", 'says something else than its row'
          FROM pg_temp.verify_out o JOIN row r ON r.letter = o.letter AND r.id = o.id
         WHERE r.value <> uuid_send(o.value) OR r.key <> uuid_send(o.key)
        UNION ALL
        SELECT r.letter, r.id, NULL, NULL, NULL, 'published on ' || r.published_at || ', but not on the topic'
          FROM row r, short s
         WHERE r.state = 2 AND NOT s.begins_late AND NOT EXISTS (SELECT FROM pg_temp.verify_out o WHERE o.letter = r.letter AND o.id = r.id)) f
 ORDER BY f.letter, f.id, f.what
