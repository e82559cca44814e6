-- One catalogue is applied at a time: a lock of its own, up to the end of the transaction. No parameters.
SELECT pg_advisory_xact_lock(debitd.books_lock() + 2)
