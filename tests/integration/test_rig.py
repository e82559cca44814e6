"""The rig itself: servers that come up, take what they are given and give it back."""

from decimal import Decimal

import pytest

from tests.rig import events
from tests.rig.daemon import libconfig, merge
from tests.rig.wait import GaveUp, wait_until


def test_a_message_comes_back_from_the_broker_byte_for_byte(kafka):
    kafka.create_topic("rig.echo", 2)
    sender = events.Sender(kafka.bootstrap)
    sender.send("rig.echo", b"\x00\xff value", key=b"k", headers=[("h", b"1"), ("h", b"2")], partition=1,
                timestamp_ms=1_700_000_000_123)
    sender.send("rig.echo", None, key=b"tombstone", partition=0)
    sender.flush()
    first, second = events.read_topic(kafka.bootstrap, "rig.echo", range(2))
    assert (first.partition, first.key, first.value) == (0, b"tombstone", None)
    assert (second.partition, second.offset, second.key, second.value) == (1, 0, b"k", b"\x00\xff value")
    assert second.headers == [("h", b"1"), ("h", b"2")] and second.header("h") == b"1"
    assert second.timestamp_ms == 1_700_000_000_123
    assert kafka.ends("rig.echo") == {0: (0, 1), 1: (0, 1)}
    kafka.delete_topics(["rig.echo"])


def test_a_large_record_is_taken_only_where_the_topic_asks_for_it(kafka):
    kafka.create_topic("rig.small")
    kafka.create_topic("rig.large", max_message_bytes=5_000_000)
    sender = events.Sender(kafka.bootstrap)
    sender.send("rig.large", b"x" * 4_194_304)
    sender.flush()
    assert [len(m.value) for m in events.read_topic(kafka.bootstrap, "rig.large", [0])] == [4_194_304]
    sender.send("rig.small", b"x" * 4_194_304)
    with pytest.raises(AssertionError, match="1 refused"):
        sender.flush()
    kafka.delete_topics(["rig.small", "rig.large"])


def test_what_the_broker_took_survives_kill_9(kafka):
    kafka.create_topic("rig.kept")
    sender = events.Sender(kafka.bootstrap)
    sender.send("rig.kept", b"before")
    sender.flush()
    kafka.kill()
    kafka.start()
    sender.send("rig.kept", b"after")
    sender.flush()
    assert [m.value for m in events.read_topic(kafka.bootstrap, "rig.kept", [0])] == [b"before", b"after"]
    kafka.delete_topics(["rig.kept"])


def test_what_the_database_committed_survives_a_crash(postgres):
    postgres.create_database("rig")
    with postgres.connect("rig") as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
    postgres.restart(crash=True)
    with postgres.connect("rig") as connection:
        assert connection.execute("SELECT answer FROM t").fetchone() == (42,)
    postgres.drop_database("rig")


def test_numbers_keep_their_text_in_events():
    value = events.structured(id="1", source="/s", type="t", subject="a", time=None,
                              data={"quantity": Decimal("0.10"), "huge": events.Raw("1e400"), "name": "ä\n"})
    assert value == ('{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a",'
                     '"data":{"quantity":0.10,"huge":1e400,"name":"ä\\n"}}').encode()
    with pytest.raises(TypeError):
        events.to_json(0.1)


def test_a_dictionary_becomes_libconfig_text():
    assert libconfig({"a": {"b": 1, "c": 'x"\\'}, "d": [["k", "v"]], "e": True, "f": 2**40}) == (
        '{\n  a = {\n    b = 1;\n    c = "x\\"\\\\";\n  };\n  d = ( ( "k", "v" ) );\n'
        '  e = true;\n  f = 1099511627776L;\n}')
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}}) == {"a": {"b": 9, "c": 2}, "d": 3}


def test_giving_up_says_what_was_waited_for_and_shows_evidence():
    with pytest.raises(GaveUp, match="waiting for: the moon(.|\n)*evidence"):
        wait_until(lambda: None, 0.1, "the moon", dump=lambda: "evidence")
