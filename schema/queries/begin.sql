-- Opens a booking transaction. No parameters.
BEGIN
