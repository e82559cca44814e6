"""What goes out: every alert and every dead letter once, whatever is killed, stopped or too large."""

import os
import random
import signal
from collections import Counter, defaultdict

import pytest

TWO_ALERTS = 5  # signatures: all that quota-free includes, so one event raises 80 and 100


def opened(world, accounts):
    for account in accounts:
        world.account("account.opened", account, plan="quota-free")


def used_up(world, accounts):
    for account in accounts:
        world.usage(account, metric="signatures", service="signaturit", quantity=TWO_ALERTS)


def names(count, start=0):
    return [f"acct-{n}" for n in range(start, start + count)]


def published_once(world):
    """The alerts on the topic are those in the database, each once, and in order for each account."""
    alerts = world.alerts()
    raised = Counter(str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM api.alert"))
    assert Counter(alert["id"] for alert in alerts) == raised
    thresholds = defaultdict(list)
    for alert in alerts:
        thresholds[alert["subject"]].append(alert["data"]["threshold"])
    assert all(seen == [80, 100] for seen in thresholds.values())
    return len(thresholds)


def relay_of(world, daemons):
    """The daemon whose relay is the one."""
    owner = world.value("SELECT owner FROM debitd.relay")
    return next((daemon for daemon in daemons if owner and owner.endswith(f":{daemon.child.pid}")), None)


STREAM = """
    INSERT INTO debitd.alert (alert_id, alert_seq, type, payer_id, event, raised_at)
    SELECT n.id, n.seq, 'balance.low', a.account_id, jsonb_build_object('id', n.id, 'type', 'balance.low', 'subject', a.name, 'seq', n.seq),
           now()
    FROM (SELECT gen_random_uuid() AS id, nextval('debitd.alert_seq') AS seq, i FROM generate_series(1, 25) i) n
    JOIN debitd.account a ON a.name = 'acct-' || n.i %% %s"""


@pytest.mark.parametrize("round", [1, 2])
def test_alerts_are_published_once_and_in_order_while_daemons_are_killed(world, round):
    """The stream goes into the outbox directly, so that a kill -9 always finds the relay in the middle of it."""
    chance = random.Random(world.seed + round)
    world.catalog()
    opened(world, names(10))
    world.flush()
    daemons = world.start(2)
    world.wait_booked(0)
    for _ in range(12):
        for _ in range(chance.randrange(1, 40)):
            world.sql(STREAM, [10])
        victim = relay_of(world, daemons) or chance.choice(daemons)
        victim.kill()
        daemons[daemons.index(victim)] = world.start(wait=False)
    world.wait_booked(0, timeout=60)
    alerts = world.alerts()
    raised = Counter(str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM api.alert"))
    assert len(raised) > 1000
    assert Counter(alert["id"] for alert in alerts) == raised
    order = defaultdict(list)
    for alert in alerts:
        order[alert["subject"]].append(alert["seq"])
    assert all(seen == sorted(seen) for seen in order.values())


HOLD = """
    CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(50); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE ON debitd.{table} FOR EACH ROW WHEN (NEW.state = 2) EXECUTE FUNCTION public.hold()"""


@pytest.mark.parametrize("table", ["alert", "rejected"])
def test_what_was_committed_to_kafka_and_not_marked_when_the_daemon_died_is_not_sent_again(world, table):
    """The mark is held up by a trigger, so the daemon always dies between the two."""
    world.catalog()
    opened(world, names(3))
    daemon = world.start()
    world.wait_booked(0)
    world.sql(HOLD.format(table=table))
    kind = "alerts" if table == "alert" else "deadletter"
    if table == "alert":
        used_up(world, names(3))
    else:
        world.produce("usage", b"poison", key=b"k", headers=[("debitd-id", b"1000000")], partition=0)
    world.flush()
    world.wait(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                                   " AND datname = current_database()") == 1, "the relay to mark")
    there = len(world.topic_messages(kind))
    assert there > 0
    daemon.kill()
    world.sql(f"DROP TRIGGER hold ON debitd.{table}")
    daemon = world.start()
    world.wait_booked()
    world.wait(lambda: "relay: active" in daemon.text(), "the relay to begin")
    assert f"{there} messages stand on the topics" in daemon.text()
    assert len(world.topic_messages(kind)) == (6 if table == "alert" else 1)
    assert published_once(world) == (3 if table == "alert" else 0)


def test_what_was_claimed_and_never_reached_kafka_is_sent(world):
    world.catalog()
    opened(world, names(3))
    daemon = world.start()
    used_up(world, names(3))
    world.wait_booked(3)
    daemon.stop()
    world.sql(STREAM, [3])
    world.sql("UPDATE debitd.alert SET state = 1, relay_epoch = 1, claim_partition = 0, claim_floor = 0 WHERE state = 0")
    world.start()
    world.wait_booked(3)
    assert Counter(alert["id"] for alert in world.alerts()) == Counter(
        str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM api.alert"))


def test_a_relay_that_stood_still_while_another_took_over_publishes_nothing_twice(world):
    world.catalog()
    opened(world, names(120))
    daemons = world.start(2)
    used_up(world, names(40))
    world.wait_booked(40)
    used_up(world, names(40, 40))
    world.flush()
    stopped = relay_of(world, daemons)
    os.kill(stopped.child.pid, signal.SIGSTOP)
    world.wait_booked(80, timeout=90)  # a relay that is silent for 20 s loses its place
    assert relay_of(world, daemons) is not stopped
    os.kill(stopped.child.pid, signal.SIGCONT)
    used_up(world, names(40, 80))
    world.wait_booked(120)
    assert published_once(world) == 120


def test_a_dead_letter_is_the_message_byte_for_byte_with_the_reason_behind_its_own_headers(world):
    world.catalog()
    world.start()
    value, key = bytes(range(256)), b"\x00\xff key"
    own = [("again", b"\xff\x00"), ("again", b""), ("none", None)]
    world.produce("usage", value, key=key, headers=own, partition=0)
    world.wait_booked(0)
    (letter,) = world.topic_messages("deadletter")
    assert (letter.key, letter.value) == (key, value)
    assert list(letter.headers)[:3] == own
    (row,) = world.sql('SELECT reason, detail, topic, partition, "offset" FROM api.rejected')
    added = dict(list(letter.headers)[3:])
    assert added["debitd-reason"] == b"malformed_json" == row["reason"].encode()
    assert added["debitd-detail"] == row["detail"].encode()
    assert added["__connect.errors.topic"] == world.topics["usage"].encode()
    assert (added["__connect.errors.partition"], added["__connect.errors.offset"]) == (b"0", b"0")
    assert "debitd-truncated" not in added


@pytest.mark.world(limits={"deadletter": 10_000})
def test_a_dead_letter_too_large_for_its_topic_is_sent_without_its_value_and_holds_up_nothing(world):
    world.catalog()
    opened(world, names(1))
    world.start()
    large = [b"x" * size for size in (50_000, 2_000_000)]
    for value in (b"before", large[0], b"between", large[1], b"after"):
        world.produce("usage", value, key=value[:6], headers=[("h", b"v")], partition=0)
    used_up(world, names(1))
    world.wait_booked(1)
    letters = world.topic_messages("deadletter")
    assert [letter.value for letter in letters] == [b"before", b"", b"between", b"", b"after"]
    assert [dict(letter.headers).get("debitd-truncated") for letter in letters] == [
        None, b"50000", None, b"2000000", None]
    assert all(("h", b"v") == list(letter.headers)[0] for letter in letters)
    kept = [bytes(row["value"]) for row in world.sql('SELECT value FROM api.rejected ORDER BY "offset"')]
    assert kept == [b"before", large[0], b"between", large[1], b"after"]
    assert published_once(world) == 1


def test_alerts_do_not_wait_for_a_dead_letter_topic_that_is_missing(world):
    topic = world.topics["deadletter"]
    world.kafka.delete_topics([topic])
    world.wait(lambda: topic not in world.kafka.admin().list_topics(timeout=10).topics, "the topic to be gone")
    world.catalog()
    opened(world, names(1))
    daemon = world.start()
    world.produce("usage", b"poison", key=b"k", partition=0)
    used_up(world, names(1))
    world.flush()
    world.wait(lambda: len(world.alerts()) == 2, "the alerts to be published")
    assert world.unpublished() == 1
    assert f"--create --topic {topic}" in daemon.text()
    world.kafka.create_topic(topic)
    world.wait_booked(1)
    (letter,) = world.topic_messages("deadletter")
    assert letter.value == b"poison"
    assert published_once(world) == 1
