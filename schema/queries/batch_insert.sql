-- The range of entries of this transaction, for the folder. $1 first, $2 last entry id, $3 time of booking
INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at) VALUES ($1::bigint, $2::bigint, $3::timestamptz)
