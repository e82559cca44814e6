-- Ids of names, made where missing. $1 names text[]
SELECT name, name_id FROM debitd.intern($1::text[])
