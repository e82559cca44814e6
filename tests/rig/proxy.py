"""A proxy for one TCP port that fails on demand: PostgreSQL and Kafka alike speak through it.

Every connection has a number (1 is the first), counts the bytes that it has passed on in each direction, and keeps the
first bytes that the client sent, by which it can be told from others (a session of PostgreSQL names itself there).
Faults are laid on from outside, at any time, on one connection, on those whose first bytes hold some text, or on all.

A broker tells its clients where it is: it has to advertise this proxy's address, so the port is there before start().
"""

import socket
import threading
from collections import Counter

from . import process

TO_SERVER, TO_CLIENT = "to the server", "to the client"
WAYS = (TO_SERVER, TO_CLIENT)
CHUNK = 65536
HELLO = 1024  # so much of what the client says first is kept


class Connection:
    """One client and the server behind it. `passed` counts the bytes that were handed on, by direction."""

    def __init__(self, proxy, number, client, server):
        self.proxy, self.number = proxy, number
        self.hello, self.open = b"", True
        self.passed, self.recorded = Counter(), {way: bytearray() for way in WAYS}
        self.held, self.cut_at, self.flips = set(), {}, {way: {} for way in WAYS}
        self._ends = {TO_SERVER: (client, server), TO_CLIENT: (server, client)}
        self._ended = set()

    def __repr__(self):
        return f"connection {self.number} ({'open' if self.open else 'ended'}, {dict(self.passed)})"

    def start(self):
        for way in WAYS:
            threading.Thread(target=self._pass_on, args=(way,), daemon=True).start()

    def cut(self):
        """Both sides see the end of the connection; what was on its way is gone."""
        with self.proxy.changed:
            if self.open:
                self.open = False
                for end in self._ends[TO_SERVER]:
                    _shut(end, socket.SHUT_RDWR)
                self.proxy.changed.notify_all()

    def cut_after(self, way, position):
        """Cuts it when exactly `position` bytes, counted from its start, have gone that way: at once if it is there."""
        with self.proxy.changed:
            assert self.passed[way] <= position, f"{self.passed[way]} bytes have gone {way}, {position} is too late"
            self.cut_at[way] = position
            if self.passed[way] == position:
                self.cut()

    def flip(self, way, position, mask=1):
        """Changes the byte at `position` (0 is the connection's first) on its way."""
        with self.proxy.changed:
            assert self.passed[way] <= position, f"{self.passed[way]} bytes have gone {way}, {position} is too late"
            self.flips[way][position] = mask

    def hold(self, *ways):
        """As Proxy.hold, for this connection alone."""
        with self.proxy.changed:
            self.held |= set(ways or WAYS)

    # ---------------------------------------------------------------- its threads, one a direction

    def _pass_on(self, way):
        source, target = self._ends[way]
        try:
            while self._may_go(way):
                chunk = source.recv(self.proxy.chunk)
                if not chunk:
                    break
                if way == TO_SERVER and len(self.hello) < HELLO:
                    self._said(chunk)
                if not self._may_go(way) or not self._send(way, target, chunk):
                    break
        except OSError:
            pass  # an end that is gone is what this proxy is for
        self._one_way_ended(way, target)

    def _said(self, chunk):
        with self.proxy.changed:
            before = self.hello
            self.hello += chunk[:HELLO - len(before)]
            self.proxy._take_up(self, lambda hello: hello and hello in self.hello and hello not in before)
            self.proxy.changed.notify_all()

    def _may_go(self, way):
        """Waits while this direction is held. False: the connection was cut."""
        with self.proxy.changed:
            self.proxy.changed.wait_for(lambda: not self.open or not self._is_held(way))
            return self.open

    def _is_held(self, way):
        return way in self.held or way in self.proxy.held

    def _send(self, way, target, chunk):
        """False: it was cut."""
        self._linger(len(chunk))
        with self.proxy.changed:
            start, stop = self.passed[way], self.cut_at.get(way)
            cutting = stop is not None and start + len(chunk) >= stop
            if cutting:
                chunk = chunk[:stop - start]
            if self.proxy.spoils[way] and len(chunk) >= self.proxy.spoils[way]:
                chunk = _flipped(chunk, len(chunk) // 2, 1)
            for position in [p for p in self.flips[way] if start <= p < start + len(chunk)]:
                chunk = _flipped(chunk, position - start, self.flips[way].pop(position))
            self.passed[way] += len(chunk)
            if self.proxy.recording:
                self.recorded[way] += chunk
        target.sendall(chunk)
        if cutting:
            self.cut()
        return not cutting

    def _linger(self, length):
        """The time that a slow line takes."""
        with self.proxy.changed:
            seconds = self.proxy.delay_s + (length / self.proxy.rate if self.proxy.rate else 0)
            if seconds:
                self.proxy.changed.wait_for(lambda: not self.open, timeout=seconds)

    def _one_way_ended(self, way, target):
        with self.proxy.changed:
            self._ended.add(way)
            _shut(target, socket.SHUT_WR)
            if len(self._ended) < len(WAYS):
                return
            self.open = False
            for end in self._ends[TO_SERVER]:
                end.close()
            if self in self.proxy.connections:
                self.proxy.connections.remove(self)
            self.proxy.changed.notify_all()


class Proxy:
    """start() … close(). `target` is a port of 127.0.0.1. Anything here may be called from any thread."""

    def __init__(self, target, port=None):
        self.target, self.port = target, port or process.free_port()
        self.changed = threading.Condition(threading.RLock())  # guards everything, of the connections too
        self.connections, self.accepted = [], 0                 # those that are open; how many there ever were
        self.held, self.delay_s, self.rate, self.recording = set(), 0, None, False
        self.chunk, self.spoils = CHUNK, Counter()
        self._planned, self._listener = [], None

    def start(self):
        """Takes connections, again after refuse()."""
        assert self._listener is None, "it takes connections already"
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def close(self):
        self.refuse()
        self.cut()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # refuse() has closed it
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()  # the server is away
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                if self._listener is not listener:
                    client.close()
                    server.close()
                    return
                self.accepted += 1
                connection = Connection(self, self.accepted, client, server)
                self.connections.append(connection)
                self._take_up(connection, lambda hello: hello is None)
                self.changed.notify_all()
            connection.start()

    # ---------------------------------------------------------------- faults

    def refuse(self):
        """Takes no new connections: clients are told that nobody listens. start() ends it."""
        with self.changed:
            listener, self._listener = self._listener, None
        if listener:
            _shut(listener, socket.SHUT_RDWR)  # wakes the thread that waits in accept()
            listener.close()

    def spoil(self, way, least):
        """From now on damages each piece of at least `least` bytes that goes that way, in its middle. 0: no more."""
        with self.changed:
            self.spoils[way] = least

    def find(self, hello):
        """The open connections whose client said `hello` (bytes) among its first bytes, oldest first."""
        with self.changed:
            return [c for c in self.connections if c.open and hello in c.hello]

    def cut(self, hello=b""):
        """Cuts all connections, or those that said `hello`. Returns how many."""
        found = self.find(hello)
        for connection in found:
            connection.cut()
        return len(found)

    def plan(self, fault, hello=None, number=None):
        """Calls fault(connection) once: for the next connection, before a byte of it has passed; for the connection with
        that number; or for the next that says `hello`, before what says so has passed."""
        with self.changed:
            self._planned.append((fault, hello, number))

    def cut_next(self, way, position, hello=None, number=None):
        """The next such connection (see plan) is cut when exactly `position` bytes have gone that way."""
        self.plan(lambda connection: connection.cut_after(way, position), hello, number)

    def _take_up(self, connection, is_meant):
        for planned in list(self._planned):
            fault, hello, number = planned
            if is_meant(hello) and number in (None, connection.number):
                self._planned.remove(planned)
                fault(connection)

    def hold(self, *ways):
        """Swallows nothing and delivers nothing, in both directions or the one named, on all connections, until
        let_go(). The ends stay connected; whoever goes on sending fills his buffers."""
        with self.changed:
            self.held |= set(ways or WAYS)

    def let_go(self):
        with self.changed:
            self.held.clear()
            for connection in self.connections:
                connection.held.clear()
            self.changed.notify_all()

    def slow(self, delay_s=0, bytes_per_s=None):
        """Every piece of data comes that much later, and no more than so many bytes a second pass each way of a
        connection. slow() is fast again."""
        with self.changed:
            self.delay_s, self.rate = delay_s, bytes_per_s
            self.chunk = min(CHUNK, max(1, bytes_per_s // 10)) if bytes_per_s else CHUNK


def _flipped(chunk, at, mask):
    return chunk[:at] + bytes([chunk[at] ^ mask]) + chunk[at + 1:]


def _shut(end, how):
    try:
        end.shutdown(how)
    except OSError:
        pass  # it was over already
