"""Three brokers: leaders die, stand still and move while usage flows, and alerts and dead letters go out."""

import random
from contextlib import closing

import pytest

from tests.rig import events
from tests.rig.cluster import Cluster
from tests.rig.judged import Judged
from tests.rig.world import World


@pytest.fixture(scope="module")
def cluster():
    with closing(Cluster()) as servers:
        yield servers.start()


@pytest.fixture
def spread(request, cluster, postgres, migrated, seed):
    """A world on the cluster."""
    world = World(cluster, postgres, seed, request.node.name, template=migrated)
    try:
        yield world
    finally:
        world.close()


def test_a_message_that_the_cluster_took_survives_the_death_of_its_leader(cluster):
    cluster.create_topic("rig.spread", 1)
    sender = events.Sender(cluster.bootstrap)
    cluster.move_leader("rig.spread", 0, 2)
    sender.send("rig.spread", b"before", partition=0)
    sender.flush()
    cluster.kill(2)
    sender.send("rig.spread", b"after", partition=0)
    sender.flush()
    assert cluster.leader("rig.spread") in (1, 3)
    assert [m.value for m in events.read_topic(cluster.bootstrap, "rig.spread", [0])] == [b"before", b"after"]
    cluster.start(2)
    cluster.wait_in_sync()
    cluster.delete_topics(["rig.spread"])


def death(cluster, topic, send, chance):
    """kill -9 of the leader: others take what is sent meanwhile."""
    victim = cluster.leader(topic)
    cluster.kill(victim)
    send()
    cluster.start(victim)
    cluster.wait_in_sync()


def move(cluster, topic, send, chance):
    send()
    for partition in cluster.partitions(topic):
        cluster.move_leader(topic, partition, chance.randrange(1, 4))


def upgrade(cluster, topic, send, chance):
    """An orderly restart of each broker, one after the other."""
    send()
    for broker in cluster.brokers:
        cluster.stop(broker.number)
        cluster.start(broker.number)
        cluster.wait_in_sync()


def test_the_books_are_right_and_alerts_go_out_once_while_leaders_die_and_move(spread, cluster):
    world, chance = spread, random.Random(spread.seed)
    world.catalog()
    judged = Judged(world, 400)
    daemons = world.start(2, kafka={"properties": [["session.timeout.ms", "6000"], ["socket.timeout.ms", "10000"]]})
    topics = world.topics
    faults = [(move, topics["accounts"]), (death, topics["usage"]), (upgrade, None), (death, topics["alerts"]),
              (move, "__transaction_state")]
    assert len(judged.phases()) == len(faults)
    for phase, (fault, topic) in zip(judged.phases(), faults):
        fault(cluster, topic, lambda phase=phase: judged.send(phase), chance)
        judged.settle(180)
    assert judged.verdict() == ""
    world.verify()
    assert all(daemon.running for daemon in daemons)


def test_a_cluster_that_lost_its_power_goes_on_where_it_was(spread, cluster):
    """kill -9 of all brokers at once, in the middle of a phase."""
    world = spread
    world.catalog()
    judged = Judged(world, 300)
    daemon = world.start()

    def power_cut(phase):
        if phase == 1:  # the first with usage
            cluster.kill()
            cluster.start()
            cluster.wait_in_sync()

    judged.run(power_cut)
    assert judged.verdict() == ""
    world.verify()
    assert daemon.running, daemon.tail()
