"""A database that went back in time, and topics that did not: what was published and then lost is not published again.

The server goes on from a copy of its data, as after the promotion of a standby that was behind, or a restore. Usage is read
again from the positions of then, and raises the same alerts and rejects the same messages; they stand on the topics.
"""

import shutil
from collections import Counter

import pytest

from tests.integration.test_database_rewind import go_back, keep, restorable  # noqa: F401
from tests.rig.daemon import TOP
from tests.rig.judged import published

SOON = {"properties": [["session.timeout.ms", "2000"], ["heartbeat.interval.ms", "300"]]}
ACCOUNTS = [f"acct-{n}" for n in range(6)]
ROOM = '{ name = "room"; unit = "EUR"; kind = "postpaid"; fee = "0"; quotas = ({ metric = "signatures"; included = "50"; }); }'


def on_a_new_timeline(copy):
    """As after a promotion: the server recovers what the copy has, and begins a timeline of its own."""
    (copy / "recovery.signal").touch()
    owner = (copy / "PG_VERSION").stat()
    shutil.chown(copy / "recovery.signal", owner.st_uid, owner.st_gid)
    with open(copy / "postgresql.conf", "a") as conf:
        conf.write("restore_command = 'false'\n")


def use(world, number):
    """Each of the accounts raises 80 and 100 in its first round; each round rejects four messages."""
    for account in ACCOUNTS:
        world.usage(account, id=f"{account}-{number}", metric="signatures", service="signaturit", quantity=5)
    for n in range(4):
        world.produce("usage", f"poison {number} {n}".encode(), key=b"k", partition=0)
    world.flush()


