-- Takes the books lock shared and reads what every booking depends on. No parameters.
SELECT month, catalogue_version, now, dedup_months FROM debitd.open_books()
