"""Contract 5: each reason code, its bounds from both sides, and that the first of two faults is
named."""
import json

import pytest

from . import strictjson
from .bench import NOW, NOW_MS, Bench
from .generator import Generator
from .poison import ACCOUNT_POISON, USAGE_POISON

GOOD = {"specversion": "1.0", "type": "usage.recorded", "source": "/s", "id": "u1", "subject": "a",
        "time": "2026-11-20T12:00:00Z", "data": {"metric": "sms", "quantity": 1, "cost": 1}}


def send(event, **more):
    """What becomes of this event (or raw value) on an open payg account."""
    bench = Bench()
    bench.open("a", "payg")
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    return bench.send("usage", value, **more).removeprefix("rejected:")


def data(text):
    event = {name: value for name, value in GOOD.items() if name != "data"}
    return send(json.dumps(event)[:-1].encode() + b', "data": ' + text.encode() + b"}")


def usage(text):
    return data('{"metric": "sms", "cost": 1, ' + text + "}")


def test_the_good_event_is_booked():
    assert send(GOOD) == "booked"


@pytest.mark.parametrize("size, outcome", [(1 << 20, "booked"), ((1 << 20) + 1, "too_large")])
def test_one_mebibyte_is_the_limit(size, outcome):
    event = json.dumps(GOOD).encode()
    assert send(event + b" " * (size - len(event))) == outcome
    assert send(b"x" * size) == ("too_large" if size > 1 << 20 else "malformed_json")


@pytest.mark.parametrize("text, value", [
    (b'{"a":1.50}', "1.50"), (b'{"a":"\\ud83d\\ude00"}', "\U0001f600"), (b' {"a" : [ ] } ', []),
    (b'{"a":"\\u0000"}', "\0"), (b'{"a":-0.0E+1}', "-0.0E+1"), (b'{"a":"\x7f"}', "\x7f")])
def test_json_is_read(text, value):
    found = strictjson.parse(text)["a"]
    assert (found.text if isinstance(found, strictjson.Num) else found) == value


@pytest.mark.parametrize("text", [
    b"", b" ", b"{", b'{"a"}', b'{"a":1,}', b"[1,]", b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}',
    b'{"x":{"a":1,"a":1}}', b"[" * 65 + b"]" * 65, b"[" * 3000 + b"]" * 3000, b'"\xff"',
    b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\ud800x"', b'"\\ud800\\u0041"', b'"\\udc00"', b'"\\u12"',
    b'"\\x"',
    b'"a\nb"', b'"a', b"01", b"1.", b".5", b"+1", b"1e", b"0x1", b"NaN", b"Infinity", b"tru",
    b"nul",
    b"{}{}", b"\xef\xbb\xbf{}", b"{'a':1}", b"\x00", b"{} \x00", b"\xa0{}", b"1\x0b"])
def test_what_is_not_json(text):
    with pytest.raises(strictjson.Malformed):
        strictjson.parse(text)
    assert send(text) == "malformed_json"


def test_depth_sixty_four_is_read():
    strictjson.parse(b"[" * 64 + b"]" * 64)
    # the event is 1, data is 2
    assert usage('"quantity": 1, "x": ' + "[" * 62 + "]" * 62) == "booked"
    assert usage('"quantity": 1, "x": ' + "[" * 63 + "]" * 63) == "malformed_json"


def test_no_cloudevent():
    for value in (b"[]", b"1", b"null", b'"x"'):
        assert send(value) == "not_a_cloudevent"
    for version in ("1", "0.3", "", 1, None):
        assert send({**GOOD, "specversion": version}) == "not_a_cloudevent"
    for name in ("specversion", "id", "source", "type", "subject"):
        assert send({n: v for n, v in GOOD.items() if n != name}) == "not_a_cloudevent"


def test_bad_attributes():
    for name in ("id", "source", "type", "subject", "time"):
        for value in (None, 7, {}, "", "x" * 257, "é" * 129, "a\tb", "a\0b", "a\x7fb", "a\x85b"):
            assert send({**GOOD, name: value}) == "bad_attribute", (name, value)
    assert send({**GOOD, "id": "é" * 128}) == "booked"
    assert send({**GOOD, "extension": {"of": "any type"}}) == "booked"


def binary(**changes):
    headers = {"ce_specversion": b"1.0", "ce_type": b"usage.recorded", "ce_source": b"/s",
               "ce_id": b"u1",
               "ce_subject": b"a", "content-type": b"text/plain"}
    headers.update(changes)
    return [(name, value) for name, value in headers.items() if value != b"none"]


