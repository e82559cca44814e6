-- Ends the session of a relay that has not said a word for too long (stopped, hung, its machine gone), so that its lock falls to us. An active one asks every few seconds at most.
-- $1 seconds of silence
SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid))
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
WHERE l.locktype = 'advisory' AND l.classid = 1684365929::oid AND l.objid = 1::oid AND l.objsubid = 2 AND l.granted
  AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename = CURRENT_USER
  AND a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::double precision)
