"""The few of Kafka's requests that confluent_kafka has no call for, spoken directly.

Only flexible versions (KIP-482): request header 2, response header 1.
"""

import socket
import struct

ALTER_PARTITION_REASSIGNMENTS = 45, 0
ELECT_LEADERS = 43, 2
PREFERRED = 0  # election type
ELECTION_NOT_NEEDED = 84
TIMEOUT_S = 10


def unsigned(value):
    """UNSIGNED_VARINT."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def data(value):
    """COMPACT_BYTES."""
    return unsigned(len(value) + 1) + value


def string(text):
    """COMPACT_STRING."""
    return data(text.encode())


def array(elements):
    """COMPACT_ARRAY of what is encoded already."""
    elements = list(elements)
    return unsigned(len(elements) + 1) + b"".join(elements)


def int32(value):
    return struct.pack(">i", value)


TAGS = b"\0"  # no tagged fields


class Answer:
    """Reads the fields of a response one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def bytes(self):
        size = self.unsigned()
        self.at += max(0, size - 1)
        return self.data[self.at - size + 1:self.at] if size else None

    def string(self):
        found = self.bytes()
        return None if found is None else found.decode()

    def array(self, read):
        return [read() for _ in range(self.unsigned() - 1)]

    def tags(self):
        for _ in range(self.unsigned()):
            self.unsigned()
            size = self.unsigned()
            self.at += size


def request(port, api, body):
    """Sends one request to the broker at `port` and returns its answer, behind the header."""
    key, version = api
    name = b"debitd-rig"
    head = struct.pack(">hhih", key, version, 1, len(name)) + name + TAGS
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as s, s.makefile("rb") as answers:
        s.sendall(int32(len(head) + len(body)) + head + body)
        size = answers.read(4)
        found = answers.read(*struct.unpack(">i", size)) if len(size) == 4 else b""
    if len(found) < 4:
        raise ConnectionError(f"the broker at {port} ended the connection of request {key}")
    answer = Answer(found)
    answer.take("i")  # correlation id
    answer.tags()
    return answer


def _result(answer):
    """(partition, error code, message) as both answers below have it."""
    found = answer.take("i"), answer.take("h"), answer.string()
    answer.tags()
    return found


def _results(answer):
    """The error of the request, else that of its only partition: (code, message), code 0 for done."""
    def topic():
        answer.string()
        results = answer.array(lambda: _result(answer))
        answer.tags()
        return results
    ((_, code, words),) = answer.array(topic)[0]
    return code, words


def order_replicas(port, topic, partition, replicas):
    """Makes the first of `replicas` the preferred leader: (error code, message)."""
    body = int32(TIMEOUT_S * 1000) + array([
        string(topic) + array([int32(partition) + array(map(int32, replicas)) + TAGS]) + TAGS]) + TAGS
    answer = request(port, ALTER_PARTITION_REASSIGNMENTS, body)
    answer.take("i")  # throttle
    code, words = answer.take("h"), answer.string()
    return (code, words) if code else _results(answer)


def elect_preferred(port, topic, partition):
    """Makes the preferred replica the leader: (error code, message); ELECTION_NOT_NEEDED: it is already."""
    body = bytes([PREFERRED]) + array([string(topic) + array([int32(partition)]) + TAGS]) + int32(
        TIMEOUT_S * 1000) + TAGS
    answer = request(port, ELECT_LEADERS, body)
    answer.take("i")  # throttle
    code = answer.take("h")
    return (code, None) if code else _results(answer)
