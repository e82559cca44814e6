"""What the database refuses: one value among many, a schema that is not the program's; and clocks that are wrong."""

import random
import struct
from datetime import datetime, timedelta, timezone

import pytest

from tests.integration.database_faults import consumed, counts, judged, opened, use, whole
from tests.rig.daemon import build_folder
from tests.rig.judged import Judged

DAY_S = 86400

REFUSE = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation';
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON debitd.ledger FOR EACH ROW WHEN (NEW.event_id = 'u-{n}')
        EXECUTE FUNCTION public.refuse()"""


@pytest.mark.world(partitions=2)
def test_the_one_value_that_the_database_refuses_is_found_among_its_neighbours(world, seed):
    """23514 on one event of 200: halving finds exactly that one; it is a dead letter and the others are booked."""
    opened(world)
    bad = random.Random(seed).randrange(200)
    world.sql(REFUSE.format(n=bad))
    use(world, 200)
    daemon = world.start()
    world.wait_booked(total=199)
    assert counts(world) == {"booked": 199, "rejected": 1}
    (rejected,) = world.sql("SELECT reason, detail, value FROM api.rejected")
    assert rejected["reason"] == "bad_data" and "23514" in rejected["detail"]
    assert f'"id":"u-{bad}"'.encode() in bytes(rejected["value"])
    assert "defect" in daemon.text() and "23514" in daemon.text()
    assert len(world.topic_messages("deadletter")) == 1
    world.verify()


@pytest.mark.world(partitions=2)
def test_functions_and_views_that_are_replaced_while_daemons_book_disturb_nothing(world):
    """What an upgrade does beside daemons of the version before: every function and view is made again, five times."""
    opened(world)
    running = world.start(2, batch={"max_events": 20, "max_delay_ms": 0})
    world.wait_booked()
    use(world, 1500)
    for turn in range(1, 6):
        world.wait(lambda: consumed(world) >= 200 * turn, "booking to go on")
        world.sql("UPDATE debitd.schema_code SET sha256 = 'of another version'")
        world.debitctl("migrate", json=False)
        assert world.value("SELECT count(*) FROM debitd.schema_code WHERE sha256 <> 'of another version'") == 1
    whole(world, 1500)
    assert all(daemon.running for daemon in running)


@pytest.mark.unsanitized
@pytest.mark.world(partitions=2)
def test_a_daemon_whose_clock_is_a_day_off_and_jumps_books_the_same(world):
    """One daemon is a day ahead, the other a day behind, and both jump while they run: the books know only the time of
    the database and of the messages."""
    world.catalog()
    stream = Judged(world, 600)
    clocks = {world.folder / "ahead": DAY_S, world.folder / "behind": -DAY_S}

    def jump(phase=None):
        for clock, seconds in clocks.items():
            with open(clock, "r+b" if clock.exists() else "wb") as file:  # the daemon has it mapped
                file.write(struct.pack("=q", seconds))
            clocks[clock] = -seconds
    jump()
    for clock in clocks:
        world.start(env={"LD_PRELOAD": str(build_folder() / "tests" / "skew.so"), "SKEW_FILE": str(clock)})
    stream.run(jump)
    judged(stream)
    ahead, behind = ({line[:10] for line in daemon.text().splitlines()} for daemon in world.daemons)
    today = datetime.now(timezone.utc)
    assert f"{today + timedelta(days=1):%Y-%m-%d}" in ahead, "the clock was not moved"
    assert f"{today - timedelta(days=1):%Y-%m-%d}" in behind, "the clock was not moved"
    for daemon in world.daemons:
        assert daemon.stop() == 0
