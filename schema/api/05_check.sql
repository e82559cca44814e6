-- Questions of programs, before usage happens. They reserve nothing: concurrent uses can overrun
-- what they say. Milliseconds, no locks.
--
-- SECURITY DEFINER: a child's answer is made of its payer's figures, which the child's own rights
-- do not show; debitd_account can ask about its own account only.

-- The balance that the account is paid from: its own, or its payer's. Null: there is no such
-- account.
CREATE OR REPLACE FUNCTION api.credit_balance(account text) RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT trim_scale(p.balance) FROM debitd.account a JOIN debitd.payer p ON p.payer_id = a.payer_id
             WHERE a.name = account AND debitd.caller_sees(account));
END
$$;

-- May the account use that much of the metric now? The first reason against it that applies:
--   unknown_account, account_closed, unknown_metric, bad_quantity (below 0, above 1e12, null): whatever the plan
--   unpriced            the payer's plan has neither quota, limit nor tariff for the metric
--   day_limit_reached   more than the day limit with it
--   quota_exhausted     more than the month quota with it, and the plan sells nothing beyond
--   balance_too_low     a prepaid plan: the balance is 0 or below, below the plan's minimum, or below what the use is known to be charged (what that is can depend on service and
--                       model, which the check does not ask: api.estimate does). Only where the use is charged at all.
-- A plan with enforce = false always allows, with the reason it would have refused. reason is null where there is none.
-- used, included, remaining, percent: of the month quota, or of the day limit where that refuses or is the only one; resets_at: when these begin anew.
CREATE OR REPLACE FUNCTION api.check_usage(account text, metric text, quantity numeric, OUT allowed boolean, OUT reason text,
    OUT used numeric, OUT included numeric, OUT remaining numeric, OUT balance numeric, OUT percent numeric, OUT resets_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at_now     CONSTANT timestamptz := debitd.now();
    today      CONSTANT date := (at_now AT TIME ZONE 'UTC')::date;
    this_month CONSTANT date := debitd.month_of(at_now);
    who        record;
    plan       debitd.plan;
    quota      debitd.plan_quota;
    the_metric integer;
    used_month numeric;
    used_today numeric;
    charge     numeric;
BEGIN
    allowed := false;
    SELECT a.charged, a.closed_at, p.payer_id, p.balance, p.plan_name_id INTO who
      FROM debitd.account a JOIN debitd.payer p ON p.payer_id = a.payer_id
     WHERE a.name = account AND debitd.caller_sees(account);
    SELECT m.metric_id INTO the_metric FROM debitd.metric m JOIN debitd.name n ON n.name_id = m.metric_id WHERE n.name = metric;
    balance := trim_scale(who.balance);
    reason := CASE WHEN who.payer_id IS NULL THEN 'unknown_account' WHEN who.closed_at IS NOT NULL THEN 'account_closed'
                   WHEN the_metric IS NULL THEN 'unknown_metric'
                   WHEN quantity IS NULL OR NOT (quantity BETWEEN 0 AND 1e12) THEN 'bad_quantity' END;
    IF reason IS NOT NULL THEN
        RETURN;
    END IF;
    plan := debitd.plan_named(who.plan_name_id);
    SELECT q.* INTO quota FROM debitd.plan_quota q WHERE q.plan_id = plan.plan_id AND q.metric_id = the_metric;
    SELECT coalesce(sum(u.used) FILTER (WHERE u.period = 'm'), 0), coalesce(sum(u.used) FILTER (WHERE u.period = 'd'), 0)
      INTO used_month, used_today
      FROM debitd.usage u
     WHERE u.payer_id = who.payer_id AND u.metric_id = the_metric
       AND (u.period = 'm' AND u.period_start = this_month OR u.period = 'd' AND u.period_start = today);
    IF plan.kind = 'prepaid' AND who.charged THEN
        SELECT e.charge INTO charge
          FROM debitd.estimate_usage(plan, quota, used_month, false, false, NULL, NULL, the_metric,
                                     jsonb_build_object('', quantity), at_now) AS e;
    END IF;
    reason := CASE
        WHEN quota.plan_id IS NULL AND who.charged AND (plan.tariff = 'none' OR plan.tariff = 'fixed' AND NOT EXISTS (
             SELECT FROM debitd.price r WHERE r.plan_name_id = plan.plan_name_id AND r.metric_id = the_metric)) THEN 'unpriced'
        WHEN used_today + quantity > quota.day_limit THEN 'day_limit_reached'
        WHEN quota.overage_price IS NULL AND used_month + quantity > quota.included THEN 'quota_exhausted'
        WHEN plan.kind = 'prepaid' AND who.charged AND charge IS DISTINCT FROM 0
             AND (who.balance <= 0 OR who.balance < plan.minimum_balance OR who.balance < charge)
             THEN 'balance_too_low' END;
    allowed := reason IS NULL OR NOT plan.enforce;
    IF reason = 'day_limit_reached' OR quota.included IS NULL AND quota.day_limit IS NOT NULL THEN
        used := used_today;
        included := quota.day_limit;
        resets_at := debitd.start_of(today + 1);
    ELSE
        used := used_month;
        included := quota.included;
        resets_at := debitd.start_of((this_month + interval '1 month')::date);
    END IF;
    used := trim_scale(used);
    included := trim_scale(included);
    remaining := trim_scale(CASE WHEN included IS NOT NULL THEN greatest(included - used, 0) END);
    percent := debitd.percent(used, included);
END
$$;

-- What the use would cost and be charged now, at the quotas as they stand. quantities: {"input":
-- 512, "output": "207.5"}, or just a number for a use without components. cost and charge are null
-- where no price says them, all is null where there is no such account or metric. affordable:
-- nothing is charged, the plan is postpaid, or what is left is neither below 0 nor below the
-- plan's minimum.
CREATE OR REPLACE FUNCTION api.estimate(account text, service text, model text, metric text, quantities jsonb,
    OUT cost numeric, OUT charge numeric, OUT balance_after numeric, OUT affordable boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at_now     CONSTANT timestamptz := debitd.now();
    components CONSTANT jsonb := CASE WHEN jsonb_typeof(quantities) = 'object' THEN quantities ELSE jsonb_build_object('', quantities) END;
    who        record;
    plan       debitd.plan;
    quota      debitd.plan_quota;
    the_metric integer;
    used_month numeric;
BEGIN
    IF (SELECT coalesce(bool_or(debitd.read_decimal(q.value) BETWEEN 0 AND 1e12 IS NOT TRUE), true) FROM jsonb_each(components) AS q) THEN
        RAISE EXCEPTION 'quantities must be decimals from 0 to 1e12, one a component: %', left(quantities::text, 200)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example {"input": 512, "output": 207}, or just 3.';
    END IF;
    SELECT a.charged, a.byok, p.payer_id, p.balance, p.plan_name_id INTO who
      FROM debitd.account a JOIN debitd.payer p ON p.payer_id = a.payer_id
     WHERE a.name = account AND debitd.caller_sees(account);
    SELECT m.metric_id INTO the_metric FROM debitd.metric m JOIN debitd.name n ON n.name_id = m.metric_id WHERE n.name = metric;
    IF who.payer_id IS NULL OR the_metric IS NULL THEN
        RETURN;
    END IF;
    plan := debitd.plan_named(who.plan_name_id);
    SELECT q.* INTO quota FROM debitd.plan_quota q WHERE q.plan_id = plan.plan_id AND q.metric_id = the_metric;
    SELECT u.used INTO used_month FROM debitd.usage u
     WHERE u.payer_id = who.payer_id AND u.metric_id = the_metric AND u.period = 'm' AND u.period_start = debitd.month_of(at_now);
    SELECT e.cost, e.charge INTO cost, charge
      FROM debitd.estimate_usage(plan, quota, coalesce(used_month, 0), NOT who.charged, coalesce(service = ANY (who.byok), false),
                                 service, model, the_metric, components, at_now) AS e;
    balance_after := trim_scale(who.balance - charge);
    affordable := charge = 0 OR plan.kind = 'postpaid' OR balance_after >= greatest(plan.minimum_balance, 0);
END
$$;
