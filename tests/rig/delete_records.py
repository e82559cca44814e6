"""DeleteRecords, which Debian's client for Python does not have: what retention does, at once and to the offset.

One request of Kafka's protocol, version 0, on a socket of its own; strings and arrays are prefixed by their length.
"""

import socket
import struct

API_KEY, VERSION, CORRELATION, TIMEOUT_MS = 21, 0, 1, 10000


def _string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def delete_records(bootstrap, topic, partition, before):
    """The broker forgets every message of the partition before the offset `before`; returns where its log begins now."""
    request = (struct.pack(">hhi", API_KEY, VERSION, CORRELATION) + _string("debitd-rig")
               + struct.pack(">i", 1) + _string(topic) + struct.pack(">iiq", 1, partition, before)
               + struct.pack(">i", TIMEOUT_MS))
    host, port = bootstrap.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=15) as broker, broker.makefile("rb") as answer:
        broker.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", answer.read(4))
        body = answer.read(size)
    # correlation and throttle time, one topic by name, one partition: its number, the first offset left, an error code
    _, low, error = struct.unpack(">iqh", body[-14:])
    if error:
        raise RuntimeError(f"DeleteRecords of {topic}/{partition} before {before}: error code {error}")
    return low
