-- What the careful script has in addition: exact decimals, an identity, the sums of months, and how far each partition is booked.
ALTER TABLE peer.usage
    ALTER input TYPE numeric, ALTER output TYPE numeric, ALTER quantity TYPE numeric, ALTER cost TYPE numeric,
    ADD UNIQUE (event_id, event_source);

ALTER TABLE peer.price ALTER input TYPE numeric, ALTER output TYPE numeric, ALTER each TYPE numeric;

CREATE TABLE peer.month (
    account_id text        NOT NULL,
    metric     text        NOT NULL,
    month      timestamptz NOT NULL,
    events     bigint      NOT NULL,
    quantity   numeric     NOT NULL,
    cost       numeric     NOT NULL,
    PRIMARY KEY (account_id, metric, month)
);

CREATE TABLE peer.position (
    partition   integer PRIMARY KEY,
    next_offset bigint  NOT NULL
);