def test_the_binary_mode():
    value = json.dumps(GOOD["data"]).encode()
    assert send(value, headers=binary()) == "booked"
    # of repeated headers the first counts
    assert send(value, headers=binary() + [("ce_id", b"")]) == "booked"
    assert send(value, headers=binary(ce_id=None)) == "bad_attribute"
    assert send(value, headers=binary(ce_id=b"\xff")) == "bad_attribute"
    assert send(value, headers=binary(ce_id=b"none")) == "not_a_cloudevent"
    assert send(value, headers=binary(ce_specversion=b"0.3")) == "not_a_cloudevent"
    assert send(b"[]", headers=binary()) == "bad_data"
    assert send(b"", headers=binary()) == "malformed_json"
    # without ce_specversion the other headers mean nothing
    assert send(value, headers=binary(ce_specversion=b"none")) == "not_a_cloudevent"


def test_types_belong_to_topics():
    assert send({**GOOD, "type": "credits.granted"}) == "unknown_type"
    bench = Bench()
    assert bench.event("accounts", "usage.recorded", "a", {}) == "rejected:unknown_type"


@pytest.mark.parametrize("time, outcome", [
    ("yesterday", "bad_time"), ("2026-11-31T00:00:00Z", "bad_time"),
    ("2026-11-20T12:00:00", "bad_time"),
    ("2026-11-20T13:00:00Z", "booked"), ("2026-11-20T13:00:00.000001Z", "time_in_future"),
    ("2026-10-16T12:00:00Z", "booked"), ("2026-10-16T11:59:59.999999Z", "too_old")])
def test_times_are_judged_against_the_messages_timestamp(time, outcome):
    assert send({**GOOD, "time": time}) == outcome


def test_without_time_the_messages_timestamp_counts():
    assert send({n: v for n, v in GOOD.items() if n != "time"},
                timestamp_ms=NOW_MS - 10 ** 9) == "booked"


@pytest.mark.parametrize("text", [
    "null", "[]", "1", '"x"', "{}", '{"quantity":1}', '{"metric":1,"quantity":1}',
    '{"metric":"","quantity":1}', '{"metric":"a\\u0001","quantity":1}', '{"metric":"sms"}',
    '{"metric":"sms","quantity":1,"quantities":{"a":1}}', '{"metric":"sms","quantities":{}}',
    '{"metric":"sms","quantities":null}', '{"metric":"sms","quantities":[1]}',
    '{"metric":"sms","quantities":{"":1}}', '{"metric":"sms","quantity":1,"service":null}',
    '{"metric":"sms","quantity":1,"model":7}', '{"metric":"sms","quantity":1,"thread":""}',
    '{"metric":"sms","quantity":1,"metadata":[]}', '{"metric":"sms","quantity":1,"metadata":null}',
    '{"metric":"sms","quantity":1,"metadata":{"a":["\\u0000"]}}',
    '{"metric":"sms","quantity":1,"metadata":{"\\u0000":1}}'])
def test_bad_data(text):
    assert data(text) == "bad_data"


def test_data_may_be_missing_and_data_base64_does_not_count():
    assert send({**{n: v for n, v in GOOD.items() if n != "data"},
                 "data_base64": "e30="}) == "bad_data"


def test_components_and_metadata_have_bounds():
    def parts(count):
        return '"quantities": {' + ",".join(f'"c{i}": 1' for i in range(count)) + "}"
    assert (usage(parts(16)), usage(parts(17))) == ("booked", "bad_data")
    # {"a":"..."} has 8 bytes besides its text
    for size, outcome in ((4096, "booked"), (4097, "bad_data")):
        assert usage('"quantity": 1, "metadata": {"a":"' + "x" * (size - 8) + '"}') == outcome


@pytest.mark.parametrize("number, outcome", [
    ("0", "booked"), ("1e12", "booked"), ("1000000000000.000001", "bad_quantity"),
    ("0.000001", "booked"),
    ("1.0000000", "booked"), ("0.0000001", "bad_quantity"), ('"1e-6"', "booked"),
    ('"1e-7"', "bad_quantity"),
    ("-1", "bad_quantity"), ("1e400", "bad_quantity"), ("1" * 39, "bad_quantity"),
    ("true", "bad_quantity"),
    ("null", "bad_quantity"), ('""', "bad_quantity"), ('"0x10"', "bad_quantity"),
    ('" 1"', "bad_quantity"),
    ('"+1"', "bad_quantity"), ("{}", "bad_quantity"), ('"NaN"', "bad_quantity")])
