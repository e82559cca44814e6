"""A database that cannot go on just now: a full disk, a missing leaf, a lock that is held, a line that stands still. The
daemon waits, says for what, skips nothing, takes no more into its memory than its queue, and goes on by itself."""

from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.integration.database_faults import ACCOUNTS, consumed, counts, opened, through, use, whole, world_on
from tests.rig.disk import TABLES, WAL, Disk
from tests.rig.postgres import Postgres
from tests.rig.proxy import TO_CLIENT, Proxy


@pytest.fixture
def disk():
    made = Disk()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def own(request, disk, kafka, seed):
    """A world on a server of its own whose disk can be full."""
    server = Postgres(env=disk.env)
    try:
        server.start()
        with world_on(server, kafka, seed, request.node.name, partitions=2) as world:
            yield world
    finally:
        server.close()


def test_a_disk_full_of_tables_is_waited_for_and_nothing_is_skipped(own, disk):
    opened(own)
    daemon = own.start()
    use(own, 100)
    own.wait_booked(total=100)
    disk.fill(TABLES)
    use(own, 3000, first=100)
    own.wait(lambda: "No space left on device" in daemon.text(), "a word about the disk")
    assert "nothing is skipped" in daemon.text()
    before = consumed(own)
    assert before < 3100 and counts(own) == {"booked": before}
    disk.free(TABLES)
    whole(own, 3100)
    assert daemon.running, daemon.tail()


def test_a_server_that_dies_of_a_full_log_is_waited_for_and_loses_nothing(own, disk):
    opened(own)
    daemon = own.start()
    use(own, 100)
    own.wait_booked(total=100)
    disk.fill(WAL)
    server = own.postgres
    with suppress(psycopg.OperationalError):  # it may die of that already
        own.sql("SELECT pg_switch_wal()")
    use(own, 500, first=100)
    own.wait(lambda: "PANIC" in server.log.read_text(), "the server to find no room")
    own.disconnect()
    server.crash()
    disk.free(WAL)
    server.start()
    whole(own, 600)
    assert daemon.running, daemon.tail()


@pytest.mark.world(partitions=1)
def test_a_month_without_its_leaves_is_waited_for_with_words_and_nothing_is_rejected(world):
    opened(world)
    daemon = world.start()
    use(world, 20)
    world.wait_booked(total=20)
    world.wait(lambda: world.value("SELECT count(*) FROM debitd.batch WHERE NOT folded") == 0, "the sums of the day")
    (month,) = world.sql("SELECT to_char(month, 'YYYY_MM') AS month FROM debitd.books")
    leaf = f"debitd.ledger_{month['month']}"
    world.sql(f"ALTER TABLE debitd.ledger DETACH PARTITION {leaf}")
    world.sql(f"ALTER TABLE {leaf} RENAME TO ledger_away")
    use(world, 100, first=20)
    world.wait(lambda: "booking stands still" in daemon.text(), "a word about it")
    assert consumed(world) == 20
    assert world.value("SELECT count(*) FROM debitd.rejected") == 0
    world.sql(f"ALTER TABLE debitd.ledger_away RENAME TO {leaf.removeprefix('debitd.')}")
    bounds = world.sql("SELECT debitd.start_of(month) AS low, debitd.start_of((month + interval '1 month')::date) AS high"
                       " FROM debitd.books")[0]
    world.sql(f"ALTER TABLE debitd.ledger ATTACH PARTITION {leaf} FOR VALUES FROM ('{bounds['low']}') TO ('{bounds['high']}')")
    whole(world, 120)


def resident_kb(daemon):
    with open(f"/proc/{daemon.child.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@contextmanager
def locked_payers(world):
    with world.postgres.connect(world.name, autocommit=False) as owner:
        owner.execute("SELECT 1 FROM debitd.payer FOR UPDATE")
        yield
        owner.commit()


@contextmanager
def silent_line(world):
    world.line.hold(TO_CLIENT)
    try:
        yield
    finally:
        world.line.let_go()


@pytest.mark.parametrize("stuck", [locked_payers, silent_line])
@pytest.mark.world(partitions=2)
def test_while_the_database_is_stuck_the_queue_fills_and_no_more_and_the_partitions_stay(world, stuck):
    """max.poll.interval.ms is 6 s and passes meanwhile: who does not poll loses his partitions."""
    total = 20000
    opened(world)
    with Proxy(world.postgres.port) as world.line:
        through(world, world.line.port)
        daemon = world.start(queue={"max_messages": 1000}, kafka={
            "properties": [["session.timeout.ms", "6000"], ["max.poll.interval.ms", "6000"]]})
        use(world, 100)
        world.wait_booked(total=100)
        epochs = world.sql("SELECT topic, partition, epoch FROM debitd.position ORDER BY 1, 2")
        assigned = daemon.text().count("Kafka has given us")
        with stuck(world):
            use(world, total - 100, first=100)
            since = world.value("SELECT clock_timestamp()")
            world.wait(lambda: world.value("SELECT clock_timestamp() > %s + interval '7 s'", [since]), "max.poll.interval.ms to pass")
            full = resident_kb(daemon)
        world.wait_booked(total=total, timeout=120)
        assert daemon.text().count("Kafka has given us") == assigned, "it had lost its partitions"
        assert world.sql("SELECT topic, partition, epoch FROM debitd.position ORDER BY 1, 2") == epochs
        assert full < 400_000, f"{full} kB are in memory"
        whole(world, total)


def too_much_at_once(world, table, condition):
    """A statement that puts more than that into the table takes longer than it may."""
    world.sql("CREATE FUNCTION too_much() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
              f" IF {condition} THEN RAISE query_canceled USING MESSAGE = 'canceling statement due to statement timeout'; END IF; RETURN NULL; END $$")
    world.sql(f"CREATE TRIGGER too_much AFTER INSERT ON debitd.{table} REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION too_much()")


@pytest.mark.world(partitions=2)
def test_a_batch_that_takes_longer_than_a_statement_may_is_booked_in_smaller_ones(world):
    opened(world)
    too_much_at_once(world, "batch", "(SELECT max(entry_hi - entry_lo) FROM made) >= 40")
    use(world, 1000)
    world.start()
    whole(world, 1000)


@pytest.mark.world(partitions=1)
def test_sums_by_day_that_take_longer_than_a_statement_may_are_made_in_smaller_pieces(world):
    opened(world)
    too_much_at_once(world, "usage_daily", "(SELECT count(*) FROM made) > 1500")
    daemon = world.start(batch={"max_events": 100})
    with world.postgres.connect(world.name) as other, other.transaction():
        other.execute("LOCK TABLE debitd.usage_daily IN SHARE MODE")
        for n in range(3000):
            world.usage(ACCOUNTS[n % 8], id=f"u-{n}", service="own", model=f"model-{n}", cost="0.01", quantities={"input": 1})
        world.flush()
        world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") == 3000, "all to be booked")
    world.wait(lambda: world.value("SELECT count(*) FROM debitd.usage_daily") == 3000, "all to be summed", timeout=60)
    assert "1000 entries at a time from now on" in daemon.text()
    whole(world, 3000)
