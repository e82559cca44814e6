"""The main job, judged by the model: whatever the batches, the instances and the crashes, the books are the same."""

import os
import random
from itertools import groupby

import pytest

from tests.rig.judged import Judged
from tests.rig.wait import wait_until


def events(usual):
    """How many messages: as many as DEBITD_EVENTS says, for a long run by hand."""
    return int(os.environ.get("DEBITD_EVENTS", usual))


def consumed(world):
    return world.value("SELECT coalesce(sum(next_offset), 0) FROM api.position")


def check(stream):
    assert stream.verdict() == ""
    stream.world.verify()


@pytest.mark.parametrize("max_events", [1, 7, 20000])
@pytest.mark.world(partitions=3)
def test_the_books_are_the_models_at_any_batch_size(world, max_events):
    world.catalog()
    stream = Judged(world, events(1500))
    world.start(batch={"max_events": max_events})
    stream.run()
    check(stream)
    world.daemons[0].stop()


@pytest.mark.world(partitions=4)
def test_25000_mixed_events_with_two_writers_give_the_models_books(world):
    world.catalog()
    stream = Judged(world, events(25000))
    world.start(writers={"count": 2})
    stream.run()
    check(stream)


@pytest.mark.world(partitions=1)
def test_what_a_batch_books_lies_together_by_account_and_by_thread_in_the_order_of_ids(world):
    world.catalog()
    for account in ("acct-1", "acct-2"):
        world.account("account.opened", account, plan="payg")
    for number in range(240):
        thread = {} if number % 5 == 0 else {"thread": f"thread-of-some-length-{number % 5}"}
        world.usage(f"acct-{number % 2 + 1}", service="openai", model="gpt-4o-mini", quantities={"input": 10}, **thread)
    world.flush()
    world.start()
    world.wait_booked(total=240)
    rows = world.sql("SELECT b.batch_id, l.account_id, l.thread_id, l.entry_id FROM debitd.ledger l"
                     " JOIN debitd.batch b ON l.entry_id BETWEEN b.entry_lo AND b.entry_hi WHERE l.type = 'usage'"
                     " ORDER BY l.tableoid, l.ctid")
    runs = [(place, [row["entry_id"] for row in run]) for place, run in groupby(
        rows, lambda row: (row["batch_id"], row["account_id"], row["thread_id"]))]
    assert len(runs) == len({place for place, _ in runs}) < 240
    assert all(ids == sorted(ids) for _, ids in runs)
    assert [place[:2] for place, _ in runs] == sorted(place[:2] for place, _ in runs)


@pytest.mark.world(partitions=6)
def test_three_instances_share_the_partitions_and_the_books_are_the_same(world):
    world.catalog()
    stream = Judged(world, events(6000))
    world.start(3)
    stream.run()
    check(stream)


@pytest.mark.world(partitions=4)
def test_kill_9_of_one_instance_loses_and_doubles_nothing(world):
    world.catalog()
    stream = Judged(world, events(6000))
    dice = random.Random(world.seed)
    daemon = world.start(batch={"max_events": 200})

    def crash(phase):
        nonlocal daemon
        for _ in range(3):
            start = consumed(world)
            goal = dice.randrange(1, 400)
            wait_until(lambda: consumed(world) >= start + goal or stream.at_rest(), 60, "some progress before the crash",
                       dump=world.dump)
            daemon.kill()
            daemon = world.start(batch={"max_events": 200})
    stream.run(crash)
    check(stream)


@pytest.mark.world(partitions=6)
def test_kill_9_of_any_of_three_instances_loses_and_doubles_nothing(world):
    world.catalog()
    stream = Judged(world, events(6000))
    dice = random.Random(world.seed)
    running = world.start(3, batch={"max_events": 300})

    def crash(phase):
        start = consumed(world)
        goal = dice.randrange(1, 600)
        wait_until(lambda: consumed(world) >= start + goal or stream.at_rest(), 60, "some progress before the crash",
                   dump=world.dump)
        victim = dice.randrange(3)
        running[victim].kill()
        running[victim] = world.start(batch={"max_events": 300})
    stream.run(crash)
    check(stream)
