"""From a Kafka message to an event: CloudEvents in both modes, and every check of contract 5 that
needs no books, in the contract's order.

decode() returns an Event or raises Refused with the reason code. Times are microseconds since 1970.

Decided here, where the contract leaves room: control characters are U+0000-001F and U+007F-009F (as
CloudEvents has it); an empty `time` is `bad_attribute`; a null member of `data` is of the wrong
type (`bad_data`), but a null quantity or cost is `bad_quantity`; `\\u0000` counts in the members
that are read and anywhere in metadata, not in ignored ones; both `amount` and `package` is
`bad_data`; an account that is its own parent is `bad_data`; digits of `time` beyond the microsecond
are cut.
"""
import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal

from . import strictjson
from .strictjson import Num, Obj

MAX_VALUE_BYTES = 1 << 20
MAX_METADATA_BYTES = 4096
MAX_NAME_BYTES = 256
MAX_COMPONENTS = 16
HOUR_US = 3600 * 1000000
DAY_US = 24 * HOUR_US
AMOUNT_LIMIT = Decimal(10) ** 18

TYPES = {
    "usage": ("usage.recorded", "usage.voided"),
    "accounts": ("account.opened", "account.updated", "account.closed", "plan.assigned",
                 "credits.purchased", "credits.granted", "credits.refunded", "credits.adjusted",
                 "invoice.paid"),
}
OPTIONAL_STRINGS = ("service", "model", "user", "thread", "execution", "agent")


class Refused(Exception):
    """The message can never be booked; `code` is one of contract 5."""

    def __init__(self, code, detail=""):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass
class Message:
    """One Kafka message. `phase` and `note` are the generator's: phases are booked in turn."""

    kind: str                       # usage | accounts
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    timestamp_ms: int = 0
    phase: int = 0
    note: str = ""

    @property
    def position(self):
        return (self.topic, self.partition, self.offset)


@dataclass
class Event:
    type: str
    source: str
    id: str
    subject: str
    time_us: int
    digest: bytes
    body: object                    # Usage, or a dict of the members that the type has


@dataclass
class Usage:
    metric: str
    components: dict                # name -> Decimal, in the order sent
    service: str | None = None
    model: str | None = None
    user: str | None = None
    thread: str | None = None
    execution: str | None = None
    agent: str | None = None
    cost: Decimal | None = None
    metadata: str | None = None     # JSON text as sent

    @property
    def quantity(self):
        return sum(self.components.values(), Decimal(0))


# ---- small readers ----

def has_control(text):
    return any(c < " " or "\x7f" <= c <= "\x9f" for c in text)


def name_fault(value):
    """None, or why this is no name of 1-256 bytes without control characters."""
    if not isinstance(value, str):
        return "is no string"
    size = len(value.encode("utf-8"))
    if not 1 <= size <= MAX_NAME_BYTES:
        return f"has {size} bytes, not 1-{MAX_NAME_BYTES}"
    return "has a control character" if has_control(value) else None


_NUMBER_PARTS = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


def read_decimal(value, places):
    """The exact Decimal of a JSON number or string, None where it is no decimal, has more than
    `places` places by value, or 40 digits and more before the point."""
    text = value.text if isinstance(value, Num) else value
    if not isinstance(text, str) or not strictjson.NUMBER.fullmatch(text):
        return None
    sign, whole, fraction, exponent = _NUMBER_PARTS.fullmatch(text).groups()
    digits = (whole + (fraction or "")).lstrip("0")
    # Python refuses to read integers of over 4300 digits; such an exponent is absurd anyway
    power = exponent or "0"
    power = int(power) if len(power) < 20 else (-10 ** 19 if power[0] == "-" else 10 ** 19)
    power -= len(fraction or "")
    if not digits:
        return Decimal(0)
    kept = digits.rstrip("0")
    power += len(digits) - len(kept)
    if power < -places or len(kept) + power > 40:
        return None
    return Decimal(f"{sign}{kept}e{power}")


def is_huge(value):
    """True for a decimal whose size alone makes read_decimal() give up (>= 1e40)."""
    text = value.text if isinstance(value, Num) else value
    if not isinstance(text, str) or not strictjson.NUMBER.fullmatch(text):
        return False
    mantissa, _, exponent = text.lstrip("-").replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = exponent or "0"
    power = int(power) if len(power) < 20 else (-10 ** 19 if power[0] == "-" else 10 ** 19)
    return bool(digits) and len(digits) - len(fraction) + power > 40


