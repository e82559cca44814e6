-- Makes this session the one relay, if there is none. Only against needless changes of hands: what keeps two relays apart are the epoch here and the transactional id in Kafka.
-- No parameters. 1684365929, 1 is the lock's key, a number of ours.
SELECT pg_catalog.pg_try_advisory_lock(1684365929, 1)
