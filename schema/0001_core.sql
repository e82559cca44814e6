-- 0001 core: everything debitd books into.
--
-- Why: the first migration lays out all tables that hold money, so that nothing of it needs rewriting later. What the outside may read is in
-- schema api (re-created by every migrate from schema/api); what decides is in functions (schema/functions, re-created as well).
-- Locks: none that matter, all objects are new. Safe while running: there is nothing running yet.
--
-- Conventions: text ids of the outside stand once, in account.name and name.name; everything else is keyed by integers. Amounts and quantities are NUMERIC without
-- type modifier, written in shortest form; the bounds are kept by whoever computes them (contract 2.1) and by debitctl verify.
-- Days and months are dates in UTC; a month is its first day.

CREATE SCHEMA debitd;

-- One row: what every booking transaction reads under the shared books lock (pg_advisory_xact_lock_shared(debitd.books_lock())).
CREATE TABLE debitd.books (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    month             date NOT NULL,              -- the booking month: all in flight share its leaves
    catalogue_version integer NOT NULL DEFAULT 0, -- the catalogue in force
    dedup_months      integer NOT NULL DEFAULT 2, -- the dedup window in calendar months; 0: forever
    clock_offset      interval NOT NULL DEFAULT '0', -- debitd.now() = clock_timestamp() + this; for tests
    kafka_cluster_id  text                         -- of the cluster the positions belong to; set at the first start
);

-- Dictionary of the names that events bring: metrics, services, models, components, sources, currencies, units, plans.
CREATE TABLE debitd.name (
    name_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE
);

-- ---------------------------------------------------------------- positions in Kafka

