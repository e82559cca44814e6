"""The writer's connection is cut at every byte of a batch, in both directions: nothing is lost, nothing is booked twice.

One daemon lives through all of it. A batch is three messages; more than enough of them lie ready, so that a session is,
from its first byte on: greeting, settings, the question what became of the COMMIT before, the next batch. Each session is
cut one byte later than the one before; the daemon comes back by itself and takes up where it was.

DEBITD_CUTS=1 cuts at every byte; else a sample of them, which the seed shifts, and the edges of all messages.
"""

import os
from collections import Counter

import pytest

from tests.integration.database_faults import counts, opened, through
from tests.rig.proxy import TO_CLIENT, TO_SERVER, Proxy

STRIDE = int(os.environ.get("DEBITD_CUTS") or 499)
BATCH = 3
WRITER_0 = b"debitd/writer 0"
COMMITTED = b"C\0\0\0\x0bCOMMIT\0"
LAST_BYTES = 200  # of either way: what is cut before them cannot have landed


def message_ends(data, greets):
    """Where the messages of PostgreSQL's protocol end, with their types; a client's greeting has none."""
    at, messages = 0, []
    while at + 5 <= len(data):
        kind = b"" if greets and at == 0 else data[at:at + 1]
        start = at + len(kind)
        at = start + int.from_bytes(data[start:start + 4], "big")
        messages.append((kind, at))
    return messages


def produce(world, batches):
    """A batch: a new event, a resend of it, and one more event or a message that is refused. Gives what becomes of all."""
    fates = Counter()
    for n in range(batches):
        first = world.usage("acct-0", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
        world.usage("acct-0", id=first, service="openai", model="gpt-4o-mini", quantities={"input": 1000})
        if n % 10 == 9:
            world.produce("usage", b'{"specversion":"1.0","id":', key="acct-1")
        else:
            world.usage("acct-1", service="openai", model="gpt-4o", quantities={"output": 7})
        fates.update(["booked", "duplicates", "rejected" if n % 10 == 9 else "booked"])
    world.flush()
    return fates


def session_of_a_writer(world, proxy):
    """The messages of a session that starts after a loss in the middle of a batch, up to the answer to the COMMIT of its
    first batch: {way: [(type, end), …]}; and what was sent for it."""
    taken = []

    def in_the_middle(connection):
        connection.cut_after(TO_SERVER, 1100)  # asking for what it holds, or in its first batch
        proxy.plan(taken.append, hello=WRITER_0)
    proxy.recording = True
    proxy.plan(in_the_middle, hello=WRITER_0)
    proxy.cut(WRITER_0)
    sent = produce(world, 10)

    def said(way):
        return bytes(taken[0].recorded[way]) if taken else b""
    world.wait(lambda: COMMITTED in said(TO_CLIENT).partition(b"G\0\0\0\x0f")[2], "a batch of a new session")
    proxy.recording = False
    asked, answered = said(TO_SERVER), said(TO_CLIENT)
    ends = {TO_SERVER: message_ends(asked, greets=True), TO_CLIENT: message_ends(answered, greets=False)}
    commit = {TO_SERVER: (asked.index(b"commit\0--"), b"S"),
              TO_CLIENT: (answered.index(COMMITTED, answered.index(b"G\0\0\0\x0f")), b"Z")}
    for way, (at, closing) in commit.items():
        last = next(n for n, (kind, end) in enumerate(ends[way]) if end > at and kind == closing)
        ends[way] = ends[way][:last + 1]
    return ends, sent


def places_to_cut(ends, seed):
    """(way, position): the edges of messages (of the rows of a result, one in ten) and each STRIDE-th byte, from where the
    session is set up; of the login before it, where a failure is followed by a second of patience, one edge."""
    for way, messages in ends.items():
        settled = next(end for kind, end in messages if kind == {TO_SERVER: b"Q", TO_CLIENT: b"Z"}[way])
        login = [end for _, end in messages if end < settled]
        edges = {end for n, (kind, end) in enumerate(messages) if end >= settled and (kind != b"D" or n % 10 == seed % 10)}
        within = range(settled + seed % STRIDE, messages[-1][1], STRIDE)
        for position in sorted({login[seed % len(login)], *edges, *within}):
            yield way, position


@pytest.mark.world(partitions=1)
def test_a_connection_cut_at_any_byte_of_a_batch_loses_and_doubles_nothing(world):
    opened(world)
    with Proxy(world.postgres.port) as proxy:
        through(world, proxy.port)
        daemon = world.start(batch={"max_events": BATCH, "max_delay_ms": 0})
        world.wait_booked()
        ends, sent = session_of_a_writer(world, proxy)
        places = list(places_to_cut(ends, world.seed))
        last = {way: messages[-1][1] for way, messages in ends.items()}
        sent += produce(world, 30 + sum(position > last[way] - LAST_BYTES for way, position in places))
        left, cut = list(reversed(places)), []

        def cut_the_next(connection):
            cut.append(connection)
            if left:
                connection.cut_after(*left.pop())
                proxy.plan(cut_the_next, hello=WRITER_0)
        proxy.plan(cut_the_next, hello=WRITER_0)
        proxy.cut(WRITER_0)
        world.wait(lambda: len(cut) > len(places), f"{len(places)} sessions to be cut", timeout=120 + len(places))
        world.wait_booked(total=sent["booked"], timeout=120)
    assert counts(world) == dict(sent)
    assert daemon.running, daemon.tail()
    world.verify()
