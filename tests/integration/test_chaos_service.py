"""The services of ./run chaos: brokers that die take their producers with them, not their events."""

from contextlib import closing

import pytest

from tests.chaos.service import PRODUCERS, Service
from tests.rig.events import read_topic
from tests.rig.kafka import Kafka


@pytest.fixture
def broker():
    with closing(Kafka()) as broker:
        broker.start()
        broker.create_all([("usage", 1, {})])
        yield broker


def test_what_nobody_acknowledged_when_a_producer_was_given_up_is_sent_by_the_next(broker):
    service = Service(broker.bootstrap, message_timeout_ms=2000)
    begin = service._begin

    def begin_on_a_broker_that_answers():
        broker.brokers[0].go_on()
        begin()
    service._begin = begin_on_a_broker_that_answers
    for n in range(10):
        service.send("usage", b"%d" % n)
        if n == 4:
            service.flush()
            broker.brokers[0].pause()
    service.flush()
    assert service.producers == 2
    values = [message.value for message in read_topic(broker.bootstrap, "usage", [0])]
    assert values[:5] == [b"%d" % n for n in range(5)]
    assert set(values[5:]) == {b"%d" % n for n in range(5, 10)}  # what was on its way may be there twice


def test_a_message_that_is_refused_is_told(broker):
    service = Service(broker.bootstrap)
    service.send("usage", b"x" * 7 * 1024 * 1024)
    with pytest.raises(AssertionError, match="1 refused.*MSG_SIZE_TOO_LARGE"):
        service.flush()
    assert service.producers == PRODUCERS
