-- Dead letters to be published (what stands on the topic already is not), oldest first; the value of a truncated one stays here. Bytes come as hex, header lists as hex joined by commas ('-': a header without value).
-- $1 at most so many, $2 and at most so many bytes of values, but always one
SELECT l.rejected_id, l.topic, l.partition, l."offset", l.reason, l.detail, l.truncated, pg_catalog.octet_length(l.value) AS size,
       pg_catalog.encode(l.key, 'hex') AS key,
       CASE WHEN NOT l.truncated THEN pg_catalog.encode(l.value, 'hex') END AS value,
       pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.encode(n, 'hex') FROM pg_catalog.unnest(l.header_names) WITH ORDINALITY AS u (n, i) ORDER BY i), ',') AS names,
       pg_catalog.array_to_string(ARRAY(SELECT coalesce(pg_catalog.encode(v, 'hex'), '-') FROM pg_catalog.unnest(l.header_values) WITH ORDINALITY AS u (v, i) ORDER BY i), ',') AS "values",
       pg_catalog.cardinality(l.header_names) AS headers
FROM (
    SELECT r.*, pg_catalog.sum(CASE WHEN r.truncated THEN 0 ELSE coalesce(pg_catalog.octet_length(r.value), 0) END) OVER (ORDER BY r.rejected_id) AS bytes,
           pg_catalog.row_number() OVER (ORDER BY r.rejected_id) AS place
    FROM (SELECT * FROM debitd.rejected o
          WHERE o.state = 0 AND NOT EXISTS (SELECT 1 FROM debitd.letter_ahead h
                                            WHERE h.topic = o.topic AND h.partition = o.partition AND h."offset" = o."offset")
          ORDER BY o.rejected_id LIMIT $1::integer) r
) l
WHERE l.place = 1 OR l.bytes <= $2::bigint
ORDER BY l.rejected_id
