-- 0003 relay: what stands on the topics may be ahead of the database.
--
-- Why: a failover that loses commits, or a restore, takes the outbox back to an earlier moment, but not the topics. What is raised again by reading usage
-- again must not be published again. So the relay notes how far it knows each partition that it writes to, together with every mark; a start reads
-- the topics from there on (a database that went back goes back to an earlier place), and what it finds that the database does not know is kept here
-- until the row comes that it was.
-- Locks: ACCESS EXCLUSIVE on debitd.relay for a moment (columns without a default: nothing is rewritten); the tables are new. Safe while running; a relay
-- of the version before goes on without them, and the first of this one reads its topics from their beginning.

ALTER TABLE debitd.relay
    ADD COLUMN system_identifier bigint,  -- of the server, when the relay last began; both null: never since this migration
    ADD COLUMN timeline          integer; -- which of its histories: a promotion begins a new one

CREATE TABLE debitd.relay_place (
    topic     text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    known     bigint NOT NULL, -- everything of ours before this offset is marked, or stands in alert_ahead or letter_ahead
    PRIMARY KEY (topic, partition)
);

-- Alerts on their topic that the database does not know. Their ids are derived from what they tell, so they are the same when they are raised again.
CREATE TABLE debitd.alert_ahead (
    alert_id uuid PRIMARY KEY,
    seen_at  timestamptz NOT NULL
);

-- Dead letters on their topic that the database does not know, by the place of the message: the number may be another one when it is rejected again.
CREATE TABLE debitd.letter_ahead (
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    rejected_id bigint NOT NULL, -- as the letter says
    seen_at     timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset", rejected_id)
);
