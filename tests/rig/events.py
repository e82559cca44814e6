"""CloudEvents into Kafka, in both content modes, and what a topic holds out of it.

Numbers are written as they are meant: a Decimal keeps its text, Raw("1e400") goes out as it stands.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from .wait import wait_until

CONTENT_TYPE = "application/cloudevents+json"


class Raw(str):
    """JSON text that is sent as it stands."""


def to_json(value):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float):
        raise TypeError(f"a float ({value!r}) has no exact text: use Decimal, int or Raw")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{to_json(member)}" for key, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def structured(**attributes):
    """The value of a structured event; specversion is 1.0 unless given. An attribute that is None is left out."""
    event = {"specversion": "1.0", **attributes}
    return to_json({key: value for key, value in event.items() if value is not None}).encode()


def binary(data=None, **attributes):
    """(headers, value) of a binary event."""
    event = {"specversion": "1.0", **attributes}
    headers = [(f"ce_{key}", str(value).encode()) for key, value in event.items() if value is not None]
    return headers + [("content-type", b"application/json")], to_json(data).encode()


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    timestamp_ms: int | None = None

    def header(self, name):
        """The first header of that name, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self):
        return json.loads(self.value)


class Sender:
    """A producer whose flush() fails unless every message was taken."""

    def __init__(self, bootstrap, **options):
        self.failures = []
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, "log_level": 0,
            "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 5000,  # then a stopped broker is given up
            "message.max.bytes": 8 * 1024 * 1024, "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1000000, **{name.replace("_", "."): value for name, value in options.items()}})

    def send(self, topic, value, key=None, headers=None, partition=None, timestamp_ms=None, taken=lambda: None):
        """taken() is called, by a later send() or flush(), once brokers have acknowledged it."""
        options = {}
        if partition is not None:
            options["partition"] = partition
        if timestamp_ms is not None:
            options["timestamp"] = timestamp_ms
        if headers:
            options["headers"] = list(headers)
        self.producer.produce(topic, value=value, key=key, **options,
                              on_delivery=lambda error, message: self._delivered(error, message, taken))
        self.producer.poll(0)

    def _delivered(self, error, message, taken):
        if error is not None:
            self.failures.append(f"{message.topic()}/{message.partition()}: {error}")
        else:
            taken()

    def flush(self, timeout=30):
        left = self.producer.flush(timeout)
        failures, self.failures = self.failures, []
        if left or failures:
            raise AssertionError(f"{left} messages not sent in {timeout} s, {len(failures)} refused: {failures[:5]}")


def read_topic(bootstrap, topic, partitions, isolation="read_committed", timeout=30, first=None):
    """Everything in the topic from its beginning, or from the offsets `first` says, to its present end, by partition
    and offset."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "debitd-rig", "enable.auto.commit": False, "log_level": 0,
        "isolation.level": isolation, "enable.partition.eof": True, "fetch.wait.max.ms": 20,
        "fetch.message.max.bytes": 8 * 1024 * 1024})
    found, open_partitions = [], set(partitions)

    def take():
        message = consumer.poll(0.2)
        if message is None:
            return not open_partitions
        error = message.error()
        if error and error.code() == KafkaError._PARTITION_EOF:
            open_partitions.discard(message.partition())
        elif error:
            raise KafkaException(error)
        else:
            kind, stamp = message.timestamp()
            found.append(Message(message.topic(), message.partition(), message.offset(), message.key(),
                                 message.value(), message.headers() or [],
                                 None if kind == TIMESTAMP_NOT_AVAILABLE else stamp))
        return not open_partitions

    try:
        consumer.assign([TopicPartition(topic, p, (first or {}).get(p, OFFSET_BEGINNING)) for p in partitions])
        wait_until(take, timeout, f"the end of {topic}", interval=0)
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition, message.offset))
