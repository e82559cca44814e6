-- A message that can never be booked; the row is also its place in the outbox.
-- $1 topic, $2 partition, $3 offset, $4 reason, $5 detail, $6 message time, $7 key, $8 value, $9 header names, $10 header values
INSERT INTO debitd.rejected (topic, partition, "offset", reason, detail, message_time, key, value, header_names, header_values, rejected_at)
VALUES ($1::text, $2::integer, $3::bigint, $4::text, $5::text, $6::timestamptz, $7::bytea, $8::bytea, $9::bytea[], $10::bytea[], debitd.now())
