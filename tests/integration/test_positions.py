"""Where reading goes on is decided by people: debitctl position, who may, what it refuses, what stays of it. And the
group's offsets in Kafka, which follow the books."""

import time

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.rig.daemon import debitctl, merge, write_config
from tests.rig.process import free_port

MONTH_MS = 31 * 24 * 3600 * 1000


def opened(world):
    world.catalog()
    world.account("account.opened", "acct", plan="payg")
    world.flush()


def use(world, count, account="acct", **given):
    for _ in range(count):
        world.usage(account, service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=0, **given)


def place(world):
    return world.topics["usage"], 0


def position(world):
    (row,) = world.sql("SELECT * FROM debitd.position WHERE topic = %s AND partition = %s", place(world))
    return row


def move(world, to, *options, **how):
    return world.debitctl("position", "set", *place(world), to, "--reason", "a test", *options, **how)


# ---------------------------------------------------------------- moving

@pytest.mark.world(partitions=1)
def test_a_position_that_is_moved_back_under_its_reader_is_read_again_and_booked_once(world):
    opened(world)
    daemon = world.start()
    use(world, 4)
    world.produce("usage", b"not JSON", partition=0)
    use(world, 2, account="nobody")
    world.produce("usage", None, partition=0)
    use(world, 2)
    world.wait_booked(6)
    before = position(world)
    assert (before["next_offset"], before["rejected"], before["parked"], before["skipped"]) == (10, 1, 2, 1)
    done = move(world, 0).data
    assert (done["from_offset"], done["to_offset"], done["passed_over"], done["read_again"]) == (10, 0, 0, 10)
    world.wait(lambda: position(world)["duplicates"] == 8, "what was booked or parked to be recognised")
    world.wait_booked(6)
    after = position(world)
    assert (after["next_offset"], after["booked"], after["rejected"], after["parked"], after["skipped"]) == (10, 6, 2, 2, 2)
    assert after["epoch"] >= before["epoch"] + 2 and "or moved by a person" in daemon.text()
    world.verify()

    # and while half of it is read again, rejections lie behind the position that are not counted twice
    daemon.stop()
    move(world, 2)
    world.verify()


@pytest.mark.world(partitions=2)
def test_a_position_that_is_moved_is_seen_by_a_writer_that_never_rests(world):
    """Nothing comes to the partition itself, and always something to its neighbour."""
    opened(world)
    world.start()
    use(world, 4)
    world.wait_booked(4)
    busy = 0

    def read_again():
        nonlocal busy
        for _ in range(5):
            world.usage("acct", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=1)
        world.flush()
        busy += 5
        world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") >= busy, "the neighbour to be booked")
        return world.value("SELECT sum(duplicates) FROM api.position") == 4
    world.wait(lambda: read_again() or busy == 50, "the writer to be busy")
    move(world, 0)
    world.wait(read_again, "what was moved to be read again")
    world.wait_booked(4 + busy)
    world.verify()


@pytest.mark.world(partitions=1)
def test_what_was_parked_and_then_rejected_may_be_read_again(world):
    """It takes no identity, so it is rejected a second time, at the same offset."""
    opened(world)
    daemon = world.start()
    world.account("plan.assigned", "late", plan="no-such-plan")
    world.wait_booked(0)
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: world.sql("SELECT 1 FROM debitd.parked WHERE outcome = 'rejected'"), "the parked one to be rejected")
    daemon.stop()
    world.verify()
    world.debitctl("position", "set", world.topics["accounts"], 0, "earliest", "--reason", "a test")
    world.start()
    world.wait_booked(0)
    rejected = world.sql("SELECT \"offset\", reason FROM api.rejected")
    assert [tuple(row.values()) for row in rejected] == [(1, "unknown_plan")] * 2
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_position_may_be_set_before_anything_was_read(world):
    opened(world)
    use(world, 5)
    world.flush()
    done = move(world, "latest").data
    assert (done["from_offset"], done["to_offset"], done["passed_over"]) == (None, 5, 5)
    assert world.debitctl("position", "list").data[0]["state"] == "unclaimed"
    world.start()
    use(world, 3)
    world.wait_booked(3)
    world.verify()


