"""What the group's leader has given to nobody is noticed and given out anew; what belongs to somebody is left alone."""

import pytest

from tests.rig.leader import Leader
from tests.rig.wait import wait_until

JOINING_AGAIN = "leaving the group and joining it again"


def partitions(world):
    return [(world.topics[kind], n) for kind in ("usage", "accounts") for n in range(world.partitions[kind])]


def leading(world, give_out):
    topics = [world.topics["usage"], world.topics["accounts"]]
    return Leader(world.kafka.brokers[0].port, world.name, topics, give_out)


def wait(world, leader, predicate, what):
    wait_until(predicate, 30, what, dump=lambda: f"{leader.dump()}\n{world.dump()}")


def sent(world, count):
    world.catalog()
    world.account("account.opened", "acct-1", plan="payg")
    for _ in range(count):
        world.usage("acct-1", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.flush()


@pytest.mark.world(partitions=2)
@pytest.mark.parametrize("instance", [[], [["group.instance.id", "the-only-one"]]], ids=["dynamic", "static"])
def test_partitions_that_the_leader_gave_to_nobody_are_given_out_anew(world, instance):
    met = []

    def nobody_at_first(leader, members):
        others = [member for member in members if member != leader]
        shares = {others[0]: partitions(world)} if others and met else {}
        met.extend(others)
        return shares

    sent(world, 40)
    with leading(world, nobody_at_first) as leader:
        daemon = world.start(wait=False, kafka={"properties": [*world.config["kafka"]["properties"], *instance]})
        wait(world, leader, lambda: "Kafka has given us 4 partitions" in daemon.text(), "the partitions to be given out anew")
        world.wait_booked(total=40)
        daemon.stop()
    assert "Kafka has given us 0 partitions" in daemon.text()
    assert daemon.text().count(JOINING_AGAIN) == 1
    world.verify()


def since_it_joined(daemon):
    return daemon.text().rpartition("Kafka has given us")[2]


@pytest.mark.world(partitions=1)
def test_members_without_partitions_join_no_group_again_while_each_partition_belongs_to_somebody(world):
    def all_to_the_leader_but_one(leader, members):
        usage, accounts = partitions(world)
        others = sorted(member for member in members if member != leader)
        return {leader: [usage], **{member: [accounts] for member in others[:1]}}

    with leading(world, all_to_the_leader_but_one) as leader:
        daemons = world.start(3, log={"level": "debug"})
        for daemon in daemons:
            wait(world, leader, lambda: "each partition belongs to a member" in since_it_joined(daemon),
                 f"{daemon.name} to have looked at what its group gave out")
        assert len(leader.given[-1]) == 2
    assert [JOINING_AGAIN in daemon.text() for daemon in daemons] == [False] * 3
