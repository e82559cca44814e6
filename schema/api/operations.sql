-- The account operations of contract 1.2 as SQL functions: thin wrappers that end where events from
-- Kafka end. key: the idempotency key; the same twice books once, be it here or by debitctl. Their
-- entries have source '/debitd/operations' and the key as id. The outcome is done, duplicate or
-- rejected; reason is a code of contract 5, or unknown_account where the account is not open: there
-- is no message that could be parked.
--
-- SECURITY DEFINER, so that debitd_admin needs no right on any table: it can do what these
-- functions do and nothing else, not write an entry or move a balance by hand.

CREATE SCHEMA IF NOT EXISTS api;

CREATE OR REPLACE FUNCTION api.account_open(key text, account text, plan text DEFAULT NULL, parent text DEFAULT NULL,
    charged boolean DEFAULT NULL, name text DEFAULT NULL, byok text[] DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'account.opened', account, jsonb_strip_nulls(jsonb_build_object(
        'plan', plan, 'parent', parent, 'charged', charged, 'name', name, 'byok', byok))) AS c
$$;

-- Null leaves a member as it is.
CREATE OR REPLACE FUNCTION api.account_update(key text, account text, plan text DEFAULT NULL, parent text DEFAULT NULL,
    charged boolean DEFAULT NULL, name text DEFAULT NULL, byok text[] DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'account.updated', account, jsonb_strip_nulls(jsonb_build_object(
        'plan', plan, 'parent', parent, 'charged', charged, 'name', name, 'byok', byok))) AS c
$$;

CREATE OR REPLACE FUNCTION api.account_close(key text, account text, reason text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'account.closed', account,
        jsonb_strip_nulls(jsonb_build_object('reason', reason))) AS c
$$;

CREATE OR REPLACE FUNCTION api.account_assign(key text, account text, plan text) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'plan.assigned', account,
        jsonb_strip_nulls(jsonb_build_object('plan', plan))) AS c
$$;

-- Either amount or package.
CREATE OR REPLACE FUNCTION api.credit_purchase(key text, account text,
    amount numeric DEFAULT NULL, package text DEFAULT NULL, reference text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'credits.purchased', account,
        jsonb_strip_nulls(jsonb_build_object('amount', trim_scale(amount), 'package', package, 'reference', reference))) AS c
$$;

CREATE OR REPLACE FUNCTION api.credit_grant(key text, account text, amount numeric, reason text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'credits.granted', account,
        jsonb_strip_nulls(jsonb_build_object('amount', trim_scale(amount), 'reason', reason))) AS c
$$;

CREATE OR REPLACE FUNCTION api.credit_refund(key text, account text,
    amount numeric, reference text DEFAULT NULL, reason text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'credits.refunded', account,
        jsonb_strip_nulls(jsonb_build_object('amount', trim_scale(amount), 'reference', reference, 'reason', reason))) AS c
$$;

-- amount has either sign.
CREATE OR REPLACE FUNCTION api.credit_adjust(key text, account text, amount numeric, reason text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'credits.adjusted', account,
        jsonb_strip_nulls(jsonb_build_object('amount', trim_scale(amount), 'reason', reason))) AS c
$$;

-- Settles a postpaid balance.
CREATE OR REPLACE FUNCTION api.invoice_pay(key text, account text, period text,
    amount numeric, reference text DEFAULT NULL) RETURNS debitd.operation_result
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c FROM debitd.account_command(key, 'invoice.paid', account,
        jsonb_strip_nulls(jsonb_build_object('period', period, 'amount', trim_scale(amount), 'reference', reference))) AS c
$$;
