"""A service that publishes events, as services do: with an idempotent producer, and a new one where that is of no more use.

Brokers that die may leave librdkafka with a sequence of messages that it cannot go on with (fatal: "out of order sequence
number"). What nobody has acknowledged by then is sent again by the next producer, in its order, and may stand on its topic
twice: that is what the identity of an event is for.
"""

import functools
import itertools

from confluent_kafka import KafkaException

from tests.rig import events

DELIVERY_S = 120  # brokers may be away meanwhile
PRODUCERS = 10   # one after the other: more trouble than that is of another kind


class Service:
    def __init__(self, bootstrap, **options):
        self._new_sender, self._numbers = functools.partial(events.Sender, bootstrap, **options), itertools.count()
        self._open = {}  # what is not acknowledged: number -> message, in the order of send()
        self.producers = 0
        self._begin()

    def _begin(self):
        self.producers += 1
        self.sender = self._new_sender()

    def send(self, *message):
        """As Sender.send()."""
        number = next(self._numbers)
        self._open[number] = message
        self._trying(lambda: self._send(number))

    def _send(self, number):
        self.sender.send(*self._open[number], taken=lambda: self._open.pop(number, None))

    def flush(self):
        """Until every message is acknowledged, or AssertionError."""
        self._trying(lambda: self.sender.flush(DELIVERY_S))
        assert not self._open, f"{len(self._open)} messages were neither taken nor refused"

    def _trying(self, work):
        """Does it; where this producer fails, hands all that is open to the next one and flushes that."""
        try:
            work()
        except (AssertionError, KafkaException):
            if self.producers == PRODUCERS:
                raise
            self._begin()
            self._trying(self._again)

    def _again(self):
        for number in list(self._open):
            self._send(number)
        self.sender.flush(DELIVERY_S)
