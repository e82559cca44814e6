-- What usage would cost and be charged at this moment: the rules of money (contract 2.2, 2.3, 2.7)
-- once more, for questions that are asked in SQL. Booking is done by the daemon
-- (daemon/rating/rate.h); tests hold the two against each other. The price file of the daemon's
-- configuration is not known here.

-- True where who asks may see that account: everybody but debitd_account, and this one its own.
-- For SECURITY DEFINER functions, where current_user is their owner: hence the role that was set,
-- or logged in.
CREATE OR REPLACE FUNCTION debitd.caller_sees(p_account text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    RETURN p_account = current_setting('debitd.account', true) OR pg_has_role(caller, current_user, 'USAGE')
        OR pg_has_role(caller, 'debitd_reader', 'USAGE') OR pg_has_role(caller, 'debitd_admin', 'USAGE')
        OR pg_has_role(caller, 'debitd_writer', 'USAGE');
END
$$;

-- The id of a name; null where it is null or nobody has used it yet: then only '*' fits.
CREATE OR REPLACE FUNCTION debitd.name_id(p_name text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT n.name_id FROM debitd.name n WHERE n.name = p_name);
END
$$;

-- The first price that exists in the order of contract 2.7, in that currency or with the rate that
-- converts it; no row: none. p_plan_name_id null: cost prices.
CREATE OR REPLACE FUNCTION debitd.find_price(p_plan_name_id integer, p_service_id integer, p_model_id integer, p_metric_id integer,
    p_component_id integer, p_currency_id integer, p_at timestamptz, OUT price numeric, OUT per numeric, OUT rate numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH fit AS (
        SELECT r.price, r.per, r.currency_id,
               4 * (r.service_id IS NULL)::integer + 2 * (r.model_id IS NULL)::integer + (r.component_id IS NULL)::integer AS rank
          FROM debitd.price r
         WHERE r.metric_id = p_metric_id AND r.plan_name_id IS NOT DISTINCT FROM p_plan_name_id
           AND (r.service_id IS NULL OR r.service_id = p_service_id) AND (r.model_id IS NULL OR r.model_id = p_model_id)
           AND (r.component_id IS NULL OR r.component_id = p_component_id)
           AND r.effective_from <= p_at AND (r.effective_until IS NULL OR r.effective_until > p_at)
    )
    SELECT f.price, f.per, CASE WHEN f.currency_id = p_currency_id THEN 1 ELSE x.rate END
      INTO price, per, rate
      FROM fit f
      JOIN debitd.name currency ON currency.name_id = f.currency_id
      LEFT JOIN debitd.fx x ON x.from_id = f.currency_id AND x.to_id = p_currency_id
           AND x.effective_from <= p_at AND (x.effective_until IS NULL OR x.effective_until > p_at)
     WHERE f.rank = (SELECT min(o.rank) FROM fit o) AND (f.currency_id = p_currency_id OR x.rate IS NOT NULL)
     ORDER BY f.currency_id <> p_currency_id, currency.name
     LIMIT 1;
END
$$;

-- The sum over the components, each rounded once; null where one has no price. p_quantities:
-- component -> decimal.
CREATE OR REPLACE FUNCTION debitd.price_components(p_plan_name_id integer, p_service text, p_model text, p_metric_id integer,
    p_quantities jsonb, p_currency_id integer, p_at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN bool_and(f.price IS NOT NULL)
                        THEN sum(debitd.mul_div_half_even(debitd.read_decimal(q.value) * f.price, f.rate, f.per, 12)) END
              FROM jsonb_each(p_quantities) AS q (component, value)
              LEFT JOIN LATERAL debitd.find_price(p_plan_name_id, debitd.name_id(p_service), debitd.name_id(p_model), p_metric_id,
                                                  debitd.name_id(q.component), p_currency_id, p_at) AS f ON true);
END
$$;

-- C(used) of contract 2.3.
CREATE OR REPLACE FUNCTION debitd.overage(p_used numeric, p_quota debitd.plan_quota) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce(debitd.mul_div_half_even(greatest(p_used - p_quota.included, 0), p_quota.overage_price,
                                             p_quota.overage_per, 12), 0);
END
$$;

-- cost and charge, null where unknown. p_quota: a null record where the plan has none on the
-- metric; p_used: of the month; guest: charged nothing; byok: costs nothing either.
CREATE OR REPLACE FUNCTION debitd.estimate_usage(p_plan debitd.plan, p_quota debitd.plan_quota, p_used numeric, p_guest boolean,
    p_byok boolean, p_service text, p_model text, p_metric_id integer, p_quantities jsonb, p_at timestamptz,
    OUT cost numeric, OUT charge numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unit     debitd.unit;
    quantity CONSTANT numeric := (SELECT sum(debitd.read_decimal(q.value)) FROM jsonb_each(p_quantities) AS q);
BEGIN
    SELECT u.* INTO unit FROM debitd.unit u WHERE u.unit_id = p_plan.unit_id;
    cost := CASE WHEN p_byok THEN 0
                 ELSE debitd.price_components(NULL, p_service, p_model, p_metric_id, p_quantities, unit.valued_in, p_at) END;
    IF p_guest OR p_byok THEN
        charge := 0;
    ELSIF p_quota.included IS NOT NULL THEN
        charge := debitd.overage(p_used + quantity, p_quota) - debitd.overage(p_used, p_quota);
    ELSIF p_plan.tariff = 'cost_plus' THEN
        charge := debitd.mul_div_half_even(cost, 100 + coalesce(p_plan.markup, 0), 100 * unit.value, 12);
    ELSIF p_plan.tariff = 'fixed' AND (p_quota.plan_id IS NULL OR EXISTS (SELECT FROM debitd.price r
              WHERE r.plan_name_id = p_plan.plan_name_id AND r.metric_id = p_metric_id)) THEN
        charge := debitd.price_components(p_plan.plan_name_id, p_service, p_model, p_metric_id, p_quantities, p_plan.unit_id, p_at);
    ELSIF p_quota.plan_id IS NOT NULL THEN
        charge := 0; -- only a day limit
    END IF;
    cost := trim_scale(cost);
    charge := trim_scale(charge);
END
$$;
