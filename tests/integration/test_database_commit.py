"""A COMMIT that nobody answers, and sessions that outlive their client: what was asked for last may still happen.

COMMIT is made to wait, for a standby that is not there, so that each moment of it can be looked at.
"""

import pytest

from tests.integration.database_faults import (
    COMMITTING, WAITING_WRITERS, commits_wait, consumed, opened, through, use, whole,
)
from tests.rig.proxy import Proxy

RESOLVING = WAITING_WRITERS + " AND query LIKE '%an unanswered COMMIT landed%'"


def booked_in(admin):
    return admin.execute("SELECT count(*) FROM api.ledger WHERE type = 'usage'").fetchone()[0]


@pytest.mark.world(partitions=1)
def test_a_connection_cut_while_commit_waits_is_resolved_only_when_the_commit_is_over(world):
    opened(world)
    with Proxy(world.postgres.port) as proxy:
        through(world, proxy.port)
        daemon = world.start()
        world.wait_booked()
        with commits_wait(world) as admin:
            use(world, 100)
            world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
            proxy.cut(b"debitd/writer")
            world.wait(lambda: admin.execute(RESOLVING).fetchall(), "the writer to wait for what became of it")
            # what a plain look would have said: nothing of it is there
            assert booked_in(admin) == 0
            assert admin.execute(COMMITTING).fetchall(), "the COMMIT was over too early to tell"
            assert "had landed" not in daemon.text()
        world.wait(lambda: "an unanswered COMMIT had landed" in daemon.text(), "the writer to find out")
        use(world, 40, first=100)
        whole(world, 140)


@pytest.mark.world(partitions=1)
def test_a_commit_that_was_told_to_wait_no_longer_has_happened_and_is_told_to_people(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with commits_wait(world) as admin:
        use(world, 100)
        world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
        admin.execute(f"SELECT pg_cancel_backend(pid) FROM ({COMMITTING}) waiting")
        world.wait(lambda: "PostgreSQL warns: canceling wait for synchronous replication" in daemon.text(),
                   "a word in the log")
        assert "might not have been replicated" in daemon.text()
    use(world, 40, first=100)
    whole(world, 140)


@pytest.mark.world(partitions=1)
def test_a_daemon_killed_while_commit_waits_has_its_commit_once_the_standby_is_there(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with commits_wait(world) as admin:
        use(world, 100)
        world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
        daemon.kill()
        assert booked_in(admin) == 0
    world.wait(lambda: consumed(world) > 0, "the COMMIT of the dead")
    world.start()
    use(world, 40, first=100)
    whole(world, 140)


@pytest.mark.world(partitions=1)
def test_a_daemon_killed_while_it_waits_for_a_lock_does_not_write_after_its_death(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with world.postgres.connect(world.name, autocommit=False) as owner:
        owner.execute("SELECT 1 FROM debitd.payer FOR UPDATE")
        use(world, 100)
        (session,) = world.wait(lambda: world.sql(WAITING_WRITERS), "the writer to wait for the lock")
        daemon.kill()
        world.wait(lambda: not world.sql(WAITING_WRITERS), "the session to end")
        owner.commit()
    # the server looked after its client; else it would have waited until the lock was not to be had in time
    said = [line for line in world.postgres.log.read_text().splitlines() if f"[{session['pid']}]" in line]
    assert any("connection to client lost" in line for line in said), said
    assert not any("lock timeout" in line for line in said), said
    assert consumed(world) == 0
    world.start()
    whole(world, 100)
