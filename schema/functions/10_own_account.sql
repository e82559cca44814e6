-- Whose rows a session of role debitd_account sees (contract 6): the account that setting
-- debitd.account names. Row-level security (schema/api/zz_roles.sql) and the views of api ask
-- here.

-- The account that debitd_account sees; null: none. SECURITY DEFINER: policies cannot look into
-- the table that they guard.
CREATE OR REPLACE FUNCTION debitd.own_account() RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT a.account_id FROM debitd.account a WHERE a.name = nullif(current_setting('debitd.account', true), ''));
END
$$;

-- That account and the payers that its entries name: their names are needed to show these.
CREATE OR REPLACE FUNCTION debitd.named_accounts() RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT a.past_payers || a.payer_id || a.account_id FROM debitd.account a
             WHERE a.name = nullif(current_setting('debitd.account', true), ''));
END
$$;

-- Which accounts api.account shows: null where all.
CREATE OR REPLACE FUNCTION debitd.only_account() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN row_security_active('debitd.account') AND NOT pg_has_role('debitd_reader', 'USAGE')
                     AND NOT pg_has_role('debitd_writer', 'USAGE') AND NOT pg_has_role('debitd_admin', 'USAGE')
                THEN coalesce(debitd.own_account(), 0) END;
END
$$;
