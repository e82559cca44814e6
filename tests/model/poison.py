"""Messages that can never be booked, at least one for each reason code that this model knows.

Each sample is (name that begins with its code, build(generator, account id)); the name's code is
what the model must answer, which the tests of the model check.
"""
import json

from .generator import rfc3339
from .wire import DAY_US, HOUR_US, MAX_VALUE_BYTES

GOOD = '{"metric":"requests","quantity":1}'


def _raw(value):
    """`%ID%` in the text is replaced by a fresh id, `%A%` by the account."""
    def build(out, account):
        text = value.replace(b"%ID%", out.next_id("p").encode()).replace(b"%A%", account.encode())
        out.put("usage", account, text)
    return build


def _event(text):
    return _raw(b'{"specversion":"1.0","type":"usage.recorded","source":"/p","id":"%ID%",'
                b'"subject":"%A%","data":' + text.encode() + b"}")


def _data(text):
    def build(out, account):
        out.event("usage", "usage.recorded", account, text, time=None)
    return build


def _attributes(**extra):
    def build(out, account):
        out.event("usage", extra.get("type") or "usage.recorded", account, GOOD, time=None,
                  extra=extra)
    return build


def _structured(members):
    """Attributes of wrong types, which only the structured mode can have."""
    def build(out, account):
        event = {"specversion": "1.0", "type": "usage.recorded", "source": "/p",
                 "id": out.next_id("p"), "subject": account,
                 "data": {"metric": "requests", "quantity": 1}}
        event.update(members)
        out.put("usage", account, json.dumps(event).encode())
    return build


def _binary(headers):
    def build(out, account):
        own = [("ce_specversion", b"1.0"), ("ce_type", b"usage.recorded"), ("ce_source", b"/p"),
               ("ce_id", out.next_id("p").encode()), ("ce_subject", account.encode())]
        names = {name for name, _ in headers}
        out.put("usage", account, GOOD.encode(),
                [h for h in own if h[0] not in names] + [h for h in headers if h[1] != b"absent"])
    return build


def _time(delta_us):
    def build(out, account):
        out.event("usage", "usage.recorded", account, GOOD,
                  time=rfc3339(out.sent_ms() * 1000 + delta_us))
    return build


def _void(members):
    def build(out, account):
        out.event("usage", "usage.voided", account, json.dumps(members))
    return build


def too_large(out, account):
    head = (f'{{"specversion":"1.0","type":"usage.recorded","source":"/p",'
            f'"id":"{out.next_id("p")}","subject":"{account}",'
            f'"data":{{"metric":"requests","quantity":1,"x":"').encode()
    tail = b'"}}'
    out.put("usage", account, head + b"x" * (MAX_VALUE_BYTES + 1 - len(head) - len(tail)) + tail)


def _deep(depth):
    return "[" * depth + "]" * depth


