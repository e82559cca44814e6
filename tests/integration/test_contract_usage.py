"""The contract of usage, sentence by sentence, through a real broker, a real database and the real daemon.

Every figure here is worked out by hand from the contract (sections 1 to 5 and 9) and the price list."""

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D

import pytest

from tests.rig.events import Raw, binary, structured

NOW = datetime.now(timezone.utc)
MONTH = NOW.date().replace(day=1)
TINY = D("0.000000000001")

# A catalogue of our own: one unit of `n` costs 1 USD, so that what is charged is what was counted.
CATALOGUE = """
defaults = { effective_from = "2025-01-01"; markup = "15"; thresholds = [ 80, 100 ]; };
units = ( { code = "USD"; }, { code = "EUR"; }, { code = "CREDIT"; valued_in = "USD"; value = "0.01"; } );
metrics = ( { name = "n"; }, { name = "tie"; }, { name = "look"; }, { name = "look2"; }, { name = "day"; }, { name = "fixed"; },
            { name = "euro"; }, { name = "dated"; }, { name = "bare"; }, { name = "filed"; } %(metrics)s );
prices = (
    { metric = "n"; currency = "USD"; price = "1"; },
    { metric = "tie"; currency = "USD"; price = "0.000000000001"; },
    { service = "s1"; model = "m1"; metric = "look"; component = "c1"; currency = "USD"; price = "1"; },
    { service = "s1"; model = "m1"; metric = "look"; component = "*"; currency = "USD"; price = "2"; },
    { service = "s1"; model = "*"; metric = "look"; component = "c1"; currency = "USD"; price = "3"; },
    { service = "s1"; metric = "look"; currency = "USD"; price = "4"; },
    { service = "*"; model = "m1"; metric = "look"; component = "c1"; currency = "USD"; price = "5"; },
    { model = "m1"; metric = "look"; currency = "USD"; price = "6"; },
    { metric = "look"; component = "c1"; currency = "USD"; price = "7"; },
    { metric = "look"; currency = "USD"; price = "8"; },
    { service = "s2"; metric = "look2"; currency = "USD"; price = "4"; },
    { model = "m2"; metric = "look2"; component = "c2"; currency = "USD"; price = "5"; },
    { metric = "look2"; component = ""; currency = "USD"; price = "9"; },
    { metric = "euro"; currency = "EUR"; price = "2"; },
    { metric = "dated"; service = "s"; currency = "USD"; price = "1"; effective_until = "%(edge)s"; },
    { metric = "dated"; service = "s"; currency = "USD"; price = "3"; effective_from = "%(edge)s"; effective_until = "%(end)s"; },
    { metric = "dated"; currency = "USD"; price = "100"; }
    %(prices)s
);
plans = (
    { name = "plain"; unit = "USD"; kind = "postpaid"; tariff = "cost_plus"; markup = "0"; },
    { name = "plus"; unit = "USD"; kind = "postpaid"; tariff = "cost_plus"; },
    { name = "credit"; unit = "CREDIT"; kind = "prepaid"; tariff = "cost_plus"; },
    { name = "distrust"; unit = "USD"; kind = "postpaid"; tariff = "cost_plus"; markup = "0"; trust_cost = false; },
    { name = "fix"; unit = "EUR"; kind = "postpaid"; tariff = "fixed";
      prices = ( { service = "s1"; metric = "fixed"; component = "a"; per = "3"; price = "1"; },
                 { metric = "fixed"; per = "3"; price = "2"; },
                 { metric = "bare"; price = "7"; effective_from = "%(edge)s"; },
                 { metric = "n"; price = "0.5"; } );
      quotas = ( { metric = "day"; day_limit = "3"; } ); },
    { name = "quota"; unit = "USD"; kind = "postpaid";
      quotas = ( { metric = "n"; included = "1"; overage_price = "0.000000000001"; overage_per = "2"; thresholds = [ 50, 100, 300 ]; },
                 { metric = "tie"; included = "2.5"; },
                 { metric = "fixed"; included = "0"; overage_price = "2"; day_limit = "1"; } ); },
    { name = "both"; unit = "CREDIT"; kind = "prepaid"; tariff = "cost_plus"; markup = "0";
      welcome = "10"; credits_per_period = "100"; credits_policy = "rollover"; low_balance = "50"; },
    { name = "more"; unit = "CREDIT"; kind = "prepaid"; tariff = "cost_plus"; markup = "0"; credits_per_period = "150"; }
    %(plans)s
);
packages = ( { name = "pack"; unit = "CREDIT"; amount = "5"; bonus = "1"; price = "1"; currency = "USD"; } );
fx = ( { from = "EUR"; to = "USD"; rate = "1.5"; effective_until = "%(edge)s"; },
       { from = "EUR"; to = "USD"; rate = "1.25"; effective_from = "%(edge)s"; } %(fx)s );
"""
EDGE = (NOW - timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
END = EDGE + timedelta(days=1)


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def catalogue(**more):
    given = {"edge": rfc3339(EDGE), "end": rfc3339(END), **{k: "" for k in ("metrics", "prices", "plans", "fx")}, **more}
    return CATALOGUE % given


def begin(world, *, text=None, accounts=(), shipped=False, **config):
    """The catalogue, a running daemon, and these accounts open: (name, plan) or (name, {data})."""
    if shipped:
        world.catalog()
    else:
        world.catalog(text or catalogue())
    daemon = world.start(**config)
    for name, plan in accounts:
        world.account("account.opened", name, **(plan if isinstance(plan, dict) else {"plan": plan}))
    world.wait_booked()
    return daemon


def entries(world, account=None):
    """{event id: usage or void entry}"""
    rows = world.sql("SELECT * FROM api.ledger WHERE type IN ('usage', 'void') AND account_id = coalesce(%s, account_id)"
                     " ORDER BY entry_id", [account])
    return {row["event_id"]: row for row in rows}


def amounts(world, account=None):
    return {id: row["amount"] for id, row in entries(world, account).items()}


def rejected(world):
    """{id of the event, or of the message's key: reason}"""
    return {bytes(row["key"]).decode(): row["reason"] for row in world.sql("SELECT key, reason FROM api.rejected")}


def parked(world):
    return {row["event_id"]: row["reason"] for row in world.sql("SELECT * FROM api.parked WHERE released_at IS NULL")}


def balance(world, account):
    return world.value("SELECT balance FROM api.balance WHERE account_id = %s", [account])


def messages(world):
    """Those of the topic of alerts; read again only when there are more."""
    count = world.value("SELECT count(*) FROM api.alert")
    known = getattr(world, "messages_known", [])
    if len(known) != count:
        known = world.messages_known = world.topic_messages("alerts")
    return known


def alerts(world, type=None):
    return [alert for alert in (message.json() for message in messages(world)) if type in (None, alert["type"])]


def thresholds(world, account):
    """What the alerts of this payer say, in the topic's order."""
    return [(a["data"]["metric"], a["data"]["threshold"], a["data"]["used"], a["data"]["event_id"])
            for a in alerts(world, "usage.threshold.reached") if a["subject"] == account]


# ------------------------------------------------------------------------------------------------ 1: events

NUMBERS = [("1.0000000", "1"), ("0e5", "0"), ("-0", "0"), ('"-0.0"', "0"), ('"2.5e-1"', "0.25"), ("1E3", "1000"), ('"1e12"', "1e12"),
           ("12e-6", "0.000012"), ("1.20e+1", "12"), ('"0.000001"', "0.000001"), ("100000000000000e-2", "1e12"),
           ("1000000.0000001e1", "10000000.000001"), ("0.1", "0.1"), ("0." + "0" * 60 + "1e61", "1"), ("0", "0"), ('"0"', "0"),
           ("999999999999.999999", "999999999999.999999"), ("1e-0006", "0.000001"), ("0e999999999999", "0")]
NO_NUMBERS = ['"01"', '"+1"', '".5"', '"1."', '" 1"', '"1 "', '""', '"NaN"', '"1e"', '"0x1"', '"1,5"', '"\\uff11"', "1e13", "-0.000001",
              "1000000000000.000001", "0.0000001", "null", "[]", "{}", "true", '"Infinity"', "1e999999999999", '"1e-7"', "10.0000001"]
COSTS = [("0.000000000001", TINY), ("1e12", D("1e12")), ('"2.5"', D("2.5")), ("0", D(0))]
NO_COSTS = ["1000000000000.000000000001", '"-1"', "null", "0.0000000000001", "1e13", "{}"]
MALFORMED = ['{"metric":"n","quantity":1,}', '{"metric":"n","quantity":01}', '{"metric":"n","quantity":NaN}', "{'metric':'n'}",
             '{"metric":"n","quantity":1,"metadata":{"a":{"b":1,"b":1}}}', '{"metric":"n","quantity":1,"x":"\\udc00"}',
             '{"metric":"n","quantity":1,"x":' + "[" * 64 + "]" * 64 + "}", '{"metric":"n","quantity":+1}', '{"metric":"n","quantity":1.}',
             '{"metric":"n","quantity":1,"x":"\t"}', '{"metric":"n","quantity":1} x', '{"metric":"n","quantity":1,"x":"\\x41"}']
BAD_DATA = ['{"metric":"","quantity":1}', '{"metric":"' + "m" * 257 + '","quantity":1}', '{"metric":"n","quantity":1,"user":"a\\nb"}',
            '{"metric":"n","quantity":1,"thread":null}', '{"metric":"n","quantities":{"":1}}', '{"metric":"n","quantity":1,"service":5}',
            '{"metric":"n","quantities":{"' + "c" * 257 + '":1}}', '{"metric":"n","quantity":1,"metadata":[]}', "null", '"x"', "[{}]",
            '{"metric":"n","quantity":1,"metadata":null}', '{"metric":"n","quantities":[]}', '{"metric":"n","quantities":null}',
            '{"metric":"n","quantity":1,"quantities":null}', '{"quantity":1}', '{"metric":null,"quantity":1}', '{"metric":7,"quantity":1}',
            '{"metric":"n","quantity":1,"agent":""}', '{"metric":"n","quantity":1,"execution":"\\u007f"}',
            '{"metric":"n","quantity":"x","model":""}',  # bad_data comes before bad_quantity
            '{"metric":"n","quantity":1,"x":{"y":["\\u0000"]}}',
            '{"metric":"n","quantity":1,"metadata":{"x":[1,{"y":1e131073}]}}',  # no NUMERIC holds it
            '{"metric":"n","quantity":1,"metadata":{"x":-1E-99999999999999999999}}',
            '{"metric":"n","quantity":1,"metadata":{"x":"' + "é" * 2044 + '" }}']  # 4097 bytes as sent


@pytest.mark.world(partitions=2)
def test_numbers_are_what_their_text_says_in_both_content_modes(world):
    begin(world, accounts=[("a", "plain")])
    want = {}
    for number, (text, value) in enumerate(NUMBERS):
        for mode in ("structured", "binary"):
            id = f"{mode}-{number}"
            world.usage("a", "n", id=id, quantity=Raw(text), mode=mode)
            want[id] = D(value)
    for number, (text, value) in enumerate(COSTS):
        world.usage("a", "n", id=f"cost-{number}", quantity=7, cost=Raw(text))
    world.usage("a", "n", id="sum", quantities={"a": Raw("999999999999"), "b": Raw('"1"'), "c": Raw("0")})
    world.usage("a", "n", id="sixteen", quantities={f"c{i}": i for i in range(16)})
    bad = {}
    for name, reason, texts in (("q", "bad_quantity", ['{"metric":"n","quantity":%s}' % text for text in NO_NUMBERS]),
                                ("s", "bad_quantity", ['{"metric":"n","quantities":{"a":1,"b":%s}}' % text for text in NO_NUMBERS]),
                                ("c", "bad_quantity", ['{"metric":"n","quantity":1,"cost":%s}' % text for text in NO_COSTS]),
                                ("o", "bad_quantity", ['{"metric":"n","quantities":{"a":1e12,"b":0.000001}}']),
                                ("m", "malformed_json", MALFORMED), ("d", "bad_data", BAD_DATA)):
        for number, text in enumerate(texts):
            for mode in ("structured", "binary"):
                key = f"{name}{number}-{mode}"
                world.event("usage", "usage.recorded", "a", Raw(text), id=key, key=key, mode=mode)
                bad[key] = reason
    world.wait_booked(total=len(want) + len(COSTS) + 2)
    found = entries(world)
    assert {id: found[id]["quantity"] for id in want} == want
    assert {id: -found[id]["amount"] for id in want} == want  # a USD each
    assert [-found[f"cost-{n}"]["amount"] for n in range(len(COSTS))] == [value for _, value in COSTS]
    assert [found[f"cost-{n}"]["cost"] for n in range(len(COSTS))] == [value for _, value in COSTS]
    assert found["sum"]["quantity"] == D("1e12")
    assert found["sixteen"]["quantity"] == 120
    assert {k: v["quantity"] for k, v in found["sixteen"]["components"].items()} == {f"c{i}": str(i) for i in range(16)}
    assert found["structured-0"]["components"] == {"": {"quantity": "1", "cost": "1", "price_id": found["structured-0"]["components"][""]["price_id"]}}
    assert rejected(world) == bad
    assert "database" not in "".join(row["detail"] for row in world.sql("SELECT detail FROM api.rejected"))
    world.verify()


LONG = "ü" * 128  # 256 bytes


@pytest.mark.world(partitions=2)
def test_attributes_of_events_in_both_content_modes(world):
    begin(world, accounts=[("a", "plain"), (LONG, "plain")])
    good = {"metric": "n", "quantity": 1}

    def send(key, **attributes):
        given = {"id": key, "source": "/t", "type": "usage.recorded", "subject": "a", "data": good}
        given.update(attributes)
        world.produce("usage", structured(**given), key=key)

    def send_binary(key, headers=(), value=None, **attributes):
        given = {"id": key, "source": "/t", "type": "usage.recorded", "subject": "a"}
        given.update(attributes)
        made, data = binary(good, **given)
        world.produce("usage", data if value is None else value, key=key, headers=[*headers, *made])

    # taken
    send(LONG)
    send_binary("b" + LONG[1:] + "y", subject=LONG, source=LONG)
    send("extensions", traceparent=Raw("null"), partitionkey=Raw("{}"), x=Raw("[1,2]"), data_base64="!", datacontenttype="text/plain")
    world.produce("usage", structured(id="no-key", source="/t", type="usage.recorded", subject="a", data=good),
                  headers=[("content-type", b"text/plain")])
    send_binary("b-structured-type", headers=[("content-type", b"application/cloudevents+json; charset=utf-8")])
    send_binary("b-spaces", value=b' \r\n\t{ "metric" : "n" , "quantity" : 1 } \n')
    send_binary("b-other-header", headers=[("CE_ID", b"no"), ("x", b"\xff")])
    deep = '{"metric":"n","quantity":1,"x":' + "[" * 62 + "]" * 62 + "}"
    send("deep-64", data=Raw(deep))  # the event, its data and 62 lists
    send("escaped", data=Raw('{"\\u006detric":"\\u006e","quantity":1,"user":"\\ud83d\\ude00","metadata":{"x":"' + "y" * 4088 + '"}}'))
    names = {"service": LONG, "model": "модель", "user": "ユーザー", "thread": "t 1", "execution": "e/1", "agent": '"quoted"\\'}
    send("names", data={**good, **names, "unknown": None, "metadata": {"k": [1, None, "é"]}})
    send("half", id=LONG[:-1] + "h")
    send("kept", data={**good, "metadata": {"x": [Raw("1e0020"), Raw("0e10000")], "1e99999": "1e99999"}})
    # not taken
    bad = {}

    def refuse(reason, key, how=send, **attributes):
        bad[key] = reason
        how(key, **attributes)

    refuse("bad_attribute", "id257", id=LONG + "x")
    refuse("bad_attribute", "id-empty", id="")
    refuse("bad_attribute", "id-del", id="a\x7f")
    refuse("bad_attribute", "id-c1", id="a\u0085")
    refuse("bad_attribute", "id-nul", id=Raw('"a\\u0000b"'))
    refuse("bad_attribute", "subject-null", subject=Raw("null"))
    refuse("bad_attribute", "type-null", type=Raw("null"))
    refuse("bad_attribute", "source-5", source=5)
    refuse("bad_attribute", "time-number", time=5)
    refuse("bad_attribute", "time-empty", time="")
    refuse("bad_attribute", "order-1", subject="", type="no.such", time="yesterday")
    refuse("not_a_cloudevent", "order-2", subject=None, id="")
    refuse("not_a_cloudevent", "version-null", specversion=Raw("null"))
    refuse("not_a_cloudevent", "version-1", specversion=Raw("1.0"))
    refuse("unknown_type", "order-3", type="usage.Recorded", time="yesterday")
    refuse("bad_time", "order-4", time="yesterday", data=[])
    refuse("bad_data", "no-data", data=None, data_base64="eyJtZXRyaWMiOiJuIiwicXVhbnRpdHkiOjF9")
    refuse("not_a_cloudevent", "b-no-source", send_binary, source=None)
    refuse("bad_attribute", "b-not-utf8", send_binary, id=None, headers=[("ce_id", b"a\xff")])
    refuse("bad_attribute", "b-empty", send_binary, id=None, headers=[("ce_id", b"")])
    refuse("not_a_cloudevent", "b-version", send_binary, headers=[("ce_specversion", b"0.3")])
    refuse("malformed_json", "b-text", send_binary, value=b"text", type="no.such")
    refuse("bad_data", "b-list", send_binary, value=b"[]")
    for number, text in enumerate(["2026-11-20T12:00:00", "2026-11-20T24:00:00Z", "2026-02-29T00:00:00Z", "2026-11-20T12:00Z", "2026-13-01T00:00:00Z",
                                   "20261120T120000Z", "2026-11-20T12:00:00+0100", "2026-11-20T12:00:00.Z", "2026-11-20T12:60:00Z",
                                   "2026-11-20T12:00:00Z ", "1763640000", "2026-11-20T12:00:61Z", "2026-11-20T12:00:00+24:00"]):
        refuse("bad_time", f"time-{number}", time=text)
    world.wait_booked(total=12)
    assert rejected(world) == bad
    assert entries(world)["kept"]["metadata"] == {"x": [10 ** 20, 0], "1e99999": "1e99999"}
    row = entries(world)["names"]
    assert {"service": row["service"], "model": row["model"], "user": row["user_id"], "thread": row["thread_id"],
            "execution": row["execution_id"], "agent": row["agent_id"]} == names
    assert row["metadata"] == {"k": [1, None, "é"]}
    assert entries(world)["escaped"]["user_id"] == "\U0001f600"
    row = entries(world, LONG)["b" + LONG[1:] + "y"]
    assert (row["event_source"], row["payer_id"], row["amount"]) == (LONG, LONG, -1)
    world.verify()


@pytest.mark.world(partitions=1)
def test_the_time_of_an_event_decides_its_period_and_what_is_taken(world):
    begin(world, accounts=[("a", "plain")])
    stamp = int(NOW.timestamp() * 1000)
    moment = datetime.fromtimestamp(stamp // 1000, timezone.utc) + timedelta(milliseconds=stamp % 1000)
    micro = timedelta(microseconds=1)
    east, west = timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=11))

    def send(id, time):
        world.usage("a", "n", id=id, key=id, quantity=1, time=time, timestamp_ms=stamp)

    send("absent", None)
    send("hour", rfc3339(moment + timedelta(hours=1)))
    send("window", rfc3339(moment - timedelta(days=35)))
    send("lower", rfc3339(moment).replace("T", "t").replace("Z", "z"))
    send("east", moment.astimezone(east).isoformat())
    send("west", moment.astimezone(west).isoformat())
    send("nine", moment.strftime("%Y-%m-%dT%H:%M:%S.123456999Z"))
    send("one", moment.strftime("%Y-%m-%dT%H:%M:%S.5Z"))
    send("unknown-offset", moment.strftime("%Y-%m-%dT%H:%M:%S-00:00"))
    send("over", rfc3339(moment + timedelta(hours=1) + micro))
    send("old", rfc3339(moment - timedelta(days=35) - micro))
    send("over-east", (moment + timedelta(hours=2)).astimezone(east).isoformat())
    send("year-1", "0001-01-01T00:00:00Z")
    send("year-9999", "9999-12-31T23:59:59Z")
    before = datetime(MONTH.year, MONTH.month, 1, tzinfo=timezone.utc) - micro
    send("last-month", rfc3339(before))
    send("this-month", rfc3339(before + micro))
    send("this-month-east", (before + micro).astimezone(east).isoformat())
    world.wait_booked(total=12)
    assert rejected(world) == {"over": "time_in_future", "old": "too_old", "over-east": "time_in_future", "year-1": "too_old",
                               "year-9999": "time_in_future"}
    found = entries(world)
    for id in ("absent", "lower", "east", "west"):
        assert found[id]["occurred_at"] == moment, id
    assert found["hour"]["occurred_at"] == moment + timedelta(hours=1)
    assert found["nine"]["occurred_at"] == moment.replace(microsecond=123456)
    assert found["one"]["occurred_at"] == moment.replace(microsecond=500000)
    assert found["unknown-offset"]["occurred_at"] == moment.replace(microsecond=0)
    months = {row["period_start"]: row["used"] for row in world.sql("SELECT * FROM api.usage WHERE period = 'month'")}
    count = {}
    for row in found.values():
        month = row["booked_at" if row["late"] else "occurred_at"].astimezone(timezone.utc).date().replace(day=1)
        count[month] = count.get(month, 0) + 1
    assert months == count
    assert count[MONTH] >= 2
    assert MONTH in {row["day"] for row in world.sql("SELECT day FROM api.usage_daily")}
    world.verify()


