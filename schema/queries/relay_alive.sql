-- Are we still the relay? Also our sign of life for relay_evict.
-- $1 our epoch
SELECT 1 FROM debitd.relay WHERE epoch = $1::bigint
