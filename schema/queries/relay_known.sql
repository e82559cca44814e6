-- How far each partition of a topic is known: everything of ours before that offset is in the database.
-- $1 topic
SELECT p.partition, p.known FROM debitd.relay_place p WHERE p.topic = $1::text