# ------------------------------------------------------------------------------------------------ 2: prices


def test_prices_are_looked_up_in_eight_steps_and_rounded_half_even_once_a_component(world):
    begin(world, accounts=[("a", "plain"), ("p", "plus"), ("c", "credit"), ("x", "distrust"), ("f", "fix")])
    looked = [("s1", "m1", "c1", 1), ("s1", "m1", "x", 2), ("s1", "mx", "c1", 3), ("s1", "mx", "x", 4), ("sx", "m1", "c1", 5),
              ("sx", "m1", "x", 6), ("sx", "mx", "c1", 7), ("sx", "mx", "x", 8), (None, "m1", "c1", 5), ("s1", None, "c1", 3),
              ("s1", None, "x", 4), (None, None, "c1", 7), ("*", "*", "*", 8)]
    want = {}
    for number, (service, model, component, price) in enumerate(looked):
        named = {k: v for k, v in (("service", service), ("model", model)) if v}
        world.usage("a", "look", id=f"look-{number}", quantities={component: 10}, **named)
        want[f"look-{number}"] = -10 * price
    world.usage("a", "look", id="plain", quantity=1)
    world.usage("a", "look", id="plain-s1", quantity=1, service="s1", model="m1")
    world.usage("a", "look2", id="service-first", quantities={"c2": 1}, service="s2", model="m2")
    world.usage("a", "look2", id="no-component", quantity=1)
    want.update({"plain": -8, "plain-s1": -2, "service-first": -4, "no-component": -9})
    # half-even at 12 places: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.5 -> 4 units of the last place
    for quantity, units in (("0.5", 0), ("1.5", 2), ("2.5", 2), ("3.5", 4), ("2.500001", 3), ("0.499999", 0)):
        world.usage("a", "tie", id=f"tie-{quantity}", quantity=D(quantity))
        want[f"tie-{quantity}"] = -units * TINY
    world.usage("a", "tie", id="each", quantities={"a": D("0.5"), "b": D("0.5"), "c": D("1.5")})  # 0 + 0 + 2
    want["each"] = -2 * TINY
    # cost_plus is rounded once an event: (5 + 5) x 1.15 = 11.5 -> 12; 30 x 1.15 = 34.5 -> 34; (3 + 7) x 1.15, split 3 : 7
    for id, given in (("cp-1", {"a": 5, "b": 5}), ("cp-2", {"a": 30}), ("cp-3", {"a": 3, "b": 7}), ("cp-4", {"a": 1, "b": 1})):
        world.usage("p", "tie", id=id, quantities=given, model=id)
    want.update({"cp-1": -12 * TINY, "cp-2": -34 * TINY, "cp-3": -12 * TINY, "cp-4": -2 * TINY})
    # a credit is worth 0.01 USD: 1 USD and 15 % are 115 credits
    world.usage("c", "n", id="credit", quantity=1)
    world.usage("c", "n", id="credit-cost", quantity=1, cost=Raw("0.02"))  # 0.02 x 1.15 / 0.01
    want.update({"credit": -115, "credit-cost": D("-2.3")})
    # the provider's own word is not taken where the plan says so
    world.usage("x", "n", id="distrusted", quantity=3, cost=100)
    want["distrusted"] = -3
    # fixed: round12 once a component: 1/3 -> 0.333333333333, 2 x 2/3 -> 1.333333333333
    world.usage("f", "fixed", id="fixed", service="s1", quantities={"a": 1, "b": 2}, cost=0)
    world.usage("f", "fixed", id="fixed-any", quantities={"a": 1}, cost=0)
    world.usage("f", "n", id="fixed-n", quantity=3, cost=Raw("1.25"))
    want.update({"fixed": D("-1.666666666666"), "fixed-any": D("-0.666666666667"), "fixed-n": D("-1.5")})
    world.wait_booked(total=len(want))
    assert amounts(world) == want
    found = entries(world)
    assert found["credit"]["cost"] == 1 and found["credit"]["currency"] == "USD" and found["credit"]["unit"] == "CREDIT"
    assert found["credit-cost"]["cost"] == D("0.02")
    assert (found["fixed-n"]["cost"], found["fixed-n"]["currency"], found["fixed-n"]["unit"]) == (D("1.25"), "EUR", "EUR")
    daily = {(r["model"], r["component"]): (r["quantity"], r["cost"], r["charge"], r["events"])
             for r in world.sql("SELECT * FROM api.usage_daily WHERE account_id = 'p'")}
    assert daily == {("cp-1", "a"): (5, 5 * TINY, 6 * TINY, 1), ("cp-1", "b"): (5, 5 * TINY, 6 * TINY, 1),
                     ("cp-2", "a"): (30, 30 * TINY, 34 * TINY, 1), ("cp-3", "a"): (3, 3 * TINY, 4 * TINY, 1),
                     ("cp-3", "b"): (7, 7 * TINY, 8 * TINY, 1), ("cp-4", "a"): (1, TINY, TINY, 1), ("cp-4", "b"): (1, TINY, TINY, 1)}
    world.verify()


