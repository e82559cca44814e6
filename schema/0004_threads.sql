-- 0004 threads: what a thread has used is found by an index.
--
-- Why: api.thread_usage read all entries of the thread's account: a third of a second where a month had 600,000 of them. text_pattern_ops compares bytes, whatever
-- the database's collation; = needs no more. Entries without a thread are not in the index and cost nothing.
-- Locks: SHARE on each leaf of the ledger while its index is built, one to two seconds for a million entries: bookings wait for it, and go on. Safe while
-- running. Later leaves are made with it (debitd.make_leaves).

DO $$
DECLARE
    leaf regclass;
BEGIN
    FOR leaf IN SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'debitd.ledger'::regclass ORDER BY 1 LOOP
        EXECUTE format('CREATE INDEX ON %s (account_id, thread_id text_pattern_ops) WHERE thread_id IS NOT NULL', leaf);
    END LOOP;
END
$$;
