"""What producers and the group do to the input: transactions, resends, members that come and go."""

import random

import pytest
from confluent_kafka import Producer

from tests.rig import events
from tests.rig.judged import Judged

SOON = [["session.timeout.ms", "2000"], ["heartbeat.interval.ms", "300"]]
DAY_MS = 86_400_000


def usage(account, id, quantity=1):
    return events.structured(id=id, source="/tests", type="usage.recorded", subject=account,
                             data={"metric": "signatures", "service": "signaturit", "quantity": quantity})


def ids(world):
    return [row["event_id"] for row in world.sql("SELECT event_id FROM api.ledger WHERE type = 'usage' ORDER BY entry_id")]


@pytest.mark.world(partitions=1)
def test_only_what_a_producer_committed_is_booked_and_a_hanging_transaction_is_waited_for(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="quota-free")
    daemon = world.start()
    world.wait_booked(0)
    producer = Producer({"bootstrap.servers": world.kafka.bootstrap, "transactional.id": world.name, "log_level": 0})
    producer.init_transactions(30)

    def send(id):
        producer.produce(world.topics["usage"], usage("acct-1", id), key=b"acct-1", partition=0)
        assert producer.flush(30) == 0

    for id, end in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        send(id)
        end(30)
    producer.begin_transaction()
    send("hanging")
    world.produce("usage", usage("acct-1", "behind it"), key="acct-1", partition=0)
    world.flush()
    world.wait(lambda: ids(world) == ["committed"], "what was committed to be booked")
    # nothing behind the open transaction may be read: a daemon that starts now reads up to it as well, and no further
    second = world.start()
    assert ids(world) == ["committed"]
    producer.abort_transaction(30)
    world.wait(lambda: ids(world) == ["committed", "behind it"], "what stood behind the open transaction to be booked")
    producer.begin_transaction()
    send("last")
    producer.commit_transaction(30)
    world.wait(lambda: ids(world) == ["committed", "behind it", "last"], "the last to be booked")
    (first_free, end) = world.kafka.ends(world.topics["usage"])[0]
    position = world.value("SELECT next_offset FROM api.position WHERE topic = %s", [world.topics["usage"]])
    assert position < end, "no control record stands at the end"
    daemon.stop()
    second.stop()
    third = world.start()

    def told():
        return [line for line in third.heard() if "lag" in line]
    world.wait(lambda: len(told()) >= 4, "figures of some time")  # the first may be told before anything was fetched
    assert [line for line in told() if not line.endswith("lag 0")] == []
    world.verify()


@pytest.mark.world(partitions=4)
def test_an_identity_is_booked_once_whichever_producer_partition_or_instance_brings_it_again(world):
    world.catalog()
    for n in range(4):
        world.account("account.opened", f"acct-{n}", plan="quota-free")
    world.start(2)
    world.wait_booked(0)
    chance = random.Random(world.seed)
    senders = [events.Sender(world.kafka.bootstrap) for _ in range(3)]
    copies = [(n, chance.choice(senders), chance.randrange(4)) for n in range(60) for _ in range(4)]
    chance.shuffle(copies)
    for n, sender, partition in copies:
        sender.send(world.topics["usage"], usage(f"acct-{n % 4}", f"again-{n}"), f"acct-{n % 4}", partition=partition)
    for sender in senders:
        sender.flush()
    world.wait_booked(60)
    assert world.value("SELECT sum(duplicates) FROM api.position") == 180
    # three days later, by every clock there is
    world.sql("UPDATE debitd.books SET clock_offset = '3 days'")
    now_ms = int(world.value("SELECT extract(epoch FROM debitd.now()) * 1000"))
    for n in range(60):
        world.produce("usage", usage(f"acct-{n % 4}", f"again-{n}", quantity=1 + n % 2), f"acct-{n % 4}", partition=n % 4,
                      timestamp_ms=now_ms)
    world.wait_booked(60)
    assert world.value("SELECT sum(duplicates) FROM api.position") == 210
    assert world.sql("SELECT reason, count(*) FROM api.rejected GROUP BY 1") == [{"reason": "id_reused", "count": 30}]
    world.verify()


@pytest.mark.parametrize("members", ["dynamic", "static"])
def test_the_books_are_right_while_instances_join_and_leave_all_the_time(world, members):
    world.catalog()
    chance = random.Random(world.seed)
    judged = Judged(world, 300)
    born = 0

    def more():
        nonlocal born
        born += 1
        own = [["group.instance.id", f"{world.name}-{born}"]] if members == "static" else []
        return world.start(wait=False, kafka={"properties": SOON + own})

    steady, passing = more(), []
    steady.wait_ready()

    def storm(phase):
        for _ in range(4):
            passing.append(more())
            if len(passing) > 2:
                leaving = passing.pop(chance.randrange(len(passing)))
                chance.choice([leaving.kill, lambda: leaving.stop(expect=None)])()

    judged.run(storm)
    assert judged.verdict() == ""
    world.verify()
    assert steady.running, steady.tail()


def test_a_cooperative_assignor_is_refused_with_words(world):
    daemon = world.start(wait=False, kafka={"properties": [["partition.assignment.strategy", "cooperative-sticky"]]})
    assert daemon.wait_exit() == 78
    assert "librdkafka 2.0.2 loses assignments with the cooperative ones" in daemon.text()
