-- Moves a position. $1 topic, $2 partition, $3 to, $4 reason, $5 who, $6 where the log begins, $7 where it ends (null: not known), $8 forced
SELECT m.topic, m.partition, m.from_offset, m.to_offset, m.passed_over, m.read_again, m.log_begin, m.log_end, m.forced, m.halted, m.moved_at,
       m.moved_by, m.reason, m.epoch
  FROM debitd.move_position($1::text, $2::integer, $3::bigint, $4::text, $5::text, $6::bigint, $7::bigint, $8::boolean) m
