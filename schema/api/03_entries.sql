-- Entries and what they sum up to, by the account that used.

-- One row an entry; entry_id ascends in booking order within a payer. cost null: unknown. Names
-- that nobody selects by are looked up behind the LIMIT of a page, in the select list; accounts
-- are joined, so that a condition on them reaches the index. For a page of the history of an
-- account with very many entries ask api.ledger_page(): it reads the page only.
CREATE OR REPLACE VIEW api.ledger WITH (security_invoker = true) AS
SELECT l.entry_id, a.name AS account_id, payer.name AS payer_id, l.type::text AS type,
       (SELECT n.name FROM debitd.name n WHERE n.name_id = l.source_id) AS event_source, l.event_id, l.occurred_at, l.booked_at,
       (SELECT n.name FROM debitd.name n WHERE n.name_id = l.service_id) AS service,
       (SELECT n.name FROM debitd.name n WHERE n.name_id = l.model_id) AS model,
       (SELECT n.name FROM debitd.name n WHERE n.name_id = l.metric_id) AS metric, trim_scale(l.quantity) AS quantity,
       (SELECT jsonb_object_agg(n.name, jsonb_build_object('quantity', trim_scale(c.quantity)::text,
                                                           'cost', trim_scale(c.cost)::text, 'price_id', c.price_id))
          FROM unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_prices)
               AS c (component_id, quantity, cost, price_id)
          JOIN debitd.name n ON n.name_id = c.component_id) AS components,
       (SELECT n.name FROM debitd.name n WHERE n.name_id = l.currency_id) AS currency, trim_scale(l.cost) AS cost,
       trim_scale(l.amount) AS amount, (SELECT n.name FROM debitd.name n WHERE n.name_id = l.unit_id) AS unit,
       trim_scale(l.balance_after) AS balance_after,
       (SELECT n.name FROM debitd.plan p JOIN debitd.name n ON n.name_id = p.plan_name_id WHERE p.plan_id = l.plan_id) AS plan,
       l.price_source, l.late, l.corrects, l.reference, l.reason, l.user_id, l.thread_id, l.execution_id, l.agent_id, l.metadata
  FROM debitd.ledger l
  JOIN debitd.account a ON a.account_id = l.account_id
  JOIN debitd.account payer ON payer.account_id = l.payer_id;

-- The newest `most` entries of an account, newest first; before: only those with a smaller
-- entry_id (the last one of the page before). The ids are found first, by the index on
-- (account_id, entry_id) alone: a condition on the account's name would have all its entries read
-- and sorted. Planned once a session, and for look-ups by key alone: else the planning of each call
-- and reading all names for each row took a third of it.
CREATE OR REPLACE FUNCTION api.ledger_page(account text, most integer DEFAULT 50, before bigint DEFAULT NULL) RETURNS SETOF api.ledger
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    number CONSTANT bigint := (SELECT a.account_id FROM debitd.account a WHERE a.name = account);
    ids    CONSTANT bigint[] := ARRAY(
        SELECT l.entry_id FROM debitd.ledger l
         WHERE l.account_id = number AND l.entry_id < coalesce(before, 9223372036854775807)
         ORDER BY l.entry_id DESC LIMIT most);
BEGIN
    RETURN QUERY
        SELECT v.* FROM unnest(ids) AS i (entry_id)
         CROSS JOIN LATERAL (SELECT * FROM api.ledger p WHERE p.account_id = account AND p.entry_id = i.entry_id OFFSET 0) v
         ORDER BY v.entry_id DESC;
END
$$;

