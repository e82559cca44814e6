"""A member of a consumer group that speaks the group's protocol itself, so that a test decides what its leader gives out.

The first to join is the leader and stays it; the thread heartbeats, and joins again at every rebalance.
"""

import struct
import threading

from . import wire
from .wait import wait_until

JOIN_GROUP, SYNC_GROUP, HEARTBEAT, LEAVE_GROUP, FIND_COORDINATOR = (11, 6), (14, 4), (12, 4), (13, 4), (10, 3)
REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED = 27, 79
NO_COORDINATOR_YET = {14, 15, 16}  # it is being loaded, there is none, this is not the one
GROUP = b"\0"  # the kind of coordinator
SESSION_MS, REBALANCE_MS, HEARTBEAT_S = 6000, 8000, 0.1
NULL = b"\0"  # of a compact string
RANGE = "range"


def string(text):
    """STRING, as within the consumer's own protocol."""
    return struct.pack(">h", len(text.encode())) + text.encode()


def subscription(topics):
    return struct.pack(">hi", 0, len(topics)) + b"".join(map(string, topics)) + wire.int32(-1)


def assignment(partitions):
    """Of [(topic, partition)]."""
    return struct.pack(">hi", 0, len(partitions)) + b"".join(
        string(topic) + wire.int32(1) + wire.int32(partition) for topic, partition in partitions) + wire.int32(-1)


class Refused(Exception):
    def __init__(self, what, code):
        super().__init__(f"the broker answers {what} with error {code}")
        self.code = code


class Leader:
    """`give_out(leader, members)` returns {member: [(topic, partition)]} of a generation; what it leaves out has
    nothing. `given` are its answers so far."""

    def __init__(self, port, group, topics, give_out):
        self.port, self.group, self.topics, self.give_out = port, group, topics, give_out
        self.member, self.generation, self.given, self.failure = "", -1, [], None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        wait_until(self._joined, 30, "a coordinator of the group")
        assert self.member == self.leader, "another one has joined the group before"
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        if not self.failure:
            self._ask("LeaveGroup", LEAVE_GROUP, wire.string(self.group) + wire.array(
                [wire.string(self.member) + NULL + wire.TAGS]) + wire.TAGS)

    def dump(self):
        return f"--- the leader {self.member}, generation {self.generation}: {self.failure or 'is well'}\n{self.given}"

    def _run(self):
        try:
            while not self.ended.wait(HEARTBEAT_S):
                try:
                    self._ask("Heartbeat", HEARTBEAT, self._me() + wire.TAGS)
                except Refused as refused:
                    if refused.code != REBALANCE_IN_PROGRESS:
                        raise
                    self._join()
        except Exception as failure:  # told by dump(): nobody waits for this thread
            self.failure = failure

    def _me(self):
        return wire.string(self.group) + wire.int32(self.generation) + wire.string(self.member) + NULL

    def _ask(self, what, api, body, fine=(0,)):
        answer = wire.request(self.port, api, body)
        answer.take("i")  # throttle
        code = answer.take("h")
        if code not in fine:
            raise Refused(what, code)
        return code, answer

    def _joined(self):
        """Being asked for the coordinator makes the broker create the topic in which it keeps its groups."""
        try:
            self._ask("FindCoordinator", FIND_COORDINATOR, wire.string(self.group) + GROUP + wire.TAGS)
            self._join()
        except Refused as refused:
            if refused.code not in NO_COORDINATOR_YET:
                raise
            return False
        return True

    def _join(self):
        code = MEMBER_ID_REQUIRED
        while code == MEMBER_ID_REQUIRED:
            code, answer = self._ask("JoinGroup", JOIN_GROUP, self._wish(), (0, MEMBER_ID_REQUIRED))
            self.generation = answer.take("i")
            answer.string()  # the protocol
            self.leader, self.member = answer.string(), answer.string()
        members = answer.array(lambda: self._member(answer))
        shares = self.give_out(self.member, members)
        self.given.append(shares)
        self._ask("SyncGroup", SYNC_GROUP, self._me() + wire.array(
            wire.string(member) + wire.data(assignment(shares.get(member, []))) + wire.TAGS
            for member in members) + wire.TAGS)

    def _wish(self):
        return (wire.string(self.group) + wire.int32(SESSION_MS) + wire.int32(REBALANCE_MS) + wire.string(self.member) +
                NULL + wire.string("consumer") + wire.array(
                    [wire.string(RANGE) + wire.data(subscription(self.topics)) + wire.TAGS]) + wire.TAGS)

    @staticmethod
    def _member(answer):
        name = answer.string()
        answer.string()  # group.instance.id
        answer.bytes()  # the subscription
        answer.tags()
        return name
