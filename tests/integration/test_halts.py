"""What cannot be told for certain stops its partition, with words and the command that resolves it: nothing is skipped
or reset, the neighbours go on, and after a person has decided the books are right."""

import shlex

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from tests.rig.delete_records import delete_records
from tests.rig.events import Sender, structured
from tests.rig.world import World

COUNTS = "booked + duplicates + rejected + parked + skipped"


def ready(world, **config):
    """A daemon on a database with a catalogue and the account that everything here is booked to."""
    world.catalog()
    world.account("account.opened", "acct", plan="payg")
    daemon = world.start(**config)
    world.wait_booked(0)
    return daemon


def use(world, count, partition=0):
    for _ in range(count):
        world.usage("acct", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=partition)


def entries(world):
    return world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")


def position(world, partition=0):
    (row,) = [row for row in world.debitctl("position", "list").data
              if (row["topic"], row["partition"]) == (world.topics["usage"], partition)]
    return row


def next_offset(world, partition):
    return world.value("SELECT next_offset FROM api.position WHERE topic = %s AND partition = %s",
                       [world.topics["usage"], partition])


def wait_halted(world, partition, words):
    """The partition has stopped and says why, to everybody who may ask. Returns why."""
    topic, daemon = world.topics["usage"], world.daemons[-1]
    world.wait(lambda: world.value("SELECT halted FROM debitd.position WHERE topic = %s AND partition = %s", [topic, partition]),
               "the partition to be halted", timeout=60)
    row = position(world, partition)
    assert row["state"] == "halted" and words in row["halted"], row
    assert f"{topic}/{partition} is halted: " in daemon.text() and words in daemon.text()
    assert f"{topic}/{partition} is halted: " in world.debitctl("position", "list", json=False).out
    status = {(row["topic"], row["partition"]): row["halted"] for row in world.debitctl("status").data["positions"]}
    assert words in status[topic, partition]
    world.wait(lambda: "partitions are halted: see debitctl position list" in "\n".join(daemon.heard()),
               "the service manager to be told")
    return row["halted"]


def neighbour_goes_on(world, partition, neighbour):
    """What comes to another partition is booked, nothing of the halted one is, and its position stays."""
    stood, counted, total = next_offset(world, partition), next_offset(world, neighbour), entries(world)
    use(world, 3, partition=neighbour)
    world.flush()
    world.wait(lambda: next_offset(world, neighbour) == counted + 3, "the neighbour to go on")
    assert (next_offset(world, partition), entries(world)) == (stood, total + 3)


def resolve(world, why, word):
    """Runs the command that the halt names for `word`, as it stands there but for the reason."""
    commands = [line[line.index("debitctl position"):] for line in why.splitlines() if "debitctl position" in line]
    (command,) = [c for c in commands if c.split()[5] == word]
    return world.debitctl(*[part.replace("WHY", "a person has looked") for part in shlex.split(command)[1:]]).data


def wait_read(world, partition, offset):
    world.wait(lambda: next_offset(world, partition) == offset, f"partition {partition} to be read to {offset}")


def conserved(world, total):
    """Every offset is exactly one of the five counts or passed over, those that were read again counted once more."""
    world.wait_booked(total)
    rows = world.sql(f"""SELECT p.topic, p.partition, p.next_offset, {COUNTS} + coalesce(sum(m.passed_over - m.read_again), 0) AS accounted
                           FROM api.position p LEFT JOIN api.position_move m USING (topic, partition)
                          GROUP BY p.topic, p.partition, p.next_offset, {COUNTS}""")
    assert rows and all(row["next_offset"] in (None, row["accounted"]) for row in rows), rows
    world.verify()


def delete_topic(world):
    topic = world.topics["usage"]
    world.kafka.delete_topics([topic])
    world.wait(lambda: topic not in world.kafka.admin().list_topics(timeout=10).topics, "the topic to be gone")
    world.sender_anew()


# ---------------------------------------------------------------- one log, damaged in every partition but the last

EATEN, BOOKED, RIGHT, CUT, GAP, WHOLE = range(6)
FIRST = 10  # booked of each partition before anything happens


@pytest.fixture(scope="module")
def damaged(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "damaged", partitions=6, template=migrated)
    try:
        daemon = ready(world)
        for partition in range(6):
            use(world, FIRST, partition)
        world.wait_booked(6 * FIRST)
        daemon.stop()
        damage(world)
        world.start()
        yield world
    finally:
        world.close()


