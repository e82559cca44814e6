-- Sets for how many months of booking identities are looked for; a property of the books, so all instances share it. The months before, and whether they were changed.
-- $1 months, 0: forever
WITH old AS MATERIALIZED (
    SELECT dedup_months FROM debitd.books
), changed AS (
    UPDATE debitd.books SET dedup_months = $1::integer WHERE dedup_months <> $1::integer RETURNING one
)
SELECT old.dedup_months, EXISTS (SELECT FROM changed) FROM old
