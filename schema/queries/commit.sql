-- Ends a booking transaction; the tag of the answer must be COMMIT. No parameters.
COMMIT
