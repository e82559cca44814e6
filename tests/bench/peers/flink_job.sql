CREATE TABLE usage_events (
    `source` STRING, id STRING, subject STRING, `time` STRING,
    data ROW<metric STRING, service STRING, `model` STRING, quantities ROW<`input` DOUBLE, `output` DOUBLE>, quantity DOUBLE,
             `user` STRING, execution STRING>,
    seen AS PROCTIME()
) WITH ('connector' = 'kafka', 'properties.bootstrap.servers' = '{bootstrap}', 'topic' = '{topic}', 'format' = 'json',
        'properties.group.id' = '{group}', 'scan.startup.mode' = 'earliest-offset', 'properties.max.poll.records' = '5000',
        'properties.max.partition.fetch.bytes' = '4194304')

CREATE TABLE price (
    service STRING, `model` STRING, `input` DOUBLE, `output` DOUBLE, `each` DOUBLE
) WITH ('connector' = 'jdbc', 'url' = '{jdbc}', 'table-name' = 'peer.price',
        'lookup.cache' = 'PARTIAL', 'lookup.partial-cache.max-rows' = '1000',
        'lookup.partial-cache.expire-after-write' = '10 min')

CREATE TABLE entries (
    event_source STRING, event_id STRING, account_id STRING, occurred_at STRING, metric STRING, service STRING, `model` STRING,
    `input` DOUBLE, `output` DOUBLE, quantity DOUBLE, cost DOUBLE, user_id STRING, execution_id STRING,
    PRIMARY KEY (event_id) NOT ENFORCED
) WITH ('connector' = 'jdbc', 'url' = '{jdbc}', 'table-name' = 'peer.usage',
        'sink.buffer-flush.max-rows' = '{batch}', 'sink.buffer-flush.interval' = '{flush}')

CREATE TABLE months (
    account_id STRING, metric STRING, `month` STRING, events BIGINT, quantity DOUBLE, cost DOUBLE,
    PRIMARY KEY (account_id, metric, `month`) NOT ENFORCED
) WITH ('connector' = 'jdbc', 'url' = '{jdbc}', 'table-name' = 'peer.month',
        'sink.buffer-flush.max-rows' = '{batch}', 'sink.buffer-flush.interval' = '{flush}')

CREATE VIEW flat AS
SELECT `source`, id, subject, `time`, data.metric AS metric, data.service AS service, data.`model` AS `model`,
       COALESCE(data.`model`, '') AS priced_model, data.quantities.`input` AS `input`, data.quantities.`output` AS `output`,
       COALESCE(data.quantities.`input` + data.quantities.`output`, data.quantity) AS quantity,
       data.`user` AS user_id, data.execution AS execution_id, seen
  FROM usage_events

CREATE VIEW priced AS
SELECT f.*, COALESCE(f.`input` * p.`input` + f.`output` * p.`output`, f.quantity * p.`each`) AS cost
  FROM flat f JOIN price FOR SYSTEM_TIME AS OF f.seen AS p ON p.service = f.service AND p.`model` = f.priced_model

EXECUTE STATEMENT SET BEGIN
INSERT INTO entries
SELECT `source`, id, subject, `time`, metric, service, `model`, `input`, `output`, quantity, cost, user_id, execution_id
  FROM priced;
INSERT INTO months
SELECT subject, metric, SUBSTRING(`time` FROM 1 FOR 7), COUNT(*), SUM(quantity), SUM(cost)
  FROM priced GROUP BY subject, metric, SUBSTRING(`time` FROM 1 FOR 7);
END
