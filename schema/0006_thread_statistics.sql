-- 0006 thread statistics: PostgreSQL takes none of which threads there are.
--
-- Why: a month begins with grants, which have no thread. Statistics taken then say that no entry has one; until they are taken again PostgreSQL thinks the
-- index of 0004 empty and looks a thread up among all accounts, a hundred times slower. Without statistics it looks among the account's entries. What was
-- taken already stays, and is right where the month is older than its grants.
-- Locks: SHARE UPDATE EXCLUSIVE on each leaf of the ledger for a moment: nobody waits but VACUUM and ANALYZE. Safe while running. Later leaves are made so
-- (debitd.make_leaves).

DO $$
DECLARE
    leaf regclass;
BEGIN
    FOR leaf IN SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'debitd.ledger'::regclass ORDER BY 1 LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN thread_id SET STATISTICS 0', leaf);
    END LOOP;
END
$$;
