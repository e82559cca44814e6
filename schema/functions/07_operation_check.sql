-- What an operation on an account must look like, whoever asks for it: the checks of contract 5
-- that need no books. From Kafka the data arrives checked and normalised; a direct caller of SQL
-- gets the same reason codes instead of an exception.

-- A decimal as JSON number, or as string in the grammar of a JSON number. Null: it is none.
-- 'Infinity', with its sign: too large to be looked at.
CREATE OR REPLACE FUNCTION debitd.read_decimal(value jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    digits   CONSTANT text := value #>> '{}';
    exponent numeric;
BEGIN
    IF jsonb_typeof(value) = 'number' THEN
        RETURN digits::numeric;
    ELSIF jsonb_typeof(value) IS DISTINCT FROM 'string'
          OR digits !~ '^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$' THEN
        RETURN NULL;
    ELSIF digits !~ '[1-9].*([eE]|$)' OR digits ~ '^[-0.]*[eE]' THEN
        RETURN 0;
    ELSIF length(digits) > 1000 THEN
        RETURN NULL;
    END IF;
    exponent := coalesce(substring(digits FROM '[eE](.*)$')::numeric, 0);
    IF exponent > 1000 THEN
        RETURN CASE WHEN digits LIKE '-%' THEN '-Infinity' ELSE 'Infinity' END::numeric;
    ELSIF exponent < -1000 THEN
        RETURN NULL; -- far more decimal places than any amount may have
    END IF;
    RETURN digits::numeric;
END
$$;

-- An amount: > 0, or with a sign not 0; at most 12 decimal places; below 1e18. reason null: it is
-- one.
CREATE OR REPLACE FUNCTION debitd.check_amount(p_value jsonb, p_signed boolean, OUT reason text, OUT detail text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    amount CONSTANT numeric := debitd.read_decimal(p_value);
BEGIN
    IF amount IS NULL THEN
        reason := 'bad_data';
        detail := 'amount is no decimal of at most 12 places';
    ELSIF amount = 0 THEN
        reason := 'bad_data';
        detail := 'amount is 0';
    ELSIF amount < 0 AND NOT p_signed THEN
        reason := 'bad_data';
        detail := 'amount is below 0';
    ELSIF abs(amount) = 'Infinity' THEN
        reason := 'out_of_range';
        detail := 'amount is 1e18 or more';
    ELSIF min_scale(amount) > 12 THEN
        reason := 'bad_data';
        detail := 'amount has more than 12 decimal places';
    ELSIF abs(amount) >= 1e18 THEN
        reason := 'out_of_range';
        detail := 'amount is 1e18 or more';
    END IF;
END
$$;

-- The members of data by type: name, text of a name's bounds; flag; names; amount, signed; period, a month; later:
-- known, but not in this version. '!': required.
CREATE OR REPLACE FUNCTION debitd.operation_members(p_type text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE p_type
        WHEN 'account.opened'    THEN '{"plan": "name", "parent": "name", "charged": "flag", "name": "name", "byok": "names"}'
        WHEN 'account.updated'   THEN '{"plan": "name", "parent": "name", "charged": "flag", "name": "name", "byok": "names"}'
        WHEN 'account.closed'    THEN '{"reason": "name"}'
        WHEN 'plan.assigned'     THEN '{"plan": "name!", "until": "later"}'
        WHEN 'credits.purchased' THEN '{"amount": "amount", "package": "name", "reference": "name"}'
        WHEN 'credits.granted'   THEN '{"amount": "amount!", "reason": "name", "expires": "later"}'
        WHEN 'credits.refunded'  THEN '{"amount": "amount!", "reference": "name", "reason": "name", "event_source": "later", "event_id": "later"}'
        WHEN 'credits.adjusted'  THEN '{"amount": "signed!", "reason": "name"}'
        WHEN 'invoice.paid'      THEN '{"amount": "amount!", "period": "period!", "reference": "name"}'
    END::jsonb;
END
$$;

-- Why this member cannot be booked; null: it can, as far as one can see from here. Amounts are
-- looked at by check_amount().
CREATE OR REPLACE FUNCTION debitd.member_fault(p_name text, p_kind text, p_value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_value IS NULL THEN
        RETURN CASE WHEN p_kind LIKE '%!' THEN p_name || ' is missing' END;
    ELSIF p_kind = 'later' THEN
        RETURN p_name || ' is not supported in this version; booking without it would book something else than was meant';
    ELSIF p_kind IN ('name', 'name!') THEN
        IF jsonb_typeof(p_value) <> 'string' OR NOT debitd.is_name(p_value #>> '{}') THEN
            RETURN p_name || ' is no string of 1-256 bytes without control characters';
        END IF;
    ELSIF p_kind = 'period!' THEN
        IF jsonb_typeof(p_value) <> 'string' OR p_value #>> '{}' !~ '^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$' THEN
            RETURN p_name || ' is no month as in "2026-11"';
        END IF;
    ELSIF p_kind = 'flag' AND jsonb_typeof(p_value) <> 'boolean' THEN
        RETURN p_name || ' is neither true nor false';
    ELSIF p_kind = 'names' THEN
        IF jsonb_typeof(p_value) <> 'array' THEN
            RETURN p_name || ' is no list of services';
        ELSIF EXISTS (SELECT FROM jsonb_array_elements(p_value) AS e (value)
                       WHERE jsonb_typeof(e.value) <> 'string' OR NOT debitd.is_name(e.value #>> '{}')) THEN
            RETURN p_name || ' has a member that is no string of 1-256 bytes without control characters';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- The first reason that applies, in the order of contract 5; null: none.
CREATE OR REPLACE FUNCTION debitd.check_operation(p_type text, p_account text, p_data jsonb, OUT reason text, OUT detail text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    members CONSTANT jsonb := debitd.operation_members(p_type);
BEGIN
    IF NOT debitd.is_name(p_account) THEN
        reason := 'bad_attribute';
        detail := 'the account is no name of 1-256 bytes without control characters';
        RETURN;
    ELSIF members IS NULL THEN
        reason := 'unknown_type';
        detail := format('there is no operation "%s"', left(p_type, 64));
        RETURN;
    ELSIF jsonb_typeof(p_data) IS DISTINCT FROM 'object' THEN
        reason := 'bad_data';
        detail := 'data is no object';
        RETURN;
    END IF;
    SELECT min(debitd.member_fault(m.key, m.value, p_data -> m.key)) INTO detail FROM jsonb_each_text(members) AS m;
    IF detail IS NULL AND p_type = 'account.opened' AND NOT p_data ? 'plan' AND NOT p_data ? 'parent' THEN
        detail := 'plan is missing: an account without a parent needs one';
    ELSIF detail IS NULL AND p_data ->> 'parent' = p_account AND members ? 'parent' THEN
        detail := 'an account cannot be its own parent';
    ELSIF detail IS NULL AND p_type = 'credits.purchased' AND (p_data ? 'amount') = (p_data ? 'package') THEN
        detail := 'one of amount and package is needed, not both';
    END IF;
    IF detail IS NOT NULL THEN
        reason := 'bad_data';
    ELSIF members ? 'amount' AND p_data ? 'amount' THEN
        SELECT c.reason, c.detail INTO reason, detail
          FROM debitd.check_amount(p_data -> 'amount', members ->> 'amount' = 'signed!') AS c;
    END IF;
END
$$;
