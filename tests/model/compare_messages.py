"""The second half of the comparison: what became of each message, the alerts, the dead letters."""
from collections import Counter, defaultdict

from .books import COUNTS
from .differences import as_bytes, read_json


def positions(out, books, db):
    rows = {(r["topic"], r["partition"]): r for r in db.rows(
        "topic partition next_offset " + " ".join(COUNTS), "api.position")}
    for key, counts in books.positions.items():
        row = rows.pop(key, None)
        if row is None:
            out.add("position", f"{key} has no row")
            continue
        messages = sum(counts[name] for name in COUNTS)
        out.same("conservation", f"{key}: the five counts together", messages,
                 sum(row[name] for name in COUNTS))
        if row["next_offset"] < counts["next_offset"]:
            out.same("position", f"{key}: next_offset", counts["next_offset"], row["next_offset"])
        for name in COUNTS:
            out.same("position", f"{key}: {name}", counts[name], row[name])
    for key, row in rows.items():
        if sum(row[name] for name in COUNTS):
            out.add("position", f"{key} has counts, but no message was sent there")


def rejected(out, books, db):
    rows = {(r["topic"], r["partition"], r["offset"]): r for r in db.rows(
        "topic partition offset reason key value", "api.rejected")}
    for message, reason in books.rejected:
        row = rows.pop(message.position, None)
        what = f"{message.position} {message.note}"
        if row is None:
            out.add("rejected", f"{what}: expected {reason}, found no row")
            continue
        out.same("rejected", f"{what}: reason", reason, row["reason"])
        key = row["key"].encode() if isinstance(row["key"], str) else as_bytes(row["key"])
        out.same("rejected", f"{what}: key", message.key, key)
        if as_bytes(row["value"]) != message.value:
            out.add("rejected", f"{what}: the value differs")
    for position, row in rows.items():
        out.add("rejected", f"{position} should not be there ({row['reason']})")


def parked(out, books, db):
    rows = [row for row in db.rows("topic partition offset reason account_id event_source event_id"
                                   " released_at", "api.parked") if row["released_at"] is None]
    expected = Counter((row.message.position, row.event.source, row.event.id, row.event.subject,
                        row.reason) for row in books.parked if not row.released and not row.voided)
    found = Counter(((r["topic"], r["partition"], r["offset"]), r["event_source"], r["event_id"],
                     r["account_id"], r["reason"]) for r in rows)
    for what in expected - found:
        out.add("parked", f"{what} is missing")
    for what in found - expected:
        out.add("parked", f"{what} should not be there")


# ---- alerts ----

def alerts(out, books, db, sent):
    rows = db.rows("alert_id type account_id metric period_start threshold event!", "api.alert")
    expected = [(a.type, a.key, a.event, a.data) for a in books.alerts]
    found = []
    for row in rows:
        event = read_json(row["event"])
        data = event.get("data", {})
        found.append((row["type"], event.get("subject"),
                      (data.get("event_source"), data.get("event_id")), data))
        out.same("alert", f"{row['alert_id']}: id", row["alert_id"], event.get("id"))
        out.same("alert", f"{row['alert_id']}: type", row["type"], event.get("type"))
    _alert_sets(out, "api.alert", expected, found)
    topic = []
    ids = Counter()
    for key, value, headers in sent:
        event = read_json(value.decode("utf-8"))
        ids[event.get("id")] += 1
        data = event.get("data", {})
        topic.append((event.get("type"), event.get("subject"),
                      (data.get("event_source"), data.get("event_id")), data))
        _alert_envelope(out, key, event, headers)
    for alert_id, count in ids.items():
        if count != 1:
            out.add("alerts topic", f"{alert_id} is there {count} times")
    out.same("alerts topic", "ids that are not in api.alert", [],
             sorted(ids.keys() - {str(row["alert_id"]) for row in rows}, key=str)[:5])
    _alert_sets(out, "alerts topic", expected, topic)
    _alert_order(out, expected, topic)


