-- Fences the relay before: none of its statements changes a row any more. Also which server this is, and which of its histories, and which it was when a relay last began.
-- $1 who we are, for people
UPDATE debitd.relay r
SET epoch = r.epoch + 1, owner = $1::text, system_identifier = s.system_identifier,
    timeline = ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::integer
FROM debitd.relay b, pg_catalog.pg_control_system() s
WHERE b.one = r.one
RETURNING r.epoch, b.system_identifier, r.system_identifier, b.timeline, r.timeline
