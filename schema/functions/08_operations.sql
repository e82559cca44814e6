-- Operations on accounts: the one place where they are decided and booked, whether they come from
-- Kafka, debitctl or SQL (contract 1.2, 2.3, 3).
--
-- Each is first decided, under the locks, without a change; then it takes its identity, then it is
-- booked. What is refused leaves nothing behind.

-- Plan of an account that pays itself, new or not: what its assignment comes to. payer: a null
-- record where the account is new.
CREATE OR REPLACE FUNCTION debitd.decide_plan(p_new debitd.plan, p_payer debitd.payer, p_month date) RETURNS debitd.decision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d   debitd.decision;
    due record;
BEGIN
    d.pays := true;
    d.new_plan := p_new;
    d.old_plan := debitd.plan_named(p_payer.plan_name_id);
    d.other_unit := coalesce(p_payer.unit_id <> p_new.unit_id, false);
    IF d.other_unit AND EXISTS (SELECT FROM debitd.ledger l WHERE l.payer_id = p_payer.payer_id AND l.type <> 'grant') THEN
        d.reason := 'unit_mismatch';
        d.detail := 'the plan is in another unit than what is booked already';
        RETURN d;
    END IF;
    d.take_back := CASE WHEN d.other_unit THEN p_payer.balance ELSE 0 END;
    SELECT * INTO due FROM debitd.grants_due(p_new, p_payer.payer_id IS NULL,
        CASE WHEN p_payer.granted_month = p_month AND NOT d.other_unit THEN p_payer.granted_by_plans ELSE 0 END);
    d.amounts := debitd.grant_amounts(due.welcome, due.credits);
    d.types := array_fill('grant'::debitd.entry_type, ARRAY[cardinality(d.amounts)]);
    d.credits := due.credits;
    IF coalesce(p_payer.balance, 0) - d.take_back + due.welcome + due.credits >= 1e18 THEN
        d.reason := 'out_of_range';
        d.detail := 'the balance would be 1e18 or more';
    END IF;
    RETURN d;
END
$$;

-- What opening, updating, closing or assigning comes to. account and parent are null records where
-- there is none; month: of booking.
CREATE OR REPLACE FUNCTION debitd.decide_account(p_account debitd.account, p_parent debitd.account, p_data jsonb, p_month date)
    RETURNS debitd.decision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d        debitd.decision;
    new_plan debitd.plan;
    payer    debitd.payer;
BEGIN
    d.pays := p_parent.account_id IS NULL AND (p_account.account_id IS NULL OR p_account.payer_id = p_account.account_id);
    IF p_parent.payer_id <> p_parent.account_id THEN
        d.reason := 'bad_data';
        d.detail := format('parent "%s" has a parent itself', left(p_parent.name, 100));
    ELSIF p_parent.account_id IS NOT NULL AND EXISTS (SELECT FROM debitd.account a
            WHERE a.payer_id = p_account.account_id AND a.account_id <> p_account.account_id) THEN
        d.reason := 'bad_data';
        d.detail := 'the account has children: it cannot have a parent';
    END IF;
    IF d.reason IS NOT NULL OR NOT p_data ? 'plan' THEN
        RETURN d;
    END IF;
    SELECT p.* INTO new_plan FROM debitd.plan p JOIN debitd.name n ON n.name_id = p.plan_name_id
     WHERE n.name = p_data ->> 'plan' AND p.until IS NULL;
    IF NOT FOUND THEN
        d.reason := 'unknown_plan';
        d.detail := format('the catalogue has no plan "%s"', left(p_data ->> 'plan', 100));
    ELSIF d.pays THEN
        SELECT p.* INTO payer FROM debitd.payer p WHERE p.payer_id = p_account.account_id;
        d := debitd.decide_plan(new_plan, payer, p_month);
    ELSE
        d.new_plan := new_plan;
    END IF;
    RETURN d;
END
$$;