-- By day of use. Entries that are not summed yet are added, so that it agrees with the ledger at
-- any moment. Both halves name the account themselves: so a condition on it reaches their indexes.
CREATE OR REPLACE VIEW api.usage_daily WITH (security_invoker = true) AS
SELECT d.account_id, d.day, metric.name AS metric, service.name AS service, model.name AS model, component.name AS component,
       trim_scale(sum(d.quantity)) AS quantity, trim_scale(sum(d.cost)) AS cost, trim_scale(sum(d.charge)) AS charge,
       sum(d.events)::bigint AS events
  FROM (SELECT a.name AS account_id, s.day, s.metric_id, s.service_id, s.model_id, s.component_id, s.quantity, s.cost, s.charge, s.events
          FROM debitd.usage_daily s
          JOIN debitd.account a ON a.account_id = s.account_id
        UNION ALL
        SELECT a.name, l.counted_on, l.metric_id, coalesce(l.service_id, 0), coalesce(l.model_id, 0), c.component_id,
               c.quantity, CASE WHEN l.cost IS NULL THEN 0 ELSE c.cost END, c.charge, CASE l.type WHEN 'usage' THEN 1 ELSE -1 END
          FROM debitd.batch b
          JOIN debitd.ledger l ON l.entry_id BETWEEN b.entry_lo AND b.entry_hi AND l.entry_id >> 20 = b.entry_lo >> 20 -- as in debitd.fold
               -- the bounds of all of them: an account's index is read from there on, and only
               -- leaves that they can be in
               AND l.entry_id >= (SELECT min(w.entry_lo) FROM debitd.batch w WHERE NOT w.folded)
               AND l.entry_id <= (SELECT max(w.entry_hi) FROM debitd.batch w WHERE NOT w.folded)
               AND l.booked_at >= (SELECT date_trunc('month', min(w.booked_at) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                                     FROM debitd.batch w WHERE NOT w.folded)
          JOIN debitd.account a ON a.account_id = l.account_id
         CROSS JOIN LATERAL unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_charges)
               AS c (component_id, quantity, cost, charge)
         WHERE NOT b.folded AND l.type IN ('usage', 'void')) d
  JOIN debitd.name metric ON metric.name_id = d.metric_id
  JOIN debitd.name component ON component.name_id = d.component_id
  LEFT JOIN debitd.name service ON service.name_id = d.service_id
  LEFT JOIN debitd.name model ON model.name_id = d.model_id
 GROUP BY d.account_id, d.day, metric.name, service.name, model.name, component.name;

-- An event counts once, a void takes it back. By the month that the entry counts in. top_model:
-- the one that cost most, then the one used most.
CREATE OR REPLACE VIEW api.monthly_summary WITH (security_invoker = true) AS
SELECT m.account_id, m.month, sum(m.events)::bigint AS events, trim_scale(sum(m.quantity)) AS quantity,
       trim_scale(sum(m.cost)) AS cost, trim_scale(sum(m.charge)) AS charge,
       (array_agg(m.model ORDER BY m.cost DESC, m.quantity DESC, m.model) FILTER (WHERE m.model IS NOT NULL))[1] AS top_model
  FROM (SELECT a.name AS account_id, date_trunc('month', l.counted_on::timestamp)::date AS month, model.name AS model,
               sum(CASE l.type WHEN 'usage' THEN 1 ELSE -1 END) AS events, sum(l.quantity) AS quantity,
               coalesce(sum(l.cost), 0) AS cost, -sum(l.amount) AS charge
          FROM debitd.ledger l
          JOIN debitd.account a ON a.account_id = l.account_id
          LEFT JOIN debitd.name model ON model.name_id = l.model_id
         WHERE l.type IN ('usage', 'void')
         GROUP BY 1, 2, 3) m
 GROUP BY m.account_id, m.month;

CREATE OR REPLACE VIEW api.thread_usage WITH (security_invoker = true) AS
SELECT a.name AS account_id, l.thread_id, sum(CASE l.type WHEN 'usage' THEN 1 ELSE -1 END)::bigint AS events,
       trim_scale(sum(l.quantity)) AS quantity, trim_scale(coalesce(sum(l.cost), 0)) AS cost, trim_scale(-sum(l.amount)) AS charge,
       min(l.occurred_at) FILTER (WHERE l.type = 'usage') AS first_use,
       max(l.occurred_at) FILTER (WHERE l.type = 'usage') AS last_use
  FROM debitd.ledger l
  JOIN debitd.account a ON a.account_id = l.account_id
 WHERE l.type IN ('usage', 'void') AND l.thread_id IS NOT NULL
 GROUP BY a.name, l.thread_id;

CREATE OR REPLACE VIEW api.model_usage WITH (security_invoker = true) AS
SELECT a.name AS account_id, service.name AS service, model.name AS model, metric.name AS metric,
       sum(CASE l.type WHEN 'usage' THEN 1 ELSE -1 END)::bigint AS events, trim_scale(sum(l.quantity)) AS quantity,
       trim_scale(coalesce(sum(l.cost), 0)) AS cost, trim_scale(-sum(l.amount)) AS charge,
       min(l.occurred_at) FILTER (WHERE l.type = 'usage') AS first_use,
       max(l.occurred_at) FILTER (WHERE l.type = 'usage') AS last_use
  FROM debitd.ledger l
  JOIN debitd.account a ON a.account_id = l.account_id
  JOIN debitd.name model ON model.name_id = l.model_id
  JOIN debitd.name metric ON metric.name_id = l.metric_id
  LEFT JOIN debitd.name service ON service.name_id = l.service_id
 WHERE l.type IN ('usage', 'void')
 GROUP BY a.name, service.name, model.name, metric.name;
