-- What the peers write into: a flat row an event, and the prices that they look up, taken from the catalogue in force.
CREATE SCHEMA peer;

CREATE TABLE peer.usage (
    event_source text             NOT NULL,
    event_id     text             NOT NULL,
    account_id   text             NOT NULL,
    occurred_at  timestamptz      NOT NULL,
    metric       text             NOT NULL,
    service      text             NOT NULL,
    model        text,
    input        double precision,
    output       double precision,
    quantity     double precision,
    cost         double precision, -- null: priced by nobody
    user_id      text,
    execution_id text
);

-- An account's history; event_id is not unique: a COPY would fail at the first event that is sent twice.
CREATE INDEX usage_history ON peer.usage (account_id, occurred_at);

-- Of one unit; `each` is for events that have just a quantity. No model: ''.
CREATE TABLE peer.price (
    service text             NOT NULL,
    model   text             NOT NULL,
    input   double precision,
    output  double precision,
    each    double precision,
    PRIMARY KEY (service, model)
);

INSERT INTO peer.price
SELECT CASE WHEN service = '*' THEN 'codegen' ELSE service END, CASE WHEN model = '*' THEN '' ELSE model END,
       max(price / per) FILTER (WHERE component IN ('input', '*')),
       max(price / per) FILTER (WHERE component IN ('output', '*')),
       max(price / per) FILTER (WHERE component = '*')
  FROM api.price
 WHERE plan IS NULL AND effective_until IS NULL
 GROUP BY service, model;