-- What an operation on credits comes to.
CREATE OR REPLACE FUNCTION debitd.decide_credit(p_type text, p_payer debitd.payer, p_data jsonb) RETURNS debitd.decision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d       debitd.decision;
    package debitd.package;
BEGIN
    d.types := ARRAY[CASE p_type WHEN 'credits.purchased' THEN 'purchase'::debitd.entry_type
                                 WHEN 'credits.granted' THEN 'bonus'::debitd.entry_type
                                 WHEN 'credits.refunded' THEN 'refund'::debitd.entry_type
                                 WHEN 'credits.adjusted' THEN 'adjustment'::debitd.entry_type
                                 ELSE 'settlement'::debitd.entry_type END];
    IF p_type = 'credits.purchased' AND p_data ? 'package' THEN
        SELECT k.* INTO package FROM debitd.package k WHERE k.name = p_data ->> 'package' AND k.until IS NULL;
        IF NOT FOUND THEN
            d.reason := 'unknown_package';
            d.detail := format('the catalogue has no package "%s"', left(p_data ->> 'package', 100));
            RETURN d;
        ELSIF package.unit_id IS DISTINCT FROM p_payer.unit_id THEN
            d.reason := 'unit_mismatch';
            d.detail := format('package "%s" is not sold on plans of this unit', left(p_data ->> 'package', 100));
            RETURN d;
        END IF;
        d.amounts := ARRAY[package.amount];
        IF package.bonus > 0 THEN
            d.types := d.types || 'bonus'::debitd.entry_type;
            d.amounts := d.amounts || package.bonus;
        END IF;
    ELSE
        d.amounts := ARRAY[debitd.read_decimal(p_data -> 'amount')];
    END IF;
    IF abs(p_payer.balance + (SELECT sum(a.amount) FROM unnest(d.amounts) AS a (amount))) >= 1e18 THEN
        d.reason := 'out_of_range';
        d.detail := 'the balance would be 1e18 or more';
    END IF;
    RETURN d;
END
$$;

