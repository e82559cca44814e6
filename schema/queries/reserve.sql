-- Entry ids and the order of alerts, reserved after the payer locks, so that they ascend within a payer; and the time of booking. No parameters.
SELECT nextval('debitd.entry_seq'), nextval('debitd.alert_seq'), debitd.now()
