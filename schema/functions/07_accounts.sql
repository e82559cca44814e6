-- What operations on accounts are made of: locks, entries, plans and their grants.
--
-- Order of locks, everywhere: books (shared), payers ascending, event keys, alerts. All of it runs
-- under the books lock.

-- Locks the payers of the named accounts, and those accounts' own payer rows, in order.
-- enable_seqscan is off: every access is by key, and plans that a session made while the tables were
-- young and small would otherwise read them whole until the next ANALYZE.
CREATE OR REPLACE FUNCTION debitd.lock_accounts(accounts text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM debitd.payer p
      WHERE p.payer_id IN (SELECT a.payer_id FROM debitd.account a WHERE a.name = ANY (accounts)
                           UNION ALL SELECT a.account_id FROM debitd.account a WHERE a.name = ANY (accounts))
      ORDER BY p.payer_id
        FOR NO KEY UPDATE OF p;
END
$$;

-- The same for one that holds such locks already: none is waited for (55P03), because it may come
-- before those in order, and its holder may wait for them.
CREATE OR REPLACE FUNCTION debitd.lock_accounts_at_once(accounts text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM debitd.payer p
      WHERE p.payer_id IN (SELECT a.payer_id FROM debitd.account a WHERE a.name = ANY (accounts)
                           UNION ALL SELECT a.account_id FROM debitd.account a WHERE a.name = ANY (accounts))
        FOR NO KEY UPDATE OF p NOWAIT;
END
$$;

-- The plan of that name: the version in force, or of a plan that the catalogue has no more, its
-- last one.
CREATE OR REPLACE FUNCTION debitd.plan_named(p_name_id integer) RETURNS debitd.plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found debitd.plan;
BEGIN
    SELECT p.* INTO found FROM debitd.plan p WHERE p.plan_name_id = p_name_id ORDER BY p.until IS NULL DESC, p.plan_id DESC LIMIT 1;
    RETURN found;
END
$$;

-- Books one entry on a payer that is locked, and raises its balance alerts. event: source, id,
-- time, reference, reason and metadata of what caused it, null where nothing did. quiet: no alerts.
-- Its plan is the one given, its unit that of the payer.
CREATE OR REPLACE FUNCTION debitd.book_entry(p_entry_id bigint, p_booked_at timestamptz, p_type debitd.entry_type,
    p_account_id bigint, p_payer_id bigint, p_amount numeric, p_plan debitd.plan, p_event jsonb, p_quiet boolean)
    RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    amount      CONSTANT numeric := trim_scale(p_amount);
    source_name CONSTANT text := p_event ->> 'source';
    occurred    CONSTANT timestamptz := coalesce((p_event ->> 'time')::timestamptz, p_booked_at);
    source_id   integer;
    payer       debitd.payer;
    alerts      text[];
    first_seq   bigint;
BEGIN
    SELECT n.name_id INTO source_id FROM debitd.name n WHERE n.name = source_name;
    UPDATE debitd.payer p
       SET balance   = trim_scale(p.balance + amount),
           purchased = trim_scale(p.purchased + CASE WHEN p_type = 'purchase' THEN amount ELSE 0 END),
           granted   = trim_scale(p.granted + CASE WHEN p_type IN ('grant', 'bonus') THEN amount ELSE 0 END),
           refunded  = trim_scale(p.refunded + CASE WHEN p_type = 'refund' THEN amount ELSE 0 END),
           adjusted  = trim_scale(p.adjusted + CASE WHEN p_type = 'adjustment' THEN amount ELSE 0 END),
           settled   = trim_scale(p.settled + CASE WHEN p_type = 'settlement' THEN amount ELSE 0 END),
           updated_at = p_booked_at
     WHERE p.payer_id = p_payer_id
    RETURNING p.* INTO STRICT payer;
    INSERT INTO debitd.ledger (entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, source_id, event_id,
                               amount, unit_id, balance_after, plan_id, reference, reason, metadata)
    VALUES (p_entry_id, p_account_id, p_payer_id, p_type, occurred, p_booked_at, (occurred AT TIME ZONE 'UTC')::date,
            source_id, p_event ->> 'id', amount, payer.unit_id, payer.balance, p_plan.plan_id,
            p_event ->> 'reference', p_event ->> 'reason', p_event -> 'metadata');
    IF p_quiet THEN
        RETURN;
    END IF;
    alerts := debitd.balance_alerts(p_plan.kind, p_plan.low_balance, payer.balance - amount, payer.balance, payer.has_charge);
    IF cardinality(alerts) = 0 THEN
        RETURN;
    END IF;
    first_seq := nextval('debitd.alert_seq');
    PERFORM debitd.raise_alerts(array_agg(first_seq + a.at), array_agg(a.type), array_agg(p_payer_id),
                array_agg(NULL::integer), array_agg(NULL::date),
                array_agg(CASE a.type WHEN 'balance.exhausted' THEN 0 ELSE p_plan.low_balance END),
                array_agg(p_entry_id), array_agg(NULL::numeric), array_agg(NULL::numeric), array_agg(payer.balance),
                array_agg(source_name), array_agg(p_event ->> 'id'), array_agg(NULL::text), array_agg(NULL::text),
                array_agg(NULL::text), array_agg(NULL::text), p_booked_at)
       FROM unnest(alerts) WITH ORDINALITY AS a (type, at);
END
$$;

-- Raises the thresholds that a payer has reached by the change of its plan, in the booking month.
-- old: null where it had none. Names the event of the change.
CREATE OR REPLACE FUNCTION debitd.raise_plan_thresholds(p_payer_id bigint, p_old debitd.plan, p_new debitd.plan,
    p_month date, p_entry_id bigint, p_event jsonb, p_booked_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first_seq CONSTANT bigint := nextval('debitd.alert_seq');
BEGIN
    PERFORM debitd.raise_alerts(array_agg(first_seq + c.at), array_agg('usage.threshold.reached'::text),
                array_agg(p_payer_id), array_agg(c.metric_id), array_agg(p_month), array_agg(c.threshold),
                array_agg(p_entry_id), array_agg(c.used), array_agg(c.included), array_agg(NULL::numeric),
                array_agg(p_event ->> 'source'), array_agg(p_event ->> 'id'), array_agg(NULL::text),
                array_agg(NULL::text), array_agg(c.metric), array_agg(NULL::text), p_booked_at)
       FROM (SELECT q.metric_id, n.name::text AS metric, t.threshold, u.used, q.included,
                    row_number() OVER (ORDER BY n.name, t.threshold) AS at
               FROM debitd.plan_quota q
               JOIN debitd.usage u ON u.payer_id = p_payer_id AND u.metric_id = q.metric_id AND u.period = 'm'
                                  AND u.period_start = p_month
               JOIN debitd.name n ON n.name_id = q.metric_id
               LEFT JOIN debitd.plan_quota o ON o.plan_id = p_old.plan_id AND o.metric_id = q.metric_id
              CROSS JOIN unnest(debitd.crossed_thresholds(q.thresholds, o.included, u.used, q.included, u.used))
                    AS t (threshold)
              WHERE q.plan_id = p_new.plan_id AND q.included IS NOT NULL) c
     HAVING count(*) > 0;
END
$$;

-- What a plan grants on assignment: the welcome, where one is due, and what its credits of the
-- period exceed those that plans have granted in the booking month already. 0: none.
CREATE OR REPLACE FUNCTION debitd.grants_due(p_plan debitd.plan, p_welcome boolean, p_granted numeric,
    OUT welcome numeric, OUT credits numeric)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    welcome := CASE WHEN p_welcome THEN coalesce(p_plan.welcome, 0) ELSE 0 END;
    credits := greatest(coalesce(p_plan.credits_per_period, 0) - p_granted, 0);
END
$$;

-- The entries that make up these grants.
CREATE OR REPLACE FUNCTION debitd.grant_amounts(p_welcome numeric, p_credits numeric) RETURNS numeric[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN p_welcome > 0 THEN ARRAY[p_welcome] ELSE '{}' END || CASE WHEN p_credits > 0 THEN ARRAY[p_credits] ELSE '{}' END;
END
$$;

-- Notes that plans have granted that much in the month of booking.
CREATE OR REPLACE FUNCTION debitd.note_credits(p_payer_id bigint, p_credits numeric, p_month date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE debitd.payer p
       SET granted_by_plans = trim_scale(p_credits + CASE WHEN p.granted_month = p_month THEN p.granted_by_plans ELSE 0 END),
           granted_month = p_month
     WHERE p.payer_id = p_payer_id AND p_credits > 0;
END
$$;

-- Locks the payers of an account and of the parent it names. False, and nothing locked: what they
-- are changed while the locks were waited for, so that others are needed. To keep what was locked
-- and to add the others would break the order of locks; a subtransaction lets them go. Where a batch
-- has locked its accounts before (debitd.batch, see queries/lock_accounts.sql), one that it could
-- not know then is taken at once or not at all: the batch runs again, and locks it in order.
CREATE OR REPLACE FUNCTION debitd.lock_account(p_account text, p_parent text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before jsonb;
BEGIN
    SELECT jsonb_object_agg(a.name, a.payer_id) INTO before FROM debitd.account a WHERE a.name IN (p_account, p_parent);
    IF current_setting('debitd.batch', true) = 'on' THEN
        PERFORM debitd.lock_accounts_at_once(ARRAY[p_account, p_parent]);
    ELSE
        PERFORM debitd.lock_accounts(ARRAY[p_account, p_parent]);
    END IF;
    IF before IS DISTINCT FROM
        (SELECT jsonb_object_agg(a.name, a.payer_id) FROM debitd.account a WHERE a.name IN (p_account, p_parent)) THEN
        RAISE EXCEPTION 'the payers changed' USING ERRCODE = 'UF002'; -- caught below
    END IF;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'UF002' THEN
    RETURN false;
END
$$;

-- Makes an account that nobody has opened yet; null where another session was faster. parent null:
-- it pays itself, and gets its payer row.
CREATE OR REPLACE FUNCTION debitd.make_account(p_name text, p_parent bigint, p_plan debitd.plan, p_opened_at timestamptz,
    p_booked_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_id bigint := nextval('debitd.account_account_id_seq');
BEGIN
    INSERT INTO debitd.account AS a (account_id, name, payer_id, plan_name_id, welcomed, opened_at) OVERRIDING SYSTEM VALUE
    VALUES (new_id, p_name, coalesce(p_parent, new_id), p_plan.plan_name_id, p_parent IS NULL, p_opened_at)
    ON CONFLICT (name) DO NOTHING
    RETURNING a.account_id INTO new_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_parent IS NULL THEN
        INSERT INTO debitd.payer (payer_id, plan_name_id, unit_id, updated_at)
        VALUES (new_id, p_plan.plan_name_id, p_plan.unit_id, p_booked_at);
    END IF;
    RETURN new_id;
END
$$;

-- Opens the accounts of these names that do not exist, on that plan, with its grants (no event
-- caused them); returns how many. None where the catalogue has no such plan.
CREATE OR REPLACE FUNCTION debitd.open_unknown(accounts text[], plan text) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    books    record;
    new_plan debitd.plan;
    due      record;
    account  text;
    amount   numeric;
    new_id   bigint;
    made     bigint[] := ARRAY[]::bigint[];
    first_id bigint;
    next_id  bigint;
BEGIN
    SELECT * INTO books FROM debitd.open_books();
    SELECT p.* INTO new_plan FROM debitd.plan p JOIN debitd.name n ON n.name_id = p.plan_name_id
     WHERE n.name = open_unknown.plan AND p.until IS NULL;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR account IN
        SELECT DISTINCT w.name COLLATE "C" FROM unnest(accounts) AS w (name)
         WHERE NOT EXISTS (SELECT FROM debitd.account a WHERE a.name = w.name) ORDER BY 1
    LOOP
        new_id := debitd.make_account(account, NULL, new_plan, books.now, books.now);
        IF new_id IS NOT NULL THEN
            made := made || new_id;
        END IF;
    END LOOP;
    SELECT * INTO due FROM debitd.grants_due(new_plan, true, 0);
    IF cardinality(made) > 0 AND due.welcome + due.credits > 0 THEN
        first_id := nextval('debitd.entry_seq');
        next_id := first_id;
        FOREACH new_id IN ARRAY made LOOP
            FOREACH amount IN ARRAY debitd.grant_amounts(due.welcome, due.credits) LOOP
                PERFORM debitd.book_entry(next_id, books.now, 'grant', new_id, new_id, amount, new_plan, NULL, false);
                next_id := next_id + 1;
            END LOOP;
            PERFORM debitd.note_credits(new_id, due.credits, books.month);
        END LOOP;
        INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at) VALUES (first_id, next_id - 1, books.now);
    END IF;
    RETURN cardinality(made);
END
$$;
