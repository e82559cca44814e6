-- Takes the books lock shared and reads what every booking depends on; is_over: the clock is beyond their month. No parameters.
SELECT o.month, o.catalogue_version, o.now, o.dedup_months, b.timed_keys, o.month < debitd.month_of(clock_timestamp() + b.clock_offset) AS is_over
FROM debitd.open_books() o, debitd.books b
