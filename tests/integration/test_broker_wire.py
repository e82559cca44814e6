"""Between daemon and broker: a damaged answer, an answer that never comes, topics that are away for long."""

import pytest

from tests.integration.test_fault_points import ALERTS, STREAM, opened, published_once_and_in_order
from tests.rig import process
from tests.rig.kafka import Kafka, Listener
from tests.rig.proxy import TO_CLIENT, Proxy
from tests.rig.world import World

POSITION = "SELECT {} FROM debitd.position WHERE topic LIKE '%.usage'"
LARGE = "x" * 3000  # of metadata: a message that fills an answer


@pytest.fixture(scope="module")
def line():
    """(a broker, the proxy that stands before its second listener)."""
    real, advertised = process.free_port(), process.free_port()
    broker = Kafka(listeners=[Listener("PROXIED", "PLAINTEXT", real, advertised)])
    proxy = Proxy(real, advertised)
    try:
        broker.start()
        with proxy:
            yield broker, proxy
    finally:
        broker.close()


@pytest.fixture
def wired(request, line, postgres, migrated, seed):
    """A world whose daemons reach the broker through the proxy; the tests themselves reach it directly."""
    broker, proxy = line
    world = World(broker, postgres, seed, request.node.name, partitions=1, template=migrated)
    world.config["kafka"]["bootstrap_servers"] = f"127.0.0.1:{proxy.port}"
    try:
        yield world, proxy
    finally:
        proxy.let_go()
        proxy.spoil(TO_CLIENT, 0)
        world.close()


def damage(proxy):
    """The byte that comes 5000 bytes from now on each connection: idle ones never get there soon."""
    with proxy.changed:
        for connection in proxy.connections:
            if not connection.flips[TO_CLIENT]:
                connection.flip(TO_CLIENT, connection.passed[TO_CLIENT] + 5000)


def send_much(world):
    for n in range(20):
        world.usage("acct-0", id=f"u-{n}", metric="signatures", service="signaturit", quantity=1, metadata={"text": LARGE})
    world.flush()


def test_a_batch_that_was_damaged_on_its_way_is_fetched_again_and_nothing_is_skipped(wired):
    world, proxy = wired
    opened(world)
    daemon = world.start()
    world.wait_booked(0)
    damage(proxy)
    send_much(world)
    world.wait_booked(20)
    assert "is read again from offset" in daemon.text()
    assert [row["event_id"] for row in world.sql("SELECT event_id FROM api.ledger WHERE type = 'usage' ORDER BY entry_id")] == [
        f"u-{n}" for n in range(20)]
    world.verify()


def test_a_batch_that_is_damaged_every_time_halts_its_partition_with_words_and_is_not_skipped(wired):
    world, proxy = wired
    opened(world)
    world.start()
    world.wait_booked(0)
    proxy.spoil(TO_CLIENT, 1500)  # what is smaller is no message
    send_much(world)
    why = world.wait(lambda: world.value(POSITION.format("halted")), "the partition to be halted", timeout=60)
    proxy.spoil(TO_CLIENT, 0)
    assert "cannot be read" in why and "Nothing was skipped" in why
    booked = world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")
    assert booked == world.value(POSITION.format("coalesce(next_offset, 0)")) < 20  # what came before in the same answer
    world.debitctl("position", "set", world.topics["usage"], 0, booked, "--reason", "the line was mended")
    world.wait_booked(20)
    world.verify()


def test_alerts_are_published_once_when_the_answer_to_their_commit_never_comes(wired):
    world, proxy = wired
    opened(world)
    daemon = world.start(fault="")
    world.wait_booked(0)
    daemon.fault("relay.produced", "STOP")
    world.sql(STREAM, [])
    world.wait(daemon.stands_still, "the relay to stand before its commit")
    with proxy.changed:
        for connection in proxy.connections:
            connection.hold(TO_CLIENT)
        deaf = list(proxy.connections)
    daemon.go_on()
    world.wait(lambda: len(world.topic_messages("alerts")) == ALERTS, "the commit to arrive")
    assert world.unpublished() == ALERTS
    for connection in deaf:
        connection.cut()
    world.sql(STREAM, [])
    world.wait_booked(0)
    assert published_once_and_in_order(world) == 2 * ALERTS


def test_usage_is_booked_while_the_topics_of_the_relay_are_away_and_alerts_follow_in_order(world):
    topics = [world.topics["alerts"], world.topics["deadletter"]]
    opened(world)
    daemon = world.start()
    world.wait_booked(0)
    world.kafka.delete_topics(topics)
    world.wait(lambda: not set(topics) & set(world.kafka.all_topics()), "the topics to be gone")
    for _ in range(3):
        world.sql(STREAM, [])
    for n in range(30):
        world.usage(f"acct-{n % 3}", metric="signatures", service="signaturit", quantity=1)
    world.produce("usage", b"poison", key=b"k", partition=0)
    world.flush()
    world.wait(lambda: not world.behind(), "usage to be booked without the topics")
    assert world.unpublished() == 3 * ALERTS + 3 * 2 + 1
    world.kafka.create_topics(topics)
    world.wait_booked(30)
    assert published_once_and_in_order(world) == 3 * ALERTS + 3 * 2
    assert [letter.value for letter in world.topic_messages("deadletter")] == [b"poison"]
    assert daemon.running
