-- The id of the Kafka cluster that the positions belong to; the first one asked with is remembered. Null: another instance is remembering it just now, ask again.
-- $1 the id of the cluster we are connected to
WITH remembered AS (
    UPDATE debitd.books SET kafka_cluster_id = $1::text WHERE kafka_cluster_id IS NULL RETURNING kafka_cluster_id
)
SELECT coalesce((SELECT kafka_cluster_id FROM remembered), (SELECT kafka_cluster_id FROM debitd.books))
