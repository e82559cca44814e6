-- $1 seq … $16 component as debitd.raise_alerts() has them, $17 the moment they were raised
SELECT debitd.raise_alerts($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::date[], $6::numeric[], $7::bigint[], $8::numeric[],
                           $9::numeric[], $10::numeric[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
                           $17::timestamptz)
