"""Compares the books of the model with the `api` views, the alerts topic and the dead letters.

compare() returns a list of differences, empty where all is as the contract says. `strict=False` judges
only what batching may not change: quantities, costs, totals, conservation and the set of thresholds.
The connection is a psycopg one (only execute().fetchall() is used) that may read schema api.
Alerts and dead letters are (key, value, headers), objects with these attributes, or confluent messages.
"""
import json
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction

from .books import COUNTS
from .rating import ZERO, plain
from .records import as_us
from .replay import Observed, replay

MAX_SHOWN = 20                      # differences of one kind
TINY = Decimal("1e-12")
# names under which a daemon may say where a price is from
PRICE_SOURCES = {"catalog": ("catalog", "catalogue", None), "file": ("file",),
                 "event": ("event",), None: ("catalog", "catalogue", "none", "", None)}


def judge(books, messages, connection, alerts, deadletters, strict=True):
    """Replays the messages (in observed order where strict) and compares everything."""
    faults = []
    if strict:
        faults = replay(books, messages, Observed.read(connection))
    else:
        ordered = sorted(messages, key=lambda m: (m.phase, m.kind != "accounts", m.offset, m.position))
        books.run(ordered)
    return faults + compare(books, connection, alerts, deadletters, strict)


def compare(books, connection, alerts, deadletters, strict=True):
    out = Differences()
    db = Database(connection)
    _ledger(out, books, db, strict)
    _balances(out, books, db)
    _usage(out, books, db, strict)
    _usage_daily(out, books, db, strict)
    _accounts(out, books, db)
    _positions(out, books, db, strict)
    _rejected(out, books, db, strict)
    _parked(out, books, db)
    _alerts(out, books, db, [_message(m) for m in alerts], strict)
    _dead_letters(out, books, [_message(m) for m in deadletters], strict)
    return out.lines()


class Differences:
    def __init__(self):
        self.found = defaultdict(list)

    def add(self, kind, text):
        self.found[kind].append(text)

    def same(self, kind, what, expected, actual):
        if expected != actual:
            self.add(kind, f"{what}: expected {_show(expected)}, found {_show(actual)}")

    def lines(self):
        out = []
        for kind, texts in self.found.items():
            out += [f"{kind}: {text}" for text in texts[:MAX_SHOWN]]
            if len(texts) > MAX_SHOWN:
                out.append(f"{kind}: and {len(texts) - MAX_SHOWN} more differences")
        return out


class Database:
    def __init__(self, connection):
        self.connection = connection

    def rows(self, columns, view):
        """Rows as dicts; `column!` is read as text (jsonb, whose numbers would become floats)."""
        names = [c.rstrip("!") for c in columns.split()]
        picked = ", ".join(f'"{c[:-1]}"::text' if c.endswith("!") else f'"{c}"'
                           for c in columns.split())
        return [dict(zip(names, row))
                for row in self.connection.execute(f"SELECT {picked} FROM {view}").fetchall()]


def read_json(text):
    """JSON with exact numbers."""
    if text is None or isinstance(text, (dict, list)):
        return text
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _show(value):
    return plain(value) if isinstance(value, Decimal) else repr(value)


def _message(m):
    if isinstance(m, tuple):
        key, value, headers = m
    else:
        key, value, headers = ((x() if callable(x) else x) for x in (m.key, m.value, m.headers))
    return key, value, list(headers or [])


def _bytes(value):
    return None if value is None else bytes(value)


# ---- ledger ----

_LEDGER = ("entry_id account_id payer_id type event_source event_id occurred_at service model metric"
           " quantity components! currency cost amount unit balance_after plan price_source late corrects"
           " reference reason user_id thread_id execution_id agent_id metadata!")