def each_once(world):
    """(alerts, letters), every one of them once on its topic and as the database says."""
    alerts = Counter(alert["id"] for alert in world.alerts())
    assert alerts == Counter(str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM debitd.alert"))
    letters = Counter(letter.value for letter in world.topic_messages("deadletter"))
    assert letters == Counter(bytes(row["value"]) for row in world.sql("SELECT value FROM debitd.rejected"))
    assert world.sql("SELECT * FROM debitd.alert_ahead") == world.sql("SELECT * FROM debitd.letter_ahead") == []
    world.verify()
    return len(alerts), len(letters)


def kept(world):
    """As keep(); what comes next is published."""
    copy = keep(world)
    world.wait(lambda: world.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%relay%'"), "the relay to be back")
    return copy


def published_and_lost(world, daemon):
    """Half of the alerts and letters is published before the copy is made, half after it."""
    world.catalog()
    for account in ACCOUNTS:
        world.account("account.opened", account, plan="quota-free")
    world.usage(ACCOUNTS[0], id="first", metric="signatures", service="signaturit", quantity=5)
    world.produce("usage", b"poison before", key=b"k", partition=0)
    world.wait_booked(total=1)
    copy = kept(world)
    use(world, 1)
    world.wait_booked(total=1 + len(ACCOUNTS))
    return copy


@pytest.mark.parametrize("state", ["promoted", "restored"])
def test_what_a_failover_lost_is_raised_again_and_not_published_twice(restorable, state):  # noqa: F811
    world = restorable
    daemon = world.start(kafka=SOON)
    copy = published_and_lost(world, daemon)
    if state == "promoted":
        on_a_new_timeline(copy)
    go_back(world, copy)
    world.wait(lambda: not world.value("SELECT pg_is_in_recovery()"), "the server to be the primary")
    # other numbers than before, as other sessions would have taken some
    world.sql("SELECT nextval(pg_get_serial_sequence('debitd.rejected', 'rejected_id'))")
    use(world, 2)
    world.wait_booked(total=1 + 2 * len(ACCOUNTS))
    assert each_once(world) == (2 * len(ACCOUNTS), 9)
    assert "are not in the database: it has lost commits" in daemon.text()
    assert ("PostgreSQL is on timeline 2" in daemon.text()) == (state == "promoted")
    assert daemon.running


def test_what_a_failover_lost_is_not_published_twice_though_the_relay_died_before_it_was_raised_again(restorable):  # noqa: F811
    """What it read on the topics outlives it: the usage is held up by a lock on the positions meanwhile."""
    world = restorable
    daemon = world.start(kafka=SOON)
    copy = published_and_lost(world, daemon)
    daemon.kill()
    go_back(world, copy)
    with world.postgres.connect(world.name, autocommit=False) as holder:
        holder.execute("SELECT * FROM debitd.position FOR UPDATE")
        for _ in range(2):
            dying = world.start(kafka=SOON, wait=False, fault="relay.ready")
            assert dying.wait_exit() == -9
        assert world.value("SELECT count(*) FROM debitd.alert_ahead") == 2 * len(ACCOUNTS) - 2
        assert world.value("SELECT count(*) FROM debitd.letter_ahead") == 4
        holder.rollback()
    world.start(kafka=SOON)
    use(world, 2)
    world.wait_booked(total=1 + 2 * len(ACCOUNTS))
    assert each_once(world) == (2 * len(ACCOUNTS), 9)


def usage_before_its_plan(world, quantity):
    """In the past that is lost the usage came before the plan that has room for it, and no catalogue knew that plan; in
    the other one it comes after it. The daemon of the other one."""
    world.catalog()
    world.account("account.opened", "acct-0", plan="quota-free")
    daemon = world.start(kafka=SOON)
    world.wait_booked(total=0)
    copy = kept(world)
    world.usage("acct-0", metric="signatures", service="signaturit", quantity=quantity)
    world.wait_booked(total=1)
    world.account("plan.assigned", "acct-0", plan="room")
    world.wait_booked(total=1)
    daemon.kill()
    go_back(world, copy)
    shipped = (TOP / "etc" / "catalog.conf").read_text()
    world.catalog(shipped.replace('{ name = "quota-free"', ROOM + ',{ name = "quota-free"'))
    again = world.start(kafka=SOON)  # reads the accounts to their end first
    world.wait_booked(total=1)
    return again


def test_what_a_lost_past_published_and_another_order_does_not_bring_again_stays_there_and_is_told(restorable):  # noqa: F811
    world = restorable
    again = usage_before_its_plan(world, quantity=5)
    assert world.sql("SELECT * FROM api.alert") == world.sql("SELECT * FROM api.rejected") == []
    assert [raised["data"]["threshold"] for raised in world.alerts()] == [80, 100]
    for kind, count in ("alerts", 2), ("deadletter", 1):
        assert f"{count} messages of ours on the topic {world.topics[kind]} are not in the database" in again.text()
    assert [len(messages) for messages in published(world)] == [2, 1]
    world.commits_lost = True
    assert [len(messages) for messages in published(world)] == [0, 0]
    world.verify()


def test_an_alert_of_a_lost_past_that_comes_again_with_other_figures_is_not_published_again(restorable):  # noqa: F811
    world = restorable
    usage_before_its_plan(world, quantity=55)
    world.commits_lost = True
    raised, there = ([alert.json() for alert in published(world)[0]], world.alerts())
    assert [alert["id"] for alert in raised] == [alert["id"] for alert in there] and len(there) == 2
    assert [alert["data"]["included"] for alert in there] == ["0", "0"]
    assert [alert["data"]["included"] for alert in raised] == ["50", "50"]
    assert world.sql("SELECT * FROM debitd.alert_ahead") == []
    world.verify()


def test_another_group_on_the_same_topics_keeps_nothing_back(restorable):  # noqa: F811
    """A message of another group with an id that is to be raised here does not stand for ours."""
    world = restorable
    daemon = world.start(kafka=SOON)
    copy = published_and_lost(world, daemon)
    daemon.kill()
    go_back(world, copy)
    other = {"group_id": f"{world.name}.other", **SOON}
    world.start(kafka=other)
    world.wait_booked(total=1 + len(ACCOUNTS))
    alerts = Counter(alert["id"] for alert in world.alerts())
    assert Counter(alerts.values()) == {1: 2, 2: 2 * len(ACCOUNTS) - 2}
    assert world.sql("SELECT * FROM debitd.alert_ahead") == []
