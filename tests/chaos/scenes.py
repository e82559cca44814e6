"""What halts a partition by design, at the end of a run: nothing of it is booked or skipped until a person has decided,
its neighbours go on, and what the decision promises is what comes of it. Each scene has a world of its own.
"""

from tests.rig.delete_records import delete_records

from .fleet import Failure, Member, ready
from .plan import Instance
from .stage import ChaosWorld
from .stream import Stream
from .verdict import Verdict

HALT_S = 60
WRITERS, BATCH = 2, 50
REASON = "a person has looked"


class Scene:
    """A world with two daemons, for one scene. `plan` is that of a world of the run: its number makes the names."""

    def __init__(self, stage, plan, say):
        self.world, self.say = ChaosWorld(stage, plan), say
        self.members = [Member(self.world, "debitd", at, Instance(WRITERS, BATCH, 0, False)) for at in range(2)]
        self.stream = Stream(self.world, self.world.now)
        self.verdict = Verdict(self.world, self.stream, self.members)
        self.topic = self.world.topics["usage"]

    def start(self):
        for member in self.members:
            member.start()
        ready(self.members, self.world.dump)

    def stop(self):
        for member in self.members:
            member.end()

    def send(self, phase):
        self.stream.sending(phase, 0)
        self.stream.sent()

    def position(self, partition):
        (row,) = [row for row in self.world.debitctl("position", "list").data
                  if (row["topic"], row["partition"]) == (self.topic, partition)]
        return row

    def halted(self, partitions, words):
        """Waits until they are halted and everything else is read to its end; says why they are halted."""
        wanted = {(self.topic, partition) for partition in partitions}

        def so():
            for member in self.members:
                member.look()
            return set(self.world.behind()) <= wanted and all(
                self.position(partition)["state"] == "halted" for partition in partitions)
        self.world.wait(so, f"{sorted(wanted)} and nothing else to stand still", timeout=HALT_S)
        for partition in partitions:
            why = self.position(partition)["halted"]
            if not any(some in why for some in words):
                raise Failure(f"{self.topic}/{partition} is halted because of {why!r}: not one of {words}")
            if "debitctl position set" not in why:
                raise Failure(f"{self.topic}/{partition} is halted without the command that resolves it: {why!r}")


def retention(scene, plan):
    """Retention eats what nobody has read: the partition halts, `earliest` goes on behind the hole, the rest is booked once."""
    stream, topic = scene.stream, scene.topic
    stream.draw(plan)
    scene.start()
    for phase in range(4):
        scene.send(phase)
        scene.verdict.settled()
    scene.stop()
    before = {p: scene.position(p)["next_offset"] for p in range(scene.world.partitions["usage"])}
    scene.send(4)
    ends = {p: end for p, (_, end) in scene.world.kafka.ends(topic).items()}
    eaten = [p for p in ends if ends[p] > before[p] + 1][:2]
    for p in eaten:
        first = (before[p] + ends[p]) // 2 + 1
        delete_records(scene.world.leader(topic, p), topic, p, first)
        stream.messages = [m for m in stream.messages
                           if (m.topic, m.partition) != (topic, p) or not before[p] <= m.offset < first]
        scene.say(f"  {topic}/{p}: was read up to {before[p]}, begins at {first} now")
    scene.start()
    scene.halted(eaten, ["was to go on at offset"])
    for p in eaten:
        if scene.position(p)["next_offset"] != before[p]:
            raise Failure(f"{topic}/{p} has moved from {before[p]} to {scene.position(p)['next_offset']} by itself")
        scene.world.debitctl("position", "set", topic, p, "earliest", "--reason", REASON)
    scene.verdict.settled()
    scene.verdict.conserved()
    scene.verdict.whole()
    scene.stop()


def counts(world):
    """(messages that were booked or parked, duplicates) so far."""
    (row,) = world.sql("SELECT sum(booked + parked) AS taken, sum(duplicates) AS twice FROM api.position")
    return row["taken"], row["twice"]


def made_anew(scene, plan):
    """The topic is deleted and made anew, and what was sent is sent again, and more: all partitions halt, `earliest` reads the
    new topic, where what was booked from the old one is a duplicate."""
    world, stream, topic = scene.world, scene.stream, scene.topic
    stream.draw(plan)
    scene.start()
    for phase in range(2):
        scene.send(phase)
        scene.verdict.settled()
    scene.stop()
    partitions = range(world.partitions["usage"])
    before = {p: scene.position(p)["next_offset"] for p in partitions}
    booked = world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")
    taken, twice = counts(world)
    valid = [m for m in stream.messages if m.kind == "usage" and m.note == "usage"]
    world.kafka.delete_topics([topic])
    world.wait(lambda: topic not in world.kafka.all_topics(), "the topic to be gone", timeout=HALT_S)
    world.kafka.create_topic(topic, len(partitions))
    world.sender_anew()
    for m in valid:
        world.sender.send(topic, m.value, m.key, m.headers, m.partition, m.timestamp_ms)
    account = valid[0].key.decode()
    more = len(partitions)
    for p in partitions:  # one that is new to each
        world.usage(account, metric="requests", quantity=1, partition=p, source="/anew", timestamp_ms=valid[0].timestamp_ms)
    world.flush()
    scene.start()
    scene.halted([p for p in partitions if before[p]], ["is not the one that was booked", "the topic ends before offset"])
    if world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") != booked:
        raise Failure("something of the new topic was booked before anybody had decided")
    for p in partitions:
        if before[p]:
            world.debitctl("position", "set", topic, p, "earliest", "--reason", REASON)
    scene.verdict.settled()
    taken, twice = (now - then for now, then in zip(counts(world), (taken, twice)))
    scene.say(f"  {len(valid)} sent again: {twice} duplicates; {more} more: {taken} booked or parked")
    if (twice, taken) != (len(valid), more):
        raise Failure(f"of {len(valid)} that were sent again {twice} are duplicates; of {more} that are new {taken} were taken")
    world.verify()
    scene.stop()


SCENES = {"retention eats what nobody has read": retention, "a topic is deleted and made anew": made_anew}

