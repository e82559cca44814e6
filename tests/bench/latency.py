"""How long an event takes: alone on an idle system, and among 2,000 a second.

Produced -> visible in api.ledger, and produced -> its alert read by a read_committed consumer, from the moment of
produce(). Of single events api.ledger itself is asked. Among many it is the position that is looked at, in a loop of one
thread that also produces and reads the alerts: the position moves in the transaction that books the entry, so both
become visible at once. Of that, how long the broker took to acknowledge the event is told apart. What it reports is late
by up to one turn of the loop, which is reported as well.
"""

import json
import random
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.bench.figures import quantiles
from tests.bench.ground import check_books, fresh_world, wait_settled
from tests.bench.stream import Stream
from tests.rig import events

SINGLES = 50        # events of each kind, one after the other
RATE = 2_000        # events/s
AT_RATE_MOST = 80_000  # events: forty seconds
WARM_MOST = 20_000     # of them, the first that are not counted: the broker's JVM compiles its code then
EDGE_EVERY = 40     # one event in so many crosses a threshold
WAIT_S = 30


def edges(count):
    """[(account, plan)] whose first event crosses 80 %: for `count` crossings."""
    return [(f"edge-{number}", "quota-starter") for number in range(count)]


def crossing(number, prefix="edge"):
    """2.5 of the 3 signatures that are included: 80 % is crossed, 100 % is not."""
    return f"edge-{number}", events.structured(
        id=f"{prefix}-{number}", source="/bench", type="usage.recorded", subject=f"edge-{number}",
        data={"metric": "signatures", "service": "signaturit", "quantity": events.Raw("2.5")})


class Ends:
    """A producer, a consumer of alerts that polls already, and a session."""

    LINGER_MS = 0

    def __init__(self, world):
        self.world, self.dice = world, random.Random(world.seed)
        self.producer = Producer({"bootstrap.servers": world.kafka.bootstrap, "linger.ms": self.LINGER_MS,
                                  "enable.idempotence": True, "partitioner": "murmur2_random"})
        self.consumer = Consumer({"bootstrap.servers": world.kafka.bootstrap, "group.id": f"{world.name}.bench",
                                  "isolation.level": "read_committed", "enable.auto.commit": False})
        alerts = world.topics["alerts"]
        self.consumer.assign([TopicPartition(alerts, 0, world.kafka.ends(alerts, [0])[0][1])])
        self.sql = world.postgres.connect(world.name, application_name="bench")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.producer.flush(10)
        self.consumer.close()
        self.sql.close()


class Idle(Ends):
    """Against a daemon that has nothing to do."""

    def send(self, account, value):
        """Produces one event; returns the moment before."""
        began = time.monotonic()
        self.producer.produce(self.world.topics["usage"], value=value, key=account)
        return began

    def pause(self):
        """Some silence of random length, so that events do not fall in step with what polls inside the daemon."""
        stray = self.consumer.poll(self.dice.uniform(0.05, 0.2))
        if stray is not None:
            raise RuntimeError(f"an alert that nobody waits for: {stray.error() or stray.value()}")

    def look(self, id):
        """Whether the entry is visible; one prepared query."""
        return self.sql.execute("SELECT FROM api.ledger WHERE account_id = 'still' AND event_id = %s", [id],
                                prepare=True).rowcount == 1

    def until_visible(self, id):
        began = self.send("still", events.structured(
            id=id, source="/bench", type="usage.recorded", subject="still",
            data={"metric": "ai_tokens", "service": "openai", "model": "gpt-4o-mini",
                  "quantities": {"input": 512, "output": 207}}))
        while not self.look(id):
            if time.monotonic() - began > WAIT_S:
                raise RuntimeError(f"the event {id} was not booked in {WAIT_S} s\n{self.world.dump()}")
        return time.monotonic() - began

    def until_alert(self, number):
        began = self.send(*crossing(number))
        message = self.consumer.poll(WAIT_S)
        took = time.monotonic() - began
        if message is None or message.error() or json.loads(message.value())["data"]["event_id"] != f"edge-{number}":
            raise RuntimeError(f"no alert of edge-{number} in {WAIT_S} s: {message and (message.error() or message.value())}"
                               f"\n{self.world.dump()}")
        return took


def alone(kafka, postgres, prepared, seed, singles):
    with fresh_world(kafka, postgres, prepared, seed, "bench latency") as world:
        world.start()
        with Idle(world) as idle:
            visible, alert = [], []
            for number in range(singles + 1):  # the first of each warms up and is not counted
                visible.append(idle.until_visible(f"still-{number}"))
                idle.pause()
            began = time.monotonic()
            for _ in range(100):
                idle.look("nothing")
            look_ms = (time.monotonic() - began) * 10
            for number in range(singles + 1):
                alert.append(idle.until_alert(number))
                idle.pause()
        world.daemons[0].stop()
        return {"visible": quantiles(visible[1:]), "alert": quantiles(alert[1:]), "look_ms": look_ms}


