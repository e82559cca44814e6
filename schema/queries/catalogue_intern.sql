-- Ids of all names that a catalogue brings, at once, because in their order lies that nobody waits in a ring. $1 names jsonb, an array of strings
SELECT count(*) FROM debitd.intern(ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
