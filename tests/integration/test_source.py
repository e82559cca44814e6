"""What comes in: every message once, whoever reads it, and nothing at all where that is not certain."""

import os
import re
import signal
from contextlib import contextmanager

import pytest

from tests.rig.daemon import build_folder


def opened(world, accounts, plan="payg"):
    for account in accounts:
        world.account("account.opened", account, plan=plan)


def used(world, accounts, **given):
    for account in accounts:
        world.usage(account, service="openai", model="gpt-4o-mini", quantities={"input": 1000}, **given)


def entries(world):
    return world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")


def names(count, start=0):
    return [f"acct-{n}" for n in range(start, start + count)]


def test_accounts_that_were_opened_before_the_start_are_known_before_any_usage_is_booked(world):
    world.catalog()
    used(world, names(50))  # nothing orders the topics; at the start the accounts come first
    opened(world, names(50))
    world.flush()
    world.start()
    world.wait_booked(50)
    assert world.value("SELECT count(*) FROM debitd.parked") == 0


@pytest.mark.world(partitions=1)
def test_usage_waits_for_the_accounts_also_when_they_are_claimed_away_while_they_are_read(world):
    world.catalog()
    used(world, names(100))
    opened(world, names(100))
    world.flush()
    world.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN new; END $$")
    world.sql("CREATE TRIGGER slow BEFORE INSERT ON debitd.account FOR EACH ROW EXECUTE FUNCTION slow()")
    world.start(wait=False, batch={"max_events": 5})
    world.wait(lambda: world.value("SELECT count(*) FROM api.account") >= 10, "the accounts to be read")
    world.sql("UPDATE debitd.position SET epoch = epoch + 1 WHERE topic = %s", [world.topics["accounts"]])
    world.wait_booked(100)
    assert world.value("SELECT count(*) FROM debitd.parked") == 0
    world.verify()


def test_instances_that_are_killed_and_join_again_book_every_event_once(world):
    world.catalog()
    opened(world, names(20))
    daemons = world.start(3)
    total = 0
    for victim in range(3):
        used(world, names(20) * 20)
        total += 400
        world.flush()
        daemons[victim].kill()
        used(world, names(20) * 10)
        total += 200
        daemons[victim] = world.start()
    world.wait_booked(total)
    world.verify()


def test_an_instance_that_stood_still_while_another_took_over_books_nothing_twice(world):
    world.catalog()
    opened(world, names(20))
    stopped, other = world.start(2)
    used(world, names(20) * 10)
    world.wait_booked(200)
    os.kill(stopped.child.pid, signal.SIGSTOP)
    used(world, names(20) * 30)
    world.wait_booked(800, timeout=60)  # once its session in the group has run out
    os.kill(stopped.child.pid, signal.SIGCONT)
    used(world, names(20) * 30)
    world.wait_booked(1400, timeout=60)
    assert stopped.running and other.running
    world.verify()


def test_a_position_that_somebody_else_has_claimed_is_claimed_back(world):
    world.catalog()
    opened(world, names(4))
    world.start()
    used(world, names(4) * 10)
    world.wait_booked(40)
    for partition in range(world.partitions["usage"]):
        world.sql("SELECT * FROM debitd.claim(%s, %s, 'a stranger')", [world.topics["usage"], partition])
    used(world, names(4) * 10)
    world.wait_booked(80)
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_halted_partition_does_not_hold_up_the_others_and_is_read_again_once_released(world):
    world.catalog()
    opened(world, names(2))
    daemon = world.start()
    used(world, names(1))
    world.wait_booked(1)
    daemon.stop()
    world.sql("UPDATE debitd.position SET halted = 'by hand' WHERE topic = %s", [world.topics["usage"]])
    used(world, names(1))
    opened(world, ["acct-later"])
    world.flush()
    daemon = world.start()
    world.wait(lambda: world.sql("SELECT 1 FROM api.account WHERE account_id = 'acct-later'"), "the account to be opened")
    assert entries(world) == 1
    assert "is halted and stays so: by hand" in daemon.text()
    world.sql("UPDATE debitd.position SET halted = NULL")
    world.wait_booked(2)  # looked for every 2 s


def test_a_missing_topic_is_named_with_the_command_that_creates_it_and_is_read_once_it_is_there(world):
    topic = world.topics["usage"]
    world.kafka.delete_topics([topic])
    world.wait(lambda: topic not in world.kafka.admin().list_topics(timeout=10).topics, "the topic to be gone")
    world.catalog()
    opened(world, names(1))
    world.flush()
    daemon = world.start(wait=False)
    world.wait(lambda: f"--create --topic {topic}" in daemon.text(), "the log to name the topic")
    world.kafka.create_topic(topic, world.partitions["usage"])
    used(world, names(1))
    world.wait_booked(1)


def test_a_property_that_the_guarantees_rest_on_is_refused_at_the_start(world):
    properties = [["enable.auto.commit", "true"]]
    daemon = world.start(wait=False, kafka={"properties": properties})
    assert daemon.wait_exit() == 78
    assert '"enable.auto.commit" cannot be set: the offsets are kept in PostgreSQL' in daemon.text()


FEW = {"queue": {"max_messages": 1000}, "batch": {"max_events": 500}}


@contextmanager
def full_queue(world, **options):
    """A daemon with FEW that has booked 20 events and cannot book 8,000 more, meanwhile; its queue has been full for some time."""
    world.catalog()
    opened(world, names(20))
    daemon = world.start(**FEW, **options)
    used(world, names(20))
    world.wait_booked(20)
    with world.postgres.connect(world.name, autocommit=False) as books:
        books.execute("LOCK TABLE debitd.payer IN EXCLUSIVE MODE")  # no writer gets on
        used(world, names(20) * 400)
        world.flush()
        told = sum(line.startswith("STATUS=") for line in daemon.heard())
        world.wait(lambda: sum(line.startswith("STATUS=") for line in daemon.heard()) >= told + 3, "three seconds to pass")
        yield daemon


def test_a_full_queue_pauses_its_partitions_and_every_event_is_booked_once_it_empties(world):
    with full_queue(world):
        assert entries(world) == 20
    world.wait_booked(8020, timeout=60)
    world.verify()


def test_what_was_paused_when_the_partitions_are_given_out_anew_is_read_on(world):
    with full_queue(world) as first:
        world.start(wait=False, **FEW)
        world.wait(lambda: first.text().count("Kafka has given us") == 2, "the partitions to be given out anew")
    world.wait_booked(8020, timeout=60)
    world.verify()


@pytest.mark.unsanitized
def test_a_partition_that_the_library_keeps_paused_is_told_after_a_minute_and_read_on(world):
    with full_queue(world, env={"LD_PRELOAD": str(build_folder() / "tests" / "deaf.so")}) as daemon:
        pass

    def told():
        return re.findall(r"warning: (\S+) has stood still at offset (\d+) .* its log goes on to (\d+): ", daemon.text())
    world.wait(told, "a partition to be said to stand still", timeout=120)
    world.wait_booked(8020, timeout=60)
    [(place, offset, end)] = told()
    topic, _, number = place.rpartition("/")
    assert topic == world.topics["usage"] and int(offset) < int(end) <= world.kafka.ends(topic)[int(number)][1]
    world.verify()
