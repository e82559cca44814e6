-- The folder: sums entries into usage_daily, by the ranges that transactions leave in debitd.batch.

-- Sums that many batches that are not summed yet; returns how many it took. Any number of sessions
-- may fold: a batch belongs to the one that locks it. One statement, so that a batch that is seen
-- is seen with its entries. enable_nestloop: the planner cannot know how many entries a range has,
-- and would compare each with every range.
CREATE OR REPLACE FUNCTION debitd.fold(most integer) RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
    WITH taken AS MATERIALIZED (
        SELECT b.batch_id, b.entry_lo, b.entry_hi, debitd.start_of(debitd.month_of(b.booked_at)) AS month_lo,
               debitd.start_of((debitd.month_of(b.booked_at) + interval '1 month')::date) AS month_hi
          FROM debitd.batch b WHERE NOT b.folded ORDER BY b.batch_id LIMIT most FOR UPDATE SKIP LOCKED
    ), reach AS MATERIALIZED (
        SELECT min(t.entry_lo) AS lo, max(t.entry_hi) AS hi, min(t.month_lo) AS month_lo, max(t.month_hi) AS month_hi FROM taken t
    ), part AS (
        SELECT l.account_id, l.counted_on, l.metric_id, l.service_id, l.model_id, c.component_id,
               sum(c.quantity) AS quantity, sum(CASE WHEN l.cost IS NULL THEN 0 ELSE c.cost END) AS cost,
               sum(c.charge) AS charge, sum(CASE l.type WHEN 'usage' THEN 1 ELSE -1 END) AS events
          FROM reach r
         CROSS JOIN LATERAL ( -- one scan over all that was taken: the newest pages are not in the BRIN index yet
               SELECT * FROM debitd.ledger x
                WHERE x.entry_id BETWEEN r.lo AND r.hi AND x.booked_at >= r.month_lo AND x.booked_at < r.month_hi
                  AND x.type IN ('usage', 'void')
               OFFSET 0
         ) l
          JOIN taken t -- by the block of ids that a transaction reserves: a hash join instead of a comparison with each range
            ON l.entry_id >> 20 = t.entry_lo >> 20 AND l.entry_id BETWEEN t.entry_lo AND t.entry_hi
         CROSS JOIN LATERAL unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_charges)
               AS c (component_id, quantity, cost, charge)
         GROUP BY 1, 2, 3, 4, 5, 6
    ), summed AS (
        INSERT INTO debitd.usage_daily AS d (account_id, day, metric_id, service_id, model_id, component_id,
                                             quantity, cost, charge, events)
        SELECT p.account_id, p.counted_on, p.metric_id, coalesce(p.service_id, 0), coalesce(p.model_id, 0),
               p.component_id, trim_scale(p.quantity), trim_scale(coalesce(p.cost, 0)),
               trim_scale(coalesce(p.charge, 0)), p.events
          FROM part p
         ORDER BY 1, 2, 3, 4, 5, 6 -- two folders meet in the same order
        ON CONFLICT (account_id, day, metric_id, service_id, model_id, component_id) DO UPDATE
           SET quantity = trim_scale(d.quantity + EXCLUDED.quantity), cost = trim_scale(d.cost + EXCLUDED.cost),
               charge = trim_scale(d.charge + EXCLUDED.charge), events = d.events + EXCLUDED.events
    ), marked AS (
        UPDATE debitd.batch b SET folded = true WHERE b.batch_id = ANY (ARRAY(SELECT t.batch_id FROM taken t)) RETURNING 1
    )
    SELECT count(*)::integer FROM marked
$$;

-- Ranges that were folded a day ago are of no more use. SECURITY DEFINER: the writer may delete nothing.
CREATE OR REPLACE FUNCTION debitd.purge_batches() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM debitd.batch b WHERE b.folded AND b.booked_at < debitd.now() - interval '1 day'
$$;
