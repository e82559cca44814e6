-- Takes the books lock shared and reads what every booking depends on. No parameters.
SELECT month, catalogue_version, now, dedup_months, (SELECT b.timed_keys FROM debitd.books b) FROM debitd.open_books()
