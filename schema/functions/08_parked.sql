-- Parked operations on accounts, once the account they waited for is open.

-- The first header of that name as text; null: there is none.
CREATE OR REPLACE FUNCTION debitd.header_text(names bytea[], contents bytea[], name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN convert_from(contents[array_position(names, convert_to(name, 'UTF8'))], 'UTF8');
END
$$;

-- The operation in a parked message, in either content mode of CloudEvents. The message was decoded
-- strictly when it came in: here only what it says is read again.
CREATE OR REPLACE FUNCTION debitd.parked_operation(p debitd.parked, OUT type text, OUT at timestamptz, OUT data jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- A NUL can only stand in a member that is ignored, but PostgreSQL would not read over it there.
    content CONSTANT json := regexp_replace(convert_from(p.value, 'UTF8'), '(?<!\\)((?:\\\\)*)\\u0000', '\1', 'g')::json;
    given   json := content;
    stamp   text;
BEGIN
    IF debitd.header_text(p.header_names, p.header_values, 'ce_specversion') IS NOT NULL THEN
        type := debitd.header_text(p.header_names, p.header_values, 'ce_type');
        stamp := debitd.header_text(p.header_names, p.header_values, 'ce_time');
    ELSE
        type := content ->> 'type';
        stamp := content ->> 'time';
        given := content -> 'data';
    END IF;
    -- Members that the type does not have may hold numbers that jsonb cannot.
    SELECT coalesce(jsonb_object_agg(m.key, m.value::jsonb), '{}') INTO data FROM json_each(given) AS m
     WHERE debitd.operation_members(type) ? m.key;
    -- Microseconds: what is finer is cut, as it was when the message came in.
    at := coalesce(regexp_replace(stamp, '(\.[0-9]{6})[0-9]+', '\1')::timestamptz, p.message_time);
END
$$;

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

-- A parked operation again; its key stands already. Marks the row: booked, rejected, or parked for
-- what it waits for now. A row that is released already is a duplicate.
CREATE OR REPLACE FUNCTION debitd.apply_parked(parked_id bigint, OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_parked debitd.parked;
    op         record;
    books      record;
BEGIN
    SELECT p.* INTO row_parked FROM debitd.parked p
     WHERE p.parked_id = apply_parked.parked_id AND p.released_at IS NULL AND p.topic_kind = 'accounts' FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'duplicate';
        RETURN;
    END IF;
    SELECT * INTO books FROM debitd.open_books();
    SELECT * INTO op FROM debitd.parked_operation(row_parked);
    SELECT o.* INTO outcome, reason, detail, entry_id
      FROM debitd.operate(row_parked.event_key, NULL, row_parked.source, row_parked.event_id, op.type, row_parked.account,
                          op.at, op.data, true, true) AS o;
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
