-- Puts a version in force. $1 version
UPDATE debitd.books SET catalogue_version = $1::integer
