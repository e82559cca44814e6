"""debitctl verify --topic holds the books against the topics: it finds what the tables alone cannot tell."""

import pytest

from tests.integration.ctl_stream import ENTRY, book, damaging
from tests.rig.daemon import debitctl, merge, write_config
from tests.rig.delete_records import delete_records
from tests.rig.world import World

CHAT_1, BYOK = ENTRY.format("chat-1"), ENTRY.format("byok-1")


@pytest.fixture(scope="module")
def booked(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "ctl_verify_topic", partitions=2, template=migrated)
    try:
        book(world)
        world.debitctl("credit", "purchase", "solo", "20", "--key", "by-hand")  # has no message
        world.produce("usage", None, key="a tombstone")
        world.start()
        world.wait_booked()
        world.daemons[-1].stop()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def damaged(booked, tmp_path_factory):
    with damaging(booked, tmp_path_factory.mktemp("verify") / "copy.conf", booked.config) as damage:
        yield damage


def found(config, expect=1):
    """What the topics tell that differs; the first check alone runs beside it."""
    differences = debitctl(config, "verify", "--topic", "--check", "balances", expect=expect).data
    return [difference["difference"] for difference in differences if difference["check"] == "topic"]


def test_a_whole_stream_agrees_with_its_topics(booked):
    done = booked.debitctl("verify", "--topic", json=False)
    sent = sum(high for kind in ("usage", "accounts") for _, high in booked._ends(kind).values())
    out = len(booked.topic_messages("alerts")) + len(booked.topic_messages("deadletter"))
    assert done.out.endswith(f" checks, {sent + out} messages read again, 0 differences\n")
    assert done.err == ""


DAMAGE = [
    # an entry that was changed, with all that goes with it: the tables agree with each other
    ([f"UPDATE debitd.ledger SET user_id = 'somebody' WHERE entry_id = {CHAT_1}"], "another user"),
    ([f"UPDATE debitd.ledger SET thread_id = NULL WHERE entry_id = {CHAT_1}"], "another thread"),
    ([f"UPDATE debitd.ledger SET metadata = '{{\"a\": [2]}}' WHERE entry_id = {CHAT_1}"], "another metadata"),
    ([f"UPDATE debitd.ledger SET quantity = 99, component_quantities = ARRAY[99] WHERE entry_id = {BYOK}"], "another quantities"),
    ([f"UPDATE debitd.ledger SET occurred_at = occurred_at - interval '1 second' WHERE entry_id = {CHAT_1}"], "another time"),
    ([f"UPDATE debitd.ledger SET service_id = model_id WHERE entry_id = {CHAT_1}"], "another service"),
    ([f"UPDATE debitd.ledger SET component_ids = ARRAY[component_ids[2], component_ids[1]] WHERE entry_id = {CHAT_1}"], "another quantities"),
    (["UPDATE debitd.ledger SET amount = amount + 1 WHERE type = 'refund'"], "another amount"),
    (["UPDATE debitd.ledger SET reference = 'inv-2' WHERE type = 'purchase' AND event_id <> 'by-hand'"], "another reference"),
    (["UPDATE debitd.ledger SET reason = 'none' WHERE type = 'void'"], "another reason"),
    # an entry that is gone with its key; one that nobody sent
    ([f"DELETE FROM debitd.event_key WHERE entry_id = {BYOK}", "DELETE FROM debitd.ledger WHERE event_id = 'byok-1'"], "neither booked"),
    ([f"DELETE FROM debitd.ledger WHERE entry_id = {BYOK}"], "of its account"),
    ([f"UPDATE debitd.event_key SET digest = gen_random_uuid() WHERE entry_id = {CHAT_1}"], "another content"),
    ([f"INSERT INTO debitd.event_key (month, key, digest, entry_id) SELECT month, gen_random_uuid(), digest, entry_id FROM debitd.event_key"
      f" WHERE entry_id = {CHAT_1}"], "no message made it"),
    # counters, and rows of what was not booked
    (["UPDATE debitd.position SET booked = booked + 1, duplicates = duplicates - 1 WHERE duplicates > 0"], "booked in all"),
    (["UPDATE debitd.position SET duplicates = duplicates + 1 WHERE booked > 0"], "booked and duplicates"),
    (["UPDATE debitd.position SET skipped = 0 WHERE skipped > 0"], "skipped"),
    (["UPDATE debitd.position SET rejected = rejected + 1, skipped = skipped - 1 WHERE skipped > 0"], "rejected"),
    (["DELETE FROM debitd.rejected WHERE reason = 'bad_quantity'"], "neither booked"),
    (["UPDATE debitd.rejected SET reason = 'unknown_type' WHERE reason = 'bad_quantity'"], "another reason than its own"),
    (["UPDATE debitd.rejected SET reason = 'malformed_json' WHERE reason = 'already_voided'"], "another reason than its own"),
    (["UPDATE debitd.rejected SET \"offset\" = \"offset\" + 1000 WHERE reason = 'bad_quantity'"], "rejected, but not on the topic"),
    (["UPDATE debitd.parked SET event_key = gen_random_uuid() WHERE released_at IS NULL"], "parked under another identity"),
    (["UPDATE debitd.position SET last_fingerprint = last_fingerprint + 1 WHERE last_offset IS NOT NULL"], "booked last is another one now"),
    (["UPDATE debitd.position SET next_offset = next_offset + 5 WHERE next_offset IS NOT NULL"], "ends before the position"),
    # what was published
    (["UPDATE debitd.alert SET event = jsonb_set(event, '{data,event_id}', '\"x\"') WHERE type = 'balance.low'"], "something else than its row"),
    (["UPDATE debitd.rejected SET value = 'x' WHERE reason = 'bad_quantity'"], "something else than its row"),
    (["UPDATE debitd.alert SET alert_id = gen_random_uuid() WHERE type = 'balance.low'"], "but not in the books"),
    (["UPDATE debitd.alert SET alert_id = gen_random_uuid() WHERE type = 'balance.low'"], "but not on the topic"),
    (["UPDATE debitd.alert SET state = 0, relay_epoch = NULL, published_at = NULL WHERE type = 'balance.low'"], "never claimed"),
]


