-- Ends the session that is in the middle of moving this position and has been waiting for its client for too long: a
-- process that was stopped, or whose machine is gone, would keep the row for ever, as no time-out of the server ends a
-- COPY that waits for its client. Its transaction rolls back; should the client come back, it is fenced.
-- $1 topic, $2 partition, $3 seconds of silence
SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid))
FROM debitd.position p
JOIN pg_catalog.pg_stat_activity a ON a.backend_xid = p.xmax
WHERE p.topic = $1::text AND p.partition = $2::integer
  AND a.datname = pg_catalog.current_database() AND a.usename = CURRENT_USER AND a.application_name LIKE 'debitd/%'
  AND a.wait_event_type = 'Client'
  AND a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3::double precision)