def _ledger(out, books, db, strict):
    rows = sorted(db.rows(_LEDGER, "api.ledger"), key=lambda row: row["entry_id"])
    by_id = {row["entry_id"]: row for row in rows}
    expected, actual = defaultdict(list), defaultdict(list)
    for entry in books.entries:
        expected[entry.payer].append(entry)
    balances = defaultdict(Decimal)
    for row in rows:
        actual[row["payer_id"]].append(row)
        balances[row["payer_id"]] += row["amount"]
        out.same("chain", f"balance_after of entry {row['entry_id']} of {row['payer_id']}",
                 balances[row["payer_id"]], row["balance_after"])
    for payer in sorted(expected.keys() | actual.keys()):
        ours, theirs = expected[payer], actual[payer]
        if not strict:
            order = (lambda x: (x.source or "", x.id or "", x.type),
                     lambda r: (r["event_source"] or "", r["event_id"] or "", r["type"]))
            ours, theirs = sorted(ours, key=order[0]), sorted(theirs, key=order[1])
        _missing_entries(out, payer, ours, theirs, books.unknown == "open")
        for entry, row in zip(ours, theirs):
            if (entry.type, entry.id) != (row["type"], row["event_id"]) and entry.source is not None:
                out.add("ledger", f"{payer}: expected {entry.type} of {entry.source} {entry.id}, found"
                        f" {row['type']} of {row['event_source']} {row['event_id']} (first of its payer)")
                break
            _entry(out, entry, row, by_id, strict)


def _missing_entries(out, payer, ours, theirs, opened_by_usage):
    # whether the grants of an account that usage opened name that usage is not said
    skip = {"grant"} if opened_by_usage else ()
    mine = Counter((e.type, e.source, e.id) for e in ours if e.source is not None and e.type not in skip)
    found = Counter((r["type"], r["event_source"], r["event_id"]) for r in theirs
                    if r["event_source"] is not None and r["type"] not in skip)
    for what in (mine - found):
        out.add("ledger", f"{payer}: {what} is missing")
    for what in (found - mine):
        out.add("ledger", f"{payer}: {what} should not be there")
    out.same("ledger", f"{payer}: number of entries", len(ours), len(theirs))


def _entry(out, entry, row, by_id, strict):
    what = f"entry {row['entry_id']} ({entry.type} of {entry.source} {entry.id})"

    def same(name, expected, actual):
        out.same("ledger", f"{what}: {name}", expected, actual)

    same("account_id", entry.account, row["account_id"])
    same("unit", entry.unit, row["unit"])
    same("late", entry.late, row["late"])
    if strict:
        same("amount", entry.amount, row["amount"])
        same("balance_after", entry.balance_after, row["balance_after"])
        same("plan", entry.plan, row["plan"])
    if strict and entry.source is not None:
        times = {entry.occurred_us} | ({entry.corrects.occurred_us} if entry.corrects else set())
        if as_us(row["occurred_at"]) not in times:
            same("occurred_at", entry.occurred_us, as_us(row["occurred_at"]))
    if not entry.usage:
        for name in ("reference", "reason"):
            same(name, getattr(entry, name), row[name])
        return
    usage = entry.usage
    for name in ("service", "model", "metric"):
        same(name, getattr(usage, name), row[name])
    same("quantity", entry.quantity, row["quantity"])
    same("cost", entry.total_cost, row["cost"])
    if entry.total_cost is not None:
        same("currency", entry.cost.currency, row["currency"])
    _components(same, entry, read_json(row["components"]) or {})
    if entry.type == "void":
        original = by_id.get(row["corrects"], {})
        same("corrects", (entry.corrects.source, entry.corrects.id),
             (original.get("event_source"), original.get("event_id")))
        return
    if row["price_source"] not in PRICE_SOURCES[entry.cost.source]:
        same("price_source", entry.cost.source, row["price_source"])
    for name in ("user", "thread", "execution", "agent"):
        same(name, getattr(usage, name), row[f"{name}_id"])
    same("metadata", read_json(usage.metadata), read_json(row["metadata"]))


