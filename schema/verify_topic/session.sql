-- What debitctl verify --topic notes of the messages that it reads: a row a message, so that memory stays with the server (about 70 bytes each, on
-- disk once there are many). Made before the snapshot, whose transaction may write nothing but such tables. No parameters.
CREATE TEMPORARY TABLE verify_log (  -- the partitions that were read
    out_topic   boolean NOT NULL,    -- alerts and dead letters; else an input topic
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    until       bigint,              -- input: its position in the snapshot; output: where its log ended before the snapshot
    log_begin   bigint NOT NULL,     -- of the first message there is, or the end where there is none
    log_end     bigint NOT NULL      -- how far was read
);
CREATE TEMPORARY TABLE verify_seen ( -- messages of the input topics
    log         integer NOT NULL,    -- which of them, by number
    "offset"    bigint NOT NULL,
    fate        "char" NOT NULL,     -- (k)nown: booked or a duplicate; (p)arked, (r)ejected, (s)kipped, (l)ost: nothing in the books tells of it
    key         uuid,                -- of a message that bears an identity
    time_fits   boolean              -- of usage: whether its entry says its time; a resend may have another
);
CREATE TEMPORARY TABLE verify_place (log integer, topic text COLLATE "C", partition integer); -- the numbers
CREATE TEMPORARY TABLE verify_out (  -- messages of the output topics that bear an id of ours
    letter      boolean NOT NULL,
    id          text COLLATE "C" NOT NULL,
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    key         uuid,                -- digests: half of SHA-256 over length and bytes; null: none
    value       uuid
)
