-- Fences the relay before: none of its statements changes a row any more.
-- $1 who we are, for people
UPDATE debitd.relay SET epoch = epoch + 1, owner = $1::text RETURNING epoch
