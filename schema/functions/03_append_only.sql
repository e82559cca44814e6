-- An entry never changes and is never deleted (contract 2.6): nobody has the privilege, and the
-- triggers refuse it even to the owner.

CREATE OR REPLACE FUNCTION debitd.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.%: entries never change and are never deleted', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Correct an entry by a further one: a void, a refund or an adjustment.';
END
$$;

-- Only where missing: creating a trigger waits for everyone who is booking.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'debitd.ledger'::regclass AND tgname = 'append_only') THEN
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON debitd.ledger
            FOR EACH ROW EXECUTE FUNCTION debitd.refuse_change();
        CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON debitd.ledger
            FOR EACH STATEMENT EXECUTE FUNCTION debitd.refuse_change();
    END IF;
END
$$;
