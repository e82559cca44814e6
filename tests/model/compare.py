"""Compares the books of the model with the `api` views, the alerts topic and the dead letters.

compare() returns a list of differences, empty where all is as the contract says. The connection is
a psycopg one (only execute().fetchall() is used) that may read schema api. Alerts and dead letters
are (key, value, headers), objects with these attributes, or confluent messages.
"""
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction

from . import compare_messages
from .differences import Database, Differences, as_message, read_json
from .rating import ZERO, plain
from .records import as_us
from .replay import Observed, replay

TINY = Decimal("1e-12")
# names under which a daemon may say where a price is from
PRICE_SOURCES = {"catalog": ("catalog", "catalogue", None), "file": ("file",),
                 "event": ("event",), None: ("catalog", "catalogue", "none", "", None)}


def judge(books, messages, connection, alerts, deadletters):
    """Replays the messages in observed order and compares everything."""
    faults = replay(books, messages, Observed.read(connection))
    return faults + compare(books, connection, alerts, deadletters)


def compare(books, connection, alerts, deadletters):
    out = Differences()
    db = Database(connection)
    _ledger(out, books, db)
    _balances(out, books, db)
    _usage(out, books, db)
    _usage_daily(out, books, db)
    _accounts(out, books, db)
    compare_messages.positions(out, books, db)
    compare_messages.rejected(out, books, db)
    compare_messages.parked(out, books, db)
    compare_messages.alerts(out, books, db, [as_message(m) for m in alerts])
    compare_messages.dead_letters(out, books, [as_message(m) for m in deadletters])
    return out.lines()


# ---- ledger ----

_LEDGER = ("entry_id account_id payer_id type event_source event_id occurred_at service model"
           " metric quantity components! currency cost amount unit balance_after plan price_source"
           " late corrects reference reason user_id thread_id execution_id agent_id metadata!")


def _ledger(out, books, db):
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
        _missing_entries(out, payer, ours, theirs, books.unknown == "open")
        for entry, row in zip(ours, theirs):
            found = (row["type"], row["event_source"], row["event_id"])
            if entry.source is not None and (entry.type, entry.source, entry.id) != found:
                out.add("ledger", f"{payer}: expected {entry.type} of {entry.source} {entry.id},"
                        f" found {found} (the first of its payer)")
                break
            _entry(out, entry, row, by_id)


def _missing_entries(out, payer, ours, theirs, opened_by_usage):
    # whether the grants of an account that usage opened name that usage is not said
    skip = {"grant"} if opened_by_usage else ()
    mine = Counter((e.type, e.source, e.id) for e in ours
                   if e.source is not None and e.type not in skip)
    found = Counter((r["type"], r["event_source"], r["event_id"]) for r in theirs
                    if r["event_source"] is not None and r["type"] not in skip)
    for what in (mine - found):
        out.add("ledger", f"{payer}: {what} is missing")
    for what in (found - mine):
        out.add("ledger", f"{payer}: {what} should not be there")
    out.same("ledger", f"{payer}: number of entries", len(ours), len(theirs))


def _entry(out, entry, row, by_id):
    what = f"entry {row['entry_id']} ({entry.type} of {entry.source} {entry.id})"

    def same(name, expected, actual):
        out.same("ledger", f"{what}: {name}", expected, actual)

    same("account_id", entry.account, row["account_id"])
    same("unit", entry.unit, row["unit"])
    same("late", entry.late, row["late"])
    same("amount", entry.amount, row["amount"])
    same("balance_after", entry.balance_after, row["balance_after"])
    same("plan", entry.plan, row["plan"])
    if entry.source is not None:
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


def _usage(out, books, db):
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
            if row is None: # a month that was only looked into has none
                if month.used or month.cost or month.charge:
                    out.add("usage", f"{what}: no row")
            else:
                _usage_row(out, what, plan.quotas.get(metric), month, row)
        for (metric, day), used in payer.days.items():
            row = rows.pop((payer.id, metric, "day", day), None)
            what = f"{payer.id} {metric} day {day}"
            if row is None and (metric, day) in payer.limited_days:
                out.add("usage", f"{what}: no row")
            elif row is not None:
                out.same("usage", f"{what}: used", used, row["used"])
                if metric in plan.day_limits:
                    out.same("usage", f"{what}: included", plan.day_limits[metric], row["included"])
                    if row["percent"] is not None:
                        out.same("usage", f"{what}: percent (at 6 places)",
                                 _percent(used, plan.day_limits[metric]),
                                 _percent(row["percent"], 100))
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


def _usage_daily(out, books, db):
    rows = db.rows("account_id day metric service model component quantity cost charge events",
                   "api.usage_daily")
    found, sums = defaultdict(lambda: [ZERO, ZERO, ZERO, 0]), defaultdict(lambda: [ZERO] * 3)
    for row in rows:
        group = (row["account_id"], row["day"], row["metric"], _any(row["service"]),
                 _any(row["model"]))
        figures = [row["quantity"], row["cost"] or ZERO, row["charge"] or ZERO, row["events"]]
        for at, figure in enumerate(figures):
            found[group + (row["component"] or "",)][at] += figure
        sums[group] = [a + b for a, b in zip(sums[group], figures)]
    ours = defaultdict(lambda: [ZERO] * 3)
    for group, figures in books.daily_sums.items():
        ours[group[:3] + (_any(group[3]), _any(group[4]))] = list(figures)
    for group in sorted(ours.keys() | sums.keys(), key=repr):
        out.same("usage_daily", f"{group} (quantity, cost, charge)",
                 [plain(x) for x in ours[group]],
                 [plain(x) for x in sums[group]])
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
