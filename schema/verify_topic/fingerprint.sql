-- A message that is not the one the position remembers. $1 topic, $2 partition, $3 offset
SELECT $1::text AS topic, $2::text AS partition, $3::text AS "offset", 'the message that was booked last is another one now' AS what
