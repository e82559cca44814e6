-- Whether anybody has a balance or an entry in a unit. $1 code
SELECT EXISTS (SELECT FROM debitd.payer p WHERE p.unit_id = n.name_id)
       OR EXISTS (SELECT FROM debitd.ledger l WHERE l.unit_id = n.name_id) AS used
  FROM debitd.name n
 WHERE n.name = $1
