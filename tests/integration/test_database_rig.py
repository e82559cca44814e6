"""The faults that the tests of the database are made of: each does what it says, to the byte, and lets go again."""

import socket
import threading
from contextlib import contextmanager

import psycopg
import pytest

from tests.rig.disk import TABLES, WAL, Disk
from tests.rig.postgres import Postgres
from tests.rig.proxy import TO_CLIENT, TO_SERVER, Proxy
from tests.rig.standby import standby_of
from tests.rig.wait import wait_until


@contextmanager
def echo():
    """A server that sends everything back; gives its port and what it has received, one bytearray a connection."""
    listener, received = socket.create_server(("127.0.0.1", 0)), []

    def serve(end, got):
        with end:
            try:
                while chunk := end.recv(65536):
                    got += chunk
                    end.sendall(chunk)
            except OSError:
                pass  # it was cut

    def accept():
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            received.append(bytearray())
            threading.Thread(target=serve, args=(end, received[-1]), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def dial(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def exchange(client, data):
    client.sendall(data)
    got = b""
    while len(got) < len(data):
        chunk = client.recv(65536)
        assert chunk, f"it ended after {got!r}"
        got += chunk
    return got


def say_and_hear(client, *pieces):
    """Sends the pieces, then reads what comes back until the connection ends."""
    got = b""
    try:
        for piece in pieces:
            client.sendall(piece)
        while chunk := client.recv(65536):
            got += chunk
    except ConnectionError:
        pass  # it was cut while we were talking
    return got


def test_the_proxy_passes_on_and_counts_each_way():
    with echo() as (port, received), Proxy(port) as proxy, dial(proxy) as one, dial(proxy) as two:
        assert exchange(one, b"first") == b"first"
        assert exchange(two, b"x" * 1_000_000) == b"x" * 1_000_000
        first, = proxy.find(b"first")
        assert first.passed == {TO_SERVER: 5, TO_CLIENT: 5}
        assert [c.passed[TO_CLIENT] for c in proxy.find(b"x")] == [1_000_000]
        assert (proxy.accepted, sorted(map(len, received))) == (2, [5, 1_000_000])
        one.shutdown(socket.SHUT_WR)
        assert say_and_hear(one) == b""
        wait_until(lambda: len(proxy.connections) == 1, 20, "the connection that ended to be gone")


@pytest.mark.parametrize("position", [0, 1, 6, 9, 10])
def test_a_connection_is_cut_after_exactly_so_many_bytes_to_the_server(position):
    with echo() as (port, received), Proxy(port) as proxy:
        proxy.cut_next(TO_SERVER, position)
        with dial(proxy) as client:
            say_and_hear(client, b"abcdef", b"ghijkl")
        wait_until(lambda: not proxy.connections, 20, "it to be cut")
        wait_until(lambda: b"".join(received) == b"abcdefghijkl"[:position], 20, "what was let through")
        with dial(proxy) as client:
            assert exchange(client, b"again") == b"again"  # only that one is cut


@pytest.mark.parametrize("position", [0, 1, 6, 9, 10])
def test_a_connection_is_cut_after_exactly_so_many_bytes_to_the_client(position):
    with echo() as (port, _), Proxy(port) as proxy:
        proxy.cut_next(TO_CLIENT, position)
        with dial(proxy) as client:
            assert say_and_hear(client, b"abcdefghijkl") == b"abcdefghijkl"[:position]
        with dial(proxy) as client:
            assert exchange(client, b"again") == b"again"


def test_a_fault_waits_for_the_connection_that_says_who_it_is():
    with echo() as (port, _), Proxy(port) as proxy:
        proxy.cut_next(TO_CLIENT, 8, hello=b"writer 0")
        with dial(proxy) as other, dial(proxy) as meant:
            assert exchange(other, b"writer 1") == b"writer 1"
            assert exchange(other, b"and more") == b"and more"
            assert say_and_hear(meant, b"writer 0 and more") == b"writer 0"
            assert proxy.find(b"writer 0") == [] and len(proxy.find(b"writer 1")) == 1
            assert proxy.cut(b"writer") == 1
            assert say_and_hear(other) == b""


def test_what_is_held_arrives_once_it_is_let_go():
    with echo() as (port, received), Proxy(port) as proxy, dial(proxy) as client:
        exchange(client, b"before")
        proxy.hold(TO_CLIENT)
        client.sendall(b"held")
        wait_until(lambda: received == [b"beforeheld"], 20, "the server to hear it")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.settimeout(20)
        proxy.let_go()
        assert client.recv(10) == b"held"
        proxy.hold()
        client.sendall(b"more")
        proxy.let_go()
        assert client.recv(10) == b"more"


def test_one_byte_is_flipped_and_no_other():
    with echo() as (port, received), Proxy(port) as proxy:
        proxy.plan(lambda connection: connection.flip(TO_CLIENT, 7, mask=0x20), number=1)
        with dial(proxy) as client:
            assert exchange(client, b"abcdefghij") == b"abcdefgHij"
            assert exchange(client, b"abcdefghij") == b"abcdefghij"
            assert received == [b"abcdefghij" * 2]


def test_nobody_is_let_in_while_connections_are_refused():
    with echo() as (port, _), Proxy(port) as proxy, dial(proxy) as client:
        exchange(client, b"inside")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
        assert exchange(client, b"stays") == b"stays"
        proxy.start()
        with dial(proxy) as another:
            assert exchange(another, b"inside") == b"inside"


def test_a_slow_line_delivers_everything_in_small_pieces():
    with echo() as (port, _), Proxy(port) as proxy, dial(proxy) as client:
        proxy.recording = True
        proxy.slow(delay_s=0.01, bytes_per_s=100_000)
        assert exchange(client, bytes(range(256)) * 100) == bytes(range(256)) * 100
        line, = proxy.connections
        assert line.recorded[TO_SERVER] == bytes(range(256)) * 100


@pytest.fixture
def primary(server):
    return server


def test_a_promoted_standby_has_what_it_received_and_the_old_primary_what_it_did_not(primary):
    primary.sql("CREATE TABLE t (n integer)")
    with standby_of(primary) as standby:
        primary.sql("INSERT INTO t VALUES (1)")
        wait_until(lambda: standby.sql("SELECT n FROM t") == [(1,)], 20, "the row to arrive")
        standby.pause_replay()
        primary.sql("INSERT INTO t VALUES (2)")
        assert standby.sql("SELECT n FROM t") == [(1,)]
        standby.resume_replay()
        wait_until(lambda: standby.sql("SELECT count(*) FROM t") == [(2,)], 20, "the second row to be shown")
        standby.stop_receiving()
        primary.sql("INSERT INTO t VALUES (3)")
        primary.crash()
        standby.promote()
        standby.sql("INSERT INTO t VALUES (4)")
        assert standby.sql("SELECT n FROM t ORDER BY n") == [(1,), (2,), (4,)]
        primary.start()  # a second primary: nobody has told it
        assert primary.sql("SELECT n FROM t ORDER BY n") == [(1,), (2,), (3,)]


def test_commit_waits_for_a_sync_standby(primary):
    primary.sql("CREATE TABLE t (n integer)")
    with standby_of(primary, sync=True) as standby:
        primary.sql("INSERT INTO t VALUES (1)")
        standby.stop_receiving()
        with primary.connect("postgres") as session:
            notices = []
            session.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            insert = threading.Thread(target=session.execute, args=("INSERT INTO t VALUES (2)",))
            insert.start()
            wait_until(lambda: primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
                       20, "COMMIT to wait")
            insert.join(20)
        assert notices == ["canceling wait for synchronous replication due to user request"]
        standby.receive_again()
        primary.sql("INSERT INTO t VALUES (3)")
        primary.kill()
        standby.promote()
        standby.sql("INSERT INTO t VALUES (4)")
        assert standby.sql("SELECT count(*) FROM t") == [(4,)]


@pytest.fixture
def disk():
    made = Disk()
    try:
        yield made
    finally:
        made.close()


def test_a_full_disk_refuses_what_needs_room_and_is_told_apart_from_a_full_log(disk):
    server = Postgres(env=disk.env)
    try:
        server.start()
        server.sql("CREATE TABLE t AS SELECT 1 AS n")
        disk.fill(TABLES)
        server.sql("UPDATE t SET n = 2")  # fits where it is
        with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
            server.sql("INSERT INTO t SELECT generate_series(1, 100000)")
        disk.free(TABLES)
        server.sql("INSERT INTO t SELECT generate_series(1, 100000)")
        disk.fill(WAL)
        with pytest.raises(psycopg.OperationalError):  # the server cannot go on and says PANIC
            server.sql("SELECT pg_switch_wal()")
            server.sql("INSERT INTO t SELECT generate_series(1, 1000000)")
        disk.free(WAL)
        server.crash()
        server.start()
        assert server.sql("SELECT count(*) FROM t") == [(100001,)]
        assert "No space left on device" in server.log.read_text()
    finally:
        server.close()