_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
                   r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))", re.ASCII)


def days_from_civil(year, month, day):
    """Days since 1970-01-01 in the Gregorian calendar, any year."""
    year -= month <= 2
    era, yoe = divmod(year, 400)
    doy = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


def read_time(text):
    """RFC 3339 -> microseconds since 1970, or None. A leap second is the second after it."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 60:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    month_days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    if not 1 <= day <= month_days:
        return None
    offset = 0
    if match[8]:
        if int(match[9]) > 23 or int(match[10]) > 59:
            return None
        offset = (int(match[9]) * 60 + int(match[10])) * (1 if match[8] == "+" else -1)
    seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    if second == 60 and (seconds - offset * 60) % 86400:
        return None
    micros = int(((match[7] or "") + "000000")[:6])
    return (seconds - offset * 60) * 1000000 + micros


# ---- the envelope ----

def decode(message, window_us):
    """The checks of contract 5 up to `out_of_range`, in order."""
    if len(message.value) > MAX_VALUE_BYTES:
        raise Refused("too_large", f"{len(message.value)} bytes")
    try:
        value = strictjson.parse(message.value)
    except strictjson.Malformed as error:
        raise Refused("malformed_json", str(error)) from None
    headers = {}
    for name, content in message.headers or ():
        headers.setdefault(name, content)
    if "ce_specversion" in headers:
        attributes = {name[3:]: content for name, content in headers.items()
                      if name.startswith("ce_")}
        data, raw = value, message.value
    else:
        if not isinstance(value, Obj):
            raise Refused("not_a_cloudevent", "no object")
        attributes = value
        data = value.get("data")
        raw = value.raw.get("data", "").encode("utf-8")
    attributes = _attributes(attributes, "ce_specversion" in headers)
    if attributes["type"] not in TYPES[message.kind]:
        raise Refused("unknown_type", attributes["type"])
    time_us = _time(attributes.get("time"), message.timestamp_ms * 1000, window_us)
    if not isinstance(data, Obj):
        raise Refused("bad_data", "data is no object")
    body = _BODIES[attributes["type"]](data, attributes)
    return Event(attributes["type"], attributes["source"], attributes["id"], attributes["subject"],
                 time_us, _digest(attributes["type"], attributes["subject"], raw), body)


def _digest(*parts):
    out = hashlib.sha256()
    for part in parts:
        part = part.encode("utf-8") if isinstance(part, str) else part
        out.update(len(part).to_bytes(8, "big") + part)
    return out.digest()


def _attributes(given, binary):
    def text(name):
        content = given[name]
        if binary and content is not None:
            try:
                return bytes(content).decode("utf-8")
            except UnicodeDecodeError:
                return None
        return content

    if "specversion" not in given or text("specversion") != "1.0":
        raise Refused("not_a_cloudevent", "specversion is not 1.0")
    for name in ("id", "source", "type", "subject"):
        if name not in given:
            raise Refused("not_a_cloudevent", f"{name} is missing")
    out = {}
    for name in ("id", "source", "type", "subject", "time"):
        if name in given:
            out[name] = text(name)
            fault = name_fault(out[name])
            if fault:
                raise Refused("bad_attribute", f"{name} {fault}")
    return out


def _time(text, sent_us, window_us):
    if text is None:
        return sent_us
    time_us = read_time(text)
    if time_us is None:
        raise Refused("bad_time", text)
    if time_us > sent_us + HOUR_US:
        raise Refused("time_in_future", text)
    if time_us < sent_us - window_us:
        raise Refused("too_old", text)
    return time_us


# ---- data, type by type ----

def _need(data, name):
    if name not in data:
        raise Refused("bad_data", f"{name} is missing")
    return _optional(data, name)


def _optional(data, name):
    if name not in data:
        return None
    fault = name_fault(data[name])
    if fault:
        raise Refused("bad_data", f"{name} {fault}")
    return data[name]


def _has_nul(value):
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Obj):
        return any("\0" in k or _has_nul(v) for k, v in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _usage(data, _attributes_):
    metric = _need(data, "metric")
    strings = {name: _optional(data, name) for name in OPTIONAL_STRINGS}
    if ("quantity" in data) == ("quantities" in data):
        raise Refused("bad_data", "one of quantity and quantities")
    if "quantities" in data:
        given = data["quantities"]
        if not isinstance(given, Obj) or not 1 <= len(given) <= MAX_COMPONENTS:
            raise Refused("bad_data", "quantities is no object of 1-16 members")
        for name in given:
            if name_fault(name):
                raise Refused("bad_data", f"component {name!r} {name_fault(name)}")
    else:
        given = {"": data["quantity"]}
    metadata = None
    if "metadata" in data:
        metadata = data.raw["metadata"]
        if not isinstance(data["metadata"], Obj):
            raise Refused("bad_data", "metadata is no object")
        if len(metadata.encode("utf-8")) > MAX_METADATA_BYTES:
            raise Refused("bad_data", "metadata is over 4 KiB")
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", metadata)
        if any(int(power) > 10000 for power in re.findall(r"[eE][-+]?(\d+)", outside)):
            raise Refused("bad_data", "metadata has a number that the database cannot hold")
        if _has_nul(data["metadata"]):
            raise Refused("bad_data", "metadata has \\u0000 in a string")
    components = {name: _quantity(value, 6) for name, value in given.items()}
    cost = _quantity(data["cost"], 12) if "cost" in data else None
    usage = Usage(metric, components, cost=cost, metadata=metadata, **strings)
    if usage.quantity > 10 ** 12:
        raise Refused("bad_quantity", "the sum is over 1e12")
    return usage


def _quantity(value, places):
    number = read_decimal(value, places)
    if number is None or number < 0 or number > 10 ** 12:
        raise Refused("bad_quantity", f"{value!r}"[:80])
    return number


def _void(data, attributes):
    return {"id": _need(data, "id"), "source": _optional(data, "source") or attributes["source"],
            "reason": _optional(data, "reason")}


def _account(data, attributes):
    out = {name: _optional(data, name) for name in ("plan", "parent", "name") if name in data}
    if out.get("parent") == attributes["subject"]:
        raise Refused("bad_data", "an account cannot be its own parent")
    if "charged" in data:
        if not isinstance(data["charged"], bool):
            raise Refused("bad_data", "charged is no boolean")
        out["charged"] = data["charged"]
    if "byok" in data:
        if not isinstance(data["byok"], list) or any(map(name_fault, data["byok"])):
            raise Refused("bad_data", "byok is no list of services")
        out["byok"] = list(data["byok"])
    return out


def _opened(data, attributes):
    out = _account(data, attributes)
    if "plan" not in out and "parent" not in out:
        raise Refused("bad_data", "plan is missing")
    return out


def _assigned(data, _attributes_):
    if "until" in data:
        raise NotImplementedError("until is outside of this model")
    return {"plan": _need(data, "plan")}


def _amount(data, signed=False):
    value = data["amount"]
    # the sign first: a huge negative purchase is bad_data before it is out_of_range
    text = value.text if isinstance(value, Num) else value
    if is_huge(value) and (signed or not text.startswith("-")):
        raise Refused("out_of_range", "amount")
    number = read_decimal(value, 12)
    if number is None or number == 0 or (number < 0 and not signed):
        raise Refused("bad_data", f"amount {value!r}"[:80])
    if abs(number) >= AMOUNT_LIMIT:
        raise Refused("out_of_range", "amount")
    return number


def _credit(*strings, signed=False):
    def read(data, _attributes_):
        for name in ("event_source", "event_id", "expires"):
            if name in data:
                raise NotImplementedError(f"{name} is outside of this model")
        out = {name: _optional(data, name) for name in strings}
        if "amount" not in data:
            raise Refused("bad_data", "amount is missing")
        out["amount"] = _amount(data, signed)
        return out
    return read


def _purchased(data, _attributes_):
    out = {name: _optional(data, name) for name in ("package", "reference")}
    if ("amount" in data) == ("package" in data):
        raise Refused("bad_data", "one of amount and package")
    out["amount"] = _amount(data) if "amount" in data else None
    return out


def _later(_data, attributes):
    raise NotImplementedError(f"{attributes['type']} is outside of this model")


_BODIES = {
    "usage.recorded": _usage, "usage.voided": _void, "account.opened": _opened,
    "account.updated": _account, "account.closed": _later, "plan.assigned": _assigned,
    "credits.purchased": _purchased, "credits.granted": _credit("reason"),
    "credits.refunded": _credit("reference", "reason"),
    "credits.adjusted": _credit("reason", signed=True), "invoice.paid": _later,
}
