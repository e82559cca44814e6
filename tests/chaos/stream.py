"""The stream of a world: rounds of tests/model's generator, sent by two services while the faults go on.

Services send again what brokers that died had not answered, so where a message has come to stand is not taken from
what was sent but read back from the topics: each message bears its number in a header.
"""

import threading
import time
from dataclasses import replace

from tests.model.generator import generate
from tests.rig import events
from tests.rig.judged import Judged
from tests.rig.wait import GaveUp, wait_until

from .fleet import Failure
from .plan import PHASES
from .service import DELIVERY_S, Service

NUMBER = "chaos-number"
AT_ONCE = 10           # messages between two looks at the clock


class Stream(Judged):
    """`messages` are those that stand on the topics by now, of all rounds so far."""

    def __init__(self, world, now):
        self.world, self.now = world, now
        self.messages, self._round, self._drawn = [], -1, []
        self._ends = {}
        # The second one is a service that sends again what another has sent: to another partition, at times.
        self.services = Service(world.kafka.bootstrap), Service(world.kafka.bootstrap)

    def draw(self, plan):
        """The messages of the next round."""
        self._round += 1
        topics = {kind: self.world.topics[kind] for kind in ("usage", "accounts")}
        first = self._round * 10**6
        self._drawn = [
            replace(message, phase=message.phase + self._round * PHASES,
                    headers=[*message.headers, (NUMBER, str(first + at).encode())])
            for at, message in enumerate(generate(plan.seed, plan.messages, partitions=self.world.partitions["usage"],
                                                  now=self.now, topics=topics))]

    def sending(self, phase, lasts_ms):
        """Begins to send a phase of the round, evenly over that time. sent() waits for it."""
        messages = [message for message in self._drawn if message.phase == phase + self._round * PHASES]
        self._thread = threading.Thread(target=self._send, args=(messages, lasts_ms / 1000), daemon=True)
        self._trouble, self._sent = None, messages
        self._thread.start()

    def _send(self, messages, lasts):
        began = time.monotonic()
        try:
            for at, message in enumerate(messages):
                if at % AT_ONCE == 0:
                    due = began + lasts * at / len(messages)
                    wait_until(lambda: time.monotonic() >= due, lasts + DELIVERY_S, "the next message's time", interval=0.01)
                self.services["resent" in message.note].send(
                    message.topic, message.value, message.key, message.headers, message.partition, message.timestamp_ms)
            for service in self.services:
                service.flush()
        except Exception as error:  # told by sent(), in the thread that asks
            self._trouble = error

    def sent(self):
        """Waits for the end of sending, then learns where each message stands. The servers must be up."""
        self._thread.join()
        if self._trouble:
            raise Failure(f"the services: {self._trouble}")
        wanted = {dict(message.headers)[NUMBER]: message for message in self._sent}
        missing = set(wanted)

        def learn():
            for topic in sorted({message.topic for message in self._sent}):
                for found in self._news(topic):
                    number = found.header(NUMBER)
                    missing.discard(number)
                    message = wanted[number]
                    self.messages.append(replace(message, partition=found.partition, offset=found.offset,
                                                 timestamp_ms=found.timestamp_ms))
            return not missing

        # a leader that was none before shows what it has only once another has it too
        try:
            wait_until(learn, DELIVERY_S, "what was acknowledged to be on its topic", interval=1)
        except GaveUp:
            raise Failure(f"the brokers took {len(missing)} messages that are not on their topic") from None

    def _news(self, topic):
        """What came to the topic since the last look."""
        kind = next(kind for kind, name in self.world.topics.items() if name == topic)
        partitions = range(self.world.partitions[kind])
        found = events.read_topic(self.world.kafka.bootstrap, topic, partitions, timeout=60,
                                  first={p: self._ends.get((topic, p), 0) for p in partitions})
        for message in found:
            self._ends[topic, message.partition] = message.offset + 1
        return found