def _components(same, entry, found):
    names = entry.usage.components
    same("components", sorted(names), sorted(found))
    for name in names.keys() & found.keys():
        part = found[name]
        same(f"quantity of component {name!r}", names[name] * entry.sign,
             _decimal(part.get("quantity")))
        cost = entry.cost.components[name]
        # what the event or byok says of the whole is not said of the components
        if cost is not None and entry.cost.source in ("catalog", "file"):
            same(f"cost of component {name!r}", cost * entry.sign, _decimal(part.get("cost")))


def _decimal(value):
    return None if value is None else Decimal(value)


# ---- summaries ----

_COLUMNS = ("purchased", "granted", "refunded", "adjusted", "settled", "spent", "expired")


def _balances(out, books, db):
    rows = {row["account_id"]: row
            for row in db.rows("account_id unit balance " + " ".join(_COLUMNS), "api.balance")}
    for name, payer in books.payers.items():
        if books.accounts[name].parent:
            rows.pop(name, None)    # its balance stays; whether a row shows it is not said
            continue
        row = rows.pop(name, None)
        if row is None:
            out.add("balance", f"{name} has no row")
            continue
        out.same("balance", f"{name}: unit", payer.unit, row["unit"])
        out.same("balance", f"{name}: balance", payer.balance, row["balance"])
        for column in _COLUMNS:
            out.same("balance", f"{name}: {column}", payer.columns[column], row[column])
    for name in rows:
        out.add("balance", f"{name} should have no row")


def _usage(out, books, db, strict):
    rows = {(r["account_id"], r["metric"], r["period"], r["period_start"]): r for r in db.rows(
        "account_id metric period period_start used included percent currency cost unit charge"
        " overage_quantity overage_charge", "api.usage")}
    for payer in books.payers.values():
        if books.accounts[payer.id].parent:
            rows = {key: row for key, row in rows.items() if key[0] != payer.id}
            continue
        plan = books.catalogue.plans[books.accounts[payer.id].plan]
        for (metric, period), month in payer.months.items():
            row = rows.pop((payer.id, metric, "month", period), None)
            what = f"{payer.id} {metric} {period}"
            if row is None:
                out.add("usage", f"{what}: no row")
            else:
                _usage_row(out, what, plan.quotas.get(metric), month, row)
        for (metric, day), used in payer.days.items():
            row = rows.pop((payer.id, metric, "day", day), None)
            what = f"{payer.id} {metric} day {day}"
            if row is None and (metric, day) in payer.limited_days and strict:
                out.add("usage", f"{what}: no row")
            elif row is not None:
                if strict:
                    out.same("usage", f"{what}: used", used, row["used"])
                if metric in plan.day_limits:
                    out.same("usage", f"{what}: included", plan.day_limits[metric], row["included"])
                    if row["percent"] is not None and strict:
                        out.same("usage", f"{what}: percent (at 6 places)",
                                 _percent(used, plan.day_limits[metric]), _percent(row["percent"], 100))
    for key, row in rows.items():
        if row["used"] or row["charge"] or row["cost"]:
            out.add("usage", f"{key} should not be there")


def _usage_row(out, what, quota, month, row):
    for name in ("used", "cost", "charge", "overage_charge"):
        out.same("usage", f"{what}: {name}", getattr(month, name), row[name] or ZERO)
    included = quota.included if quota else None
    out.same("usage", f"{what}: included", included, row["included"])
    if quota:
        out.same("usage", f"{what}: overage_quantity", max(ZERO, month.used - included),
                 row["overage_quantity"])
    out.same("usage", f"{what}: percent (at 6 places)", _percent(month.used, included),
             None if row["percent"] is None else _percent(row["percent"], 100))


def _percent(used, included):
    """100 x used / included in millionths, half-even; None where that is null."""
    return round(Fraction(used) * 10 ** 8 / Fraction(included)) if included else None


