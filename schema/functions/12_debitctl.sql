-- An operation that a person asks for by debitctl. SECURITY DEFINER, so that debitd_admin can do
-- it without a right on any table. Its key is one with the keys of the SQL functions of api.
CREATE OR REPLACE FUNCTION debitd.ctl_command(key text, type text, account text, data jsonb) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, type, account, data) AS c
$$;
