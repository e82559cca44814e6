-- Where dead letters may stand on their topic that a relay claimed and did not mark: it died, or its commit went unanswered. No parameters.
SELECT claim_partition, pg_catalog.min(claim_floor) FROM debitd.rejected WHERE state = 1 GROUP BY claim_partition ORDER BY claim_partition