USAGE_POISON = [
    ("malformed_json", _raw(b"{nonsense")),
    ("malformed_json empty value", _raw(b"")),
    ("malformed_json not UTF-8", _raw(
        b'{"specversion":"1.0","type":"usage.recorded","source":"/p","id":"%ID%","subject":"%A%",'
        b'"data":{"metric":"requests","quantity":1,"user":"\xff"}}')),
    ("malformed_json repeated name", _event('{"metric":"requests","quantity":1,"quantity":1}')),
    ("malformed_json repeated by escape",
     _event('{"metric":"requests","quantity":1,"x":{"a":1,"\\u0061":2}}')),
    ("malformed_json depth 65", _event('{"metric":"requests","quantity":1,"x":' + _deep(63) + "}")),
    ("malformed_json depth 3000",
     _event('{"metric":"requests","quantity":1,"x":' + _deep(3000) + "}")),
    ("malformed_json lone surrogate",
     _event('{"metric":"requests","quantity":1,"user":"\\ud800"}')),
    ("malformed_json number", _event('{"metric":"requests","quantity":01}')),
    ("malformed_json raw NUL", _event('{"metric":"requests","quantity":1,"user":"a\0b"}')),
    ("malformed_json two values", _raw(b"{}{}")),
    ("not_a_cloudevent no object", _raw(b"[1,2]")),
    ("not_a_cloudevent version", _attributes(specversion="0.3")),
    ("not_a_cloudevent version 1", _structured({"specversion": "1"})),
    ("not_a_cloudevent no subject", _binary([("ce_subject", b"absent")])),
    ("bad_attribute null", _structured({"subject": None})),
    ("bad_attribute number", _structured({"id": 7})),
    ("bad_attribute empty", _attributes(source="")),
    ("bad_attribute too long", _attributes(source="é" * 129)),
    ("bad_attribute control", _attributes(source="a\tb")),
    ("bad_attribute header not UTF-8", _binary([("ce_source", b"\xff")])),
    ("unknown_type", _attributes(type="usage.invented")),
    ("unknown_type of the other topic", _attributes(type="credits.granted")),
    ("bad_time", _attributes(time="2026-02-30T00:00:00Z")),
    ("bad_time no zone", _attributes(time="2026-11-20T12:00:00")),
    ("time_in_future", _time(HOUR_US + 1000000)),
    ("too_old", _time(-36 * DAY_US)),
    ("bad_data no object", _data("[]")),
    ("bad_data no metric", _data('{"quantity":1}')),
    ("bad_data both", _data('{"metric":"requests","quantity":1,"quantities":{"a":1}}')),
    ("bad_data neither", _data('{"metric":"requests"}')),
    ("bad_data empty quantities", _data('{"metric":"requests","quantities":{}}')),
    ("bad_data 17 components", _data('{"metric":"requests","quantities":{%s}}'
                                     % ",".join(f'"c{i}":1' for i in range(17)))),
    ("bad_data metadata", _data('{"metric":"requests","quantity":1,"metadata":{"a":"%s"}}'
                                % ("x" * 4089))),
    ("bad_data NUL", _data('{"metric":"requests","quantity":1,"metadata":{"a":"\\u0000"}}')),
    ("bad_data service", _data('{"metric":"requests","quantity":1,"service":null}')),
    ("bad_data user", _data('{"metric":"requests","quantity":1,"user":"%s"}' % ("x" * 257))),
    ("bad_data void without id", _void({"reason": "none"})),
    ("bad_quantity negative", _data('{"metric":"requests","quantity":-1}')),
    ("bad_quantity 1e400", _data('{"metric":"requests","quantity":1e400}')),
    ("bad_quantity 39 digits", _data('{"metric":"requests","quantity":%s}' % ("1" * 39))),
    ("bad_quantity seven places", _data('{"metric":"requests","quantity":0.0000001}')),
    ("bad_quantity text", _data('{"metric":"requests","quantity":" 1"}')),
    ("bad_quantity boolean", _data('{"metric":"requests","quantity":true}')),
    ("bad_quantity sum", _data('{"metric":"requests","quantities":{"a":1e12,"b":1e-6}}')),
    ("bad_quantity cost", _data('{"metric":"requests","quantity":1,"cost":"1e-13"}')),
    ("unknown_event", _void({"id": "never seen"})),
]

def _account(type_, members):
    def build(out, account):
        out.account_event(type_, account, members)
    return build


def _in_parent(out, _account_id):
    child = next(account for account in out.accounts if account.parent and not account.late)
    out.account_event("account.opened", f"{child.id}-child", {"parent": child.id})


def _quota_payer(type_, members):
    """Of an account in EUR that has more than grants booked."""
    def build(out, _account_id):
        payer = next(a for a in out.accounts if a.plan == "quota-starter" and not a.parent)
        out.account_event("credits.granted", payer.id, {"amount": "1"})
        out.account_event(type_, payer.id, members)
    return build


def bounds(out):
    """An account whose balance comes close to 1e18, and what would bring it there."""
    account = f"s{out.seed}-bounds"
    out.account_event("account.opened", account, {"plan": "assistant-business"})
    out.account_event("credits.adjusted", account, {"amount": "999999999999999999.999999999998"})
    out.account_event("credits.adjusted", account, {"amount": "0.000000000002"},
                      note="poison out_of_range balance")
    out.account_event("credits.adjusted", account, {"amount": "-1"})


ACCOUNT_POISON = [
    ("unknown_type", _account("usage.recorded", {})),
    ("bad_data no plan", _account("account.opened", {})),
    ("bad_data amount", _account("credits.granted", {"amount": "0"})),
    ("bad_data negative", _account("credits.purchased", {"amount": "-5"})),
    ("bad_data 13 places", _account("credits.granted", {"amount": "0.0000000000001"})),
    ("bad_data neither", _account("credits.purchased", {"reference": "r"})),
    ("bad_data charged", _account("account.updated", {"charged": "no"})),
    ("out_of_range amount", _account("credits.adjusted", {"amount": "1e18"})),
    ("out_of_range huge", _account("credits.granted", {"amount": "1e400"})),
    ("unknown_plan", _account("plan.assigned", {"plan": "no-such-plan"})),
    ("unknown_package", _account("credits.purchased", {"package": "no-such-package"})),
]
IN_ORDER_POISON = [
    ("bad_data parent with a parent", _in_parent),
    ("unit_mismatch package", _quota_payer("credits.purchased", {"package": "starter"})),
    ("unit_mismatch plan", _quota_payer("plan.assigned", {"plan": "payg"})),
]