def _usage_daily(out, books, db, strict):
    rows = db.rows("account_id day metric service model component quantity cost charge events",
                   "api.usage_daily")
    found, sums = defaultdict(lambda: [ZERO, ZERO, ZERO, 0]), defaultdict(lambda: [ZERO] * 3)
    for row in rows:
        group = (row["account_id"], row["day"], row["metric"], _any(row["service"]), _any(row["model"]))
        figures = [row["quantity"], row["cost"] or ZERO, row["charge"] or ZERO, row["events"]]
        for at, figure in enumerate(figures):
            found[group + (row["component"] or "",)][at] += figure
        sums[group] = [a + b for a, b in zip(sums[group], figures)]
    ours = defaultdict(lambda: [ZERO] * 3)
    for group, figures in books.daily_sums.items():
        ours[group[:3] + (_any(group[3]), _any(group[4]))] = list(figures)
    if not strict:
        # which copy of a resent event was booked, and which entry straddles, is not determined
        ours, sums = _without_day(ours), _without_day(sums)
    for group in sorted(ours.keys() | sums.keys(), key=repr):
        out.same("usage_daily", f"{group} (quantity, cost, charge)", [plain(x) for x in ours[group]],
                 [plain(x) for x in sums[group]])
    if strict:
        _daily_components(out, books, found)


def _daily_components(out, books, found):
    for key, row in books.daily.items():
        key = key[:3] + (_any(key[3]), _any(key[4]), key[5])
        quantity, cost, charge, events = found.get(key, (ZERO, ZERO, ZERO, 0))
        out.same("usage_daily", f"{key}: quantity", row.quantity, quantity)
        if not row.has_voids:
            out.same("usage_daily", f"{key}: events", row.events, events)
        if row.cost_known:
            out.same("usage_daily", f"{key}: cost", row.cost, cost)
        # which component is the last is not said: shares may differ by their rounding
        if row.charge_known and abs(row.charge - charge) > TINY * 16 * row.events:
            out.same("usage_daily", f"{key}: charge", row.charge, charge)


def _any(text):
    return text or ""


def _without_day(groups):
    out = defaultdict(lambda: [ZERO] * 3)
    charges = defaultdict(Decimal)
    for (account, _, metric, service, model), (quantity, cost, charge) in groups.items():
        key = (account, metric, service, model)
        out[key] = [out[key][0] + quantity, out[key][1] + cost, ZERO]
        charges[metric] += charge
    for metric, charge in charges.items():
        out["all accounts", metric] = [ZERO, ZERO, charge]
    return out


def _accounts(out, books, db):
    rows = {row["account_id"]: row for row in db.rows(
        "account_id payer_id name plan unit charged byok", "api.account")}
    out.same("account", "ids", sorted(books.accounts), sorted(rows))
    for account in books.accounts.values():
        row = rows.get(account.id)
        if row is None:
            continue
        out.same("account", f"{account.id}: payer_id", account.payer, row["payer_id"])
        out.same("account", f"{account.id}: name", account.name, row["name"])
        out.same("account", f"{account.id}: charged", account.charged, row["charged"])
        out.same("account", f"{account.id}: byok", sorted(account.byok), sorted(row["byok"] or []))
        if not account.parent:
            out.same("account", f"{account.id}: plan", account.plan, row["plan"])
            out.same("account", f"{account.id}: unit", books.payers[account.id].unit, row["unit"])


# ---- messages ----

def _positions(out, books, db, strict):
    rows = {(r["topic"], r["partition"]): r for r in db.rows(
        "topic partition next_offset " + " ".join(COUNTS), "api.position")}
    total, found = Counter(), Counter()
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
            total[name] += counts[name]
            found[name] += row[name]
            if strict:
                out.same("position", f"{key}: {name}", counts[name], row[name])
    for name in COUNTS:
        # without the observed order, what is parked and released cannot be told from what is booked
        if not strict and name in ("booked", "parked"):
            continue
        out.same("position", f"all partitions: {name}", total[name], found[name])
    if not strict:
        out.same("position", "all partitions: booked and parked", total["booked"] + total["parked"],
                 found["booked"] + found["parked"])
    for key, row in rows.items():
        if sum(row[name] for name in COUNTS):
            out.add("position", f"{key} has counts, but no message was sent there")


