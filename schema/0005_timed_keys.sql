-- 0005 timed keys: ids that tell when they were made lead their keys by that time.
--
-- Why: keys by a hash alone touch a page of their index each, and beyond some ten million of them in a month the pages that go to the WAL after every
-- checkpoint decide how fast events are booked. UUIDs of version 7 and ULIDs bear a time, so keys of one time can lie together; what makes an identity is
-- still source and id and nothing else (debitd.key_of). A key never changes: books that have begun keep keys by the hash alone, as the resend of an event
-- has to find what was booked before this.
-- Locks: ACCESS EXCLUSIVE on debitd.books for a moment (a constant default: nothing is rewritten): bookings wait for it, and go on. Safe while running.

ALTER TABLE debitd.books ADD COLUMN timed_keys boolean NOT NULL DEFAULT false; -- never changes once something is booked
UPDATE debitd.books b SET timed_keys = true
 WHERE NOT EXISTS (SELECT FROM debitd.event_key) AND NOT EXISTS (SELECT FROM debitd.position);