@pytest.mark.world(partitions=1)
def test_prices_and_rates_are_of_the_events_time_and_what_has_none_is_parked_or_booked_without_cost(world, tmp_path):
    file = tmp_path / "prices.conf"
    file.write_text('prices = ( { metric = "filed"; currency = "USD"; price = "0.25"; effective_from = "2025-01-01"; },'
                    ' { metric = "n"; currency = "USD"; price = "99"; effective_from = "2025-01-01"; } );\n')
    begin(world, accounts=[("a", "plain"), ("f", "fix"), ("q", "quota"), ("g", {"parent": "a", "charged": False})],
          prices={"file": str(file)})
    micro = timedelta(microseconds=1)
    for id, moment in (("before", EDGE - micro), ("at", EDGE), ("end-", END - micro), ("end", END)):
        world.usage("a", "dated", id=f"dated-{id}", quantity=1, service="s", time=rfc3339(moment))
        world.usage("a", "euro", id=f"euro-{id}", quantity=1, time=rfc3339(moment))
    world.usage("f", "bare", id="bare-before", quantity=1, time=rfc3339(EDGE - micro))
    world.usage("f", "bare", id="bare-at", quantity=1, time=rfc3339(EDGE))
    world.usage("a", "filed", id="filed", quantity=2)
    world.usage("a", "n", id="not-filed", quantity=2)
    world.usage("a", "n", id="told", quantity=2, cost=5)
    # no price, or in another currency without a rate (n is in USD, fix in EUR): unknown cost
    world.usage("a", "bare", id="unpriced-1", quantities={"in": 1, "out": 1}, service="s", model="m")
    world.usage("a", "bare", id="unpriced-2", quantities={"in": 5, "out": 1}, service="s", model="m")
    world.usage("f", "n", id="no-rate", quantity=2)
    world.usage("f", "day", id="day-1", quantity=2)
    world.usage("f", "day", id="day-2", quantity=7, service="s")
    world.usage("g", "bare", id="guest", quantity=1)
    world.usage("q", "tie", id="quota-euro", quantity=1)
    world.usage("q", "euro", id="no-tariff", quantity=1)
    world.wait_booked()
    assert parked(world) == {"unpriced-1": "unpriced", "unpriced-2": "unpriced", "bare-before": "unpriced", "no-tariff": "unpriced"}
    assert amounts(world) == {
        "dated-before": -1, "dated-at": -3, "dated-end-": -3, "dated-end": -100,
        "euro-before": -3, "euro-at": D("-2.5"), "euro-end-": D("-2.5"), "euro-end": D("-2.5"),
        "bare-at": -7, "filed": D("-0.5"), "not-filed": -2, "told": -5, "no-rate": -1, "day-1": 0, "day-2": 0, "guest": 0, "quota-euro": 0}
    found = entries(world)
    assert {id for id, row in found.items() if row["cost"] is None} == {"bare-at", "no-rate", "day-1", "day-2", "guest"}
    sources = {id: found[id]["price_source"] for id in ("filed", "not-filed", "told")}
    assert len(set(sources.values())) == 3 and sources["filed"] == "file"
    missing = alerts(world, "price.missing")
    named = {(a["data"]["service"], a["data"]["model"], a["data"]["metric"], a["data"]["component"]) for a in missing}
    assert named == {("s", "m", "bare", "in"), ("s", "m", "bare", "out"), (None, None, "bare", ""), (None, None, "n", ""),
                     (None, None, "day", ""), ("s", None, "day", ""), (None, None, "euro", "")}
    assert len(missing) == len(named)  # once a day
    assert {a["subject"] for a in missing} == {"platform"}
    assert {m.key for m in messages(world) if m.json()["type"] == "price.missing"} == {b"platform"}
    assert world.value("SELECT count(*) FROM api.alert WHERE type = 'price.missing' AND account_id = 'platform'") == 7
    world.verify()


# ------------------------------------------------------------------------------------------------ 2.3, 4: quotas