CREATE TABLE debitd.position (
    topic           text COLLATE "C" NOT NULL,
    partition       integer NOT NULL,
    epoch           bigint NOT NULL,  -- raised by every claim: fences the owner before
    owner           text,             -- who claimed it, for people
    next_offset     bigint,           -- null: claimed, nothing consumed yet
    last_offset     bigint,           -- of the last message consumed, and its fingerprint: for the continuity check
    last_fingerprint bigint,
    booked          bigint NOT NULL DEFAULT 0, -- each consumed offset counts in exactly one of these five
    duplicates      bigint NOT NULL DEFAULT 0,
    rejected        bigint NOT NULL DEFAULT 0,
    parked          bigint NOT NULL DEFAULT 0,
    skipped         bigint NOT NULL DEFAULT 0,
    last_event_time timestamptz,
    halted          text,             -- why this partition is not consumed; null: it is
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

-- ---------------------------------------------------------------- catalogue (applied by debitctl catalog apply; rows never change but for "until")

CREATE TABLE debitd.catalogue (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL,
    digest     text NOT NULL UNIQUE -- SHA-256 of the digest before and the changes; applying the same again changes nothing and makes no version
);

CREATE TABLE debitd.unit ( -- USD, EUR, CREDIT …: what balances are in; a currency is a unit valued in itself
    unit_id    integer PRIMARY KEY REFERENCES debitd.name,
    valued_in  integer NOT NULL REFERENCES debitd.name, -- the currency it is valued in
    value      numeric NOT NULL CHECK (value > 0 AND value <> 'NaN'),        -- of one, in that currency
    since      integer NOT NULL REFERENCES debitd.catalogue
);

CREATE TABLE debitd.metric (
    metric_id   integer PRIMARY KEY REFERENCES debitd.name,
    aggregation text NOT NULL CHECK (aggregation IN ('sum', 'max')),
    since       integer NOT NULL REFERENCES debitd.catalogue
);

-- Cost prices (plan_id null) and the fixed prices of plans. service, model, component: null stands for '*', any.
CREATE TABLE debitd.price (
    price_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_name_id   integer REFERENCES debitd.name, -- null: a cost price; else the plan whose fixed price it is
    service_id     integer REFERENCES debitd.name,
    model_id       integer REFERENCES debitd.name,
    metric_id      integer NOT NULL REFERENCES debitd.name,
    component_id   integer REFERENCES debitd.name, -- null: '*'; the name '' is the component of `quantity`
    currency_id    integer NOT NULL REFERENCES debitd.name, -- of a fixed price: the plan's unit
    price          numeric NOT NULL CHECK (price >= 0 AND price <= 1000000),
    per            numeric NOT NULL CHECK (per > 0 AND per <= 1000000000000),
    effective_from  timestamptz NOT NULL,
    effective_until timestamptz, -- exclusive
    since          integer NOT NULL REFERENCES debitd.catalogue
);

CREATE TABLE debitd.fx ( -- one unit of from_id is worth rate of to_id
    from_id         integer NOT NULL REFERENCES debitd.name,
    to_id           integer NOT NULL REFERENCES debitd.name,
    rate            numeric NOT NULL CHECK (rate > 0 AND rate <= 1000000),
    effective_from  timestamptz NOT NULL,
    effective_until timestamptz,
    since           integer NOT NULL REFERENCES debitd.catalogue,
    PRIMARY KEY (from_id, to_id, effective_from)
);

CREATE TABLE debitd.plan ( -- one row a version of a plan; the one in force has until null
    plan_id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_name_id       integer NOT NULL REFERENCES debitd.name,
    unit_id            integer NOT NULL REFERENCES debitd.unit,
    kind               text NOT NULL CHECK (kind IN ('prepaid', 'postpaid')),
    tariff             text NOT NULL CHECK (tariff IN ('none', 'fixed', 'cost_plus')),
    markup             numeric,  -- percent, of cost_plus
    trust_cost         boolean NOT NULL DEFAULT true,
    credits_per_period numeric,
    credits_policy     text CHECK (credits_policy IN ('reset', 'rollover')),
    welcome            numeric,
    low_balance        numeric,
    minimum_balance    numeric,  -- what the check wants to be left
    fee                numeric NOT NULL DEFAULT 0,
    enforce            boolean NOT NULL,
    since              integer NOT NULL REFERENCES debitd.catalogue,
    until              integer REFERENCES debitd.catalogue -- the version that replaced it; null: in force
);
CREATE UNIQUE INDEX plan_in_force ON debitd.plan (plan_name_id) WHERE until IS NULL;

CREATE TABLE debitd.plan_quota (
    plan_id       integer NOT NULL REFERENCES debitd.plan,
    metric_id     integer NOT NULL REFERENCES debitd.name,
    included      numeric,   -- a month; null: no month quota, only a day limit
    overage_price numeric,   -- null: nothing is charged beyond
    overage_per   numeric NOT NULL DEFAULT 1,
    day_limit     numeric,   -- null: none
    thresholds    numeric[] NOT NULL DEFAULT '{80,100}', -- percent, ascending; whole numbers
    PRIMARY KEY (plan_id, metric_id),
    CHECK (included IS NOT NULL OR day_limit IS NOT NULL)
);

CREATE TABLE debitd.package (
    package_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    unit_id    integer NOT NULL REFERENCES debitd.unit, -- sold on plans of this unit
    amount     numeric NOT NULL CHECK (amount > 0),
    bonus      numeric NOT NULL CHECK (bonus >= 0),
    price      numeric NOT NULL,
    currency_id integer NOT NULL REFERENCES debitd.name,
    since      integer NOT NULL REFERENCES debitd.catalogue,
    until      integer REFERENCES debitd.catalogue
);
CREATE UNIQUE INDEX package_in_force ON debitd.package (name) WHERE until IS NULL;

-- ---------------------------------------------------------------- accounts

CREATE TABLE debitd.account (
    account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE, -- the subject of events
    payer_id   bigint NOT NULL,                  -- itself, or its parent
    past_payers bigint[] NOT NULL DEFAULT '{}',  -- other payers that it had: entries of it name them
    title      text,                             -- its `name` for people
    plan_name_id integer REFERENCES debitd.name, -- its own; null on a child that was given none
    plan_until timestamptz,
    charged    boolean NOT NULL DEFAULT true,    -- false: a guest
    byok       text[] NOT NULL DEFAULT '{}',
    welcomed   boolean NOT NULL DEFAULT false,
    opened_at  timestamptz NOT NULL,
    closed_at  timestamptz
);
CREATE INDEX account_payer ON debitd.account (payer_id);

-- One row an account that pays or ever paid. Its lock (FOR NO KEY UPDATE) is the mutex of everything of the payer: balance, summaries, entries, alerts, children's facts.
-- balance = purchased + granted + refunded + adjusted + settled - spent - expired
CREATE TABLE debitd.payer (
    payer_id   bigint PRIMARY KEY REFERENCES debitd.account,
    version    bigint NOT NULL DEFAULT 1, -- raised by every operation on it or on a child: facts read at an older version are stale
    plan_name_id integer REFERENCES debitd.name, -- null: it has a parent now and pays no more
    unit_id    integer REFERENCES debitd.unit,
    balance    numeric NOT NULL DEFAULT 0,
    purchased  numeric NOT NULL DEFAULT 0,
    granted    numeric NOT NULL DEFAULT 0,
    refunded   numeric NOT NULL DEFAULT 0,
    adjusted   numeric NOT NULL DEFAULT 0,
    settled    numeric NOT NULL DEFAULT 0,
    spent      numeric NOT NULL DEFAULT 0,
    expired    numeric NOT NULL DEFAULT 0,
    has_charge boolean NOT NULL DEFAULT false, -- has had a usage entry with an amount other than 0 (balance.recovered asks)
    granted_month date,                        -- the month (of booking) that granted_by_plans is of
    granted_by_plans numeric NOT NULL DEFAULT 0, -- what plans have granted in that month
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------- identities

-- All that carries an identity: usage, parked events, voids, account operations. One leaf a booking month; the primary key is per leaf: a leaf of an earlier month is
-- frozen, so that a plain look-up in it is sound. entry_id: null while parked, and for operations without an entry. Never updated.
CREATE TABLE debitd.event_key (
    month    date NOT NULL,
    key      uuid NOT NULL,
    digest   uuid NOT NULL,
    entry_id bigint
) PARTITION BY RANGE (month);

CREATE TABLE debitd.voided (
    key      uuid PRIMARY KEY,  -- of the usage event that was taken back
    by_key   uuid NOT NULL
);

-- ---------------------------------------------------------------- entries

CREATE SEQUENCE debitd.entry_seq INCREMENT 1048576 MINVALUE 1048576; -- a value v reserves entry ids v .. v + 1048575; taken after the payer locks
CREATE SEQUENCE debitd.alert_seq INCREMENT 1048576 MINVALUE 1048576; -- likewise for alerts: orders them within a payer

CREATE TYPE debitd.entry_type AS ENUM ('usage', 'void', 'purchase', 'bonus', 'grant', 'refund', 'adjustment', 'settlement', 'expiry');

-- How the charge of a usage entry came about: decides what a void gives back, and overage_charge.
--   free: guest, byok, a metric with only a day limit; quota: beyond the included quantity of a month quota; fixed, cost_plus: tariff
CREATE TYPE debitd.charge_kind AS ENUM ('free', 'quota', 'fixed', 'cost_plus');

-- What an operation on an account comes to, before it is booked: decided by debitd.decide_account() and debitd.decide_credit(), booked by debitd.operate().
CREATE TYPE debitd.decision AS (
    reason     text,    -- why it is refused; null: it is not
    detail     text,
    pays       boolean, -- the account pays itself
    new_plan   debitd.plan,
    old_plan   debitd.plan,
    other_unit boolean, -- the unit of its balance changes
    take_back  numeric, -- what is taken back in the old unit then
    types      debitd.entry_type[], -- the entries, after the one that takes back
    amounts    numeric[],
    credits    numeric  -- how much of them the plan grants for its period
);

-- What became of an operation: done, duplicate, rejected; reason is a code of contract 5, detail says it in words; entry_id is its first entry, null where it has none.
CREATE TYPE debitd.operation_result AS (outcome text, reason text, detail text, entry_id bigint);

CREATE TABLE debitd.ledger (
    entry_id      bigint NOT NULL,
    account_id    bigint NOT NULL,      -- who used
    payer_id      bigint NOT NULL,      -- whose balance
    type          debitd.entry_type NOT NULL,
    occurred_at   timestamptz NOT NULL, -- the event's time
    booked_at     timestamptz NOT NULL, -- its month is books.month
    counted_on    date NOT NULL,        -- the day it counts on: of the event; of the booking where it is late; a void's: of its original
    source_id     integer,              -- null, with event_id: a grant that no event caused
    event_id      text,
    service_id    integer,
    model_id      integer,
    metric_id     integer,
    quantity      numeric,
    component_ids        integer[],     -- the five arrays run in parallel, in the order of the event
    component_quantities numeric[],
    component_costs      numeric[],     -- an element is null where the cost is unknown
    component_charges    numeric[],     -- sum = -amount; what is charged once an event is split in proportion to cost, the last taking the rest
    component_prices     integer[],     -- price_id; an element is null where no catalogue price served
    currency_id   integer,
    cost          numeric,              -- null: unknown
    amount        numeric NOT NULL,     -- signed, in unit
    unit_id       integer NOT NULL,
    balance_after numeric NOT NULL,
    plan_id       integer,              -- the payer's plan (version) it was charged under
    charge_kind   debitd.charge_kind,   -- usage and void only
    price_source  text,                 -- 'catalogue' | 'file' | 'event' (the event's own cost) | null
    late          boolean NOT NULL DEFAULT false,
    corrects      bigint,               -- void: the entry taken back
    reference     text,
    reason        text,
    user_id       text,
    thread_id     text,
    execution_id  text,
    agent_id      text,
    metadata      jsonb
) PARTITION BY RANGE (booked_at);
-- leaves, made by debitd.ensure_months(): index (account_id, entry_id), (payer_id, entry_id) and BRIN (entry_id)

-- ---------------------------------------------------------------- summaries

-- Per payer: what quotas and charges are computed from, under the payer's lock. Day rows only for metrics with a day limit in the payer's plan.
CREATE TABLE debitd.usage (
    payer_id       bigint NOT NULL,
    metric_id      integer NOT NULL,
    period         "char" NOT NULL CHECK (period IN ('m', 'd')),
    period_start   date NOT NULL,
    events         bigint NOT NULL,
    used           numeric NOT NULL,
    currency_id    integer,
    cost           numeric NOT NULL, -- of the entries whose cost is known
    charge         numeric NOT NULL,
    overage_charge numeric NOT NULL, -- the part of charge that was charged as quota overage
    PRIMARY KEY (payer_id, metric_id, period, period_start)
) WITH (fillfactor = 50);

-- Each ingest transaction leaves the range of its entries here; the folder sums ranges into usage_daily. A cursor over entry ids would lose transactions that commit later.
CREATE TABLE debitd.batch (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_lo bigint NOT NULL, -- inclusive
    entry_hi bigint NOT NULL, -- inclusive
    booked_at timestamptz NOT NULL, -- of the entries: finds the leaf
    folded   boolean NOT NULL DEFAULT false
);
CREATE INDEX batch_unfolded ON debitd.batch (batch_id) WHERE NOT folded;

CREATE TABLE debitd.usage_daily (
    account_id   bigint NOT NULL,
    day          date NOT NULL,
    metric_id    integer NOT NULL,
    service_id   integer NOT NULL DEFAULT 0, -- 0: none given (no name has id 0)
    model_id     integer NOT NULL DEFAULT 0,
    component_id integer NOT NULL,
    quantity     numeric NOT NULL,
    cost         numeric NOT NULL,
    charge       numeric NOT NULL,
    events       bigint NOT NULL,
    PRIMARY KEY (account_id, day, metric_id, service_id, model_id, component_id)
) WITH (fillfactor = 70);

-- ---------------------------------------------------------------- outbox and what could not be booked

-- state: 0 to be published, 1 claimed by the relay, 2 published. There is no cursor: a row is open until it is marked.
CREATE TABLE debitd.relay (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL DEFAULT 0,
    owner text
);

CREATE TABLE debitd.alert (
    alert_id     uuid PRIMARY KEY,
    alert_seq    bigint NOT NULL,   -- order of publication within a payer
    type         text NOT NULL,
    payer_id     bigint,            -- null: a platform alert
    metric_id    integer,
    period_start date,
    threshold    numeric,
    entry_id     bigint,
    event        jsonb NOT NULL,    -- the CloudEvent as it is published
    raised_at    timestamptz NOT NULL,
    state        smallint NOT NULL DEFAULT 0,
    relay_epoch  bigint,
    claim_partition integer,        -- where, and from which offset on, it may stand on the topic once claimed
    claim_floor  bigint,
    published_at timestamptz
);
CREATE INDEX alert_open ON debitd.alert (alert_seq) WHERE state < 2;
CREATE INDEX alert_payer ON debitd.alert (payer_id, alert_seq);

CREATE TABLE debitd.rejected (
    rejected_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL,
    message_time timestamptz,     -- the Kafka timestamp; null: none
    key          bytea,           -- whole, as are value and headers
    value        bytea,
    header_names  bytea[] NOT NULL DEFAULT '{}',
    header_values bytea[] NOT NULL DEFAULT '{}',
    rejected_at  timestamptz NOT NULL,
    replayed_at  timestamptz,
    state        smallint NOT NULL DEFAULT 0,
    relay_epoch  bigint,
    claim_partition integer,
    claim_floor  bigint,
    truncated    boolean NOT NULL DEFAULT false, -- the broker refused the value for its size: sent empty
    published_at timestamptz
);
CREATE INDEX rejected_place ON debitd.rejected (topic, partition, "offset");
CREATE INDEX rejected_open ON debitd.rejected (rejected_id) WHERE state < 2;

CREATE TABLE debitd.parked (
    parked_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_kind   text NOT NULL CHECK (topic_kind IN ('usage', 'accounts')),
    topic        text NOT NULL,
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL,
    -- the account (or parent) that must be open, or whose change may give it a price: finds what an operation frees
    waits_for    text COLLATE "C",
    catalogue_version integer NOT NULL, -- the one it failed against; unknown_metric and unpriced wait for a later one
    account      text COLLATE "C" NOT NULL, -- the subject
    source       text NOT NULL,
    event_id     text NOT NULL,
    event_key    uuid NOT NULL,
    message_time timestamptz,
    key          bytea,
    value        bytea NOT NULL,
    header_names  bytea[] NOT NULL DEFAULT '{}',
    header_values bytea[] NOT NULL DEFAULT '{}',
    parked_at    timestamptz NOT NULL,
    released_at  timestamptz,
    outcome      text CHECK (outcome IN ('booked', 'voided', 'rejected')), -- how it was released
    entry_id     bigint
);
CREATE INDEX parked_place ON debitd.parked (topic, partition, "offset");
CREATE INDEX parked_open ON debitd.parked (parked_id) WHERE released_at IS NULL;
CREATE INDEX parked_waiting ON debitd.parked (waits_for) WHERE released_at IS NULL;
CREATE INDEX parked_key ON debitd.parked (event_key);

INSERT INTO debitd.books (month) VALUES (date_trunc('month', now() AT TIME ZONE 'UTC')::date);
INSERT INTO debitd.relay DEFAULT VALUES;