def damage(world):
    topic = world.topics["usage"]

    def forge(partition, change):
        world.sql(f"UPDATE debitd.position SET {change} WHERE topic = %s AND partition = %s", [topic, partition])
    use(world, 10, EATEN)
    use(world, 5, RIGHT)
    world.flush()
    delete_records(world.kafka.bootstrap, topic, EATEN, 15)
    delete_records(world.kafka.bootstrap, topic, BOOKED, FIRST)
    forge(RIGHT, "last_fingerprint = last_fingerprint + 1")
    # as after the election of a leader that lacks what was acknowledged: 10 to 29 were read and are gone
    forge(CUT, "next_offset = 30, last_offset = 29")
    # what compaction leaves: earlier and later messages. The mark of a transaction stands for the one that is gone.
    producer = Producer({"bootstrap.servers": world.kafka.bootstrap, "transactional.id": world.name, "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value=b"{}", partition=GAP)
    producer.commit_transaction(30)
    world.wait(lambda: world.kafka.ends(topic, [GAP])[GAP][1] == 12, "the mark of the transaction")
    use(world, 5, GAP)
    world.flush()
    forge(GAP, "next_offset = 12, last_offset = 11")


def test_offsets_that_retention_ate_unread_halt_their_partition(damaged):
    why = wait_halted(damaged, EATEN, "was to go on at offset 10, the topic begins at 15")
    neighbour_goes_on(damaged, EATEN, WHOLE)
    move = resolve(damaged, why, "earliest")
    assert (move["from_offset"], move["to_offset"], move["passed_over"], move["read_again"]) == (10, 15, 5, 0)
    wait_read(damaged, EATEN, 20)
    row = position(damaged, EATEN)
    assert (row["state"], row["booked"], row["passed_over"], row["moved_from"], row["moved_to"]) == ("running", 15, 5, 10, 15)
    assert row["moved_because"] == "a person has looked" and row["moved_by"] and row["lag"] == 0
    (kept,) = damaged.sql("SELECT * FROM api.position_move WHERE partition = %s", [EATEN])
    assert kept["halted"] == why and (kept["log_begin"], kept["log_end"], kept["forced"]) == (15, 20, False)


def test_retention_that_ate_only_what_was_booked_changes_nothing(damaged):
    use(damaged, 5, BOOKED)
    damaged.flush()
    wait_read(damaged, BOOKED, 15)
    assert position(damaged, BOOKED)["halted"] is None and position(damaged, BOOKED)["booked"] == 15


def test_a_topic_that_is_right_after_all_goes_on_where_the_books_stand(damaged):
    why = wait_halted(damaged, RIGHT, "the message at offset 9 is not the one that was booked from there")
    neighbour_goes_on(damaged, RIGHT, WHOLE)
    move = resolve(damaged, why, "10")
    assert (move["passed_over"], move["read_again"]) == (0, 0)
    wait_read(damaged, RIGHT, 15)
    assert position(damaged, RIGHT)["booked"] == 15


def test_a_log_that_ends_before_the_position_halts(damaged):
    wait_halted(damaged, CUT, "the topic ends before offset 29, which was booked last")
    neighbour_goes_on(damaged, CUT, WHOLE)
    use(damaged, 5, CUT)
    damaged.debitctl("position", "set", damaged.topics["usage"], CUT, 10, "--reason", "the log was cut there")
    wait_read(damaged, CUT, 15)
    assert (position(damaged, CUT)["booked"], position(damaged, CUT)["read_again"]) == (15, 20)


def test_a_message_booked_last_that_is_gone_from_between_others_halts_and_names_compaction(damaged):
    why = wait_halted(damaged, GAP, "debitd needs cleanup.policy=delete on its topics")
    neighbour_goes_on(damaged, GAP, WHOLE)
    resolve(damaged, why, "12")
    wait_read(damaged, GAP, 17)
    assert position(damaged, GAP)["booked"] == 15


def test_the_books_verify_once_every_partition_goes_on(damaged):
    for partition in (EATEN, BOOKED, RIGHT, CUT, GAP):
        assert position(damaged, partition)["state"] == "running", position(damaged, partition)
    damaged.verify()


# ---------------------------------------------------------------- a topic that is not what debitd needs

@pytest.mark.world(partitions=1)
def test_a_topic_that_kafka_compacts_halts_where_the_message_booked_last_is_gone(world):
    """Kafka itself removes what a later message of the same key has taken the place of."""
    daemon = ready(world)
    use(world, 10)
    world.wait_booked(10)
    daemon.stop()
    world.kafka.configure_topic(world.topics["usage"], cleanup_policy="compact", segment_ms=1, min_cleanable_dirty_ratio=0.01)
    for _ in range(2):  # the first closes the segment of the ten, the second its own: what is open is not compacted
        use(world, 1)
        world.flush()
    world.wait(lambda: [message.offset for message in world.topic_messages("usage")] == [10, 11], "Kafka to compact the topic", timeout=90)
    world.start()
    why = wait_halted(world, 0, "debitd needs cleanup.policy=delete on its topics")
    assert entries(world) == 10
    resolve(world, why, "10")
    conserved(world, 12)


# ---------------------------------------------------------------- another topic of the same name

@pytest.mark.world(partitions=2)
def test_a_topic_that_was_made_anew_is_halted_before_anything_of_it_is_booked(world):
    daemon = ready(world)
    for partition in range(2):
        use(world, 10, partition)
    world.wait_booked(20)
    daemon.stop()
    delete_topic(world)
    world.kafka.create_topic(world.topics["usage"], 2)
    use(world, 25, 0)  # longer than the one before, and shorter
    use(world, 4, 1)
    world.account("account.opened", "acct-2", plan="payg")
    world.flush()
    world.start()
    longer = wait_halted(world, 0, "the message at offset 9 is not the one that was booked from there")
    shorter = wait_halted(world, 1, "the topic ends before offset 9, which was booked last")
    world.wait(lambda: world.sql("SELECT 1 FROM api.account WHERE account_id = 'acct-2'"), "the other topic to go on")
    assert entries(world) == 20
    assert resolve(world, longer, "earliest")["read_again"] == 10
    assert resolve(world, shorter, "latest")["to_offset"] == 4
    use(world, 6, 1)
    conserved(world, 20 + 25 + 6)


@pytest.mark.world(partitions=1)
def test_a_topic_that_is_deleted_under_its_reader_is_waited_for_and_halted_when_it_is_another(world):
    daemon = ready(world, kafka={"properties": [["session.timeout.ms", "6000"], ["topic.metadata.refresh.interval.ms", "500"]]})
    topic = world.topics["usage"]
    use(world, 10)
    world.wait_booked(10)
    delete_topic(world)
    world.wait(lambda: f"--create --topic {topic}" in daemon.text(), "the log to name the topic", timeout=60)
    world.account("account.opened", "acct-2", plan="payg")
    world.flush()
    world.wait(lambda: world.sql("SELECT 1 FROM api.account WHERE account_id = 'acct-2'"), "the other topic to go on")
    assert next_offset(world, 0) == 10
    world.kafka.create_topic(topic, 1)  # empty
    why = wait_halted(world, 0, "the topic ends before offset 9, which was booked last")
    resolve(world, why, "earliest")
    use(world, 5)
    conserved(world, 10 + 5)


# ---------------------------------------------------------------- what is no reason to halt

@pytest.mark.world(partitions=1)
def test_what_was_taken_before_a_halt_is_booked_and_the_halt_says_where_the_books_stand(world):
    """Retention comes up to a slow writer: what waits for it in memory is on no topic any more."""
    ready(world, queue={"max_messages": 1000}, batch={"max_events": 20},
          kafka={"properties": [["queued.min.messages", "100"], ["max.partition.fetch.bytes", "20000"]]})
    world.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN new; END $$")
    world.sql("CREATE TRIGGER slow BEFORE INSERT ON debitd.batch FOR EACH ROW EXECUTE FUNCTION slow()")
    use(world, 6000)
    world.flush()
    world.wait(lambda: entries(world) >= 200, "some to be booked, and the others to wait")
    delete_records(world.kafka.bootstrap, world.topics["usage"], 0, 5900)
    why = wait_halted(world, 0, "was to go on at offset")
    stands = next_offset(world, 0)
    assert f"was to go on at offset {stands}," in why and f"to go on at offset {stands}, where the books stand" in why
    assert 1000 <= stands == entries(world) < 5900
    resolve(world, why, "earliest")
    conserved(world, stands + 100)


@pytest.mark.world(partitions=1)
def test_partitions_that_are_added_are_read_from_their_beginning(world):
    ready(world, kafka={"properties": [["session.timeout.ms", "6000"], ["topic.metadata.refresh.interval.ms", "500"]]})
    use(world, 5)
    world.wait_booked(5)
    (added,) = world.kafka.admin().create_partitions([NewPartitions(world.topics["usage"], 3)]).values()
    added.result(30)
    sender = Sender(world.kafka.bootstrap)  # one that has not learned yet how many there are
    for n in range(30):  # at once, before the reader is given them
        value = structured(id=f"early-{n}", source="/tests", type="usage.recorded", subject="acct",
                           data={"metric": "ai_tokens", "service": "openai", "model": "gpt-4o-mini", "quantities": {"input": 1000}})
        sender.send(world.topics["usage"], value, "acct", partition=n % 3)
    sender.flush()
    conserved(world, 5 + 30)


@pytest.mark.world(partitions=2)
def test_a_reader_that_was_too_slow_for_its_group_loses_and_doubles_nothing(world):
    """The thread that polls is stuck for longer than max.poll.interval.ms: in a claim that takes its time."""
    patience = [["session.timeout.ms", "6000"], ["max.poll.interval.ms", "6000"]]
    daemon = ready(world, kafka={"properties": patience})
    use(world, 10)
    world.wait_booked(10)
    world.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
              " IF new.epoch > old.epoch AND current_setting('application_name') = 'debitd/claims' THEN PERFORM pg_sleep(10); END IF; RETURN new; END $$")
    world.sql("CREATE TRIGGER slow BEFORE UPDATE ON debitd.position FOR EACH ROW EXECUTE FUNCTION slow()")
    world.sql("UPDATE debitd.position SET owner = 'somebody else', epoch = epoch + 1")
    for partition in range(2):
        use(world, 20, partition)
    world.flush()
    group = world.config["kafka"]["group_id"]
    world.wait(lambda: not world.kafka.admin().list_groups(group, timeout=10)[0].members, "the group to lose patience")
    world.sql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$")
    conserved(world, 10 + 40)
    assert daemon.running and "Kafka has taken the partitions away" in daemon.text()
