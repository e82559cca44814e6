-- One rejected message whole, bytes in base64 without line breaks. $1 id
SELECT r.rejected_id AS id, r.topic, r.partition, r."offset", r.reason, r.detail, r.message_time, r.rejected_at AS at, r.published_at,
       r.replayed_at, r.truncated,
       translate(encode(r.key, 'base64'), E'\n', '') AS key_base64, translate(encode(r.value, 'base64'), E'\n', '') AS value_base64,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(translate(encode(h.name, 'base64'), E'\n', ''),
                                                    translate(encode(h.value, 'base64'), E'\n', '')) ORDER BY h.at), '[]')
          FROM unnest(r.header_names, r.header_values) WITH ORDINALITY AS h (name, value, at)) AS headers_base64
FROM debitd.rejected r WHERE r.rejected_id = $1::bigint