@pytest.mark.world(partitions=1)
def test_what_would_lose_or_double_is_refused_with_words(world):
    opened(world)
    old_ms = int(time.time() * 1000) - 5 * MONTH_MS
    use(world, 3, timestamp_ms=old_ms)
    use(world, 3)
    daemon = world.start()
    world.wait_booked(6)
    daemon.stop()
    topic, before = world.topics["usage"], position(world)

    def refused(code, words, *arguments, reason=("--reason", "a test"), ctl=world.debitctl):
        done = ctl("position", "set", *arguments, *reason, expect=code, json=False)
        assert words in done.err, done.err
    refused(64, "--reason is missing", topic, 0, 3, reason=())
    refused(64, "--reason is missing", topic, 0, 3, reason=("--reason", "  "))
    refused(64, "PARTITION is a number", topic, "first", 3)
    refused(64, "OFFSET is a number from 0 on, earliest or latest, not '-1'", topic, 0, "-1")
    refused(65, "debitd does not read a topic 'elsewhere'", "elsewhere", 0, 3)
    refused(65, f"{topic} has no partition 7", topic, 7, 3)
    refused(65, f"{topic}/0 holds the offsets from 0 to 5, so reading cannot go on at 7", topic, 0, 7)
    refused(65, f"the messages of {topic}/0 before offset 3 are older than the dedup window", topic, 0, "earliest")
    nowhere = write_config(world.folder / "nowhere.conf", merge(world.config, {
        "kafka": {"bootstrap_servers": f"127.0.0.1:{free_port()}"}, "postgres": {"conninfo": world.postgres.conninfo(world.name)}}))

    def without_kafka(*arguments, **options):
        return debitctl(nowhere, *arguments, **options)
    refused(69, "with --force it is done without asking", topic, 0, 3, ctl=without_kafka)
    refused(69, "name an offset instead", topic, 0, "latest", "--force", ctl=without_kafka)
    assert position(world) == before and world.sql("SELECT * FROM api.position_move") == []

    move(world, 0, "--force")  # what was booked just now is recognised all the same
    without_kafka("position", "set", topic, 0, 1, "--force", "--reason", "a test")
    moves = world.sql("SELECT from_offset, to_offset, log_end, forced FROM api.position_move ORDER BY moved_at")
    assert [tuple(row.values()) for row in moves] == [(6, 0, 6, True), (0, 1, None, True)]
    world.start()
    world.wait_booked(6)
    world.verify()


def test_only_the_owner_and_the_admin_move_positions(world):
    world.start()
    world.wait(lambda: world.sql("SELECT 1 FROM debitd.position"), "a position")
    statements = ["SELECT debitd.move_position(%s, 0, 0, 'r', 'me', NULL, NULL, false)",
                  "SELECT debitd.adopt_cluster(%s, 'r', 'me')"]
    for role in ("debitd_writer", "debitd_reader", "debitd_account", "debitd_tests_writer"):
        with world.postgres.connect(world.name, role) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement, [world.topics["usage"]])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM debitd.position_move")
    done = world.daemons[0].debitctl("position", "set", *place(world), 0, "--reason", "r", expect=77, json=False)
    assert "connect as debitd_admin or the owner" in done.err
    admin = ("--conninfo", world.postgres.conninfo(world.name, "debitd_admin"))
    world.debitctl(*admin, "position", "set", *place(world), 0, "--reason", "r")
    assert world.value("SELECT role FROM api.position_move") == "debitd_admin"
    for role in ("debitd_reader", "debitd_admin", "debitd_writer"):
        with world.postgres.connect(world.name, role) as connection:
            assert len(connection.execute("SELECT * FROM api.position_move").fetchall()) == 1
    with world.postgres.connect(world.name, "debitd_account") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM api.position_move")


