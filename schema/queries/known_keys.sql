-- Which identities are known within the dedup window. Older leaves are frozen and the current one is only written under the shared books lock, so that a plain look-up is
-- sound; a key that appears in between breaks the primary key of the leaf. Leaves of months to come are empty: they are not even opened.
-- The keys are asked for by a subquery, so that the planner does not weigh each of them against each leaf: that took ten times as long as finding them.
-- $1 keys uuid[]
SELECT k.key, k.digest, k.entry_id
FROM debitd.event_key k
WHERE k.key = ANY ((SELECT $1::uuid[])::uuid[])
  AND k.month <= (SELECT b.month FROM debitd.books b)
  AND k.month >= (SELECT CASE WHEN b.dedup_months = 0 THEN '-infinity' ELSE (b.month - pg_catalog.make_interval(months => b.dedup_months))::date END
                  FROM debitd.books b)
