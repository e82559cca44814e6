-- Who may do what (contract 6). Runs after everything else, on every migrate: it grants on what is
-- there.
--
--   debitd_writer   the daemon: books; no DDL, no UPDATE or DELETE on entries and identities
--   debitd_reader   all of api
--   debitd_account  api, but only the rows of the account in setting debitd.account
--   debitd_admin    api, the account operations, and where reading goes on
--
-- Views of api run with the rights of who reads them (security_invoker), so that row-level security
-- of the tables behind holds for them; hence the SELECT on these tables. It stands on the
-- partitioned ledger alone: its leaves are the writer's, nobody else may read them directly.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['debitd_writer', 'debitd_reader', 'debitd_account', 'debitd_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role); -- without a password: pg_hba.conf decides who gets in
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- a migration of another database of this server was faster
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'role % is missing and % may not create it: run ALTER ROLE % CREATEROLE or CREATE ROLE % LOGIN as a superuser',
                    role, current_user, quote_ident(current_user), role USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
    END LOOP;
END
$$;

DO $$
DECLARE
    guarded record;
    object  record;
BEGIN
    -- Row-level security: everything to those who may see everything, to debitd_account its own rows.
    FOR guarded IN
        SELECT g.name, g.own FROM (VALUES
            ('account',     'account_id = ANY ((SELECT debitd.named_accounts())::bigint[])'),
            ('payer',       'payer_id = (SELECT debitd.own_account())'),
            ('ledger',      'account_id = (SELECT debitd.own_account())'),
            ('usage',       'payer_id = (SELECT debitd.own_account())'),
            ('usage_daily', 'account_id = (SELECT debitd.own_account())'),
            ('alert',       'payer_id = (SELECT debitd.own_account())'),
            ('parked',      'account = nullif((SELECT current_setting(''debitd.account'', true)), '''')')) AS g (name, own)
    LOOP
        -- Only where missing: it waits for everyone who is booking. Who changes a policy drops the old one in a migration.
        CONTINUE WHEN EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'debitd' AND p.tablename = guarded.name);
        EXECUTE format('ALTER TABLE debitd.%I ENABLE ROW LEVEL SECURITY', guarded.name);
        EXECUTE format('CREATE POLICY everything ON debitd.%I TO debitd_writer, debitd_reader, debitd_admin '
                       'USING (true) WITH CHECK (true)', guarded.name);
        EXECUTE format('CREATE POLICY own ON debitd.%I FOR SELECT TO debitd_account USING (%s)', guarded.name, guarded.own);
    END LOOP;
    -- Views show what their reader may see, not what their owner may.
    FOR object IN SELECT c.oid::regclass AS name FROM pg_class c
                   WHERE c.relnamespace = 'api'::regnamespace AND c.relkind = 'v'
                     AND NOT coalesce(c.reloptions, '{}') @> '{security_invoker=true}' LOOP
        EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', object.name);
    END LOOP;
    -- Tables for reading; leaves are not among them.
    FOR object IN
        SELECT c.oid::regclass AS name, c.relname FROM pg_class c
         WHERE c.relnamespace = 'debitd'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO debitd_writer, debitd_reader, debitd_admin', object.name);
        IF object.relname IN ('account', 'payer', 'ledger', 'usage', 'usage_daily', 'alert', 'parked',
                              'batch', 'books', 'name', 'catalogue', 'unit', 'metric', 'plan', 'plan_quota', 'package') THEN
            EXECUTE format('GRANT SELECT ON %s TO debitd_account', object.name);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA debitd, api TO debitd_writer, debitd_reader, debitd_account, debitd_admin;

-- The writer.
GRANT INSERT ON debitd.name, debitd.position, debitd.account, debitd.payer, debitd.event_key, debitd.voided, debitd.ledger,
    debitd.usage, debitd.batch, debitd.usage_daily, debitd.alert, debitd.rejected, debitd.parked TO debitd_writer;
GRANT UPDATE ON debitd.position, debitd.account, debitd.payer, debitd.usage, debitd.batch, debitd.usage_daily, debitd.relay,
    debitd.alert, debitd.rejected TO debitd_writer;
-- Not which event it is: forget_identity() takes its word for it.
REVOKE UPDATE ON debitd.parked FROM debitd_writer;
GRANT UPDATE (reason, detail, waits_for, catalogue_version, released_at, outcome, entry_id) ON debitd.parked TO debitd_writer;
GRANT UPDATE (kafka_cluster_id, dedup_months) ON debitd.books TO debitd_writer;
GRANT INSERT, UPDATE ON debitd.relay_place TO debitd_writer;
GRANT INSERT, DELETE ON debitd.alert_ahead, debitd.letter_ahead TO debitd_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA debitd TO debitd_writer;

-- Functions: PostgreSQL lets everybody call every function unless told otherwise.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA debitd, api FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA debitd TO debitd_writer;
-- Where reading goes on is decided by people, not by the daemon.
REVOKE EXECUTE ON FUNCTION debitd.move_position(text, integer, bigint, text, text, bigint, bigint, boolean),
    debitd.adopt_cluster(text, text, text) FROM debitd_writer;
GRANT EXECUTE ON FUNCTION debitd.move_position(text, integer, bigint, text, text, bigint, bigint, boolean),
    debitd.adopt_cluster(text, text, text) TO debitd_admin;
-- What views of api, functions that only read and debitctl verify need.
GRANT EXECUTE ON FUNCTION debitd.now(), debitd.month_of(timestamptz), debitd.start_of(date), debitd.plain(numeric),
    debitd.key_head(text), debitd.time_of_id(text), debitd.key_of(bytea, text, boolean),
    debitd.round_half_even(numeric, integer), debitd.mul_div_half_even(numeric, numeric, numeric, integer),
    debitd.percent(numeric, numeric), debitd.reached(numeric, numeric, numeric), debitd.read_decimal(jsonb),
    debitd.plan_named(integer), debitd.own_account(), debitd.named_accounts(), debitd.only_account()
    TO debitd_reader, debitd_account, debitd_admin;
-- Operations by debitctl.
GRANT EXECUTE ON FUNCTION debitd.ctl_command(text, text, text, jsonb) TO debitd_admin;

DO $$
DECLARE
    object record;
BEGIN
    FOR object IN SELECT c.oid::regclass AS name, c.relname FROM pg_class c WHERE c.relnamespace = 'api'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON %s TO debitd_writer, debitd_reader, debitd_admin', object.name);
        -- Not to accounts: what other people's messages said, and what the provider charges.
        IF object.relname NOT IN ('rejected', 'position', 'position_move', 'cluster_move', 'price') THEN
            EXECUTE format('GRANT SELECT ON %s TO debitd_account', object.name);
        END IF;
    END LOOP;
    FOR object IN SELECT p.oid::regprocedure AS name, p.provolatile FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace LOOP
        IF object.provolatile = 'v' THEN -- it changes something
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO debitd_admin', object.name);
        ELSE
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO debitd_writer, debitd_reader, debitd_admin, debitd_account',
                           object.name); -- they only read, and show debitd_account its own account
        END IF;
    END LOOP;
END
$$;

SELECT debitd.ensure_months();