# ---------------------------------------------------------------- the cluster

@pytest.mark.world(partitions=1)
def test_a_database_of_another_cluster_is_refused_until_a_person_adopts_it(world):
    opened(world)
    daemon = world.start()
    use(world, 5)
    world.wait_booked(5)
    daemon.stop()
    here = world.value("SELECT kafka_cluster_id FROM debitd.books")
    world.sql("UPDATE debitd.books SET kafka_cluster_id = 'the-one-that-burned'")
    use(world, 5)
    world.flush()
    daemon = world.start(wait=False)
    assert daemon.wait_exit() == 78
    command = f"debitctl position adopt-cluster {here} --reason 'WHY'"
    assert "belong to the Kafka cluster the-one-that-burned, but kafka.bootstrap_servers leads to" in daemon.text()
    assert command in daemon.text()
    assert position(world)["next_offset"] == 5
    world.debitctl("position", "adopt-cluster", here, expect=64, json=False)
    done = world.debitctl("position", "adopt-cluster", here, "--reason", "restored from its disks").data
    assert (done["from_cluster"], done["to_cluster"]) == ("the-one-that-burned", here)
    world.start()
    world.wait_booked(10)
    assert world.value("SELECT reason FROM api.cluster_move") == "restored from its disks"
    assert position(world)["last_fingerprint"] is not None
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_cluster_that_was_adopted_wrongly_halts_its_partitions(world):
    opened(world)
    daemon = world.start()
    use(world, 5)
    world.wait_booked(5)
    daemon.stop()
    world.sql("UPDATE debitd.position SET last_fingerprint = 1 WHERE topic = %s AND partition = %s", place(world))
    world.debitctl("position", "adopt-cluster", world.value("SELECT kafka_cluster_id FROM debitd.books"), "--reason", "a guess")
    use(world, 5)
    world.flush()
    world.start()
    world.wait(lambda: position(world)["halted"], "the partition to be halted")
    assert "is not the one that was booked from there" in position(world)["halted"]
    assert world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") == 5


# ---------------------------------------------------------------- the group's offsets in Kafka

def committed(world):
    reader = Consumer({"bootstrap.servers": world.kafka.bootstrap, "group.id": world.config["kafka"]["group_id"], "log_level": 0})
    try:
        (found,) = reader.committed([TopicPartition(*place(world))], timeout=10)
        return found.offset
    finally:
        reader.close()


@pytest.mark.world(partitions=1)
def test_the_groups_offset_in_kafka_follows_the_books_and_tells_when_they_went_back(world):
    opened(world)
    daemon = world.start()
    use(world, 10)
    world.wait_booked(10)
    world.wait(lambda: committed(world) == 10, "Kafka to have what the books have")

    # a person may go back: that is no alarm, and Kafka follows
    daemon.stop()
    move(world, 4)
    daemon = world.start()
    world.wait_booked(10)
    assert "PostgreSQL has gone back" not in daemon.text()
    use(world, 2)
    world.wait_booked(12)
    world.wait(lambda: committed(world) == 12, "Kafka to follow")
    daemon.stop()

    # a database that was restored has forgotten the last two offsets; here, all of it but their entries
    world.sql("UPDATE debitd.position SET next_offset = 10, last_offset = NULL, last_fingerprint = NULL, booked = booked - 2"
              " WHERE topic = %s AND partition = %s", place(world))
    daemon = world.start(wait=False)
    alarm = f"{world.topics['usage']}/0: PostgreSQL has gone back: it was at offset 12"
    world.wait(lambda: alarm in daemon.text(), "the log to tell")
    world.wait(lambda: position(world)["next_offset"] == 12, "what was missing to be read again")
    use(world, 1)
    world.wait(lambda: committed(world) == 13, "Kafka to follow again")
    assert "the books are where they were before PostgreSQL went back" in daemon.text()
