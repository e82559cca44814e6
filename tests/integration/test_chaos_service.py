"""The services of ./run chaos: brokers that die take their producers with them, not their events."""

from collections import Counter

import pytest
from confluent_kafka import KafkaError

from tests.chaos.service import PRODUCERS, Service


def refuse(*_):
    raise AssertionError("given up")


def test_what_nobody_acknowledged_when_a_producer_was_given_up_is_sent_by_the_next(world):
    service = Service(world.kafka.bootstrap)
    for n in range(10):
        service.send(world.topics["usage"], b"%d" % n, b"key")
        if n == 4:
            service.flush(30)
    service.sender.flush, service.sender.fatal = refuse, KafkaError(KafkaError._FATAL)
    service.flush(30)
    count = Counter(message.value for message in world.topic_messages("usage"))
    assert {value for value, times in count.items() if times == 1} >= {b"%d" % n for n in range(5)}
    assert set(count) == {b"%d" % n for n in range(10)}
    assert service.producers == 2


def test_trouble_that_is_not_fatal_is_told(world):
    service = Service(world.kafka.bootstrap)
    service.send(world.topics["usage"], b"1")
    service.sender.flush = refuse
    with pytest.raises(AssertionError, match="given up"):
        service.flush(30)
    assert service.producers == 1 < PRODUCERS
