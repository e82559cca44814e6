"""A database that went back in time under a running daemon: restored from a copy, or failed over with loss.

What the lost transactions had made (entries, positions, accounts, ids of names) is gone or has become something else;
the topics still hold the events, so the books must come out whole, and nothing remembered from before may count.
"""

import shutil
import signal
import subprocess

import pytest

from tests.integration.database_faults import goes_on_at
from tests.rig.daemon import merge
from tests.rig.postgres import PROGRAMS, Postgres
from tests.rig.world import WRITER, World, migrate_template


@pytest.fixture
def restorable(request, kafka, seed):
    """A world on a PostgreSQL of its own."""
    server = Postgres()
    try:
        server.start()
        world = World(kafka, server, seed, request.node.name, partitions=1, template=migrate_template(server, "migrated"))
        try:
            yield world
        finally:
            if server.child is None:
                server.start()
            world.close()
    finally:
        server.close()


def keep(world):
    """A copy of the data as they are at this moment."""
    server = world.postgres
    copy = server.folder / "copy"
    world.disconnect()
    server.stop()
    subprocess.run(["cp", "-a", server.data, copy], check=True, timeout=60)
    server.start()
    return copy


def go_back(world, copy):
    """The server goes on from the copy; what was committed since is lost."""
    server = world.postgres
    world.disconnect()
    server.crash()
    shutil.rmtree(server.data)
    copy.rename(server.data)
    server.start()


def use(world, account, model, id):
    world.usage(account, id=id, service="openai", model=model, quantities={"input": 1000, "output": 100})


def test_nothing_remembered_from_before_a_restore_reaches_the_books(restorable):
    world = restorable
    world.catalog()
    daemon = world.start()
    world.account("account.opened", "alpha", plan="assistant-business")
    use(world, "alpha", "gpt-4o-mini", "a-1")
    world.wait_booked(total=1)
    copy = keep(world)
    world.account("account.opened", "beta", plan="payg")
    world.wait_booked(total=1)
    use(world, "beta", "gpt-4o", "b-1")
    world.usage("beta", metric="ai_tokens", id="b-2", service="novel-1", model="novel-2", cost="3",
                quantities={"input": 5})
    world.wait_booked(total=3)
    ids = world.sql("SELECT name, name_id FROM debitd.name WHERE name LIKE 'novel-%%' ORDER BY 1")

    daemon.child.send_signal(signal.SIGSTOP)
    go_back(world, copy)
    # What the numbers meant before means something else now.
    world.sql("SELECT debitd.intern(ARRAY['other-1', 'other-2', 'other-3', 'other-4'])")
    world.sql("SELECT api.account_open('k-1', 'gamma', 'assistant-business', NULL, NULL, NULL, NULL)")
    others = world.sql("SELECT name_id FROM debitd.name WHERE name LIKE 'other-%%'")
    assert {row["name_id"] for row in ids} & {row["name_id"] for row in others}, "the numbers were not given anew"
    use(world, "beta", "gpt-4o", "b-3")
    world.flush()
    daemon.child.send_signal(signal.SIGCONT)

    world.wait_booked(total=4)
    assert world.sql("SELECT event_id, account_id, service, model FROM api.ledger WHERE type = 'usage' ORDER BY 1") == [
        {"event_id": "a-1", "account_id": "alpha", "service": "openai", "model": "gpt-4o-mini"},
        {"event_id": "b-1", "account_id": "beta", "service": "openai", "model": "gpt-4o"},
        {"event_id": "b-2", "account_id": "beta", "service": "novel-1", "model": "novel-2"},
        {"event_id": "b-3", "account_id": "beta", "service": "openai", "model": "gpt-4o"}]
    world.verify()
    assert daemon.running, daemon.tail()


def test_what_a_restore_lost_is_read_again_although_no_message_comes(restorable):
    world = restorable
    world.catalog()
    daemon = world.start()
    world.account("account.opened", "alpha", plan="payg")
    world.wait_booked(total=0)
    use(world, "alpha", "gpt-4o", "a-1")
    world.wait_booked(total=1)
    copy = keep(world)
    use(world, "alpha", "gpt-4o", "a-2")
    world.account("credits.purchased", "alpha", amount="5")
    world.wait_booked(total=2)
    go_back(world, copy)
    assert world.behind(), "nothing was lost"
    world.wait_booked(total=2)
    assert world.value("SELECT purchased FROM api.balance") == 5
    world.verify()
    assert daemon.running, daemon.tail()


def test_a_dump_that_is_restored_on_another_server_goes_on_from_kafka(restorable):
    """The commands of docs/operations.md. Between the dump and its loss usage, an account and an alert came in."""
    world, old = restorable, restorable.postgres
    dump, roles = world.folder / "debitd.dump", world.folder / "roles.sql"

    def run(program, *arguments):
        subprocess.run([PROGRAMS / program, *map(str, arguments)], check=True, timeout=120)
    world.catalog()
    daemon = world.start()
    world.account("account.opened", "alpha", plan="payg")  # 10 of welcome
    use(world, "alpha", "gpt-4o", "a-1")
    world.wait_booked(total=1)
    run("pg_dumpall", "--dbname", old.conninfo("postgres"), "--roles-only", "--file", roles)
    run("pg_dump", "--format=custom", "--file", dump, old.conninfo(world.name))
    world.account("account.opened", "beta", plan="payg")
    use(world, "alpha", "gpt-4o", "a-2")
    world.usage("alpha", id="a-3", service="openai", model="gpt-4o", cost="20", quantities={"input": 1})
    world.wait_booked(total=3)
    told = [alert["id"] for alert in world.alerts()]
    assert len(told) == 2  # low, exhausted
    daemon.stop()
    new = Postgres()
    try:
        new.start()
        run("psql", "--quiet", "--output=/dev/null", "--file", roles, new.conninfo("postgres"))
        new.create_database(world.name)
        run("pg_restore", "--exit-on-error", "--dbname", new.conninfo(world.name), dump)
        goes_on_at(world, new)
        world.config = merge(world.config, {"postgres": {"conninfo": new.conninfo(world.name, WRITER)}})
        world.start()
        use(world, "alpha", "gpt-4o", "a-4")
        world.wait_booked(total=4)
        assert [alert["id"] for alert in world.alerts()] == told
        assert world.value("SELECT count(*) FROM api.account") == 2
        world.verify()
        for each in world.daemons:
            if each.running:
                each.stop()
    finally:
        world.disconnect()
        world.postgres = old
        new.close()
