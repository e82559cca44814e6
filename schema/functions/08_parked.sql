-- Parked operations on accounts, once the account they waited for is open.

-- Until 2026-11 the message was read again here, by other rules than those it was checked by.
DROP FUNCTION IF EXISTS debitd.apply_parked(bigint);
DROP FUNCTION IF EXISTS debitd.parked_operation(debitd.parked);
DROP FUNCTION IF EXISTS debitd.header_text(bytea[], bytea[], text);

-- Of an event that is parked since a month whose identities a person has dropped: no other event has it, so that whatever
-- comes again under its identity is rejected, not booked.
CREATE OR REPLACE FUNCTION debitd.no_digest() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;

-- Takes the identity back from an event that was parked and then rejected: only what is booked or
-- parked has one (contract 1), so that it can be sent again. SECURITY DEFINER: nobody else may
-- delete keys. Does nothing where the row says otherwise.
CREATE OR REPLACE FUNCTION debitd.forget_identity(parked_id bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM debitd.event_key k USING debitd.parked p
     WHERE p.parked_id = forget_identity.parked_id AND p.outcome = 'rejected'
       AND k.key = p.event_key AND k.entry_id IS NULL
       AND k.month BETWEEN (debitd.month_of(p.parked_at) - interval '1 month')::date AND debitd.month_of(p.parked_at)
$$;

-- A parked operation again; its key stands already. type, at and data are what its message was decoded to, as for account_event(); or
-- refused is the reason why it never can be booked, and why says it in words. Marks the row: booked, rejected, or parked for
-- what it waits for now. A row that is released already is a duplicate.
CREATE OR REPLACE FUNCTION debitd.apply_parked(parked_id bigint, type text, at timestamptz, data jsonb, refused text, why text,
    OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_parked debitd.parked;
    books      record;
BEGIN
    -- What it grants is of the month of now, although no daemon may have moved the books to it yet.
    PERFORM debitd.switch_month(wait => false);
    SELECT p.* INTO row_parked FROM debitd.parked p
     WHERE p.parked_id = apply_parked.parked_id AND p.released_at IS NULL AND p.topic_kind = 'accounts' FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'duplicate';
        RETURN;
    END IF;
    SELECT * INTO books FROM debitd.open_books();
    IF refused IS NOT NULL THEN
        outcome := 'rejected';
        reason := refused;
        detail := why;
    ELSE
        SELECT o.* INTO outcome, reason, detail, entry_id
          FROM debitd.operate(row_parked.event_key,
                              coalesce((SELECT k.digest FROM debitd.event_key k WHERE k.key = row_parked.event_key ORDER BY k.month DESC LIMIT 1),
                                       debitd.no_digest()),
                              row_parked.source, row_parked.event_id, type, row_parked.account, at, data, true, true) AS o;
    END IF;
    IF outcome = 'parked' THEN
        UPDATE debitd.parked p SET waits_for = apply_parked.detail, catalogue_version = books.catalogue_version
         WHERE p.parked_id = row_parked.parked_id;
        RETURN;
    END IF;
    UPDATE debitd.parked p
       SET released_at = books.now, outcome = CASE apply_parked.outcome WHEN 'done' THEN 'booked' ELSE 'rejected' END,
           entry_id = apply_parked.entry_id
     WHERE p.parked_id = row_parked.parked_id;
    IF outcome = 'rejected' THEN
        PERFORM debitd.forget_identity(row_parked.parked_id);
        INSERT INTO debitd.rejected (topic, partition, "offset", reason, detail, message_time, key, value, header_names, header_values, rejected_at)
        VALUES (row_parked.topic, row_parked.partition, row_parked."offset", apply_parked.reason, apply_parked.detail, row_parked.message_time,
                row_parked.key, row_parked.value, row_parked.header_names, row_parked.header_values, books.now);
    END IF;
END
$$;