@pytest.mark.parametrize("damage, what", DAMAGE, ids=[f"{what}: {damage[0][:50]}" for damage, what in DAMAGE])
def test_verify_topic_finds(damaged, damage, what):
    assert [difference for difference in found(damaged(*damage)) if what in difference["what"]]


def test_a_difference_tells_the_message_and_both_sides(damaged):
    difference = found(damaged(f"UPDATE debitd.ledger SET agent_id = 'x' WHERE entry_id = {CHAT_1}"))[0]
    assert difference["recorded"] == '"x"' and difference["sent"] == '"peter"'
    assert difference["topic"].endswith(".usage") and difference["offset"].isdigit() and difference["partition"].isdigit()


def test_an_alert_that_is_published_twice_is_found(booked):
    (alert, *_) = booked.topic_messages("alerts")
    booked.produce("alerts", alert.value, key=alert.key, headers=alert.headers, partition=0)
    booked.flush()
    assert [difference["what"] for difference in found(booked.owner_config)] == ["stands on the topic 2 times"]


def test_a_topic_that_begins_late_is_told_and_is_no_difference(world, kafka):
    book(world)
    cut = {(world.topics["usage"], partition): min(4, high) for partition, (_, high) in world._ends("usage").items()}
    for (topic, partition), low in cut.items():
        if low:
            delete_records(kafka.bootstrap, topic, partition, low)
    done = world.debitctl("verify", "--topic", json=False)
    assert done.out.endswith(" 0 differences\n")
    for (topic, partition), low in cut.items():
        if low:
            assert f"not checked: {topic} partition {partition} begins at offset {low}" in done.err


@pytest.mark.world(partitions=1)
def test_what_a_person_passed_over_or_had_read_again_is_no_difference(world):
    book(world)
    world.usage("solo", id="passed over", quantities={"input": 7}, service="openai", model="gpt-4o-mini")
    world.flush()
    (_, end) = world._ends("usage")[0]
    world.debitctl("position", "set", world.topics["usage"], 0, end, "--reason", "not to be booked")
    world.debitctl("position", "set", world.topics["usage"], 0, end - 3, "--reason", "but look at these again, and it")
    world.debitctl("position", "set", world.topics["usage"], 0, end - 1, "--reason", "no")
    world.debitctl("position", "set", world.topics["usage"], 0, end - 2, "--reason", "yes")
    world.debitctl("position", "set", world.topics["usage"], 0, end, "--reason", "no, really not")
    world.usage("solo", id="after it", quantities={"input": 7}, service="openai", model="gpt-4o-mini")
    world.start()
    world.wait_booked()
    world.daemons[-1].stop()
    assert world.debitctl("verify", "--topic", json=False).out.endswith(" 0 differences\n")


def test_verify_agrees_while_a_daemon_books(world):
    world.catalog()
    world.start(batch={"max_events": 50})
    for number in range(40):
        world.account("account.opened", f"busy-{number}", plan="quota-starter" if number % 2 else "payg")
    world.wait_booked(0)
    for number in range(4000):
        world.usage(f"busy-{number % 40}", id=f"u-{number % 3900}", quantities={"input": number}, service="openai", model="gpt-4o-mini")
    world.flush()
    booked, runs = 0, 0
    while booked < 3900:
        assert world.debitctl("verify", "--topic", json=False).out.endswith(" 0 differences\n")
        booked, runs = world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'"), runs + 1
    world.wait_booked(3900)
    assert world.debitctl("verify", "--topic", json=False).out.endswith(" 0 differences\n")


def test_verify_topic_without_kafka_ends_with_69(booked, tmp_path):
    config = write_config(tmp_path / "gone.conf", merge(booked.config, {"kafka": {"bootstrap_servers": "127.0.0.1:1"}}))
    assert "Kafka" in debitctl(config, "verify", "--topic", expect=69).err
