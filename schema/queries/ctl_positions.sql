-- How far each partition is in the books. No parameters.
SELECT p.topic, p.partition, p.next_offset, p.booked, p.duplicates, p.rejected, p.parked, p.skipped, p.last_event_time,
       p.updated_at, p.owner, p.halted
  FROM debitd.position p ORDER BY p.topic, p.partition
