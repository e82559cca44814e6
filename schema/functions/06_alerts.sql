-- Alerts: the rules that account operations need (contract 4), and the one builder of what is
-- published.
--
-- The rules for usage are in C (daemon/rating/alert_rules.h); tests/golden/alert_rules/cases.json
-- drives both.

-- True where that much used has reached threshold percent of included; with included 0 every use
-- has.
CREATE OR REPLACE FUNCTION debitd.reached(threshold numeric, included numeric, used numeric) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN included = 0 THEN used > 0 ELSE used * 100 >= threshold * included END;
END
$$;

-- The thresholds that lie between two states of one metric's month quota, ascending.
-- included_before null: there was no quota, so nothing of it was used.
CREATE OR REPLACE FUNCTION debitd.crossed_thresholds(thresholds numeric[], included_before numeric, used_before numeric,
    included_after numeric, used_after numeric) RETURNS numeric[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(t.threshold ORDER BY t.threshold), '{}')
              FROM unnest(thresholds) AS t (threshold)
             WHERE debitd.reached(t.threshold, included_after, used_after)
               AND (included_before IS NULL OR NOT debitd.reached(t.threshold, included_before, used_before)));
END
$$;

-- 100 x used / included, half-even at 6 places; null where nothing is included.
CREATE OR REPLACE FUNCTION debitd.percent(used numeric, included numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN included <> 0 THEN debitd.mul_div_half_even(used, 100, included, 6) END;
END
$$;

-- The balance alerts of an entry, in the order in which they are published. kind: of the plan;
-- low_balance null: the plan has none.
CREATE OR REPLACE FUNCTION debitd.balance_alerts(kind text, low_balance numeric, before numeric, after numeric,
    has_charge boolean) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN kind = 'prepaid' THEN array_remove(ARRAY[
               CASE WHEN before >= low_balance AND low_balance > after THEN 'balance.low' END,
               CASE WHEN before > 0 AND 0 >= after THEN 'balance.exhausted' END,
               CASE WHEN has_charge AND before < low_balance AND low_balance <= after THEN 'balance.recovered' END], NULL)
           ELSE '{}' END;
END
$$;

-- Builds alerts and puts them into the outbox; parallel arrays, one element an alert. What is there
-- already (the same rule, payer, metric, period, threshold and event) stays as it is. Platform
-- alerts have payer_id null. Returns how many are new. The caller holds the payers' locks: an alert
-- tells the payer's unit. Planned once a session: a plan for each call costs as much as an alert.
-- enable_seqscan: see lock_accounts.
CREATE OR REPLACE FUNCTION debitd.raise_alerts(seq bigint[], type text[], payer_id bigint[], metric_id integer[],
    period_start date[], threshold numeric[], entry_id bigint[], used numeric[], included numeric[], balance numeric[],
    source text[], event_id text[], service text[], model text[], metric text[], component text[],
    raised_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    at_moment CONSTANT timestamptz := raised_at;
    moment    CONSTANT text := to_char(raised_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
    day       CONSTANT text := to_char(raised_at AT TIME ZONE 'UTC', 'YYYY-MM-DD');
    inserted  integer;
BEGIN
    WITH given AS (
        SELECT u.*, coalesce(a.name, 'platform') AS subject, n.name AS unit
          FROM unnest(seq, type, payer_id, metric_id, period_start, threshold, entry_id, used, included, balance,
                      source, event_id, service, model, metric, component)
               AS u (seq, type, payer_id, metric_id, period_start, threshold, entry_id, used, included, balance,
                     source, event_id, service, model, metric, component)
          LEFT JOIN debitd.account a ON a.account_id = u.payer_id
          LEFT JOIN debitd.payer p ON p.payer_id = u.payer_id
          LEFT JOIN debitd.name n ON n.name_id = p.unit_id
    ), built AS (
        SELECT g.*,
               CASE WHEN g.type = 'price.missing' -- once a day, whichever event was the first
                    THEN debitd.hash_parts(ARRAY['debitd/alert/v1', g.type, g.subject, g.metric, day, g.service, g.model, g.component])
                    ELSE debitd.hash_parts(ARRAY['debitd/alert/v1', g.type, g.subject, g.metric, g.period_start::text,
                             debitd.plain(g.threshold), g.source, g.event_id,
                             -- no event caused it: then only the entry tells one from another
                             CASE WHEN g.event_id IS NULL THEN g.entry_id::text END])
               END AS alert_id,
               CASE g.type
                   WHEN 'usage.threshold.reached' THEN jsonb_build_object(
                       'metric', g.metric, 'period', 'month', 'period_start', to_char(g.period_start, 'YYYY-MM-DD'),
                       'threshold', trim_scale(g.threshold), 'used', debitd.plain(g.used),
                       'included', debitd.plain(g.included), 'percent', debitd.plain(debitd.percent(g.used, g.included)))
                   WHEN 'price.missing' THEN jsonb_build_object(
                       'service', g.service, 'model', g.model, 'metric', g.metric, 'component', g.component)
                   ELSE jsonb_build_object(
                       'unit', g.unit, 'balance', debitd.plain(g.balance), 'threshold', debitd.plain(g.threshold))
               END || jsonb_build_object('event_source', g.source, 'event_id', g.event_id) AS data
          FROM given g
    )
    INSERT INTO debitd.alert (alert_id, alert_seq, type, payer_id, metric_id, period_start, threshold, entry_id,
                              event, raised_at)
    SELECT b.alert_id, b.seq, b.type, b.payer_id, b.metric_id, b.period_start, trim_scale(b.threshold), b.entry_id,
           jsonb_build_object('specversion', '1.0', 'id', b.alert_id::text, 'source', '/debitd', 'type', b.type,
               'subject', b.subject, 'time', moment, 'datacontenttype', 'application/json', 'data', b.data),
           at_moment
      FROM built b
     ORDER BY b.alert_id, b.seq -- sessions with the same alerts meet in the same order
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted;
END
$$;
