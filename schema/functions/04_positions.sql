-- Positions in Kafka: who consumes a partition, and how far its messages are in the books. A
-- partition has many owners in the course of time, and two at once when a group is rebalanced; the
-- epoch tells them apart, and advance() in the ingest transaction lets only the last one book.

-- Makes the caller the owner. Waits for the transaction of the owner before, if one is in flight.
CREATE OR REPLACE FUNCTION debitd.claim(p_topic text, p_partition integer, p_owner text,
    OUT epoch bigint, OUT next_offset bigint, OUT last_offset bigint, OUT last_fingerprint bigint, OUT halted text)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO debitd.position AS p (topic, partition, epoch, owner, updated_at)
    VALUES (p_topic, p_partition, 1, p_owner, debitd.now())
    ON CONFLICT (topic, partition) DO UPDATE
       SET epoch = p.epoch + 1, owner = EXCLUDED.owner, updated_at = EXCLUDED.updated_at
    RETURNING p.epoch, p.next_offset, p.last_offset, p.last_fingerprint, p.halted
$$;

-- Moves the offset of a partition that is ours from `expected` (null: none yet) to `next`. Raises
-- UF001 where it is not: in a pipeline an UPDATE of no row would be no error, and what follows
-- would be booked a second time.
CREATE OR REPLACE FUNCTION debitd.advance(p_topic text, p_partition integer, p_epoch bigint, p_expected bigint,
    p_next bigint, p_last bigint, p_fingerprint bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_row debitd.position;
BEGIN
    UPDATE debitd.position p
       SET next_offset = p_next, last_offset = p_last, last_fingerprint = p_fingerprint, updated_at = debitd.now()
     WHERE p.topic = p_topic AND p.partition = p_partition AND p.epoch = p_epoch
       AND p.next_offset IS NOT DISTINCT FROM p_expected AND p.halted IS NULL
       AND p_next > coalesce(p_expected, -1);
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO found_row FROM debitd.position p WHERE p.topic = p_topic AND p.partition = p_partition;
    IF found_row.halted IS NOT NULL THEN
        RAISE EXCEPTION 'partition % of topic % is halted: %', p_partition, p_topic, found_row.halted
            USING ERRCODE = 'UF001';
    END IF;
    RAISE EXCEPTION 'partition % of topic % is at epoch %, offset %; the caller has epoch %, offset % and wants %',
        p_partition, p_topic, coalesce(found_row.epoch::text, 'none'), coalesce(found_row.next_offset::text, 'none'),
        p_epoch, coalesce(p_expected::text, 'none'), p_next
        USING ERRCODE = 'UF001', HINT = 'Another instance owns it now: drop what was read and claim it again.';
END
$$;

-- A person moves a position, or lets a halted partition go on: reading starts at to_offset, without
-- the comparison with the message before it. Waits for the batch in flight. The epoch rises, so that
-- whoever owns the partition now is fenced and claims it anew. SECURITY DEFINER: debitd_admin may
-- do this without a right on any table.
CREATE OR REPLACE FUNCTION debitd.move_position(p_topic text, p_partition integer, p_to bigint, p_reason text, p_by text,
    p_log_begin bigint, p_log_end bigint, p_forced boolean) RETURNS debitd.position_move
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before debitd.position;
    move   debitd.position_move;
BEGIN
    INSERT INTO debitd.position (topic, partition, epoch, updated_at) VALUES (p_topic, p_partition, 0, debitd.now())
    ON CONFLICT DO NOTHING;
    SELECT * INTO before FROM debitd.position p WHERE p.topic = p_topic AND p.partition = p_partition FOR UPDATE;
    UPDATE debitd.position p
       SET epoch = before.epoch + 1, owner = NULL, next_offset = p_to, last_offset = NULL, last_fingerprint = NULL,
           halted = NULL, updated_at = debitd.now()
     WHERE p.topic = p_topic AND p.partition = p_partition;
    INSERT INTO debitd.position_move AS m (topic, partition, moved_at, moved_by, role, from_offset, to_offset, passed_over, read_again,
                                           log_begin, log_end, forced, halted, reason, epoch)
    VALUES (p_topic, p_partition, debitd.now(), p_by, session_user, before.next_offset, p_to,
            greatest(p_to - coalesce(before.next_offset, 0), 0), greatest(coalesce(before.next_offset, 0) - p_to, 0),
            p_log_begin, p_log_end, p_forced, before.halted, p_reason, before.epoch + 1)
    RETURNING * INTO move;
    RETURN move;
END
$$;

-- A person says that the positions belong to another Kafka cluster from now on: one that was restored,
-- or mirrored offset by offset. They stay as they are: each partition is still compared with its last
-- message before anything of it is booked, and halted where the new cluster holds another.
CREATE OR REPLACE FUNCTION debitd.adopt_cluster(p_cluster text, p_reason text, p_by text) RETURNS debitd.cluster_move
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text;
    move   debitd.cluster_move;
BEGIN
    PERFORM 1 FROM debitd.position ORDER BY topic, partition FOR UPDATE; -- batches in flight come to their end
    SELECT b.kafka_cluster_id INTO before FROM debitd.books b FOR UPDATE;
    UPDATE debitd.books SET kafka_cluster_id = p_cluster;
    UPDATE debitd.position SET epoch = epoch + 1, owner = NULL;
    INSERT INTO debitd.cluster_move AS m (moved_at, moved_by, role, from_cluster, to_cluster, reason)
    VALUES (debitd.now(), p_by, session_user, before, p_cluster, p_reason)
    RETURNING * INTO move;
    RETURN move;
END
$$;
