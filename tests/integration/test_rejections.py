"""Every code of contract 5, sent between good messages: the dead letter is the message byte for byte, api.rejected
says why, and its neighbours are booked."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from tests.rig.daemon import TOP
from tests.rig.events import Raw, binary, structured

GOOD = {"metric": "requests", "quantity": 1}


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def usage(data=None, **attributes):
    given = {"id": "poison", "source": "/tests", "type": "usage.recorded", "subject": "acct-1", "data": data or GOOD}
    given.update(attributes)
    return structured(**given)


def text(body):
    """A usage event whose data is this JSON text."""
    return usage(data=Raw(body))


DEEP = "[" * 3000 + "]" * 3000
NOW = datetime.now(timezone.utc)

# What each is, its value, the code it must be given.
USAGE = [
    ("two megabytes", usage({**GOOD, "metadata": {"x": "y" * 2_000_000}}), "too_large"),
    ("one byte over 1 MiB", b" " * (1024 * 1024 + 1), "too_large"),
    ("no JSON", b"hello", "malformed_json"),
    ("empty", b"", "malformed_json"),
    ("a NUL byte", usage().replace(b"poison", b"poi\0on"), "malformed_json"),
    ("invalid UTF-8", usage().replace(b"poison", b"poi\xff\xfeon"), "malformed_json"),
    ("overlong UTF-8", usage().replace(b"poison", b"\xc0\xafpoison"), "malformed_json"),
    ("a name twice", text('{"metric":"requests","quantity":1,"quantity":1000}'), "malformed_json"),
    ("a name twice once unescaped", text('{"metric":"requests","quantity":1,"quant\\u0069ty":1}'), "malformed_json"),
    ("3,000 deep", text('{"metric":"requests","quantity":1,"metadata":{"x":' + DEEP + "}}"), "malformed_json"),
    ("a lone surrogate", text('{"metric":"requests","quantity":1,"user":"\\ud800"}'), "malformed_json"),
    ("something behind the end", usage() + b"{}", "malformed_json"),
    ("no object", b"[1, 2]", "not_a_cloudevent"),
    ("another specversion", usage(specversion="0.3"), "not_a_cloudevent"),
    ("no id", usage(id=None), "not_a_cloudevent"),
    ("no subject", usage(subject=None), "not_a_cloudevent"),
    ("an id that is a number", usage(id=17), "bad_attribute"),
    ("an empty source", usage(source=""), "bad_attribute"),
    ("a control character", usage(subject="acct\u0001"), "bad_attribute"),
    ("a subject of 257 bytes", usage(subject="x" * 257), "bad_attribute"),
    ("a null time", usage(time=Raw("null")), "bad_attribute"),
    ("a type of the other topic", usage(type="account.opened"), "unknown_type"),
    ("no time of RFC 3339", usage(time="yesterday"), "bad_time"),
    ("the 31st of November", usage(time="2026-11-31T00:00:00Z"), "bad_time"),
    ("two hours ahead", usage(time=rfc3339(NOW + timedelta(hours=2))), "time_in_future"),
    ("36 days ago", usage(time=rfc3339(NOW - timedelta(days=36))), "too_old"),
    ("data that is a list", text("[]"), "bad_data"),
    ("no metric", text('{"quantity":1}'), "bad_data"),
    ("neither quantity nor quantities", text('{"metric":"requests"}'), "bad_data"),
    ("both", text('{"metric":"requests","quantity":1,"quantities":{"a":1}}'), "bad_data"),
    ("no quantities in it", text('{"metric":"requests","quantities":{}}'), "bad_data"),
    ("17 components", text('{"metric":"requests","quantities":{'
                           + ",".join(f'"c{i}":1' for i in range(17)) + "}}"), "bad_data"),
    ("a NUL in a string", text('{"metric":"requests","quantity":1,"user":"a\\u0000b"}'), "bad_data"),
    ("metadata of 4,097 bytes", text('{"metric":"requests","quantity":1,"metadata":{"x":"' + "y" * 4089 + '"}}'), "bad_data"),
    ("1e400", text('{"metric":"requests","quantity":1e400}'), "bad_quantity"),
    ("39 digits", text('{"metric":"requests","quantity":' + "9" * 39 + "}"), "bad_quantity"),
    ("seven decimals", text('{"metric":"requests","quantity":0.1234567}'), "bad_quantity"),
    ("less than nothing", text('{"metric":"requests","quantity":-1}'), "bad_quantity"),
    ("a quantity that is true", text('{"metric":"requests","quantity":true}'), "bad_quantity"),
    ("a cost of 13 decimals", text('{"metric":"requests","quantity":1,"cost":0.0000000000001}'), "bad_quantity"),
    ("the identity of another event", usage({**GOOD, "quantity": 2}, id="good-0"), "id_reused"),
    ("a void of nothing", usage({"id": "never"}, type="usage.voided"), "unknown_event"),
]

ACCOUNTS = [
    ("no such plan", "account.opened", {"plan": "no-such-plan"}, "acct-9", "unknown_plan"),
    ("no such package", "credits.purchased", {"package": "no-such-package"}, "acct-1", "unknown_package"),
    ("a plan of another unit", "plan.assigned", {"plan": "quota-starter"}, "acct-1", "unit_mismatch"),
    ("an amount of 1e18", "credits.granted", {"amount": "1e18"}, "acct-1", "out_of_range"),
    ("no amount", "credits.granted", {}, "acct-1", "bad_data"),
    ("an amount of nothing", "credits.adjusted", {"amount": 0}, "acct-1", "bad_data"),
    ("a type of the other topic", "usage.recorded", GOOD, "acct-1", "unknown_type"),
]


@pytest.mark.world(partitions=1)
def test_a_bad_message_is_a_dead_letter_and_its_neighbours_are_booked(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.flush()
    world.start()
    world.wait_booked()
    sent = []
    for number, (what, value, code) in enumerate(USAGE):
        world.usage("acct-1", id=f"good-{number}", **GOOD)
        headers = [("trace", f"t-{number}".encode()), ("empty", b""), ("raw", b"\x00\xff")]
        world.produce("usage", value, key=f"key-{number}".encode(), headers=headers)
        sent.append((what, value, code, f"key-{number}".encode(), headers))
    world.usage("acct-1", id="void-me", **GOOD)
    world.void("acct-1", "void-me", id="void-1")
    world.void("acct-1", "void-me", id="void-2")
    world.wait_booked(total=len(USAGE) + 1)
    rows = world.sql('SELECT "offset", reason, detail, key, value FROM api.rejected WHERE topic = %s ORDER BY "offset"',
                     [world.topics["usage"]])
    assert [row["reason"] for row in rows] == [code for _, _, code, _, _ in sent] + ["already_voided"]
    for (what, value, code, key, headers), row in zip(sent, rows):
        assert (row["key"], row["value"]) == (key, value), what
        assert row["detail"], what
    letters = {message.key: message for message in world.topic_messages("deadletter")}
    for (what, value, code, key, headers), row in zip(sent, rows):
        letter = letters[key]
        assert letter.value == value, what
        assert [header for header in letter.headers if header in headers] == headers, what
        assert letter.header("debitd-reason") == code.encode(), what
        assert letter.header("debitd-detail").decode() == row["detail"], what
        assert letter.header("__connect.errors.topic") == world.topics["usage"].encode()
        assert letter.header("__connect.errors.partition") == b"0"
        assert letter.header("__connect.errors.offset") == str(row["offset"]).encode()
        assert letter.header("__connect.errors.exception.message")
    assert len(letters) == len(rows) - 1 + 1
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_bad_operation_on_an_account_is_a_dead_letter_and_its_neighbours_are_booked(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.account("credits.purchased", "acct-1", amount="5")
    for what, kind, data, account, _ in ACCOUNTS:
        world.account(kind, account, id=what, **data)
        world.account("credits.granted", "acct-1", amount="1")
    world.start()
    world.wait_booked()
    rows = world.sql('SELECT reason, detail FROM api.rejected ORDER BY "offset"')
    assert [row["reason"] for row in rows] == [code for *_, code in ACCOUNTS]
    # 100 of the plan, 5 bought, 1 between each two of the bad ones
    assert world.value("SELECT balance FROM api.balance WHERE account_id = 'acct-1'") == 105 + len(ACCOUNTS)
    world.verify()


def test_every_reason_is_in_the_manual_in_the_order_in_which_it_is_looked_for():
    codes = re.findall(r'X\([A-Z_]+, "([a-z_]+)"\)', (TOP / "daemon" / "model" / "reason.h").read_text())
    rows = [line.split("|")[1] for line in (TOP / "docs" / "messages.md").read_text().splitlines() if line.startswith("| `") and "`reason`" not in line]
    named = [code for row in rows for code in re.findall("`([a-z_]+)`", row)]
    order = {code: place for place, code in enumerate(codes)}
    assert len(codes) == 22 and set(named) == set(codes) and len(named) == 22
    assert [c for c in named if c != "over_refund"] == sorted((c for c in named if c != "over_refund"), key=order.get)


@pytest.mark.world(partitions=1)
def test_a_timestamp_in_other_units_is_told_and_is_no_time_of_an_event(world):
    """Kafka counts milliseconds; some producers write nanoseconds."""
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.flush()
    world.start()
    for stamp in (1_764_000_000_000_000_000, 9_223_372_036_854_775, 2**63 - 1, 253_402_300_800_000):
        world.usage("acct-1", timestamp_ms=stamp, key="beyond", **GOOD)
    world.usage("acct-1", **GOOD)
    world.wait_booked(total=1)
    assert world.sql("SELECT DISTINCT reason, detail FROM api.rejected") == [
        {"reason": "bad_time", "detail": "the message's timestamp is beyond the year 9999: Kafka counts milliseconds"}]
    assert world.value("SELECT count(*) FROM api.rejected") == 4
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_tombstone_is_skipped_and_counted(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.flush()
    world.start()
    world.usage("acct-1", **GOOD)
    world.produce("usage", None, key="acct-1")
    world.usage("acct-1", **GOOD)
    world.wait_booked(total=2)
    row = world.sql("SELECT booked, skipped, rejected FROM api.position WHERE topic = %s", [world.topics["usage"]])[0]
    assert row == {"booked": 2, "skipped": 1, "rejected": 0}


@pytest.mark.world(partitions=1, limits={"deadletter": 100_000})
def test_a_letter_too_large_for_its_topic_goes_out_empty_and_marked(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.flush()
    world.start()
    world.produce("usage", b"x" * 300_000, key="large")
    world.produce("usage", b"small", key="small")
    world.usage("acct-1", **GOOD)
    world.wait_booked(total=1)
    letters = {message.key: message for message in world.topic_messages("deadletter")}
    assert letters[b"small"].value == b"small"
    assert letters[b"large"].value in (b"", None)
    assert letters[b"large"].header("debitd-truncated") is not None
    assert world.value("SELECT length(value) FROM api.rejected WHERE key = 'large'") == 300_000


@pytest.mark.world(partitions=1)
def test_binary_mode_is_judged_like_structured_mode(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="codegen-pro")
    world.flush()
    world.start()
    good, value = binary(GOOD, id="b-1", source="/tests", type="usage.recorded", subject="acct-1")
    world.produce("usage", value, key="k1", headers=good)
    world.produce("usage", b"{", key="k2", headers=good)
    world.produce("usage", value, key="k3", headers=[h for h in good if h[0] != "ce_id"])
    world.produce("usage", value, key="k4", headers=[(k, b"" if k == "ce_subject" else v) for k, v in good])
    world.produce("usage", value, key="k5", headers=good + [("ce_id", b"another")])  # of repeated headers the first counts
    world.wait_booked(total=1)
    rows = world.sql('SELECT key, reason FROM api.rejected ORDER BY "offset"')
    assert [(row["key"], row["reason"]) for row in rows] == [
        (b"k2", "malformed_json"), (b"k3", "not_a_cloudevent"), (b"k4", "bad_attribute")]
    assert world.value("SELECT duplicates FROM api.position WHERE topic = %s", [world.topics["usage"]]) == 1
