-- What became of some messages, by the books, and whether what they made says what they say; a difference a row. $1 the messages, a JSON array: log (number),
-- topic, partition, offset, refused (why it can never be booked, whatever its age), skipped, key, digest, account, at (its time), says
WITH message AS MATERIALIZED ( -- of an operation, what its entries keep of its data
    SELECT m.log, m.topic, m.partition, m."offset", m.refused, coalesce(m.skipped, false) AS skipped, m.key, m.digest, m.account, m.at,
           CASE WHEN m.says ? 'data' THEN jsonb_strip_nulls(jsonb_build_object('type', m.says -> 'type', 'amount', m.says -> 'data' -> 'amount',
                'reference', m.says -> 'data' -> 'reference', 'reason', m.says -> 'data' -> 'reason')) ELSE m.says END AS says
      FROM jsonb_to_recordset($1::jsonb) AS m (log integer, topic text, partition integer, "offset" bigint, refused text, skipped boolean,
                                                        key uuid, digest uuid, account text, at timestamptz, says jsonb)
), judged AS MATERIALIZED (
    SELECT m.*, r.reasons, p.event_key AS parked_key, p.parked_id, k.digest AS known_digest, k.key IS NOT NULL AS known,
           coalesce(k.entry_id, b.entry_id) AS entry_id,
           CASE WHEN m.skipped THEN 's' WHEN p.parked_id IS NOT NULL THEN 'p' WHEN r.reasons IS NOT NULL THEN 'r'
                WHEN k.key IS NOT NULL AND m.refused IS NULL THEN 'k' ELSE 'l' END AS fate
      FROM message m
      LEFT JOIN LATERAL (SELECT array_agg(x.reason) AS reasons FROM debitd.rejected x
                          WHERE x.topic = m.topic AND x.partition = m.partition AND x."offset" = m."offset") r ON true
      LEFT JOIN LATERAL (SELECT x.event_key, x.parked_id FROM debitd.parked x
                          WHERE x.topic = m.topic AND x.partition = m.partition AND x."offset" = m."offset" ORDER BY x.parked_id LIMIT 1) p ON true
      LEFT JOIN LATERAL (SELECT x.key, x.digest, x.entry_id FROM debitd.event_key x
                          WHERE x.key = m.key ORDER BY x.digest = m.digest DESC, x.month DESC LIMIT 1) k ON true
      LEFT JOIN LATERAL (SELECT x.entry_id FROM debitd.parked x
                          WHERE k.entry_id IS NULL AND x.event_key = m.key AND x.outcome = 'booked' ORDER BY x.parked_id DESC LIMIT 1) b ON true
), booked AS MATERIALIZED ( -- what the entry says, in the words of the message
    SELECT j.log, j."offset", l.entry_id, l.occurred_at,
           CASE WHEN l.type = 'usage' THEN jsonb_strip_nulls(jsonb_build_object('type', 'usage', 'metric', m.name, 'service', s.name, 'model', o.name,
                    'user', l.user_id, 'thread', l.thread_id, 'execution', l.execution_id, 'agent', l.agent_id,
                    'cost', CASE WHEN l.price_source = 'event' THEN trim_scale(l.cost)::text
                                 WHEN j.says ? 'cost' AND p.trust_cost AND l.price_source IS NOT NULL THEN 'not taken' ELSE j.says ->> 'cost' END))
                 || jsonb_build_object('metadata', l.metadata, 'quantities',
                    (SELECT jsonb_agg(jsonb_build_array(n.name, trim_scale(c.quantity)::text) ORDER BY c.at)
                       FROM unnest(l.component_ids, l.component_quantities) WITH ORDINALITY AS c (id, quantity, at) LEFT JOIN debitd.name n ON n.name_id = c.id))
                WHEN l.type = 'void' THEN jsonb_strip_nulls(jsonb_build_object('type', 'void', 'reason', l.reason,
                    'voids', (SELECT replace(v.key::text, '-', '') FROM debitd.voided v WHERE v.by_key = j.key LIMIT 1)))
                WHEN l.type = 'grant' THEN jsonb_build_object('type', 'grant')
                ELSE jsonb_strip_nulls(jsonb_build_object('type', l.type, 'reference', l.reference, 'reason', l.reason,
                    'amount', CASE WHEN j.says ? 'amount' THEN trim_scale(l.amount)::text END)) END AS says
      FROM judged j
      JOIN debitd.account a ON a.name = j.account
      JOIN debitd.ledger l ON l.account_id = a.account_id AND l.entry_id = j.entry_id
      LEFT JOIN debitd.plan p ON p.plan_id = l.plan_id
      LEFT JOIN debitd.name m ON m.name_id = l.metric_id
      LEFT JOIN debitd.name s ON s.name_id = l.service_id
      LEFT JOIN debitd.name o ON o.name_id = l.model_id
     WHERE j.fate IN ('k', 'p') AND j.known_digest = j.digest
), noted AS (
    INSERT INTO pg_temp.verify_seen (log, "offset", fate, key, time_fits)
    SELECT j.log, j."offset", j.fate::"char", CASE WHEN j.fate IN ('k', 'p') THEN j.key END, b.occurred_at = j.at
      FROM judged j LEFT JOIN booked b ON b.log = j.log AND b."offset" = j."offset"
)
SELECT j.topic, j.partition::text, j."offset"::text, w.what, w.recorded, w.sent
  FROM judged j
  LEFT JOIN booked b ON b.log = j.log AND b."offset" = j."offset"
 CROSS JOIN LATERAL (
       SELECT 'rejected for another reason than its own' AS what, array_to_string(j.reasons, ', ') AS recorded, j.refused AS sent
        WHERE j.fate = 'r' AND (j.refused IS NOT NULL AND j.refused <> ALL (j.reasons) AND j.reasons <> '{too_old}'
              OR j.refused IS NULL AND j.reasons && '{too_large,malformed_json,not_a_cloudevent,bad_attribute,unknown_type,bad_time,time_in_future}')
       UNION ALL
       SELECT 'rejected as id_reused, but its identity stands for the same', array_to_string(j.reasons, ', '), NULL
        WHERE j.fate = 'r' AND j.reasons = '{id_reused}' AND j.known_digest = j.digest
       UNION ALL
       SELECT 'parked under another identity', j.parked_key::text, j.key::text
        WHERE j.fate = 'p' AND (j.parked_key <> j.key OR j.key IS NULL)
       UNION ALL
       SELECT 'skipped, but it stands among the parked or the rejected', array_to_string(j.reasons, ', '), NULL
        WHERE j.fate = 's' AND (j.reasons IS NOT NULL OR j.parked_id IS NOT NULL)
       UNION ALL
       SELECT 'its identity stands for another content', j.known_digest::text, j.digest::text
        WHERE j.fate = 'k' AND j.known_digest <> j.digest
       UNION ALL
       SELECT 'no entry ' || j.entry_id || ' of its account', NULL, j.account
        WHERE j.fate IN ('k', 'p') AND j.known_digest = j.digest AND j.entry_id IS NOT NULL AND b.entry_id IS NULL
       UNION ALL
       SELECT 'entry ' || b.entry_id || ' says another ' || s.member, (b.says -> s.member)::text, (j.says -> s.member)::text
         FROM (SELECT jsonb_object_keys(b.says) UNION SELECT jsonb_object_keys(j.says)) AS s (member)
        WHERE NOT (b.says ->> 'type' = 'grant' AND j.says ->> 'type' = 'grant')
          AND nullif(b.says -> s.member, 'null') IS DISTINCT FROM nullif(j.says -> s.member, 'null') AND b.entry_id IS NOT NULL) w
 ORDER BY j.log, j."offset", w.what
