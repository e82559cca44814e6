-- The folder: sums entries into usage_daily, by the ranges that transactions leave in debitd.batch.

-- Sums batches that are not summed yet: whole ones, in the order of their numbers, until they have
-- `most` entries or more; returns how many entries they have. Any number of sessions may fold: a
-- batch belongs to the one that locks it. One statement, so that a batch that is seen is seen with
-- its entries. Sums keep the scale that adding gives them: it is that of what is added.
-- enable_nestloop: the planner cannot know how many entries a range has, and would compare each
-- with every range. work_mem: for sorting the components of half a million entries.
CREATE OR REPLACE FUNCTION debitd.fold(most integer) RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET work_mem = '64MB' AS $$
    WITH taken AS MATERIALIZED (
        SELECT b.batch_id, b.entry_lo, b.entry_hi, debitd.start_of(debitd.month_of(b.booked_at)) AS month_lo,
               debitd.start_of((debitd.month_of(b.booked_at) + interval '1 month')::date) AS month_hi
          FROM debitd.batch b
         WHERE NOT b.folded
           AND b.batch_id <= (SELECT max(w.batch_id)
                                FROM (SELECT x.batch_id, sum(x.entry_hi - x.entry_lo + 1) OVER (ORDER BY x.batch_id)
                                                         - (x.entry_hi - x.entry_lo + 1) AS before
                                        FROM debitd.batch x WHERE NOT x.folded) w
                               WHERE w.before < most)
         ORDER BY b.batch_id FOR UPDATE SKIP LOCKED
    ), reach AS MATERIALIZED (
        SELECT min(t.entry_lo) AS lo, max(t.entry_hi) AS hi, min(t.month_lo) AS month_lo, max(t.month_hi) AS month_hi FROM taken t
    ), part AS (
        SELECT c.account_id, c.counted_on, c.metric_id, c.service_id, c.model_id, c.component_id,
               sum(c.quantity) AS quantity, sum(c.cost) AS cost, sum(c.charge) AS charge, sum(c.events) AS events
          FROM (SELECT l.account_id, l.counted_on, l.metric_id, coalesce(l.service_id, 0) AS service_id,
                       coalesce(l.model_id, 0) AS model_id, CASE l.type WHEN 'usage' THEN 1 ELSE -1 END AS events,
                       unnest(l.component_ids) AS component_id, unnest(l.component_quantities) AS quantity,
                       unnest(CASE WHEN l.cost IS NOT NULL THEN l.component_costs END) AS cost,
                       unnest(l.component_charges) AS charge
                  FROM reach r
                 CROSS JOIN LATERAL ( -- one scan over all that was taken: the newest pages are not in the BRIN index yet
                       SELECT * FROM debitd.ledger x
                        WHERE x.entry_id BETWEEN r.lo AND r.hi AND x.booked_at >= r.month_lo AND x.booked_at < r.month_hi
                          AND x.type IN ('usage', 'void')
                       OFFSET 0
                 ) l
                  JOIN taken t -- by the block of ids that a transaction reserves: a hash join instead of a comparison with each range
                    ON l.entry_id >> 20 = t.entry_lo >> 20 AND l.entry_id BETWEEN t.entry_lo AND t.entry_hi) c
         GROUP BY 1, 2, 3, 4, 5, 6
    ), summed AS (
        INSERT INTO debitd.usage_daily AS d (account_id, day, metric_id, service_id, model_id, component_id,
                                             quantity, cost, charge, events)
        SELECT p.account_id, p.counted_on, p.metric_id, p.service_id, p.model_id, p.component_id,
               p.quantity, coalesce(p.cost, 0), coalesce(p.charge, 0), p.events
          FROM part p
         ORDER BY 1, 2, 3, 4, 5, 6 -- two folders meet in the same order
        ON CONFLICT (account_id, day, metric_id, service_id, model_id, component_id) DO UPDATE
           SET quantity = d.quantity + EXCLUDED.quantity, cost = d.cost + EXCLUDED.cost,
               charge = d.charge + EXCLUDED.charge, events = d.events + EXCLUDED.events
    ), marked AS (
        UPDATE debitd.batch b SET folded = true WHERE b.batch_id = ANY (ARRAY(SELECT t.batch_id FROM taken t))
        RETURNING b.entry_hi - b.entry_lo + 1 AS entries
    )
    SELECT coalesce(sum(m.entries), 0)::integer FROM marked m
$$;

-- Ranges that were folded a day ago are of no more use. SECURITY DEFINER: the writer may delete nothing.
CREATE OR REPLACE FUNCTION debitd.purge_batches() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM debitd.batch b WHERE b.folded AND b.booked_at < debitd.now() - interval '1 day'
$$;
