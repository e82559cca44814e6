-- Which usage events are voided already. $1 keys uuid[]
SELECT v.key FROM debitd.voided v WHERE v.key = ANY ($1::uuid[])
