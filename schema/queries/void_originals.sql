-- Entries that voids take back, a row a component. Entries never change, so they may be read before their payer is locked.
-- An event of another account is not found. $1 entry ids bigint[], $2 their accounts bigint[]
SELECT l.entry_id, l.account_id, l.payer_id, l.type::text AS type, l.occurred_at, l.counted_on,
       l.service_id, l.model_id, l.metric_id, m.name AS metric, l.quantity, l.cost, l.amount, l.charge_kind::text AS charge_kind,
       l.currency_id, l.user_id, l.thread_id, l.execution_id, l.agent_id, l.price_source,
       c.component_id, c.quantity AS component_quantity, c.cost AS component_cost, c.price_id, c.charge AS component_charge
FROM debitd.ledger l
LEFT JOIN debitd.name m ON m.name_id = l.metric_id
LEFT JOIN LATERAL unnest(l.component_ids, l.component_quantities, l.component_costs, l.component_prices, l.component_charges)
     WITH ORDINALITY c(component_id, quantity, cost, price_id, charge, place) ON true
WHERE (l.account_id, l.entry_id) IN (SELECT u.account_id, u.entry_id FROM unnest($1::bigint[], $2::bigint[]) u(entry_id, account_id))
ORDER BY l.entry_id, c.place
