"""Killed and stopped between any two steps: of a batch, of what was parked, of the relay (daemon/base/fault.h)."""

from collections import Counter, defaultdict

import pytest

# so that the group does without a killed member soon
SOON = {"properties": [["session.timeout.ms", "2000"], ["heartbeat.interval.ms", "300"]]}
INGEST = ["ingest.begin", "ingest.advanced", "ingest.copy", "ingest.commit", "ingest.commit_sent", "ingest.committed"]
ALERTS = 25

# Straight into the outbox, so that only the relay has work to do.
STREAM = f"""
    INSERT INTO debitd.alert (alert_id, alert_seq, type, payer_id, event, raised_at)
    SELECT n.id, n.seq, 'balance.low', a.account_id, jsonb_build_object('id', n.id, 'type', 'balance.low', 'subject', a.name), now()
    FROM (SELECT gen_random_uuid() AS id, nextval('debitd.alert_seq') AS seq, i FROM generate_series(1, {ALERTS}) i) n
    JOIN debitd.account a ON a.name = 'acct-' || n.i %% 3"""


def opened(world, accounts=3):
    world.catalog()
    for n in range(accounts):
        world.account("account.opened", f"acct-{n}", plan="quota-free")
    world.flush()


def killed(daemon):
    assert daemon.wait_exit(60) == -9


def published_once_and_in_order(world):
    """Every alert of the database stands once on the topic, those of an account in the order of their raising."""
    alerts = world.alerts()
    raised = {str(row["alert_id"]): row["alert_seq"] for row in world.sql("SELECT alert_id, alert_seq FROM debitd.alert")}
    assert Counter(alert["id"] for alert in alerts) == Counter(list(raised))
    order = defaultdict(list)
    for alert in alerts:
        order[alert["subject"]].append(raised[alert["id"]])
    assert all(seen == sorted(seen) for seen in order.values())
    return len(alerts)


def test_a_batch_is_booked_once_whichever_step_of_it_the_daemon_was_killed_at(world):
    opened(world)
    world.start(kafka=SOON)
    world.wait_booked(0)
    world.daemons[-1].stop()
    for count, point in enumerate(INGEST, 1):
        daemon = world.start(kafka=SOON, fault="")
        world.wait(lambda: not world.behind(), "what was cut off before to be booked")
        daemon.fault(point)
        world.usage(f"acct-{count % 3}", metric="signatures", service="signaturit", quantity=2)
        world.flush()
        killed(daemon)
    world.start(kafka=SOON)
    world.wait_booked(len(INGEST))
    assert world.verify().code == 0


def test_what_was_parked_is_booked_once_whichever_step_of_its_release_the_daemon_was_killed_at(world):
    points = ["release.found", *INGEST]
    opened(world)
    world.start(kafka=SOON)
    for n, _ in enumerate(points):
        world.usage(f"late-{n}", metric="signatures", service="signaturit", quantity=1)
    world.wait_booked(0)
    world.daemons[-1].stop()
    for n, point in enumerate(points):
        # the operation that opens the account goes by SQL, so that the next batch of all is the release
        world.sql("SELECT * FROM api.account_open(%s, %s, 'quota-free')", [f"key-{n}", f"late-{n}"])
        killed(world.start(kafka=SOON, fault=point, wait=False))
    world.start(kafka=SOON)
    world.wait(lambda: world.value("SELECT count(*) FROM debitd.parked WHERE released_at IS NULL") == 0, "all to be released")
    world.wait_booked(len(points))
    assert world.verify().code == 0


def test_alerts_are_published_once_whichever_step_the_relay_was_killed_at(world):
    """The first four deaths leave alerts claimed that are not on the topic, the later ones such as are."""
    opened(world)
    world.start()
    world.wait_booked(0)
    world.daemons[-1].stop()
    points = ["relay.claimed", "relay.epoch", "relay.fenced", "relay.read_back",
              "relay.produced", "relay.read_back",
              "relay.committed", "relay.read_back", "relay.fenced", "relay.marked"]
    for point in points:
        world.sql(STREAM, [])
        killed(world.start(wait=False, fault=point))
    world.start()
    world.wait_booked(0)
    assert published_once_and_in_order(world) == ALERTS * len(points)


@pytest.mark.world(limits={"deadletter": 10_000})
def test_a_letter_that_is_too_large_is_sent_once_though_the_relay_was_killed_when_it_had_given_up_the_batch(world):
    opened(world)
    daemon = world.start(kafka=SOON, fault="")
    world.wait_booked(0)
    daemon.fault("relay.aborted")
    world.produce("usage", b"x" * 50_000, key=b"k", partition=0)
    world.produce("usage", b"small", key=b"k", partition=0)
    world.flush()
    killed(daemon)
    world.start(kafka=SOON)
    world.wait_booked(0)
    assert [letter.value for letter in world.topic_messages("deadletter")] == [b"", b"small"]


@pytest.mark.parametrize("point", ["relay.claimed", "relay.produced", "relay.committed"])
def test_a_relay_that_stood_still_in_the_middle_of_a_batch_publishes_nothing_twice(world, point):
    """Its session is ended as that of a relay which is silent for 20 s would be."""
    opened(world)
    stopped = world.start(fault="")
    world.wait(lambda: "relay: active" in stopped.text(), "the first to be the relay")
    second = world.start()
    world.wait_booked(0)
    stopped.fault(point, "STOP")
    world.sql(STREAM, [])
    world.wait(stopped.stands_still, "the relay to stand still")
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1684365929 AND granted"
              " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
    world.sql(STREAM, [])
    world.wait(lambda: world.unpublished() == 0, "the second to publish everything", timeout=60)
    assert "relay: active" in second.text()
    stopped.go_on()
    world.wait(lambda: "starts over" in stopped.text(), "the first to learn that its time is over")
    world.sql(STREAM, [])
    world.wait_booked(0)
    assert published_once_and_in_order(world) == 3 * ALERTS
