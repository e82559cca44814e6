-- Takes the identities back of parked messages that were rejected after all: only what is booked or parked has one. $1 parked ids bigint[]
SELECT debitd.forget_identity(u.parked_id) FROM unnest($1::bigint[]) u(parked_id)