def _rejected(out, books, db, strict):
    rows = {(r["topic"], r["partition"], r["offset"]): r for r in db.rows(
        "topic partition offset reason key value", "api.rejected")}
    for message, reason in books.rejected:
        row = rows.pop(message.position, None)
        what = f"{message.position} {message.note}"
        if row is None:
            out.add("rejected", f"{what}: expected {reason}, found no row")
            continue
        out.same("rejected", f"{what}: reason", reason, row["reason"])
        key = row["key"].encode() if isinstance(row["key"], str) else _bytes(row["key"])
        out.same("rejected", f"{what}: key", message.key, key)
        if _bytes(row["value"]) != message.value:
            out.add("rejected", f"{what}: the value differs")
    for position, row in rows.items():
        out.add("rejected", f"{position} should not be there ({row['reason']})")


def _parked(out, books, db):
    rows = [row for row in db.rows("topic partition offset reason account_id event_source event_id"
                                   " released_at", "api.parked") if row["released_at"] is None]
    expected = Counter((row.event.source, row.event.id, row.event.subject, row.reason)
                       for row in books.parked if not row.released and not row.voided)
    found = Counter((r["event_source"], r["event_id"], r["account_id"], r["reason"]) for r in rows)
    for what in expected - found:
        out.add("parked", f"{what} is missing")
    for what in found - expected:
        out.add("parked", f"{what} should not be there")


# ---- alerts ----

def _alerts(out, books, db, sent, strict):
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
    _alert_sets(out, "api.alert", expected, found, strict)
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
    _alert_sets(out, "alerts topic", expected, topic, strict)
    if strict:
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
    return (kind, key, event, data.get("metric"), data.get("period_start"), str(data.get("threshold")))


def _alert_sets(out, kind, expected, found, strict):
    if not strict:
        # thresholds as a set; balance alerts around a top-up may differ
        keep = [[(k, s, None, {**d, "event_id": None}) for k, s, _, d in alerts
                 if k in ("usage.threshold.reached", "price.missing")] for alerts in (expected, found)]
        expected, found = keep
        mine, theirs = ({_alert_key(*alert) for alert in alerts} for alerts in keep)
    else:
        mine, theirs = (Counter(_alert_key(*alert) for alert in alerts)
                        for alerts in (expected, found))
    for what in mine - theirs:
        out.add(kind, f"{what} is missing")
    for what in theirs - mine:
        out.add(kind, f"{what} should not be there")
    if not strict:
        return
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
                groups[key].append((kind, event, data.get("metric") or "", str(data.get("threshold"))))
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

def _dead_letters(out, books, sent, strict):
    expected = {message.position: (message, reason) for message, reason in books.rejected}
    seen = Counter()
    for key, value, headers in sent:
        first = {}
        for name, content in reversed(headers):
            first[name] = content
        try:
            position = (first["__connect.errors.topic"].decode(),
                        int(first["__connect.errors.partition"]), int(first["__connect.errors.offset"]))
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
        out.same("deadletter", f"{what}: debitd-reason", reason.encode(), first.get("debitd-reason"))
        for name in ("debitd-detail", "__connect.errors.exception.message"):
            if name not in first:
                out.add("deadletter", f"{what}: header {name} is missing")
        own = [(n, _bytes(c)) for n, c in message.headers or []]
        kept = [(n, _bytes(c)) for n, c in headers if (n, _bytes(c)) in own]
        out.same("deadletter", f"{what}: the headers of the original", own, kept)
    for position, (message, reason) in expected.items():
        if seen[position] != 1:
            out.add("deadletter", f"{position} {message.note} ({reason}) is there {seen[position]} times")
