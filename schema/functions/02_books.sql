-- The clock and the booking month of the books.
--
-- Every booking transaction holds the books lock shared, the switch of the month holds it
-- exclusively: so all in flight share one leaf of event_key and of the ledger, older leaves are
-- frozen, and a plain look-up in them is sound.

CREATE OR REPLACE FUNCTION debitd.now() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN clock_timestamp() + (SELECT b.clock_offset FROM debitd.books b);
END
$$;

CREATE OR REPLACE FUNCTION debitd.books_lock() RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN 110386605552740; -- the bytes of "debitd"
END
$$;

-- The month that a moment falls in, in UTC.
CREATE OR REPLACE FUNCTION debitd.month_of(moment timestamptz) RETURNS date
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN date_trunc('month', moment AT TIME ZONE 'UTC')::date;
END
$$;

CREATE OR REPLACE FUNCTION debitd.start_of(day date) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN day::timestamp AT TIME ZONE 'UTC';
END
$$;

-- now is the moment of booking: it lies within the booking month, whatever the clock says, because
-- entries go to that month's leaf.
CREATE OR REPLACE FUNCTION debitd.open_books(OUT month date, OUT catalogue_version integer, OUT now timestamptz, OUT dedup_months integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(debitd.books_lock());
    -- A statement of its own: it sees what was committed while the lock was waited for.
    SELECT b.month, b.catalogue_version, b.dedup_months, clock_timestamp() + b.clock_offset
      INTO month, catalogue_version, dedup_months, now
      FROM debitd.books b;
    now := least(greatest(now, debitd.start_of(month)),
                 debitd.start_of((month + interval '1 month')::date) - interval '1 microsecond');
END
$$;

-- One leaf of the ledger and one of event_key. CREATE … LIKE and ATTACH: they do not wait for those
-- who are booking.
CREATE OR REPLACE FUNCTION debitd.make_leaves(month date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    following CONSTANT date := (month + interval '1 month')::date;
    suffix    CONSTANT text := to_char(month, 'YYYY_MM');
    leaf      text;
BEGIN
    leaf := 'event_key_' || suffix;
    IF to_regclass('debitd.' || leaf) IS NULL THEN
        EXECUTE format('CREATE TABLE debitd.%I (LIKE debitd.event_key, PRIMARY KEY (key))', leaf);
        EXECUTE format('ALTER TABLE debitd.event_key ATTACH PARTITION debitd.%I FOR VALUES FROM (%L) TO (%L)',
                       leaf, month, following);
    END IF;
    EXECUTE format('GRANT SELECT, INSERT ON debitd.%I TO debitd_writer', leaf);
    leaf := 'ledger_' || suffix;
    IF to_regclass('debitd.' || leaf) IS NULL THEN
        EXECUTE format('CREATE TABLE debitd.%I (LIKE debitd.ledger INCLUDING DEFAULTS)', leaf);
        EXECUTE format('CREATE INDEX ON debitd.%I (account_id, entry_id)', leaf);
        EXECUTE format('CREATE INDEX ON debitd.%I (payer_id, entry_id)', leaf);
        EXECUTE format('CREATE INDEX ON debitd.%I (account_id, thread_id text_pattern_ops) WHERE thread_id IS NOT NULL', leaf);
        EXECUTE format('ALTER TABLE debitd.%I ALTER COLUMN thread_id SET STATISTICS 0', leaf);
        EXECUTE format('CREATE INDEX ON debitd.%I USING brin (entry_id) WITH (pages_per_range = 32, autosummarize = on)', leaf);
        -- Triggers on rows come with ATTACH, those on TRUNCATE do not.
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON debitd.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION debitd.refuse_change()', leaf);
        EXECUTE format('ALTER TABLE debitd.ledger ATTACH PARTITION debitd.%I FOR VALUES FROM (%L) TO (%L)',
                       leaf, debitd.start_of(month), debitd.start_of(following));
    END IF;
    EXECUTE format('GRANT SELECT, INSERT ON debitd.%I TO debitd_writer', leaf);
END
$$;

-- Leaves for the booking month and the three after it. SECURITY DEFINER: the daemon may not create
-- tables.
CREATE OR REPLACE FUNCTION debitd.ensure_months() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date;
BEGIN
    -- Two daemons at the same work would both create the same leaf. Not the books lock: this does not wait for bookings.
    PERFORM pg_advisory_xact_lock(debitd.books_lock() + 1);
    SELECT b.month INTO first FROM debitd.books b;
    FOR ahead IN 0..3 LOOP
        PERFORM debitd.make_leaves((first + make_interval(months => ahead))::date);
    END LOOP;
END
$$;

-- Moves the booking month to that of the clock; true when it moved. wait = false: only where nobody
-- is booking (then it neither waits nor can deadlock). Never called by a transaction that holds the
-- books lock and would wait for another one that does.
CREATE OR REPLACE FUNCTION debitd.switch_month(wait boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM debitd.books b WHERE b.month < debitd.month_of(debitd.now())) THEN
        RETURN false; -- nothing to do: nobody needs to be waited for
    END IF;
    IF wait THEN
        PERFORM pg_advisory_xact_lock(debitd.books_lock());
    ELSIF NOT pg_try_advisory_xact_lock(debitd.books_lock()) THEN
        RETURN false;
    END IF;
    UPDATE debitd.books b SET month = debitd.month_of(debitd.now())
     WHERE b.month < debitd.month_of(debitd.now());
    IF NOT FOUND THEN
        RETURN false; -- another one moved it meanwhile
    END IF;
    PERFORM debitd.ensure_months();
    RETURN true;
END
$$;
