-- What went out, and what became of messages that were not booked.

-- account_id of a platform alert is 'platform', as its subject is. Two halves, so that a condition
-- on the account reaches its index.
CREATE OR REPLACE VIEW api.alert WITH (security_invoker = true) AS
SELECT l.alert_id::text AS alert_id, l.type, a.name AS account_id, metric.name AS metric, l.period_start,
       trim_scale(l.threshold) AS threshold, l.raised_at, l.published_at, l.event
  FROM debitd.alert l
  JOIN debitd.account a ON a.account_id = l.payer_id
  LEFT JOIN debitd.name metric ON metric.name_id = l.metric_id
UNION ALL
SELECT l.alert_id::text, l.type, 'platform', metric.name, l.period_start, trim_scale(l.threshold), l.raised_at, l.published_at, l.event
  FROM debitd.alert l
  LEFT JOIN debitd.name metric ON metric.name_id = l.metric_id
 WHERE l.payer_id IS NULL;

CREATE OR REPLACE VIEW api.rejected WITH (security_invoker = true) AS
SELECT r.topic, r.partition, r."offset", r.reason, r.detail, r.key, r.value, r.rejected_at AS at, r.published_at, r.replayed_at
  FROM debitd.rejected r;

-- released_at null: still waiting.
CREATE OR REPLACE VIEW api.parked WITH (security_invoker = true) AS
SELECT p.topic, p.partition, p."offset", p.reason, p.detail, p.account AS account_id, p.source AS event_source, p.event_id,
       p.parked_at AS at, p.released_at
  FROM debitd.parked p;

-- next_offset null: claimed, but nothing consumed yet. Every consumed offset counts in exactly one
-- of the five.
CREATE OR REPLACE VIEW api.position WITH (security_invoker = true) AS
SELECT p.topic, p.partition, p.next_offset, p.booked, p.duplicates, p.rejected, p.parked, p.skipped, p.last_event_time, p.updated_at
  FROM debitd.position p;

-- What people decided about positions (debitctl position set). Offsets passed over are in none of the
-- five counts of api.position, those read again are in them twice. log_begin and log_end: what the
-- log held then, null where Kafka did not say; halted: why the partition stood still, null: it did not.
CREATE OR REPLACE VIEW api.position_move WITH (security_invoker = true) AS
SELECT m.topic, m.partition, m.moved_at, m.moved_by, m.role, m.from_offset, m.to_offset, m.passed_over, m.read_again,
       m.log_begin, m.log_end, m.forced, m.halted, m.reason
  FROM debitd.position_move m;

-- The same of the Kafka cluster that the positions belong to (debitctl position adopt-cluster).
CREATE OR REPLACE VIEW api.cluster_move WITH (security_invoker = true) AS
SELECT m.moved_at, m.moved_by, m.role, m.from_cluster, m.to_cluster, m.reason
  FROM debitd.cluster_move m;
