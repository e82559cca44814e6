-- The catalogue in force: its version (0: none was ever applied) and its digest. No parameters.
SELECT b.catalogue_version, coalesce(c.digest, '') AS digest
  FROM debitd.books b LEFT JOIN debitd.catalogue c ON c.version = b.catalogue_version