-- Usage that was parked as unpriced may be priced by what has changed of this account, or of the payer
-- that it is: it is made to look older than the catalogue, so that the next releaser tries it again.
-- The payer is locked: what was parked under its old plan stands there. Rows that a releaser holds it
-- will decide by the plan of now, as it has no lock on the payer yet.
CREATE OR REPLACE FUNCTION debitd.price_again(p_account_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE debitd.parked p SET catalogue_version = 0
     WHERE p.parked_id IN (
           SELECT w.parked_id FROM debitd.parked w
            WHERE w.released_at IS NULL AND w.reason = 'unpriced' AND w.waits_for IN (
                  SELECT a.name FROM debitd.account a WHERE a.payer_id = p_account_id OR a.account_id = p_account_id)
              FOR UPDATE SKIP LOCKED);
END
$$;

-- What an operation changes of the account itself, and of the payers it had and has now. All payers
-- it touches get a new version: what others know of them is stale.
CREATE OR REPLACE FUNCTION debitd.change_account(p_account debitd.account, p_parent debitd.account, p_type text, p_at timestamptz,
    p_data jsonb, d debitd.decision) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_plan CONSTANT debitd.plan := d.new_plan;
BEGIN
    UPDATE debitd.payer p SET version = p.version + 1
     WHERE p.payer_id IN (p_account.account_id, p_account.payer_id, p_parent.account_id);
    IF p_type NOT LIKE 'account.%' AND p_type <> 'plan.assigned' THEN
        RETURN;
    END IF;
    UPDATE debitd.account a
       SET title = coalesce(p_data ->> 'name', a.title),
           charged = coalesce((p_data ->> 'charged')::boolean, a.charged),
           byok = CASE WHEN p_data ? 'byok' THEN ARRAY(SELECT jsonb_array_elements_text(p_data -> 'byok')) ELSE a.byok END,
           plan_name_id = coalesce(new_plan.plan_name_id, a.plan_name_id),
           payer_id = coalesce(p_parent.account_id, a.payer_id),
           past_payers = CASE WHEN a.payer_id <> p_parent.account_id AND a.payer_id <> ALL (a.past_payers)
                              THEN a.past_payers || a.payer_id ELSE a.past_payers END,
           closed_at = CASE p_type WHEN 'account.opened' THEN NULL WHEN 'account.closed' THEN p_at ELSE a.closed_at END
     WHERE a.account_id = p_account.account_id;
    PERFORM debitd.price_again(p_account.account_id);
    IF p_parent.account_id IS NOT NULL THEN
        -- It pays no more; its balance stays where it is.
        UPDATE debitd.payer p SET plan_name_id = NULL WHERE p.payer_id = p_account.account_id;
    ELSIF d.pays AND new_plan.plan_id IS NOT NULL THEN
        UPDATE debitd.payer p
           SET plan_name_id = new_plan.plan_name_id, unit_id = new_plan.unit_id,
               granted_by_plans = CASE WHEN d.other_unit THEN 0 ELSE p.granted_by_plans END
         WHERE p.payer_id = p_account.account_id;
    END IF;
END
$$;

-- Books the entries of a decision from id first_entry on; the payer and the account are as they
-- were before.
CREATE OR REPLACE FUNCTION debitd.book_decision(p_account debitd.account, p_parent debitd.account, p_type text, p_at timestamptz,
    p_data jsonb, d debitd.decision, p_first_entry bigint, p_booked_at timestamptz, p_event jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entry_id bigint := p_first_entry;
    in_force debitd.plan := d.new_plan;
    paid_by  CONSTANT bigint := coalesce(p_parent.account_id, p_account.payer_id);
BEGIN
    IF d.take_back <> 0 THEN
        PERFORM debitd.book_entry(entry_id, p_booked_at, 'grant', p_account.account_id, paid_by, -d.take_back, d.old_plan, p_event, true);
        entry_id := entry_id + 1;
    END IF;
    PERFORM debitd.change_account(p_account, p_parent, p_type, p_at, p_data, d);
    IF d.pays AND in_force.plan_id IS NOT NULL THEN
        PERFORM debitd.raise_plan_thresholds(paid_by, d.old_plan, in_force, debitd.month_of(p_booked_at), p_first_entry,
                                             p_event, p_booked_at);
        PERFORM debitd.note_credits(paid_by, d.credits, debitd.month_of(p_booked_at));
    ELSE
        SELECT (debitd.plan_named(p.plan_name_id)).* INTO in_force FROM debitd.payer p WHERE p.payer_id = paid_by;
    END IF;
    FOR i IN 1..coalesce(cardinality(d.amounts), 0) LOOP
        PERFORM debitd.book_entry(entry_id, p_booked_at, d.types[i], p_account.account_id, paid_by, d.amounts[i], in_force,
                                  p_event, false);
        entry_id := entry_id + 1;
    END LOOP;
    IF entry_id > p_first_entry THEN
        INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at) VALUES (p_first_entry, entry_id - 1, p_booked_at);
    END IF;
END
$$;

-- Gives an event its identity; false where it has one already, by a transaction that was faster.
CREATE OR REPLACE FUNCTION debitd.take_identity(p_month date, p_key uuid, p_digest uuid, p_entry_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO debitd.event_key (month, key, digest, entry_id) VALUES (p_month, p_key, p_digest, p_entry_id)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- Whether an identity stands, within the dedup window or as long as its event is parked: null, duplicate, or rejected as id_reused.
CREATE OR REPLACE FUNCTION debitd.judge_identity(p_key uuid, p_digest uuid, p_month date, p_dedup_months integer,
    OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waits CONSTANT boolean := EXISTS (SELECT FROM debitd.parked p WHERE p.event_key = p_key AND p.released_at IS NULL);
    found_key debitd.event_key;
BEGIN
    SELECT k.* INTO found_key FROM debitd.event_key k
     WHERE k.key = p_key
       AND (waits OR p_dedup_months = 0 OR k.month >= (p_month - make_interval(months => p_dedup_months))::date)
     ORDER BY k.month DESC LIMIT 1;
    IF NOT FOUND THEN
        IF NOT waits THEN
            RETURN;
        END IF;
        found_key.digest := debitd.no_digest();
    END IF;
    IF found_key.digest = p_digest THEN
        outcome := 'duplicate';
        entry_id := found_key.entry_id;
    ELSE
        outcome := 'rejected';
        reason := 'id_reused';
        detail := 'another event with this source and id is in the books';
    END IF;
END
$$;

-- One operation, checked already, under the books lock. data: known members only; event: source, id
-- and time, and what of data its entries keep. standing: it has its identity already, because it
-- was parked. parks: what waits for an account takes its identity (the caller keeps the message),
-- else it is refused. outcome: done, duplicate, rejected, parked (then detail is the account waited
-- for); null: another session was faster with the account or the identity, try again.
CREATE OR REPLACE FUNCTION debitd.try_operation(p_key uuid, p_digest uuid, p_type text, p_account text, p_at timestamptz,
    p_data jsonb, p_event jsonb, p_standing boolean, p_parks boolean, p_month date, p_dedup_months integer, p_booked_at timestamptz,
    OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account debitd.account;
    parent  debitd.account;
    payer   debitd.payer;
    d       debitd.decision;
    made    bigint;
BEGIN
    IF NOT p_standing THEN
        SELECT j.* INTO outcome, reason, detail, entry_id FROM debitd.judge_identity(p_key, p_digest, p_month, p_dedup_months) AS j;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    IF NOT debitd.lock_account(p_account, p_data ->> 'parent') THEN
        RETURN;
    END IF;
    SELECT a.* INTO account FROM debitd.account a WHERE a.name = p_account;
    SELECT a.* INTO parent FROM debitd.account a WHERE a.name = p_data ->> 'parent';
    detail := CASE WHEN (account.account_id IS NULL OR account.closed_at IS NOT NULL) AND p_type <> 'account.opened' THEN p_account
                   WHEN p_data ? 'parent' AND (parent.account_id IS NULL OR parent.closed_at IS NOT NULL) THEN p_data ->> 'parent' END;
    IF detail IS NOT NULL AND NOT p_parks THEN
        outcome := 'rejected';
        reason := 'unknown_account';
        detail := format('account "%s" is not open', left(detail, 100));
        RETURN;
    ELSIF detail IS NOT NULL THEN
        IF p_standing OR debitd.take_identity(p_month, p_key, p_digest, NULL) THEN
            outcome := 'parked';
            reason := 'unknown_account';
        END IF;
        RETURN;
    END IF;
    IF p_type LIKE 'account.%' OR p_type = 'plan.assigned' THEN
        d := debitd.decide_account(account, parent, p_data, p_month);
    ELSE
        SELECT p.* INTO STRICT payer FROM debitd.payer p WHERE p.payer_id = account.payer_id;
        d := debitd.decide_credit(p_type, payer, p_data);
    END IF;
    IF d.reason IS NOT NULL THEN
        outcome := 'rejected';
        reason := d.reason;
        detail := d.detail;
        RETURN;
    END IF;
    IF account.account_id IS NULL THEN
        made := debitd.make_account(p_account, parent.account_id, d.new_plan, p_at, p_booked_at);
        IF made IS NULL THEN
            RETURN;
        END IF;
        SELECT a.* INTO STRICT account FROM debitd.account a WHERE a.account_id = made;
    END IF;
    IF d.take_back <> 0 OR cardinality(d.amounts) > 0 THEN
        entry_id := nextval('debitd.entry_seq');
    END IF;
    IF NOT p_standing AND NOT debitd.take_identity(p_month, p_key, p_digest, entry_id) THEN
        IF made IS NOT NULL THEN
            RAISE EXCEPTION 'the identity of an event was taken by another session while this one opened account "%"', p_account
                USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
        END IF;
        entry_id := NULL;
        RETURN;
    END IF;
    IF p_standing THEN -- its identity may be of an earlier month: the window begins when it is booked
        PERFORM debitd.take_identity(p_month, p_key, p_digest, entry_id);
    END IF;
    PERFORM debitd.book_decision(account, parent, p_type, p_at, p_data, d, entry_id, p_booked_at, p_event);
    outcome := 'done';
END
$$;

-- One operation, from its check to its entries.
-- enable_seqscan: see lock_accounts.
CREATE OR REPLACE FUNCTION debitd.operate(p_key uuid, p_digest uuid, p_source text, p_id text, p_type text, p_account text,
    p_at timestamptz, p_data jsonb, p_standing boolean, p_parks boolean,
    OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    books record;
    data  jsonb;
    event jsonb;
BEGIN
    SELECT 'rejected', c.reason, c.detail INTO outcome, reason, detail FROM debitd.check_operation(p_type, p_account, p_data) AS c;
    IF reason IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(jsonb_object_agg(m.key, m.value), '{}') INTO data FROM jsonb_each(p_data) AS m
     WHERE debitd.operation_members(p_type) ? m.key;
    event := jsonb_strip_nulls(jsonb_build_object('source', p_source, 'id', p_id, 'time', p_at,
        'reference', data -> 'reference', 'reason', data -> 'reason',
        'metadata', CASE WHEN data ? 'period' THEN jsonb_build_object('period', data -> 'period') END));
    SELECT * INTO books FROM debitd.open_books();
    PERFORM FROM debitd.intern(ARRAY[p_source]);
    outcome := NULL;
    WHILE outcome IS NULL LOOP
        SELECT t.* INTO outcome, reason, detail, entry_id
          FROM debitd.try_operation(p_key, p_digest, p_type, p_account, p_at, data, event, p_standing, p_parks,
                                    books.month, books.dedup_months, books.now) AS t;
    END LOOP;
END
$$;

-- Every operation on an account that has a message behind it: what waits for an account is parked,
-- and the caller keeps the message.
CREATE OR REPLACE FUNCTION debitd.account_event(key uuid, digest uuid, source text, id text, type text, account text,
    at timestamptz, data jsonb, OUT outcome text, OUT reason text, OUT detail text, OUT entry_id bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT o.* INTO outcome, reason, detail, entry_id
      FROM debitd.operate(key, digest, source, id, type, account, at, data, false, true) AS o;
END
$$;

-- The same for an operation that a person or a program asks for, by debitctl or by SQL: there is no
-- message to keep, so that what waits for an account is refused. key is the id, and the source is
-- one for both, so that a key books once whichever way it comes. An amount is compared by its
-- value.
CREATE OR REPLACE FUNCTION debitd.account_command(key text, type text, account text, data jsonb)
    RETURNS debitd.operation_result
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source CONSTANT text := '/debitd/operations';
    meant  CONSTANT jsonb := CASE WHEN data ? 'amount'
        THEN jsonb_set(data, '{amount}', coalesce(to_jsonb(trim_scale(debitd.read_decimal(data -> 'amount'))::text), 'null')) ELSE data END;
    result debitd.operation_result;
BEGIN
    IF NOT debitd.is_name(key) THEN
        result.outcome := 'rejected';
        result.reason := 'bad_attribute';
        result.detail := 'the key is no name of 1-256 bytes without control characters';
        RETURN result;
    END IF;
    -- Where no daemon runs nobody else moves the month; where one runs this does not wait for it.
    PERFORM debitd.switch_month(wait => false);
    SELECT o.* INTO result
      FROM debitd.operate(debitd.key_of(debitd.key_head(source), key, (SELECT b.timed_keys FROM debitd.books b)),
                          debitd.hash_parts(ARRAY['debitd/digest/v1', type, account, meant::text]),
                          source, key, type, account, debitd.now(), data, false, false) AS o;
    RETURN result;
END
$$;
