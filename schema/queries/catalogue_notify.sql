-- Daemons load the new version as soon as this transaction is committed. $1 version
SELECT pg_notify('debitd_catalogue', $1)
