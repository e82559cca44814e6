-- Which identities are known within the dedup window. Older leaves are frozen and the current one is only written under the shared books lock, so that a plain look-up is
-- sound; a key that appears in between breaks the primary key of the leaf. Leaves of months to come are empty: they are not even opened.
-- The keys are asked for by a subquery, so that the planner does not weigh each of them against each leaf: that took ten times as long as finding them.
-- What has been parked since before the window has its identity as long as it waits: it is only looked for where anything waits so long.
-- $1 keys uuid[]
WITH since AS MATERIALIZED (
    SELECT CASE WHEN b.dedup_months = 0 THEN '-infinity' ELSE (b.month - pg_catalog.make_interval(months => b.dedup_months))::date END AS month
    FROM debitd.books b
)
SELECT k.key, k.digest, k.entry_id
FROM debitd.event_key k
WHERE k.key = ANY ((SELECT $1::uuid[])::uuid[])
  AND k.month <= (SELECT b.month FROM debitd.books b)
  AND k.month >= (SELECT s.month FROM since s)
UNION ALL
SELECT w.key, coalesce((SELECT k.digest FROM debitd.event_key k WHERE k.key = w.key ORDER BY k.month DESC LIMIT 1), debitd.no_digest()), NULL
FROM (SELECT u.key FROM unnest($1::uuid[]) u(key)
      CROSS JOIN LATERAL (SELECT FROM debitd.parked p WHERE p.event_key = u.key AND p.released_at IS NULL LIMIT 1) p
      WHERE (SELECT w.parked_at FROM debitd.parked w WHERE w.released_at IS NULL ORDER BY w.parked_id LIMIT 1)
            < (SELECT (s.month + interval '1 month') AT TIME ZONE 'UTC' FROM since s)) w
