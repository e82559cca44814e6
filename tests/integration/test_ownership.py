"""Who may book a partition, and what an unanswered COMMIT means: zombies, the stopped and the cut off."""

from contextlib import contextmanager

import psycopg
import pytest

from tests.integration.database_faults import ACCOUNTS, COMMITTING, WAITING_WRITERS, commits_wait, opened, use
from tests.rig.proxy import Proxy

def conserved(world, count):
    """Every offset is counted once, and every event is an entry."""
    rows = world.sql("SELECT sum(next_offset) AS offsets, sum(booked) AS booked, sum(duplicates) AS duplicates,"
                     " sum(booked + duplicates + rejected + parked + skipped) AS counted"
                     " FROM api.position WHERE topic = %s", [world.topics["usage"]])
    assert rows == [{"offsets": count, "booked": count, "duplicates": 0, "counted": count}]
    assert world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") == count
    assert world.value("SELECT count(DISTINCT event_id) FROM api.ledger WHERE type = 'usage'") == count
    world.verify()


@pytest.mark.world(partitions=2)
def test_a_zombie_that_wakes_up_books_nothing_of_what_was_taken_over(world):
    opened(world)
    slow = {"batch": {"max_events": 1, "max_delay_ms": 0}}
    first = world.start(fault="", **slow)
    use(world, 3000)
    world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") >= 50, "the first to be busy")
    first.fault("ingest.begin", "STOP")  # with a batch in hand, whose transaction it begins when it wakes up
    world.wait(first.stands_still, "the first to stand still")
    world.start(wait=False)
    world.wait(lambda: not world.behind(), "the second to take over and finish", timeout=60)
    first.go_on()
    world.wait(lambda: "dropped topic=" in first.log.read_text(), "the first to find out")
    use(world, 40, first=3000)
    world.wait_booked(total=3040)
    conserved(world, 3040)


@contextmanager
def silent_in_a_copy(world):
    """A session like a writer's has moved the position and says nothing more, in the middle of a COPY. In the end it was ended by another."""
    with pytest.raises(psycopg.Error, match="terminating connection"):
        with world.postgres.connect(world.name, "debitd_tests_writer") as owner:
            owner.execute("SET application_name = 'debitd/writer 0'")
            owner.execute("BEGIN")
            epoch = world.value("SELECT epoch FROM debitd.position WHERE topic = %s", [world.topics["usage"]])
            owner.execute("SELECT debitd.advance(%s, 0, %s, NULL, 7, 6, 0)", [world.topics["usage"], epoch])
            with owner.cursor().copy("COPY debitd.event_key (month, key, digest, entry_id) FROM STDIN"):
                yield


