-- What the Flink job has in addition: a key that it upserts entries by, and the sums of months.
ALTER TABLE peer.usage ADD PRIMARY KEY (event_id);

CREATE TABLE peer.month (
    account_id text             NOT NULL,
    metric     text             NOT NULL,
    month      text             NOT NULL,
    events     bigint           NOT NULL,
    quantity   double precision NOT NULL,
    cost       double precision NOT NULL,
    PRIMARY KEY (account_id, metric, month)
);