@pytest.mark.world(partitions=3)
def test_quotas_of_the_shipped_plans_their_overage_and_their_alerts(world):
    begin(world, shipped=True, accounts=[("free", "quota-free"), ("start", "quota-starter"), ("pro", "quota-professional"),
                                         ("big", "quota-enterprise"), ("payer", "quota-starter")])
    sign = {"service": "signaturit"}
    # STARTER: 3 signatures, 2.00 each beyond
    world.usage("start", "signatures", id="s1", quantity=1, **sign)  # 33 %
    world.usage("start", "signatures", id="s2", quantity=4, **sign)  # 1 -> 5: two beyond; 80 and 100
    world.usage("start", "signatures", id="s3", quantity=D("0.5"), **sign)
    world.usage("start", "storage_gb", id="s4", quantity=D("7.25"), service="s3")  # 2.25 x 0.05
    world.usage("start", "ai_tokens", id="s5", quantities={"input": 4000, "output": 3500}, service="claude")  # 2500 x 0.01 / 1000
    world.usage("start", "sms", id="s6", quantity=2, service="twilio")  # included 0, no overage price
    world.usage("start", "ai_valuations", id="s7", quantity=60)  # a day limit of 50 charges nothing and raises nothing
    # FREE has no signatures: the first one raises both
    world.usage("free", "signatures", id="f0", quantity=0, **sign)
    world.usage("free", "signatures", id="f1", quantity=1, **sign)
    world.usage("free", "signatures", id="f2", quantity=1, **sign)
    # PROFESSIONAL: exactly 80 %, exactly 100 %, then beyond
    world.usage("pro", "signatures", id="p1", quantity=D("7.999999"), **sign)
    world.usage("pro", "signatures", id="p2", quantity=D("0.000001"), **sign)
    world.usage("pro", "signatures", id="p3", quantity=2, **sign)
    world.usage("pro", "signatures", id="p4", quantity=1, **sign)  # 1.80
    world.usage("pro", "sms", id="p5", quantity=51, service="twilio")  # 0.09
    world.usage("pro", "storage_gb", id="p6", quantity=21, service="s3")  # 0.04
    world.usage("pro", "ai_tokens", id="p7", quantity=51001, service="claude")  # 1001 x 0.008 / 1000
    world.usage("big", "signatures", id="b1", quantity=52, **sign)  # 2 x 1.50
    world.usage("big", "storage_gb", id="b2", quantity=D("100.5"), service="s3")  # 0.5 x 0.03
    world.usage("big", "ai_tokens", id="b3", quantity=200001, service="claude")  # 0.006 / 1000
    world.usage("big", "sms", id="b4", quantity=210, service="twilio")  # 10 x 0.08
    world.wait_booked(total=21)
    assert amounts(world) == {
        "s1": 0, "s2": -4, "s3": -1, "s4": D("-0.1125"), "s5": D("-0.025"), "s6": 0, "s7": 0, "f0": 0, "f1": 0, "f2": 0, "p1": 0, "p2": 0, "p3": 0,
        "p4": D("-1.8"), "p5": D("-0.09"), "p6": D("-0.04"), "p7": D("-0.008008"), "b1": -3, "b2": D("-0.015"), "b3": D("-0.000006"),
        "b4": D("-0.8")}
    costs = {id: row["cost"] for id, row in entries(world).items()}
    assert (costs["s2"], costs["s4"], costs["s5"], costs["s6"]) == (4, D("0.16675"), D("0.03525"), D("0.15"))
    assert costs["s7"] is None  # nothing says what a valuation costs
    assert thresholds(world, "start") == [
        ("signatures", 80, "5", "s2"), ("signatures", 100, "5", "s2"), ("storage_gb", 80, "7.25", "s4"), ("storage_gb", 100, "7.25", "s4"),
        ("ai_tokens", 80, "7500", "s5"), ("ai_tokens", 100, "7500", "s5"), ("sms", 80, "2", "s6"), ("sms", 100, "2", "s6")]
    assert thresholds(world, "free") == [("signatures", 80, "1", "f1"), ("signatures", 100, "1", "f1")]
    assert thresholds(world, "pro")[:2] == [("signatures", 80, "8", "p2"), ("signatures", 100, "10", "p3")]
    rows = {(r["account_id"], r["metric"], r["period"]): r for r in world.sql("SELECT * FROM api.usage")}
    row = rows["start", "signatures", "month"]
    assert (row["used"], row["included"], row["percent"], row["currency"], row["cost"], row["unit"], row["charge"], row["overage_quantity"],
            row["overage_charge"], row["period_start"]) == (D("5.5"), 3, D("183.333333"), "EUR", D("5.5"), "EUR", 5, D("2.5"), 5, MONTH)
    row = rows["start", "sms", "month"]
    assert (row["used"], row["included"], row["percent"], row["overage_quantity"], row["overage_charge"]) == (2, 0, None, 2, 0)
    row = rows["start", "ai_valuations", "month"]
    assert (row["used"], row["included"], row["percent"], row["charge"], row["overage_quantity"]) == (60, None, None, 0, 0)
    row = rows["start", "ai_valuations", "day"]
    assert (row["used"], row["included"], row["period_start"]) == (60, 50, entries(world)["s7"]["occurred_at"].astimezone(timezone.utc).date())
    assert rows["start", "signatures", "day"]["included"] == 20
    assert ("start", "sms", "day") not in rows
    assert alerts(world, "balance.low") == alerts(world, "balance.exhausted") == []  # postpaid

    # The alert to the letter
    alert = next(a for a in alerts(world, "usage.threshold.reached") if a["data"]["event_id"] == "s2")
    assert alert == {
        "specversion": "1.0", "id": alert["id"], "source": "/debitd", "type": "usage.threshold.reached", "subject": "start", "time": alert["time"],
        "datacontenttype": "application/json",
        "data": {"metric": "signatures", "period": "month", "period_start": MONTH.isoformat(), "threshold": 80, "used": "5", "included": "3",
                 "percent": "166.666667", "event_source": "/tests", "event_id": "s2"}}
    assert abs(datetime.fromisoformat(alert["time"].replace("Z", "+00:00")) - datetime.now(timezone.utc)) < timedelta(minutes=5)
    for message in messages(world):
        assert message.header("content-type") == b"application/cloudevents+json"
        assert message.key.decode() == message.json()["subject"]
    alert = next(a for a in alerts(world, "usage.threshold.reached") if a["subject"] == "free")
    assert (alert["data"]["included"], alert["data"]["percent"]) == ("0", None)
    ids = [a["id"] for a in alerts(world)]
    assert len(ids) == len(set(ids))
    stored = {r["alert_id"]: r["event"] for r in world.sql("SELECT * FROM api.alert")}
    assert stored == {a["id"]: a for a in alerts(world)}

    # An upgrade compares 183 % of 3 before with 55 % of 10 after; back again raises both anew, in the name of the plan's event.
    world.account("plan.assigned", "start", id="up", plan="quota-professional")
    world.wait_booked()
    world.account("plan.assigned", "start", id="down", plan="quota-starter")
    world.wait_booked()
    assert [t for t in thresholds(world, "start") if t[3] in ("up", "down")] == [
        ("ai_tokens", 80, "7500", "down"), ("ai_tokens", 100, "7500", "down"), ("signatures", 80, "5.5", "down"),
        ("signatures", 100, "5.5", "down"), ("sms", 80, "2", "down"), ("sms", 100, "2", "down"),
        ("storage_gb", 80, "7.25", "down"), ("storage_gb", 100, "7.25", "down")]
    world.verify()


def test_overage_is_a_difference_of_two_rounded_sums_and_a_void_gives_back_the_margin(world):
    begin(world, accounts=[("q", "quota"), ("p", "plain")])
    # C(u) = round12((u - 1) x 0.5 units): 0.5 -> 0, 1 -> 1, 1.5 -> 2, 2 -> 2, 2.5 -> 2
    for n in range(6):
        world.usage("q", "n", id=f"u{n}", quantity=1, thread="t", model="m", key="q")
    world.usage("q", "fixed", id="fx1", quantity=2, key="q")
    world.wait_booked(total=7)
    assert [amounts(world)[f"u{n}"] for n in range(6)] == [0, 0, -TINY, -TINY, 0, 0]
    # 50 % and 100 % by the first, 300 % by the third
    assert thresholds(world, "q")[:3] == [("n", 50, "1", "u0"), ("n", 100, "1", "u0"), ("n", 300, "3", "u2")]
    # used 6 -> 5: C(6) - C(5) = 2 - 2; 5 -> 4: 2 - 2 (1.5 -> 2); 4 -> 3: 2 - 1
    for n in (0, 1, 2):
        world.void("q", f"u{n}", id=f"v{n}", reason="why not", key="q")
    world.void("q", "u3", id="v-other", source="/other", key="q")  # its own source: there is no such event
    world.void("q", "fx1", id="vf", source="/other", key="q")
    world.event("usage", "usage.voided", "q", {"id": "fx1", "source": "/tests"}, id="vf2", source="/other", key="q")
    world.wait_booked()
    found = entries(world)
    assert [found[f"v{n}"]["amount"] for n in range(3)] == [0, 0, TINY]
    row = found["v2"]
    assert (row["type"], row["quantity"], row["components"][""]["quantity"], row["corrects"], row["reason"], row["event_source"], row["thread_id"],
            row["cost"]) == ("void", -1, "-1", found["u2"]["entry_id"], "why not", "/tests", "t", -1)
    assert (found["vf2"]["amount"], found["vf2"]["event_source"], found["fx1"]["amount"]) == (4, "/other", -4)
    assert sorted(r["reason"] for r in world.sql("SELECT reason FROM api.rejected")) == ["unknown_event", "unknown_event"]
    rows = {(r["metric"], r["period"]): r for r in world.sql("SELECT * FROM api.usage WHERE account_id = 'q'")}
    assert (rows["n", "month"]["used"], rows["n", "month"]["charge"], rows["n", "month"]["overage_charge"]) == (3, TINY, TINY)
    assert (rows["fixed", "month"]["used"], rows["fixed", "day"]["used"], rows["fixed", "month"]["overage_charge"]) == (0, 0, 0)
    # going down raises nothing, up again raises anew
    world.usage("q", "n", id="u6", quantity=1, key="q")
    world.wait_booked()
    assert [t[1:] for t in thresholds(world, "q") if t[0] == "n"] == [(50, "1", "u0"), (100, "1", "u0"), (300, "3", "u2")]
    world.void("q", "u6", id="v6", key="q")
    world.void("q", "u5", id="v5", key="q")
    world.usage("q", "n", id="u7", quantity=1, key="q")
    world.wait_booked()
    assert thresholds(world, "q")[-1] == ("n", 300, "3", "u7")
    daily = world.sql("SELECT quantity, cost, charge, events FROM api.usage_daily WHERE account_id = 'q' AND metric = 'n' AND model = 'm'")
    assert daily == [{"quantity": 2, "cost": 2, "charge": -amounts(world)["v5"] + TINY, "events": 2}]
    thread, = world.sql("SELECT * FROM api.thread_usage WHERE account_id = 'q'")
    assert (thread["thread_id"], thread["events"], thread["quantity"], thread["cost"]) == ("t", 2, 2, 2)
    world.verify()


@pytest.mark.world(partitions=4)
def test_quotas_and_balances_are_the_payers_and_guests_and_own_keys_are_free(world):
    begin(world, shipped=True, accounts=[("boss", {"plan": "quota-starter", "name": "The boss"}), ("pay", "payg")])
    world.account("account.opened", "c1", parent="boss")
    world.account("account.opened", "c2", parent="boss", plan="assistant-pro")  # a child's own plan has no effect
    world.account("account.opened", "guest", parent="boss", charged=False)
    world.account("account.opened", "own", plan="payg", byok=["openai", "anthropic"])
    world.account("account.opened", "alone", plan="payg", charged=False)
    world.account("account.opened", "kid", parent="pay", byok=["openai"])
    world.wait_booked()
    assert {r["account_id"]: r["payer_id"] for r in world.sql("SELECT account_id, payer_id FROM api.account")} == {
        "boss": "boss", "pay": "pay", "c1": "boss", "c2": "boss", "guest": "boss", "own": "own", "alone": "alone", "kid": "pay"}
    assert {r["account_id"]: r["balance"] for r in world.sql("SELECT account_id, balance FROM api.balance")} == {
        "boss": 0, "pay": 10, "own": 10, "alone": 10}
    sign = {"service": "signaturit", "quantity": 1}
    for n, account in enumerate(["c1", "c2", "guest"]):  # in other partitions; 1, 2, 3 of 3
        world.usage(account, "signatures", id=f"q{n}", partition=n, **sign)
        world.wait_booked()
    world.usage("boss", "signatures", id="q3", partition=3, **sign)  # 4 of 3
    world.wait_booked()
    world.usage("guest", "signatures", id="q4", partition=2, **sign)  # beyond, but a guest's
    world.wait_booked()
    world.usage("c1", "signatures", id="q5", partition=1, **sign)  # 5 -> 6
    tokens = {"model": "gpt-4o", "quantities": {"input": 1_000_000}}  # 2.50 USD
    world.usage("own", id="own-1", service="openai", **tokens)
    world.usage("own", id="own-2", service="openai", cost=7, **tokens)
    world.usage("own", id="own-3", service="openai", model="no-such", quantity=5)
    world.usage("own", id="own-4", service="google", model="gemini-1.5-flash", quantities={"input": 1_000_000})  # 0.35
    world.usage("alone", id="alone-1", service="openai", **tokens)
    world.usage("alone", id="alone-2", service="openai", model="no-such", quantity=5)
    world.usage("kid", id="kid-1", service="openai", **tokens)
    world.usage("pay", id="pay-1", service="openai", **tokens)  # the key is the child's alone
    world.wait_booked(total=14)
    assert amounts(world) == {"q0": 0, "q1": 0, "q2": 0, "q3": -2, "q4": 0, "q5": -2, "own-1": 0, "own-2": 0, "own-3": 0, "own-4": D("-0.35"),
                              "alone-1": 0, "alone-2": 0, "kid-1": 0, "pay-1": D("-2.5")}
    found = entries(world)
    assert {id: found[id]["cost"] for id in ("q2", "own-1", "own-2", "own-3", "alone-1", "alone-2", "kid-1")} == {
        "q2": 1, "own-1": 0, "own-2": 0, "own-3": 0, "alone-1": D("2.5"), "alone-2": None, "kid-1": 0}
    assert {(found[f"q{n}"]["account_id"], found[f"q{n}"]["payer_id"], found[f"q{n}"]["plan"]) for n in range(6)} == {
        ("c1", "boss", "quota-starter"), ("c2", "boss", "quota-starter"), ("guest", "boss", "quota-starter"),
        ("boss", "boss", "quota-starter")}
    assert thresholds(world, "boss") == [("signatures", 80, "3", "q2"), ("signatures", 100, "3", "q2")]
    missing = {(a["data"]["service"], a["data"]["model"]) for a in alerts(world, "price.missing")}
    assert missing == {("openai", "no-such")}
    assert {r["account_id"] for r in world.sql("SELECT account_id FROM api.usage")} == {"boss", "own", "alone", "pay"}
    row, = world.sql("SELECT * FROM api.usage WHERE account_id = 'boss' AND period = 'month'")
    assert (row["used"], row["cost"], row["charge"], row["overage_quantity"], row["overage_charge"]) == (6, 6, 4, 3, 4)
    daily = {r["account_id"]: (r["quantity"], r["charge"], r["events"])
             for r in world.sql("SELECT * FROM api.usage_daily WHERE metric = 'signatures'")}
    assert daily == {"c1": (2, 2, 2), "c2": (1, 0, 1), "guest": (2, 0, 2), "boss": (1, 2, 1)}
    # what was free gives back nothing, and the balance of a payer goes from entry to entry
    world.void("guest", "q4", id="v4", partition=2)
    world.void("own", "own-2", id="v-own")
    world.wait_booked()
    assert (amounts(world)["v4"], amounts(world)["v-own"]) == (0, 0)
    chain = world.sql("SELECT amount, balance_after FROM api.ledger WHERE payer_id = 'boss' ORDER BY entry_id")
    assert [row["balance_after"] for row in chain] == [0, 0, 0, -2, -2, -4, -4]
    # credits to a child go to its payer
    world.account("credits.purchased", "kid", amount="3", reference="r-1")
    world.account("account.updated", "c1", parent="pay", name="moved")
    world.wait_booked()
    row, = world.sql("SELECT * FROM api.ledger WHERE type = 'purchase'")
    assert (row["account_id"], row["payer_id"], row["amount"], row["balance_after"], row["reference"]) == ("kid", "pay", 3, D("10.5"), "r-1")
    # a new parent affects later entries only: the void belongs to the month and the payer of its original
    world.usage("c1", "requests", id="moved", quantity=1)
    world.void("c1", "q5", id="v5")
    world.wait_booked()
    found = entries(world)
    assert (found["moved"]["payer_id"], found["moved"]["plan"]) == ("pay", "payg")
    assert (found["v5"]["payer_id"], found["v5"]["amount"]) == ("boss", 2)  # 5 -> 4 of 3
    world.verify()


