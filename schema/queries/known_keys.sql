-- Which identities are known within the dedup window. Older leaves are frozen and the current one is only written under the shared books lock, so that a plain look-up is
-- sound; a key that appears in between breaks the primary key of the leaf.
-- $1 keys uuid[]
SELECT k.key, k.digest, k.entry_id
FROM debitd.event_key k, debitd.books b
WHERE k.key = ANY ($1::uuid[])
  AND (b.dedup_months = 0 OR k.month >= (b.month - pg_catalog.make_interval(months => b.dedup_months))::date)