class CrossingStream:
    """(key, value, id where it crosses a threshold): a stream in which one event in EDGE_EVERY is the first of an account of
    edges()."""

    def __init__(self, seed, count, accounts):
        self.crossings = count // EDGE_EVERY
        self.stream = Stream(seed, count - self.crossings, accounts)
        self.unique = self.stream.unique + self.crossings

    def __len__(self):
        return len(self.stream) + self.crossings

    def __iter__(self):
        for number, (key, value) in enumerate(self.stream):
            edge, between = divmod(number, EDGE_EVERY - 1)
            if between == 0 and edge < self.crossings:
                yield *crossing(edge, "flow"), f"flow-{edge}"
            yield key, value, None


class Flow(Ends):
    """Events at a rate: what was produced when, what was seen when."""

    LINGER_MS = 5  # librdkafka's default

    def __init__(self, world, messages):
        super().__init__(world)
        self.messages = messages  # as CrossingStream makes them
        self.sent = []            # the moment of produce() of each message
        self.acknowledged = {}    # number of the message -> when the loop learned that the broker has it
        self.places = {}          # (partition, offset) -> number of the message
        self.seen = {}            # partition -> offset up to which entries are visible
        self.visible, self.alerts, self.turns = {}, {}, []

    def produce(self, count):
        """Up to `count` messages in all."""
        for number in range(len(self.sent), min(count, len(self.messages))):
            key, value, _ = self.messages[number]
            self.sent.append(time.monotonic())
            self.producer.produce(self.world.topics["usage"], value=value, key=key,
                                  on_delivery=lambda error, message, number=number: self.delivered(error, message, number))
        self.producer.poll(0)

    def delivered(self, error, message, number):
        if error is not None:
            raise RuntimeError(f"an event was not taken: {error}")
        self.acknowledged[number] = time.monotonic()
        self.places[message.partition(), message.offset()] = number

    def look(self):
        rows = self.sql.execute("SELECT partition, next_offset FROM api.position WHERE topic = %s",
                                [self.world.topics["usage"]], prepare=True).fetchall()
        now = time.monotonic()
        for partition, end in rows:
            for offset in range(self.seen.get(partition, 0), end or 0):
                self.visible[partition, offset] = now
            self.seen[partition] = end or 0

    def read_alerts(self):
        """Waits a moment for the first: that is what paces the loop."""
        message = self.consumer.poll(0.001)
        while message is not None:
            if message.error():
                raise RuntimeError(f"reading the alerts: {message.error()}")
            self.alerts.setdefault(json.loads(message.value())["data"].get("event_id"), time.monotonic())
            message = self.consumer.poll(0)

    def until_seen(self, count):
        """The first `count` messages, at the rate, until all of them are visible and their alerts read."""
        wanted = {id for _, _, id in self.messages[:count] if id}
        already = len(self.sent)
        began = last = time.monotonic()
        while len(self.visible) < count or not wanted <= self.alerts.keys():
            self.produce(min(count, already + int((time.monotonic() - began) * RATE) + 1))
            self.look()
            self.read_alerts()
            now = time.monotonic()
            self.turns.append(now - last)
            last = now
            if now - began > count / RATE + WAIT_S:
                raise RuntimeError(f"{len(self.visible)} of {count} events were seen, "
                                   f"{len(wanted & self.alerts.keys())} of {len(wanted)} alerts\n{self.world.dump()}")

    def run(self):
        warm = max(1, min(WARM_MOST, len(self.messages) // 4))
        self.until_seen(1)  # the producer connects, the daemon reads prices
        self.until_seen(warm)
        self.turns.clear()
        self.until_seen(len(self.messages))
        self.producer.flush(10)
        counted = range(warm, len(self.messages))
        visible = {self.places[place]: seen for place, seen in self.visible.items()}
        return {"events_per_s": (len(counted) - 1) / (self.sent[-1] - self.sent[warm]),
                "acknowledged": quantiles([self.acknowledged[number] - self.sent[number] for number in counted]),
                "booked": quantiles([max(0, visible[number] - self.acknowledged[number]) for number in counted]),
                "visible": quantiles([visible[number] - self.sent[number] for number in counted]),
                "alert": quantiles([self.alerts[id] - self.sent[number] for number in counted
                                    if (id := self.messages[number][2])]),
                "turn": quantiles(self.turns)}


def at_rate(kafka, postgres, prepared, seed, count, accounts):
    stream = CrossingStream(seed, count, accounts)
    with fresh_world(kafka, postgres, prepared, seed, "bench rate") as world:
        world.start()
        with Flow(world, list(stream)) as flow:
            found = flow.run()
        wait_settled(world)
        check_books(world, stream)
        world.daemons[0].stop()
        return found


def crossings(count, singles=SINGLES):
    """How many accounts of edges() are needed."""
    return max(singles + 1, min(count, AT_RATE_MOST) // EDGE_EVERY)


def latency(kafka, postgres, prepared, seed, count, accounts, singles=SINGLES):
    found = alone(kafka, postgres, prepared, seed, singles)
    found["at_rate"] = at_rate(kafka, postgres, prepared, seed, min(count, AT_RATE_MOST), accounts)
    return found
