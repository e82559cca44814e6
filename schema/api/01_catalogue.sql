-- The catalogue in force and its history, with names instead of numbers. '*' stands for any.
--
-- All views of api: names are joined by id, and no function stands between a column and its table,
-- so that a condition on a column reaches the table's index. security_invoker: a reader sees
-- through them what the rights on the tables and row-level security let it see. Columns are only
-- ever added at the end.

CREATE SCHEMA IF NOT EXISTS api;

-- Cost prices, and the fixed prices of plans. A price is in force in [effective_from,
-- effective_until); the time of the event decides.
CREATE OR REPLACE VIEW api.price WITH (security_invoker = true) AS
SELECT r.price_id, plan.name AS plan, coalesce(service.name, '*') AS service, coalesce(model.name, '*') AS model,
       metric.name AS metric, coalesce(component.name, '*') AS component, trim_scale(r.price) AS price,
       trim_scale(r.per) AS per, currency.name AS currency, r.effective_from, r.effective_until, r.since AS since_version
  FROM debitd.price r
  JOIN debitd.name metric ON metric.name_id = r.metric_id
  JOIN debitd.name currency ON currency.name_id = r.currency_id
  LEFT JOIN debitd.name plan ON plan.name_id = r.plan_name_id
  LEFT JOIN debitd.name service ON service.name_id = r.service_id
  LEFT JOIN debitd.name model ON model.name_id = r.model_id
  LEFT JOIN debitd.name component ON component.name_id = r.component_id;

-- Every version of every plan; the one in force has until_version null. quotas: metric -> what is
-- included a month, what more costs, what a day may have.
CREATE OR REPLACE VIEW api.plan WITH (security_invoker = true) AS
SELECT plan.name AS plan, unit.name AS unit, p.kind, p.tariff, trim_scale(p.markup) AS markup, p.trust_cost,
       trim_scale(p.credits_per_period) AS credits_per_period, p.credits_policy, trim_scale(p.welcome) AS welcome,
       trim_scale(p.low_balance) AS low_balance, trim_scale(p.minimum_balance) AS minimum_balance,
       trim_scale(p.fee) AS fee, p.enforce,
       (SELECT jsonb_object_agg(m.name, jsonb_build_object(
                   'included', trim_scale(q.included)::text, 'overage_price', trim_scale(q.overage_price)::text,
                   'overage_per', trim_scale(q.overage_per)::text, 'day_limit', trim_scale(q.day_limit)::text,
                   'thresholds', q.thresholds))
          FROM debitd.plan_quota q JOIN debitd.name m ON m.name_id = q.metric_id
         WHERE q.plan_id = p.plan_id) AS quotas,
       p.since AS since_version, p.until AS until_version, since.applied_at AS since, until.applied_at AS until
  FROM debitd.plan p
  JOIN debitd.name plan ON plan.name_id = p.plan_name_id
  JOIN debitd.name unit ON unit.name_id = p.unit_id
  JOIN debitd.catalogue since ON since.version = p.since
  LEFT JOIN debitd.catalogue until ON until.version = p.until;

-- Every version of every package; the one in force has until_version null.
CREATE OR REPLACE VIEW api.package WITH (security_invoker = true) AS
SELECT k.name AS package, unit.name AS unit, trim_scale(k.amount) AS amount, trim_scale(k.bonus) AS bonus,
       trim_scale(k.price) AS price, currency.name AS currency, k.since AS since_version, k.until AS until_version,
       since.applied_at AS since, until.applied_at AS until
  FROM debitd.package k
  JOIN debitd.name unit ON unit.name_id = k.unit_id
  JOIN debitd.name currency ON currency.name_id = k.currency_id
  JOIN debitd.catalogue since ON since.version = k.since
  LEFT JOIN debitd.catalogue until ON until.version = k.until;
