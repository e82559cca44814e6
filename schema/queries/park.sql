-- A message that cannot be booked yet.
-- $1 kind of topic, $2 topic, $3 partition, $4 offset, $5 reason, $6 detail, $7 account waited for, $8 catalogue version, $9 account, $10 source, $11 event id, $12 event key,
-- $13 message time, $14 key, $15 value, $16 header names, $17 header values
INSERT INTO debitd.parked (topic_kind, topic, partition, "offset", reason, detail, waits_for, catalogue_version, account, source, event_id,
                           event_key, message_time, key, value, header_names, header_values, parked_at)
VALUES ($1::text, $2::text, $3::integer, $4::bigint, $5::text, $6::text, $7::text, $8::integer, $9::text, $10::text, $11::text,
        $12::uuid, $13::timestamptz, $14::bytea, $15::bytea, $16::bytea[], $17::bytea[], debitd.now())