def _alert_envelope(out, key, event, headers):
    what = f"{event.get('type')} {event.get('id')}"
    expected = {"specversion": "1.0", "source": "/debitd", "datacontenttype": "application/json"}
    for name, value in expected.items():
        out.same("alerts topic", f"{what}: {name}", value, event.get(name))
    out.same("alerts topic", f"{what}: key", event.get("subject"), key.decode() if key else None)
    if not event.get("time"):
        out.add("alerts topic", f"{what} has no time")
    if dict(headers).get("content-type") != b"application/cloudevents+json":
        out.add("alerts topic", f"{what}: content-type is {dict(headers).get('content-type')!r}")


def _alert_key(kind, key, event, data):
    """What an alert is, as something that can be counted."""
    if kind == "price.missing":
        names = ("service", "model", "metric", "component")
        return (kind, key) + tuple(data.get(name) or "" for name in names)
    return (kind, key, event, data.get("metric"), data.get("period_start"),
            str(data.get("threshold")))


def _alert_sets(out, kind, expected, found):
    mine, theirs = (Counter(_alert_key(*alert) for alert in alerts) for alerts in (expected, found))
    for what in mine - theirs:
        out.add(kind, f"{what} is missing")
    for what in theirs - mine:
        out.add(kind, f"{what} should not be there")
    wanted = {_alert_key(*alert): alert[3] for alert in expected}
    for alert in found:
        data = wanted.get(_alert_key(*alert), {})
        for name, value in data.items():
            actual = alert[3].get(name)
            if alert[0] == "price.missing":
                value, actual = value or "", actual or ""
            if value != actual or isinstance(value, str) != isinstance(actual, str):
                out.add(kind, f"{_alert_key(*alert)}: {name}: expected {value!r}, found {actual!r}")


def _alert_order(out, expected, found):
    """Per payer the order of its alerts; metrics of one plan change may stand in any order."""
    def by_key(alerts):
        groups = defaultdict(list)
        for kind, key, event, data in alerts:
            if key != "platform":
                groups[key].append((kind, event, data.get("metric") or "",
                                    str(data.get("threshold"))))
        for key, items in groups.items():
            at = 0
            while at < len(items):
                end = at
                while end < len(items) and items[end][:2] == items[at][:2]:
                    end += 1
                items[at:end] = sorted(items[at:end], key=lambda item: item[2])
                at = max(end, at + 1)
        return groups
    ours, theirs = by_key(expected), by_key(found)
    for key in sorted(ours.keys() & theirs.keys()):
        if ours[key] == theirs[key]:
            continue
        at = next((i for i, (a, b) in enumerate(zip(ours[key], theirs[key])) if a != b), -1)
        if sorted(map(repr, ours[key])) == sorted(map(repr, theirs[key])):
            out.add("alert order", f"{key}: number {at + 1}: expected {ours[key][at]},"
                    f" found {theirs[key][at]}")


# ---- dead letters ----

def dead_letters(out, books, sent):
    expected = {message.position: (message, reason) for message, reason in books.rejected}
    seen = Counter()
    for key, value, headers in sent:
        first = {}
        for name, content in reversed(headers):
            first[name] = content
        try:
            position = (first["__connect.errors.topic"].decode(),
                        int(first["__connect.errors.partition"]),
                        int(first["__connect.errors.offset"]))
        except (KeyError, ValueError):
            out.add("deadletter", f"a message does not say where it is from: {sorted(first)}")
            continue
        seen[position] += 1
        if position not in expected:
            out.add("deadletter", f"{position} should not be there")
            continue
        message, reason = expected[position]
        what = f"{position} {message.note}"
        out.same("deadletter", f"{what}: key", message.key, key)
        truncated = "debitd-truncated" in first
        if (value or b"") != (b"" if truncated else message.value):
            out.add("deadletter", f"{what}: the value differs from what was sent")
        out.same("deadletter", f"{what}: debitd-reason", reason.encode(),
                 first.get("debitd-reason"))
        for name in ("debitd-detail", "__connect.errors.exception.message"):
            if name not in first:
                out.add("deadletter", f"{what}: header {name} is missing")
        own = [(n, as_bytes(c)) for n, c in message.headers or []]
        kept = [(n, as_bytes(c)) for n, c in headers if (n, as_bytes(c)) in own]
        out.same("deadletter", f"{what}: the headers of the original", own, kept)
    for position, (message, reason) in expected.items():
        if seen[position] != 1:
            out.add("deadletter", f"{position} {message.note} ({reason}) is there"
                    f" {seen[position]} times")