@pytest.mark.world(partitions=1)
def test_an_owner_that_stands_still_in_the_middle_of_a_copy_is_not_waited_for(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with silent_in_a_copy(world):
        use(world, 40)
        daemon.kill()
        world.start(wait=False)
        world.wait_booked(total=40)
    conserved(world, 40)


@pytest.mark.world(partitions=1)
def test_a_writer_does_not_wait_for_what_it_has_left_behind_on_the_server(world):
    """A connection that is lost in the middle of a COPY may stand for hours on the server's side."""
    opened(world)
    world.start()
    world.wait_booked()
    with silent_in_a_copy(world):
        use(world, 40)
        world.wait(lambda: len(world.sql(WAITING_WRITERS)) == 1, "a batch to wait for the position")
        world.sql(f"SELECT pg_terminate_backend(pid) FROM ({WAITING_WRITERS}) AS w")
        world.wait_booked(total=40)
    conserved(world, 40)


@pytest.mark.world(partitions=100)
def test_however_many_partitions_are_claimed_away_at_once_all_go_on(world):
    opened(world)
    world.start()
    world.wait_booked()
    world.sql("UPDATE debitd.position SET epoch = epoch + 1 WHERE topic = %s", [world.topics["usage"]])
    for n in range(100):
        use(world, 1, first=n, partition=n)
    world.wait_booked(total=100, timeout=120)
    conserved(world, 100)


@pytest.mark.world(partitions=2)
def test_a_position_that_cannot_be_claimed_holds_up_no_other(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    first = [world.topics["usage"]]
    with world.postgres.connect(world.name) as person, person.transaction():
        world.sql("UPDATE debitd.position SET epoch = epoch + 1 WHERE topic = %s AND partition = 0", first)
        person.execute("SELECT FROM debitd.position WHERE topic = %s AND partition = 0 FOR UPDATE", first)
        world.wait(lambda: "tried again every second" in daemon.text(), "a claim to fail")
        use(world, 200, partition=1)
        world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") == 200, "the neighbour to be booked")
    use(world, 5, first=200, partition=0)
    world.wait_booked(total=205)
    conserved(world, 205)


@pytest.mark.world(partitions=1)
def test_an_owner_whose_position_was_claimed_books_only_after_claiming_it_again(world):
    opened(world)
    daemon = world.start()
    use(world, 40)
    world.wait_booked(total=40)
    with world.postgres.connect(world.name) as stranger:  # claims while a batch is on its way, before it has moved the position
        stranger.execute("SELECT pg_advisory_lock(debitd.books_lock())")
        use(world, 40, first=40)
        world.wait(lambda: len(world.sql(WAITING_WRITERS)) == 1, "a batch to wait for the books")
        stolen = world.value("SELECT epoch FROM debitd.claim(%s, 0, 'a stranger')", [world.topics["usage"]])
    world.wait_booked(total=80)
    assert "dropped topic=" in daemon.log.read_text()
    assert world.value("SELECT epoch FROM debitd.position WHERE topic = %s", [world.topics["usage"]]) > stolen
    conserved(world, 80)


@pytest.mark.world(partitions=4)
def test_writers_that_share_a_payer_keep_its_chain(world):
    world.catalog()
    world.account("account.opened", "parent", plan="assistant-business")
    children = [f"child-{n}" for n in range(16)]
    world.flush()
    world.start(writers={"count": 4}, batch={"max_events": 5, "max_delay_ms": 0})
    world.wait_booked()
    for child in children:
        world.account("account.opened", child, parent="parent")
    world.wait_booked()
    for n in range(2000):
        world.usage(children[n % 16], id=f"u-{n}", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=n % 4)
    world.wait_booked(total=2000)
    # 1000 x 0.15 / 1e6 USD = 0.00015 USD = 0.015 credits each
    assert world.value("SELECT balance FROM api.balance WHERE account_id = 'parent'") == -30
    world.verify()


@pytest.mark.world(partitions=4)
def test_writers_that_share_payers_never_wait_for_each_other_in_a_circle(world):
    world.catalog()
    accounts = [f"acct-{n}" for n in range(40)]
    for account in accounts:
        world.account("account.opened", account, plan="assistant-business")
    for n in range(4000):
        world.usage(accounts[n // 4 % 40], id=f"u-{n}", service="openai", model="gpt-4o-mini", quantities={"input": 1000},
                    partition=n % 4)
    world.flush()
    world.start(writers={"count": 4}, batch={"max_events": 50, "max_delay_ms": 0})

    def circles():
        return [line for line in world.postgres.log.read_text().splitlines()
                if world.name in line and "deadlock detected" in line]
    world.wait(lambda: circles() or world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") == 4000,
               "4000 events to be booked", timeout=60)
    assert circles() == []
    world.wait_booked(total=4000)
    conserved(world, 4000)


@pytest.mark.world(partitions=3)
def test_instances_that_come_and_go_share_the_work_without_loss(world):
    opened(world)
    running = [world.start(batch={"max_events": 50})]
    sent = 0
    for step in range(6):
        use(world, 500, first=sent)
        sent += 500
        world.flush()
        if step % 3 == 2:
            oldest = running.pop(0)
            oldest.wait_ready()  # SIGTERM ends a program that has not begun yet
            oldest.stop()
        else:
            running.append(world.start(batch={"max_events": 50}, wait=False))
    world.wait_booked(total=sent, timeout=120)
    conserved(world, sent)


@pytest.mark.world(partitions=1)
def test_an_unanswered_commit_that_landed_is_not_booked_again(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with commits_wait(world) as admin:
        use(world, 100)
        world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
        # the server ends the session while COMMIT waits: the client hears nothing of it
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({COMMITTING}) waiting")
        world.wait(lambda: "an unanswered COMMIT had landed" in daemon.log.read_text(), "the writer to find out")
    use(world, 40, first=100)
    world.wait_booked(total=140)
    conserved(world, 140)


@pytest.mark.world(partitions=1)
def test_a_commit_that_is_still_on_its_way_is_waited_for_before_the_position_is_read(world):
    opened(world)
    with Proxy(world.postgres.port) as proxy:
        daemon = world.start(postgres={"conninfo": f"host=127.0.0.1 port={proxy.port} user=debitd_tests_writer"
                                                   f" dbname={world.name}"})
        world.wait_booked()
        with commits_wait(world) as admin:
            use(world, 100)
            ((committing,),) = world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
            proxy.cut()  # the server does not notice: its session goes on waiting
            blocked = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)) AND application_name LIKE %s"
            world.wait(lambda: admin.execute(blocked, [committing, "debitd/writer%"]).fetchall(),
                       "the writer to be back and to wait for the position")
            assert admin.execute(COMMITTING).fetchall() == [(committing,)]
        world.wait_booked(total=100)
        assert "an unanswered COMMIT had landed" in daemon.text()
        assert "dropped topic=" not in daemon.text()
        conserved(world, 100)
        daemon.stop()


@pytest.mark.world(partitions=1)
def test_a_commit_whose_client_was_killed_is_waited_for_by_the_next_owner(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with commits_wait(world) as admin:
        use(world, 100)
        world.wait(lambda: admin.execute(COMMITTING).fetchall(), "a COMMIT to wait")
        daemon.kill()
        world.start(wait=False)
        blocked = ("SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                   " AND wait_event_type = 'Lock' AND query LIKE '%claim%'")
        world.wait(lambda: admin.execute(blocked).fetchall(), "the next owner to wait for it", timeout=60)
    use(world, 40, first=100)
    world.wait_booked(total=140)
    conserved(world, 140)


@pytest.mark.world(partitions=1)
def test_a_plan_that_is_assigned_while_its_payer_is_waited_for_is_the_one_that_counts(world):
    opened(world)
    daemon = world.start()
    world.wait_booked()
    with world.postgres.connect(world.name, autocommit=False) as owner:
        owner.execute("SELECT api.account_assign('upgrade', %s, 'assistant-pro')", [ACCOUNTS[0]])
        use(world, 1)
        world.wait(lambda: world.sql(WAITING_WRITERS), "the writer to wait for the payer")
        owner.commit()
    world.wait_booked(total=1)
    assert daemon.running, daemon.tail()
    assert world.value("SELECT plan FROM api.ledger WHERE type = 'usage'") == "assistant-pro"
    world.verify()


@pytest.mark.world(partitions=1)
def test_an_account_that_moves_to_another_payer_of_the_batch_while_that_waits_is_charged_there(world):
    """Usage of the old payer, of the new one and of what moves: what the new one has used is asked for anew."""
    world.catalog()
    for firm in "old", "new":
        world.account("account.opened", firm, plan="quota-starter")
    world.account("account.opened", "moves", parent="old")
    daemon = world.start()
    world.wait_booked()
    world.usage("new", metric="signatures", service="signaturit", quantity=2)  # 3 are included
    world.usage("moves", metric="signatures", service="signaturit", quantity="0.25")
    world.wait_booked(total=2)
    with world.postgres.connect(world.name, autocommit=False) as owner:
        owner.execute("SELECT api.account_update('move', 'moves', parent => 'new')")
        world.usage("new", metric="sms", service="twilio", quantity=1)
        world.usage("moves", metric="signatures", service="signaturit", quantity=2, id="moved")
        world.flush()
        world.wait(lambda: world.sql(WAITING_WRITERS), "the writer to wait for the payers")
        owner.commit()
    world.wait_booked(total=4)
    assert daemon.running, daemon.tail()
    # 2 of 3 were used: one of the two is overage, at 2.00 EUR
    assert world.sql("SELECT payer_id, amount FROM api.ledger WHERE event_id = 'moved'") == [{"payer_id": "new", "amount": -2}]
    world.verify()


@pytest.mark.world(partitions=2)
def test_a_database_that_crashes_loses_and_doubles_nothing(world):
    opened(world)
    world.start(batch={"max_events": 100})
    use(world, 2000)
    world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") >= 100, "some to be booked")
    backends = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'debitd/%'")
    for _ in range(5):
        before = world.value("SELECT coalesce(sum(next_offset), 0) FROM api.position")
        world.wait(lambda: world.value(backends) > 0, "sessions of the daemon to end")
        world.wait(lambda: world.value("SELECT coalesce(sum(next_offset), 0) FROM api.position") > before
                   or not world.behind(), "booking to go on")
    world.wait_booked(total=2000)
    conserved(world, 2000)