# ------------------------------------------------------------------------------------------------ 3, 4: balances


@pytest.mark.world(partitions=1)
def test_balances_and_their_alerts(world):
    begin(world, shipped=True, accounts=[("a", "payg"), ("b", "payg"), ("biz", "assistant-business"), ("pro", "codegen-free")])

    def spend(account, id, dollars):
        world.usage(account, id=id, service="openai", model="gpt-4o", quantity=1, cost=D(dollars), key=account)

    def heard(account):
        return [(a["type"], a["data"]["balance"], a["data"]["threshold"], a["data"]["event_id"]) for a in alerts(world) if a["subject"] == account]

    # b has not used anything: its low and recovered again is no recovery
    world.account("credits.adjusted", "b", id="b-down", amount="-9.5")
    world.account("credits.purchased", "b", id="b-up", amount="5")
    world.wait_booked()
    assert heard("b") == [("balance.low", "0.5", "1", "b-down")]
    spend("a", "a1", "9")  # 10 -> 1: not below the limit
    spend("a", "a2", "0.02")  # -> 0.98
    spend("a", "a3", "0.5")  # below already
    spend("a", "a4", "0.48")  # -> 0
    spend("a", "a5", "1")  # -> -1
    world.wait_booked(total=5)
    assert heard("a") == [("balance.low", "0.98", "1", "a2"), ("balance.exhausted", "0", "0", "a4")]
    world.account("credits.purchased", "a", id="up", amount="2")  # -> 1
    world.wait_booked()
    spend("a", "a6", "5")  # 1 -> -4: low first, then exhausted
    world.wait_booked(total=6)
    assert heard("a")[2:] == [("balance.recovered", "1", "1", "up"), ("balance.low", "-4", "1", "a6"), ("balance.exhausted", "-4", "0", "a6")]
    world.void("a", "a6", id="void-a6", key="a")
    world.wait_booked()
    assert heard("a")[5:] == [("balance.recovered", "1", "1", "void-a6")]
    alert = next(a for a in alerts(world, "balance.low") if a["subject"] == "a")
    assert alert["data"] == {"unit": "USD", "balance": "0.98", "threshold": "1", "event_source": "/tests", "event_id": "a2"}
    assert set(alert) == {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    row, = world.sql("SELECT * FROM api.balance WHERE account_id = 'a'")
    assert {k: row[k] for k in ("unit", "balance", "purchased", "granted", "refunded", "adjusted", "settled", "spent", "expired")} == {
        "unit": "USD", "balance": 1, "purchased": 2, "granted": 10, "refunded": 0, "adjusted": 0, "settled": 0, "spent": 11, "expired": 0}
    # a plan without a low_balance is exhausted, but never low; a postpaid one runs below zero in silence
    for n in range(6):
        world.usage("pro", "requests", id=f"r{n}", quantity=1, key="pro")
    world.usage("biz", id="biz-1", service="openai", model="gpt-4o", quantities={"output": 1000}, key="biz")  # 0.01 USD
    world.account("credits.purchased", "biz", id="pack", package="basic")
    world.account("credits.refunded", "biz", id="back", amount="0.25", reason="sorry")
    world.account("credits.granted", "biz", id="gift", amount="1.5")
    world.wait_booked()
    assert heard("pro") == [("balance.exhausted", "0", "0", "r4")]
    assert heard("biz") == []
    assert amounts(world, "biz") == {"biz-1": -1}
    row, = world.sql("SELECT * FROM api.balance WHERE account_id = 'biz'")
    assert (row["balance"], row["purchased"], row["granted"], row["refunded"], row["spent"]) == (D("5500.75"), 5000, D("501.5"), D("0.25"), 1)
    assert [(r["type"], r["amount"], r["event_id"]) for r in world.sql(
        "SELECT * FROM api.ledger WHERE account_id = 'biz' AND type <> 'usage' ORDER BY entry_id")] == [
            ("purchase", 5000, "pack"), ("bonus", 500, "pack"), ("refund", D("0.25"), "back"), ("bonus", D("1.5"), "gift")]
    assert world.value("SELECT api.credit_balance('a')") == 1
    world.verify()


def test_grants_at_opening_and_on_assignment(world):
    begin(world, accounts=[("a", "both"), ("k", {"parent": "a", "plan": "both"}), ("u", "both")])
    grants = "SELECT amount, plan, event_id FROM api.ledger WHERE type = 'grant' AND account_id = %s ORDER BY entry_id"
    assert [r["amount"] for r in world.sql(grants, ["a"])] == [10, 100]  # the welcome, then the plan
    assert world.sql(grants, ["k"]) == []
    world.account("plan.assigned", "a", id="more", plan="more")  # 150 - 100: a welcome is no credit of the period
    world.account("plan.assigned", "a", id="again", plan="both")  # nothing more
    world.account("account.opened", "a", id="reopened", plan="more")  # no second welcome
    # nothing but grants is booked: the unit may change, and they are taken back
    world.account("plan.assigned", "u", id="usd", plan="plain")
    world.account("credits.purchased", "u", id="paid", amount="1")
    world.account("plan.assigned", "u", id="mismatch", plan="both")
    world.account("credits.purchased", "u", id="pack", package="pack")  # sold in CREDIT only
    world.account("credits.purchased", "a", id="pack-a", package="pack")
    world.wait_booked()
    assert [(r["amount"], r["event_id"]) for r in world.sql(grants, ["a"])][2:] == [(50, "more")]
    assert balance(world, "a") == 166  # 160 and 5 and 1
    assert [r["amount"] for r in world.sql(grants, ["u"])] == [10, 100, -110]
    row, = world.sql("SELECT unit, balance, granted, purchased FROM api.balance WHERE account_id = 'u'")
    assert row == {"unit": "USD", "balance": 1, "granted": 0, "purchased": 1}
    assert [r["reason"] for r in world.sql('SELECT reason FROM api.rejected ORDER BY "offset"')] == ["unit_mismatch", "unit_mismatch"]
    world.verify()


# ------------------------------------------------------------------------------------------------ 1, 1.1: identity, voids, parking


@pytest.mark.world(partitions=4)
def test_an_identity_is_booked_once_whatever_way_it_comes_again(world):
    begin(world, accounts=[("a", "plain"), ("b", "plain")])
    world.start(wait=True)  # two instances
    data = {"metric": "n", "quantity": 1}

    def send(**how):
        options = {"id": "i", "type": "usage.recorded", "subject": "a", "data": data, **how}
        type, subject, given = options.pop("type"), options.pop("subject"), options.pop("data")
        world.event("usage", type, subject, given, **options)

    send(partition=0)
    world.wait_booked(total=1)
    send(partition=0)
    send(partition=1)
    send(partition=2, mode="binary")
    send(partition=3, time=rfc3339(NOW - timedelta(days=3)))
    send(partition=1, id="j", mode="binary")  # in the same batch, twice
    send(partition=1, id="j", mode="structured", time=rfc3339(NOW - timedelta(days=1)))
    world.wait_booked(total=2)
    send(partition=0, source="/another")  # another identity
    send(partition=0, subject="b", key="subject")
    send(partition=0, data={"metric": "n", "quantity": 2}, key="data")
    send(partition=2, data=Raw('{"metric":"n", "quantity":1}'), key="bytes")
    send(partition=2, data={**data, "x": 1}, key="unknown-member")
    send(partition=3, type="usage.voided", data={"id": "zzz"}, key="type")
    send(partition=3, time=rfc3339(NOW - timedelta(days=40)), key="old")  # an earlier check
    send(partition=3, data={"metric": "n", "quantity": -1}, key="quantity")
    # a rejected event takes no identity: it can be mended and sent again
    send(partition=3, id="mend", data={"metric": "n", "quantity": -1}, key="mend")
    send(partition=3, id="mend", data=data)
    world.wait_booked(total=4)
    assert rejected(world) == {"subject": "id_reused", "data": "id_reused", "bytes": "id_reused", "unknown-member": "id_reused",
                               "type": "id_reused", "old": "too_old", "quantity": "bad_quantity", "mend": "bad_quantity"}
    assert world.value("SELECT sum(duplicates) FROM api.position") == 5
    assert world.value("SELECT sum(rejected) FROM api.position") == 8
    assert (balance(world, "a"), balance(world, "b")) == (-4, 0)
    world.verify()


@pytest.mark.world(partitions=2)
def test_voids_in_every_place(world):
    begin(world, accounts=[("a", "plain"), ("b", "plain"), ("f", "fix"), ("q", "quota")])
    def use(id, account="a", quantity=1, partition=0, **given):
        world.usage(account, "n", id=id, quantity=quantity, partition=partition, **given)

    def void(id, what, account="a", partition=0, **given):
        world.void(account, what, id=id, partition=partition, key=id, **given)

    void("early", "late")  # before its original: nothing to take back
    use("late")
    use("same")
    void("v-same", "same")  # in one batch
    void("v-same", "same")  # a duplicate
    void("v-twice", "same")
    use("same")  # a duplicate, though it is voided
    void("v-void", "v-same")  # a void is no usage event
    void("v-self", "v-self")
    void("v-account", "late", account="b")
    void("v-nobody", "late", account="nobody")
    void("v-early", "late")  # it stands now
    world.wait_booked()
    use("far", partition=1, quantity=3)
    world.wait_booked()
    void("v-far", "far", partition=0)  # from another partition
    world.wait_booked()
    void("v-far-twice", "far", partition=1)
    world.usage("a", "n", id="comps", quantities={"x": 2, "y": 3}, cost=Raw("0.5"), partition=0)
    world.wait_booked()
    void("v-comps", "comps")
    # a fixed price is given back as it was, a cost that is unknown stays unknown
    world.usage("f", "n", id="fixed", quantity=3, partition=0)
    world.usage("q", "n", id="quota", quantity=101, partition=0)
    world.wait_booked()
    void("v-fixed", "fixed", account="f", time=rfc3339(NOW - timedelta(days=1)))
    world.account("account.updated", "q", plan="plain")
    world.wait_booked()
    void("v-quota", "quota", account="q")  # no quota metric of the plan of now: its own amount
    for id, data in (("bad-1", {}), ("bad-2", {"id": 5}), ("bad-3", {"id": ""}), ("bad-4", {"id": "x", "source": None}), ("bad-5", {"id": "x", "reason": "a\nb"})):
        world.event("usage", "usage.voided", "a", Raw(json.dumps(data)), id=id, key=id)
    world.wait_booked()
    assert amounts(world) == {
        "late": -1, "same": -1, "v-same": 1, "v-early": 1, "far": -3, "v-far": 3, "comps": D("-0.5"), "v-comps": D("0.5"), "fixed": D("-1.5"),
        "v-fixed": D("1.5"), "quota": -50 * TINY, "v-quota": 50 * TINY}
    assert rejected(world) == {
        "early": "unknown_event", "v-twice": "already_voided", "v-void": "unknown_event", "v-self": "unknown_event", "v-account": "unknown_event",
        "v-nobody": "unknown_event", "v-far-twice": "already_voided", "bad-1": "bad_data", "bad-2": "bad_data", "bad-3": "bad_data",
        "bad-4": "bad_data", "bad-5": "bad_data"}
    found = entries(world)
    row = found["v-comps"]
    assert {k: (v["quantity"], v["cost"]) for k, v in row["components"].items()} == {"x": ("-2", "-0.2"), "y": ("-3", "-0.3")}
    assert (row["quantity"], row["cost"]) == (-5, D("-0.5"))
    assert (found["fixed"]["cost"], found["v-fixed"]["cost"]) == (None, None)
    assert world.value("SELECT sum(duplicates) FROM api.position") == 2
    used = {r["account_id"]: (r["used"], r["cost"], r["charge"]) for r in world.sql("SELECT * FROM api.usage WHERE period = 'month'")}
    assert used == {"a": (0, 0, 0), "f": (0, 0, 0), "q": (0, 0, 0)}
    assert {r["events"] for r in world.sql("SELECT events FROM api.usage_daily")} == {0}
    assert {r["account_id"]: (r["events"], r["quantity"], r["charge"]) for r in world.sql("SELECT * FROM api.monthly_summary")} == {
        "a": (0, 0, 0), "f": (0, 0, 0), "q": (0, 0, 0)}
    world.verify()


@pytest.mark.world(partitions=2)
def test_what_is_parked_is_booked_once_when_what_was_missing_arrives(world):
    begin(world, accounts=[("a", "plain"), ("f", "fix"), ("q", "quota")])
    for id, account, metric in (("p1", "later", "n"), ("p2", "later", "unheard"), ("p3", "a", "unheard"), ("p4", "a", "bare"), ("p5", "later", "n"),
                                ("p6", "f", "unheard"), ("p7", "a", "unheard"), ("p8", "kid", "n")):
        world.usage(account, metric, id=id, quantity=2, key=account, service="s", time=rfc3339(NOW - timedelta(seconds=1)))
    world.usage("later", "n", id="p1", quantity=2, service="s", partition=0)  # a duplicate
    world.usage("later", "n", id="p1", quantity=3, key="reused", service="s")
    world.account("credits.purchased", "later", id="money", amount="7", reference="early")
    world.account("account.opened", "kid", id="kid", parent="later")
    world.wait_booked(total=0)
    assert parked(world) == {"p1": "unknown_account", "p2": "unknown_account", "p3": "unknown_metric", "p4": "unpriced", "p5": "unknown_account",
                             "p6": "unknown_metric", "p7": "unknown_metric", "p8": "unknown_account", "money": "unknown_account",
                             "kid": "unknown_account"}
    assert rejected(world) == {"reused": "id_reused"}
    world.void("later", "p5", id="v5", key="later")  # the account is not even open
    world.void("a", "p7", id="v7", key="a")
    world.void("a", "p4", id="v4-b", source="/none", key="a")
    world.wait_booked(total=0)
    assert {"p5", "p7"}.isdisjoint(parked(world))
    assert world.value("SELECT count(*) FROM api.ledger WHERE type = 'void'") == 0
    world.void("later", "p5", id="v5-2", key="twice")
    world.void("a", "v7", id="v7-2", key="void-of-void")
    world.wait_booked()
    assert rejected(world) == {"reused": "id_reused", "a": "unknown_event", "twice": "already_voided", "void-of-void": "unknown_event"}
    # parked, sent again, voided twice, voided from another account, sent again: in one batch
    world.usage("later", "n", id="p9", quantity=2, key="one")
    world.usage("later", "n", id="p9", quantity=2, key="one")
    world.void("a", "p9", id="v9-a", key="one")
    world.void("later", "p9", id="v9", key="one")
    world.void("later", "p9", id="v9-2", key="one")
    world.void("later", "p9", id="v9", key="one")
    world.usage("later", "n", id="p9", quantity=2, key="one")
    world.wait_booked()
    assert [r["reason"] for r in world.sql("SELECT reason FROM api.rejected WHERE key = 'one' ORDER BY \"offset\"")] == [
        "unknown_event", "already_voided"]
    assert "p9" not in parked(world)
    world.account("account.opened", "later", plan="plain")
    world.wait(lambda: set(parked(world)) == {"p2", "p3", "p4", "p6"}, "what waited for the account")
    assert amounts(world) == {"p1": -2, "p8": -2}
    row, = world.sql("SELECT * FROM api.ledger WHERE type = 'purchase'")
    assert (row["event_id"], row["amount"], row["payer_id"]) == ("money", 7, "later")
    # the metric, a price for it and one for `bare`
    world.catalog(catalogue(metrics=', { name = "unheard"; }',
                            prices=', { metric = "unheard"; currency = "USD"; price = "3"; }, { metric = "bare"; currency = "USD"; price = "5"; }'))
    world.wait(lambda: set(parked(world)) == {"p6"}, "what waited for the catalogue")
    world.wait_booked()
    assert amounts(world) == {"p1": -2, "p8": -2, "p2": -6, "p3": -6, "p4": -10}
    assert parked(world) == {"p6": "unpriced"}  # the metric is known now, and plan `fix` has no price for it
    found = entries(world)
    assert found["p8"]["payer_id"] == "later"
    assert abs(found["p1"]["occurred_at"] - (NOW - timedelta(seconds=1))) < timedelta(seconds=1)
    world.usage("later", "n", id="p1", quantity=2, service="s", partition=1)  # still a duplicate
    world.void("a", "p4", id="v4", key="a")
    world.wait_booked(total=5)
    assert amounts(world)["v4"] == 10
    assert balance(world, "later") == 7 - 2 - 2 - 6
    row, = world.sql("SELECT sum(parked) AS parked, sum(duplicates) AS duplicates FROM api.position")
    assert row == {"parked": 11, "duplicates": 5}
    world.verify()


# ------------------------------------------------------------------------------------------------ where rules meet

MEETING = catalogue(
    metrics=', { name = "two"; }, { name = "big"; }, { name = "old"; }',
    prices=', { metric = "two"; currency = "EUR"; price = "1"; }, { metric = "two"; currency = "USD"; price = "3"; },'
           ' { metric = "big"; currency = "USD"; price = "1000000"; }, { metric = "old"; currency = "USD"; price = "1"; }',
    plans=', { name = "mixed"; unit = "USD"; kind = "prepaid"; tariff = "cost_plus"; markup = "0"; low_balance = "5"; welcome = "6";'
          ' quotas = ( { metric = "n"; included = "10"; overage_price = "1"; thresholds = [ 80, 100 ]; },'
          ' { metric = "old"; included = "1000000"; day_limit = "5"; thresholds = [ 1 ]; } ); },'
          ' { name = "mixed-2"; unit = "USD"; kind = "prepaid"; tariff = "cost_plus"; markup = "0"; low_balance = "5";'
          ' quotas = ( { metric = "n"; included = "5"; overage_price = "3"; } ); }')


@pytest.mark.world(partitions=1)
def test_a_void_that_gives_back_what_no_usage_was_charged_for_is_no_charge(world):
    begin(world, text=MEETING, accounts=[("e", "mixed")])

    def heard():
        return [(a["type"], a["data"]["balance"], a["data"]["event_id"]) for a in alerts(world) if a["type"].startswith("balance")]

    world.usage("e", "n", id="s1", quantity=8)
    world.usage("e", "n", id="s2", quantity=2)  # 10 of 10
    world.wait_booked(total=2)
    world.account("credits.adjusted", "e", id="down", amount="-5")  # 6 -> 1
    world.account("plan.assigned", "e", id="smaller", plan="mixed-2")
    world.wait_booked()
    world.void("e", "s2", id="void-s2")  # 5 beyond the smaller quota -> 3 beyond, 3 dollars each: 1 -> 7
    world.wait_booked()
    assert amounts(world) == {"s1": 0, "s2": 0, "void-s2": 6}
    world.account("credits.adjusted", "e", id="down-again", amount="-3")  # 7 -> 4
    world.account("credits.purchased", "e", id="up", amount="1")          # 4 -> 5
    world.wait_booked()
    assert heard() == [("balance.low", "1", "down"), ("balance.low", "4", "down-again")]
    world.verify()


@pytest.mark.world(partitions=2)
def test_usage_alerts_of_an_entry_precede_its_balance_alerts_in_the_order_of_their_thresholds(world):
    begin(world, text=MEETING, accounts=[("a", "mixed"), ("b", "plain"), ("e", {"plan": "mixed"})])

    def heard(account):
        return [(a["type"].split(".", 1)[1], a["data"]["threshold"], a["data"]["event_id"]) for a in alerts(world) if a["subject"] == account]

    world.usage("a", "n", id="jump", quantity=17, key="a")  # 0 % -> 170 %; 7 dollars beyond: 6 -> -1
    world.wait_booked(total=1)
    assert amounts(world) == {"jump": -7}
    assert heard("a") == [("threshold.reached", 80, "jump"), ("threshold.reached", 100, "jump"), ("low", "5", "jump"), ("exhausted", "0", "jump")]
    # a plan change compares old and new percentage, also where there was no quota before; later usage is charged by the plan of now
    world.usage("b", "n", id="b1", quantity=5, key="b")
    world.wait_booked(total=2)
    world.account("plan.assigned", "b", id="b-plan", plan="mixed-2")
    world.account("plan.assigned", "a", id="a-plan", plan="mixed-2")  # 170 % -> 340 %: both were reached already
    world.wait_booked()
    assert heard("b") == [("threshold.reached", 80, "b-plan"), ("threshold.reached", 100, "b-plan")]
    assert len(heard("a")) == 4
    world.usage("b", "n", id="b2", quantity=2, key="b")
    world.void("b", "b1", id="b3", key="b")  # no quota metric then: what it was charged
    world.void("a", "jump", id="a2", key="a")  # a quota metric then and now, at the margin of now: 12 x 3
    world.wait_booked(total=3)
    assert amounts(world) == {"jump": -7, "b1": -5, "b2": -6, "b3": 5, "a2": 36}
    row, = world.sql("SELECT * FROM api.usage WHERE account_id = 'b'")
    assert (row["used"], row["included"], row["percent"], row["charge"], row["overage_quantity"], row["overage_charge"]) == (2, 5, 40, 6, 0, 6)
    plans = {r["event_id"]: r["plan"] for r in world.sql("SELECT * FROM api.ledger WHERE account_id IN ('a', 'b') AND type IN ('usage', 'void')")}
    assert plans == {"jump": "mixed", "b1": "plain", "b2": "mixed-2", "b3": "mixed-2", "a2": "mixed-2"}
    # usage of last month counts in last month, its alerts too; a void now is in the period of its original
    before = datetime(MONTH.year, MONTH.month, 1, tzinfo=timezone.utc) - timedelta(seconds=1)
    world.usage("e", "n", id="e1", quantity=9, time=rfc3339(before), key="e")
    world.usage("e", "n", id="e2", quantity=9, key="e")
    world.usage("e", "n", id="e3", quantity=2, time=rfc3339(before), key="e")
    world.void("e", "e1", id="e4", key="e")
    world.wait_booked()
    months = {r["period_start"]: (r["used"], r["charge"]) for r in world.sql("SELECT * FROM api.usage WHERE account_id = 'e'")}
    late = any(row["late"] for row in entries(world, "e").values())
    if not late:
        assert amounts(world, "e") == {"e1": 0, "e2": 0, "e3": -1, "e4": 1}
        assert months == {before.date().replace(day=1): (2, 0), MONTH: (9, 0)}
        starts = [(a["data"]["period_start"], a["data"]["threshold"], a["data"]["event_id"])
                  for a in alerts(world, "usage.threshold.reached") if a["subject"] == "e"]
        last = before.date().replace(day=1).isoformat()
        assert starts == [(last, 80, "e1"), (MONTH.isoformat(), 80, "e2"), (last, 100, "e3")]
    world.verify()


@pytest.mark.world(partitions=2)
def test_the_bounds_of_money(world):
    begin(world, text=MEETING, accounts=[("a", "plain"), ("f", "fix"), ("c", "credit"), ("x", "plain"), ("q", "quota")])
    world.usage("a", "big", id="most", key="most", quantity=D("999999999999.999999"))  # 999,999,999,999,999,999 USD
    world.usage("a", "big", id="out", key="out", quantity=D("1e12"))  # 1e18
    world.usage("c", "big", id="out-credits", key="out-credits", quantity=D("1e10"))  # 1e16 x 1.15 / 0.01
    world.usage("c", "big", id="in-credits", key="in-credits", quantity=D("1e6"))  # 1.15e14
    world.wait_booked()  # what has another key may come before
    world.usage("a", "n", id="below", key="below", quantity=5)  # the balance would go to -1e18
    world.usage("later", "big", id="parked-out", key="later", quantity=D("1e12"))
    world.usage("later", "big", id="parked-2", key="later-2", quantity=D("1e12"))
    world.usage("a", "n", id="two-cents", quantity=0)
    world.usage("a", "two", id="own-currency", quantity=0, key="a")
    world.usage("x", "two", id="usd", quantity=2)
    world.usage("f", "two", id="eur", quantity=2, key="f")
    world.usage("q", "two", id="eur-q", quantity=2, key="q")
    world.wait_booked()
    assert rejected(world) == {"out": "out_of_range", "out-credits": "out_of_range", "below": "out_of_range"}
    assert amounts(world) == {"most": D("-999999999999999999"), "in-credits": D("-115000000000000"), "two-cents": 0, "own-currency": 0, "usd": -6}
    world.account("account.opened", "later", plan="plain")
    world.wait(lambda: "later" in rejected(world), "the parked event to be refused")
    assert rejected(world)["later"] == "out_of_range"
    world.wait(lambda: rejected(world).get("later-2") == "out_of_range", "the other one too")
    world.usage("later", "n", id="parked-out", key="later", quantity=4)  # rejected events have no identity
    world.usage("later", "unheard", id="parked-2", key="later-2", quantity=4)
    world.wait_booked()
    assert amounts(world, "later") == {"parked-out": -4}
    assert parked(world)["parked-2"] == "unknown_metric"
    # what stands now can be voided, whatever became of its namesake
    world.void("later", "parked-out", id="v-out", key="later")
    world.void("later", "parked-2", id="v-2", key="later-2")
    world.wait_booked()
    assert amounts(world, "later") == {"parked-out": -4, "v-out": 4}
    assert "parked-2" not in parked(world)
    assert sorted(rejected(world)) == ["below", "later", "later-2", "out", "out-credits"]
    letters = {m.key: m for m in world.topic_messages("deadletter")}
    assert letters[b"later"].header("debitd-reason") == b"out_of_range"
    world.verify()


@pytest.mark.world(partitions=2)
def test_shipped_plans_charge_what_the_price_list_says(world):
    begin(world, shipped=True, accounts=[("payg", "payg"), ("free", "assistant-free"), ("plus", "assistant-pro-plus"), ("st", "studio"), ("cg", "codegen-pro"),
                                         ("biz", "assistant-business"), ("qs", "quota-starter")])
    examples = {"openai/gpt-4o": "0.00625", "openai/gpt-4o-mini": "0.000375", "anthropic/claude-3.5-sonnet": "0.009",
                "anthropic/claude-3.5-haiku": "0.0024", "google/gemini-2.0-flash": "0.0001875", "deepseek/deepseek-chat": "0.00021"}
    want = {}
    for name, cost in examples.items():
        service, model = name.split("/")
        for account in ("payg", "free"):
            world.usage(account, id=f"{account}-{model}", service=service, model=model, quantities={"input": 500, "output": 500}, thread=f"th-{service}")
        want[f"payg-{model}"] = -D(cost)
        want[f"free-{model}"] = -D(cost) * 100
    # studio: credits for 1,000 tokens of a model, whoever serves it
    for model, credits in (("gemini-flash", "1"), ("gpt-4o-mini", "2"), ("gpt-4o", "25"), ("claude-sonnet", "30"), ("claude-opus", "150")):
        world.usage("st", id=f"st-{model}", service="openai", model=model, quantities={"input": 1500, "output": 500})
        want[f"st-{model}"] = -2 * D(credits)
    world.usage("st", id="st-none", service="openai", model="gpt-5", quantity=5)
    world.usage("st", "requests", id="st-requests", quantity=5)
    world.usage("cg", "requests", id="cg-request", quantity=1)
    world.usage("cg", id="cg-tokens", service="openai", model="gpt-4o", quantities={"input": 5})
    world.usage("qs", "requests", id="qs-request", quantity=1)
    world.usage("qs", id="qs-tokens", service="openai", model="gpt-4o", quantities={"input": 6000})  # 1000 beyond, in EUR; cost in USD unknown
    world.usage("biz", "sms", id="biz-sms", service="twilio", quantity=1)  # EUR, no rate
    world.usage("biz", "requests", id="biz-request", quantity=1)
    world.usage("biz", id="biz-cached", service="openai", model="gpt-4o", quantities={"input": 1, "cached_input": 1})
    want.update({"cg-request": -1, "qs-tokens": D("-0.01"), "biz-request": 0})
    world.wait_booked(total=len(want))
    assert amounts(world) == want
    assert parked(world) == {"st-none": "unpriced", "st-requests": "unpriced", "cg-tokens": "unpriced", "qs-request": "unpriced", "biz-sms": "unpriced",
                             "biz-cached": "unpriced"}
    found = entries(world)
    costs = {id: found[id]["cost"] for id in ("st-gpt-4o", "st-claude-opus", "cg-request", "qs-tokens")}
    assert costs == {"st-gpt-4o": D("0.00875"), "st-claude-opus": None, "cg-request": 0, "qs-tokens": None}
    missing = {(a["data"]["service"], a["data"]["model"], a["data"]["metric"], a["data"]["component"]) for a in alerts(world, "price.missing")}
    assert {("openai", "gpt-4o", "ai_tokens", "cached_input"), ("openai", "gpt-4o", "ai_tokens", "input"),
            ("openai", "claude-opus", "ai_tokens", "input"), ("openai", "claude-opus", "ai_tokens", "output"), ("twilio", None, "sms", "")} <= missing
    assert ("openai", "gpt-4o", "ai_tokens", "output") not in missing
    grants = {r["account_id"]: r["balance"] - sum(v for k, v in want.items() if k.split("-")[0] == r["account_id"]) for r in world.sql("SELECT * FROM api.balance")}
    assert grants == {"payg": 10, "free": 100, "plus": 7500, "st": 0, "cg": 100, "biz": 0, "qs": 0}
    daily = {r["component"]: (r["quantity"], r["cost"], r["charge"], r["events"]) for r in world.sql(
        "SELECT * FROM api.usage_daily WHERE account_id = 'free' AND model = 'gpt-4o'")}
    assert daily == {"input": (500, D("0.00125"), D("0.125"), 1), "output": (500, D("0.005"), D("0.5"), 1)}
    daily = {r["component"]: (r["cost"], r["charge"]) for r in world.sql("SELECT * FROM api.usage_daily WHERE account_id = 'st' AND model = 'gpt-4o'")}
    assert daily == {"input": (D("0.00375"), D("37.5")), "output": (D("0.005"), D("12.5"))}  # fixed: a component its own
    row, = world.sql("SELECT * FROM api.monthly_summary WHERE account_id = 'payg'")
    assert (row["month"], row["events"], row["quantity"], row["cost"], row["charge"], row["top_model"]) == (
        MONTH, 6, 6000, D("0.0184225"), D("0.0184225"), "claude-3.5-sonnet")
    threads = {r["thread_id"]: (r["events"], r["quantity"], r["cost"], r["charge"]) for r in world.sql("SELECT * FROM api.thread_usage WHERE account_id = 'free'")}
    assert threads == {"th-openai": (2, 2000, D("0.006625"), D("0.6625")), "th-anthropic": (2, 2000, D("0.0114"), D("1.14")),
                       "th-google": (1, 1000, D("0.0001875"), D("0.01875")), "th-deepseek": (1, 1000, D("0.00021"), D("0.021"))}
    models = {(r["service"], r["model"], r["metric"]): (r["events"], r["cost"], r["charge"]) for r in world.sql("SELECT * FROM api.model_usage WHERE account_id = 'st'")}
    assert models["openai", "gpt-4o", "ai_tokens"] == (1, D("0.00875"), 50)
    world.verify()


@pytest.mark.world(partitions=2)
def test_where_usage_opens_accounts_only_usage_that_stands_does(world):
    world.catalog(MEETING)
    world.start(accounts={"unknown": "open", "default_plan": "both"})
    odd = ['\\N', "NULL", '"', "'", ",", "{}", "a b", "%s", "é", "e\u0301", "$1", "--", "\u00a0", "\U0001f600"]
    for number, name in enumerate(odd):
        world.usage(name, "n", id=name, source=name, quantity=1, user=name, thread=name, service=name, model=name, mode=("binary", "structured")[number % 2])
    world.void("nobody", "nothing", id="v", key="v")
    world.usage("refused", "n", id="r", quantity=-1, key="r")
    world.usage("reuses", "n", id="é", source="é", quantity=2, key="é")
    world.usage("unpriced", "bare", id="u", quantity=1)
    world.usage("unknown", "unheard", id="m", quantity=1)
    world.account("credits.purchased", "waits", id="w", amount="1")
    world.wait_booked(total=len(odd))
    found = world.sql("SELECT * FROM api.ledger WHERE type = 'usage'")
    assert sorted((r["account_id"], r["event_id"], r["event_source"], r["user_id"], r["thread_id"], r["service"], r["model"]) for r in found) == sorted(
        (name,) * 7 for name in odd)
    assert {r["account_id"] for r in world.sql("SELECT account_id FROM api.account")} - {"unpriced", "unknown"} == set(odd)
    assert parked(world) == {"u": "unpriced", "m": "unknown_metric", "w": "unknown_account"}
    assert rejected(world) == {"v": "unknown_event", "r": "bad_quantity", "é": "id_reused"}
    # 10 of welcome and 100 of the plan; a USD is 100 credits: 110 -> 10
    assert {r["balance"] for r in world.sql("SELECT balance FROM api.balance WHERE account_id NOT IN ('unpriced', 'unknown')")} == {10}
    assert sorted(a["subject"] for a in alerts(world, "balance.low")) == sorted(odd)
    assert {m.key.decode() for m in messages(world)} == set(odd) | {"platform"}
    world.verify()


@pytest.mark.world(partitions=1)
def test_where_the_default_plan_is_not_in_the_catalogue_usage_waits_for_it_or_for_its_account(world):
    world.catalog(catalogue())
    daemon = world.start(accounts={"unknown": "open", "default_plan": "gold"})
    world.account("account.opened", "carl", plan="plus")
    world.wait_booked()
    world.usage("anna", "n", id="a", quantity=1)
    world.usage("ben", "n", id="b", quantity=1)
    world.usage("carl", "n", id="c", quantity=1)
    world.wait_booked(total=1)
    assert parked(world) == {"a": "unknown_account", "b": "unknown_account"}
    assert 'has no plan "gold"' in daemon.text()
    world.account("account.opened", "anna", plan="plus")
    world.wait(lambda: set(parked(world)) == {"b"}, "the usage of the account that was opened to be booked")
    world.catalog(catalogue(plans=', { name = "gold"; unit = "USD"; kind = "prepaid"; tariff = "cost_plus"; markup = "0"; }'))
    world.usage("ben", "n", id="b2", quantity=1)
    world.wait(lambda: not parked(world), "the account to be opened on the plan that there is now")
    world.wait_booked(total=4)
    assert world.sql("SELECT plan FROM api.account WHERE account_id = 'ben'") == [{"plan": "gold"}]
    world.verify()


@pytest.mark.world(partitions=2)
def test_unpriced_usage_is_booked_when_its_account_is_priced(world):
    """What was missing may also be a plan, a payer, a key of one's own, or that one is a guest."""
    begin(world, shipped=True, accounts=[("plan", "quota-free"), ("payer", "assistant-business"), ("kid", {"parent": "payer"}), ("moves", "codegen-pro"),
                                         ("key", "payg"), ("guest", "payg"), ("stays", "quota-free"), ("top", "assistant-pro")])
    for account in ("kid", "key", "guest"):
        world.usage(account, id=f"u-{account}", service="acme", model="m", quantity=1000, key=account)
    world.usage("plan", "requests", id="u-plan", quantity=1, key="plan")
    world.usage("stays", "requests", id="u-stays", quantity=1, key="stays")
    world.usage("moves", id="u-moves", service="openai", model="gpt-4o", quantities={"input": 1000}, key="moves")
    world.wait_booked(total=0)
    assert set(parked(world).values()) == {"unpriced"} and len(parked(world)) == 6
    world.account("account.updated", "key", byok=["acme"])
    world.account("account.updated", "guest", charged=False)
    world.account("account.updated", "moves", parent="top")  # 1000 x 2.50 / 1e6 USD
    world.wait(lambda: set(parked(world)) == {"u-plan", "u-stays", "u-kid"}, "what these operations brought")
    world.account("plan.assigned", "payer", plan="studio")  # has no price for it either
    world.account("plan.assigned", "plan", plan="quota-starter")
    world.wait_booked()
    assert set(parked(world)) == {"u-plan", "u-stays", "u-kid"}
    world.account("plan.assigned", "payer", plan="assistant-business")
    world.account("account.updated", "kid", byok=["acme"], name="kid")
    world.wait(lambda: set(parked(world)) == {"u-plan", "u-stays"}, "the child's usage to be booked")
    world.wait_booked()
    assert amounts(world) == {"u-key": 0, "u-guest": 0, "u-moves": D("-0.25"), "u-kid": 0}
    assert entries(world)["u-moves"]["payer_id"] == "top"
    assert {r["event_id"] for r in world.sql("SELECT event_id FROM api.parked WHERE reason <> 'unpriced'")} == set()
    world.verify()


@pytest.mark.world(partitions=1)
def test_the_price_file_fills_in_and_a_plan_changes_in_place(world, tmp_path):
    file = tmp_path / "prices.conf"
    file.write_text('prices = ( { plan = "fix"; metric = "filed"; price = "4"; effective_from = "2025-01-01"; },'
                    ' { plan = "fix"; metric = "euro"; price = "5"; effective_from = "2025-01-01"; },'
                    ' { metric = "unheard"; currency = "USD"; price = "8"; effective_from = "2025-01-01"; } );\n'
                    'fx = ( { from = "USD"; to = "EUR"; rate = "0.5"; effective_from = "2025-01-01"; } );\n')
    begin(world, accounts=[("a", "plain"), ("f", "fix"), ("q", "quota")], prices={"file": str(file)})
    world.usage("a", "look", id="u1", quantity=1)
    world.usage("a", "euro", id="u2", quantity=1)
    world.usage("f", "filed", id="f1", quantity=2)  # 4 EUR each by the file; nobody knows its cost
    world.usage("f", "n", id="f2", quantity=3)  # 1 USD each by the catalogue, 0.5 EUR by the rate of the file
    world.usage("f", "euro", id="f3", quantity=3)  # costs 2 EUR each by the catalogue, charged by the file
    world.usage("q", "n", id="q1", quantity=11)
    # the identity is one for both topics
    world.usage("a", "n", id="both-topics", quantity=1)
    world.wait_booked(total=7)
    world.account("credits.granted", "a", id="both-topics", key="both", amount="1")
    world.void("q", "grant", id="void-grant", key="void-grant")
    world.account("credits.granted", "q", id="grant", amount="1")
    world.wait_booked()
    world.void("q", "grant", id="void-grant", key="void-grant")
    world.wait_booked()
    assert rejected(world)["both"] == "id_reused" and rejected(world)["void-grant"] == "unknown_event"
    found = entries(world)
    assert {id: (row["amount"], row["cost"], row["price_source"]) for id, row in found.items() if id in ("f1", "f2", "f3")} == {
        "f1": (-8, None, "file"), "f2": (D("-1.5"), D("1.5"), "file"), "f3": (-15, 6, "file")}
    # a plan changes in place: what is booked from now on is charged by it, a void at the margin too
    world.catalog(catalogue().replace('overage_per = "2"; thresholds', 'overage_per = "1"; thresholds'))
    world.usage("q", "n", id="q2", quantity=2)  # C(13) - C(11)
    world.void("q", "q1", id="v1")  # C(13) - C(2)
    world.wait_booked()
    assert {id: amount for id, amount in amounts(world, "q").items()} == {"q1": -5 * TINY, "q2": -2 * TINY, "v1": 11 * TINY}
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_dead_letter_is_the_message_as_it_was_with_the_reason_behind_its_headers(world):
    begin(world, text=MEETING, accounts=[("a", "plain"), ("g", "quota")])
    odd = [("n", None), ("d", b"1"), ("d", b"2"), ("é ", b""), ("debitd-reason", b"older"), ("x", bytes(range(256)))]
    good = {"id": "i", "source": "/t", "type": "usage.recorded", "subject": "a"}
    world.produce("usage", b"\xff\x00not json", key=None, headers=odd)
    world.produce("usage", b"[]", key=b"", headers=None)
    headers, value = binary({"metric": "n", "quantity": -1}, **good)
    world.produce("usage", value, key=b"\xff\x00", headers=odd + headers)
    headers, value = binary({"metric": "big", "quantity": Raw("1e12")}, **{**good, "subject": "later"})
    world.produce("usage", b" " + value, key=b"parked", headers=odd + headers)
    # sums beyond 1e12
    for n in range(3):
        for account in ("a", "g"):
            world.usage(account, "n", id=f"{account}{n}", quantity=Raw("999999999999.999999"), model="m", thread="t")
    world.wait_booked(total=6)
    world.account("account.opened", "later", plan="plain")
    world.wait(lambda: world.value("SELECT count(*) FROM api.rejected WHERE published_at IS NOT NULL") == 4, "the fourth letter")
    topic = world.topics["usage"].encode()
    rows = world.sql("SELECT * FROM api.rejected ORDER BY \"offset\"")
    assert [(r["reason"], r["key"], r["value"]) for r in rows] == [
        ("malformed_json", None, b"\xff\x00not json"), ("not_a_cloudevent", b"", b"[]"), ("bad_quantity", b"\xff\x00", rows[2]["value"]),
        ("out_of_range", b"parked", b" " + value)]
    letters = sorted(world.topic_messages("deadletter"), key=lambda m: int(m.header("__connect.errors.offset")))
    assert len(letters) == 4
    for letter, row, sent in zip(letters, rows, (odd, [], odd + binary({}, **good)[0], odd + headers)):
        assert (letter.key, letter.value) == (row["key"], row["value"])
        detail = row["detail"].encode()
        assert [h for h in letter.headers if h[0] not in ("debitd-id", "debitd-group")] == sent + [
            ("debitd-reason", row["reason"].encode()), ("debitd-detail", detail), ("__connect.errors.topic", topic),
            ("__connect.errors.partition", b"0"), ("__connect.errors.offset", str(row["offset"]).encode()),
            ("__connect.errors.exception.message", detail)]
    sums = {r["account_id"]: (r["used"], r["charge"]) for r in world.sql("SELECT * FROM api.usage")}
    # `quota`: 1 included, half a unit each beyond: 2,999,999,999,998.999997 / 2 units of 1e-12, half-even after each entry
    assert sums == {"a": (D("2999999999999.999997"), D("2999999999999.999997")), "g": (D("2999999999999.999997"), D("1.499999999999"))}
    assert {r["account_id"]: r["quantity"] for r in world.sql("SELECT * FROM api.usage_daily")} == {account: D("2999999999999.999997") for account in "ag"}
    percent = world.value("SELECT percent FROM api.usage WHERE account_id = 'g'")
    assert percent == D("299999999999999.9997")
    alert = [a["data"] for a in alerts(world) if a["data"]["event_id"] == "g0"]
    assert [(d["threshold"], d["used"], d["percent"]) for d in alert] == [
        (t, "999999999999.999999", "99999999999999.9999") for t in (50, 100, 300)]
    world.verify()