def test_quantities(number, outcome):
    assert usage(f'"quantity": {number}') == outcome
    assert usage(f'"quantities": {{"a": {number}}}') == outcome


def test_the_sum_of_quantities_and_the_cost_have_bounds():
    assert usage('"quantities": {"a": 5e11, "b": 5e11}') == "booked"
    assert usage('"quantities": {"a": 5e11, "b": 500000000000.000001}') == "bad_quantity"
    for cost, outcome in (("1e-12", "booked"), ("1e-13", "bad_quantity"), ("1e12", "booked"),
                          ("1000000000001", "bad_quantity"), ("-1", "bad_quantity")):
        assert data(f'{{"metric":"sms","quantity":1,"cost":{cost}}}') == outcome


def test_of_two_faults_the_first_of_the_list_is_named():
    faults = [("not_a_cloudevent", {"specversion": "2.0"}), ("bad_attribute", {"source": ""}),
              ("unknown_type", {"type": "usage.invented"}), ("bad_time", {"time": "x"}),
              ("bad_data", {"data": {"metric": "", "quantity": -1}}),
              ("bad_quantity", {"data": {"metric": "sms", "quantity": -1}})]
    for at, (code, change) in enumerate(faults):
        event = dict(GOOD)
        for _, other in reversed(faults[at:]):
            event.update(other)
        assert send(event) == code
    bench = Bench()
    bench.use("a", "sms", 1, "u1")
    assert bench.use("a", "sms", -1, "u1") == "rejected:bad_quantity"   # not id_reused
    assert bench.use("a", "sms", 1, "u1", time="2020-01-01T00:00:00Z") == "rejected:too_old"


def test_tombstones_are_skipped():
    bench = Bench()
    assert bench.send("usage", None) == "skipped"
    assert bench.send("usage", None, [("ce_specversion", b"1.0")]) == "skipped"


@pytest.mark.parametrize("kind, members, outcome", [
    ("granted", {}, "bad_data"), ("granted", {"amount": "0"}, "bad_data"),
    ("granted", {"amount": -1}, "bad_data"),
    ("granted", {"amount": "1e-13"}, "bad_data"), ("granted", {"amount": None}, "bad_data"),
    ("granted", {"amount": "1e18"}, "out_of_range"),
    ("granted", {"amount": "1e400"}, "out_of_range"),
    ("granted", {"amount": "-1e400"}, "bad_data"), ("adjusted", {"amount": 0}, "bad_data"),
    ("adjusted", {"amount": "-1e400"}, "out_of_range"), ("purchased", {}, "bad_data"),
    ("purchased", {"package": "none"}, "unknown_package"),
    ("purchased", {"package": 1}, "bad_data"),
    ("refunded", {"amount": "1", "reason": ""}, "bad_data"),
    ("granted", {"amount": "0.000000000001"}, "booked")])
def test_account_amounts(kind, members, outcome):
    bench = Bench()
    bench.open("a", "assistant-free")
    assert bench.account(f"credits.{kind}", "a", **members).removeprefix("rejected:") == outcome


def test_the_account_is_looked_for_before_plan_and_package():
    bench = Bench()
    assert bench.account("plan.assigned", "a", plan="none") == "parked:unknown_account"
    assert bench.account("credits.purchased", "a", package="none") == "parked:unknown_account"
    assert bench.open("b", "none", parent="p") == "parked:unknown_account"
    assert bench.open("a", "none") == "rejected:unknown_plan"
    bench.open("a", "payg")
    # impossible at their release: rejected then, though their offsets count as parked
    assert [reason for _, reason in bench.books.rejected] == ["unknown_plan", "unknown_plan",
                                                             "unknown_package"]


def test_every_poisonous_sample_is_rejected_with_the_code_in_its_name():
    out = Generator(7, 1, NOW)
    out.make_accounts(24)
    for name, build in USAGE_POISON + ACCOUNT_POISON:
        bench = Bench()
        for account in out.accounts:
            bench.open(account.id, account.plan)
        for _ in range(3):          # in any of the content modes
            before = len(out.messages)
            build(out, out.accounts[0].id)
            for message in out.messages[before:]:
                assert bench.books.apply(message) == "rejected:" + name.split()[0], name
