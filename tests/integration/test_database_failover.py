"""PostgreSQL dies in the middle of batches, a standby takes its place, a server that cannot be written to answers: the books
are the model's, and alerts and dead letters are on their topics once."""

import os
import random
import signal
from collections import Counter

import pytest

from tests.integration.database_faults import WRITERS, consumed, goes_on_at, judged, opened, through, use, whole, world_on
from tests.rig.judged import Judged, published
from tests.rig.standby import standby_of
from tests.rig.wait import wait_until

SMALL = {"max_events": 40, "max_delay_ms": 0}
EVENTS = 600


@pytest.fixture
def own(request, server, kafka, seed):
    """A world on a server of its own."""
    with world_on(server, kafka, seed, request.node.name, partitions=2) as world:
        yield world


def moved_on(world, stream, dice):
    """Some more was consumed, by chance more or less of it."""
    goal = consumed(world) + dice.randrange(1, 120)
    world.wait(lambda: consumed(world) >= goal or stream.at_rest(), "some progress")


def crash_of_the_server(world):
    world.disconnect()
    world.postgres.restart(crash=True)


def kill_of_the_postmaster(world):
    world.disconnect()
    world.postgres.kill()
    world.postgres.start()


def kill_of_a_backend(world):
    """kill -9 of a writer's backend: the postmaster takes all the others down and recovers."""
    ready = "database system is ready to accept connections"
    server = world.postgres
    victim, *_ = world.wait(lambda: world.sql(WRITERS), "a writer's session")
    starts = server.log.read_text().count(ready)
    world.disconnect()
    os.kill(victim["pid"], signal.SIGKILL)
    wait_until(lambda: server.log.read_text().count(ready) > starts and server.answers(), 60, "the server to recover",
               dump=lambda: server.log.read_text()[-4000:])


def test_a_server_that_dies_in_the_middle_of_batches_loses_and_doubles_nothing(own):
    own.catalog()
    stream, dice = Judged(own, EVENTS), random.Random(own.seed)
    daemon = own.start(batch=SMALL)
    faults = [crash_of_the_server, kill_of_the_postmaster, kill_of_a_backend]
    dice.shuffle(faults)

    def die(phase):
        moved_on(own, stream, dice)
        faults[phase % len(faults)](own)
    stream.run(die)
    judged(stream)
    assert daemon.running, daemon.tail()


def fail_over(world, standby):
    """The world goes on on the standby, which the daemons know as their second host."""
    world.disconnect()
    world.postgres.crash()
    goes_on_at(world, standby.promote())


def published_once(world):
    alerts, letters = published(world)
    assert Counter(alert.json()["id"] for alert in alerts) == Counter(
        str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM api.alert"))
    places = Counter((m.header("__connect.errors.topic"), m.header("__connect.errors.partition"),
                      m.header("__connect.errors.offset")) for m in letters)
    assert set(places.values()) <= {1}
    return len(alerts)


def test_nothing_is_lost_when_a_sync_standby_takes_over(own):
    own.catalog()
    with standby_of(own.postgres, sync=True) as standby:
        through(own, own.postgres.port, standby.port)
        stream, dice = Judged(own, EVENTS), random.Random(own.seed)
        daemon = own.start(batch=SMALL)

        def once(phase):
            if phase == 1:
                moved_on(own, stream, dice)
                before = consumed(own)
                fail_over(own, standby)
                assert consumed(own) >= before, "a sync standby had lost what was committed"
        stream.run(once)
        judged(stream)
        assert published_once(own) > 0
        assert daemon.running, daemon.tail()


def test_what_an_async_standby_had_lost_is_read_again_and_published_once(own):
    """Alerts and dead letters of the lost transactions are on the topics already: the new primary raises them again, with
    the ids that they had, and they are not sent twice."""
    own.catalog()
    with standby_of(own.postgres) as standby:
        through(own, own.postgres.port, standby.port)
        stream = Judged(own, EVENTS)
        daemon = own.start(batch=SMALL)

        def lose(phase):
            if phase == 1:
                stream.settle()
                before = [len(messages) for messages in published(own)]
                assert min(before) > 0, f"alerts and letters published: {before}"
                lost = consumed(own)
                fail_over(own, standby)
                own.commits_lost = True
                assert consumed(own) < lost, "nothing was lost"
        stream.send(0)
        stream.settle()
        standby.stop_receiving()
        for phase in stream.phases()[1:]:
            stream.send(phase)
            lose(phase)
            stream.settle()
        judged(stream)
        assert published_once(own) > 0
        assert daemon.running, daemon.tail()


def test_an_old_primary_that_comes_back_for_a_moment_changes_nothing_in_the_new_books(own):
    """A second primary takes bookings while the daemon cannot reach the real one; then it is gone for good."""
    opened(own)
    with standby_of(own.postgres) as standby:
        old = own.postgres
        through(own, old.port, standby.port)  # the old one is asked first
        daemon = own.start(batch=SMALL)
        use(own, 200)
        own.wait_booked(total=200)
        own.wait(standby.follows, "the standby to have all of it")
        fail_over(own, standby)
        use(own, 200, first=200)
        own.wait_booked(total=400)
        old.start()
        own.disconnect()
        standby.crash()  # for a moment only the zombie can be reached
        use(own, 100, first=400)
        own.wait(lambda: old.sql("SELECT 1 FROM debitd.position WHERE topic = %s AND next_offset > 200",
                                 [own.topics["usage"]], own.name), "the zombie to take bookings", timeout=60)
        old.crash()
        standby.start()
        whole(own, 500)
        assert daemon.running, daemon.tail()


def test_a_server_that_cannot_be_written_to_is_waited_for(own):
    """A primary whose sessions are read-only (25006), and a standby that nobody has promoted."""
    opened(own)
    with standby_of(own.postgres) as standby:
        old = own.postgres
        through(own, old.port, standby.port)
        daemon = own.start(batch=SMALL)
        use(own, 100)
        own.wait_booked(total=100)
        own.wait(standby.follows, "the standby to have all of it")
        own.disconnect()
        old.crash()
        use(own, 100, first=100)
        own.wait(lambda: "session is in recovery mode" in daemon.text() or "read-only" in daemon.text(),
                 "a word about the standby")
        assert standby.sql("SELECT sum(next_offset) FROM debitd.position WHERE topic = %s", [own.topics["usage"]],
                           own.name) == [(100,)]
        goes_on_at(own, standby.promote())
        whole(own, 200)
        assert own.value("SELECT count(*) FROM api.rejected") == 0
