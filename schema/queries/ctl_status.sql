-- The state of the books in one row. No parameters.
SELECT debitd.now() AS now, b.month AS booking_month, b.catalogue_version, c.applied_at AS catalogue_applied_at,
       (SELECT max(v.number) FROM debitd.schema_version v) AS schema_version,
       (SELECT max(x.booked_at) FROM debitd.batch x WHERE x.batch_id = (SELECT max(y.batch_id) FROM debitd.batch y)) AS last_booking,
       (SELECT count(*) FROM debitd.batch x WHERE NOT x.folded) AS batches_not_summed,
       (SELECT count(*) FROM debitd.alert l WHERE l.state < 2) AS alerts_not_published,
       (SELECT count(*) FROM debitd.rejected r WHERE r.state < 2) AS dead_letters_not_published,
       (SELECT count(*) FROM debitd.rejected r) AS rejected,
       (SELECT count(*) FROM debitd.parked p WHERE p.released_at IS NULL) AS parked,
       (SELECT l.owner FROM debitd.relay l) AS relay,
       (SELECT count(DISTINCT right(k.relname, 7)) FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
         WHERE i.inhparent = 'debitd.ledger'::regclass AND right(k.relname, 7) > to_char(b.month, 'YYYY_MM')) AS months_ahead,
       b.kafka_cluster_id
  FROM debitd.books b LEFT JOIN debitd.catalogue c ON c.version = b.catalogue_version
