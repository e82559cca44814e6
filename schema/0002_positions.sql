-- 0002 positions: what people decided about where reading goes on.
--
-- Why: a position is a fact of the books: who moves it, from where, to where and why has to stand as long as they do. Every offset is exactly one of
-- booked, duplicate, rejected, parked, skipped, or passed over by a move; what a move goes back over is read, and counted, once more.
-- Locks: none that matter, all objects are new. Safe while running: debitd only reads them. Rows are written by the functions of
-- schema/functions/04_positions.sql and never change.

CREATE TABLE debitd.position_move (
    move_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    moved_at    timestamptz NOT NULL,
    moved_by    text NOT NULL,   -- the person, as debitctl was told
    role        text NOT NULL,   -- the role of the session
    from_offset bigint,          -- next_offset before; null: nothing had been consumed
    to_offset   bigint NOT NULL CHECK (to_offset >= 0),
    passed_over bigint NOT NULL CHECK (passed_over = greatest(to_offset - coalesce(from_offset, 0), 0)), -- offsets
    read_again  bigint NOT NULL CHECK (read_again = greatest(coalesce(from_offset, 0) - to_offset, 0)),  -- offsets
    log_begin   bigint,          -- what the log held then; null: Kafka did not say
    log_end     bigint,
    forced      boolean NOT NULL, -- what debitctl would have refused
    halted      text,            -- why the partition was halted; null: it was not
    reason      text NOT NULL CHECK (reason <> ''),
    epoch       bigint NOT NULL  -- that the move raised the position to
);
CREATE INDEX position_move_place ON debitd.position_move (topic, partition, move_id);

CREATE TABLE debitd.cluster_move (
    move_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moved_at     timestamptz NOT NULL,
    moved_by     text NOT NULL,
    role         text NOT NULL,
    from_cluster text,           -- null: the positions belonged to none yet
    to_cluster   text NOT NULL,
    reason       text NOT NULL CHECK (reason <> '')
);
