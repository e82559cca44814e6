-- A new version of the catalogue. $1 version, $2 applied_by, $3 digest
INSERT INTO debitd.catalogue (version, applied_at, applied_by, digest)
VALUES ($1::integer, debitd.now(), $2, $3)
