-- What became of the offsets that this transaction moved; the rows are locked already by advance().
-- $1 topic, $2 partition, $3 booked, $4 duplicates, $5 rejected, $6 parked, $7 skipped, $8 time of the last event
UPDATE debitd.position p
SET booked = p.booked + u.b, duplicates = p.duplicates + u.d, rejected = p.rejected + u.r, parked = p.parked + u.k, skipped = p.skipped + u.s,
    last_event_time = coalesce(u.t, p.last_event_time)
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[])
     u(topic, partition, b, d, r, k, s, t)
WHERE p.topic = u.topic AND p.partition = u.partition
