-- $1 plan (null: a cost price), $2 service, $3 model, $4 metric, $5 component (nulls: '*'), $6 currency, $7 price, $8 per, $9 effective_from, $10 effective_until, $11 version
INSERT INTO debitd.price (plan_name_id, service_id, model_id, metric_id, component_id, currency_id, price, per, effective_from,
                          effective_until, since)
SELECT (SELECT n.name_id FROM debitd.name n WHERE n.name = $1), (SELECT n.name_id FROM debitd.name n WHERE n.name = $2),
       (SELECT n.name_id FROM debitd.name n WHERE n.name = $3), (SELECT n.name_id FROM debitd.name n WHERE n.name = $4),
       (SELECT n.name_id FROM debitd.name n WHERE n.name = $5), (SELECT n.name_id FROM debitd.name n WHERE n.name = $6),
       $7::numeric, $8::numeric, $9::timestamptz, $10::timestamptz, $11::integer
