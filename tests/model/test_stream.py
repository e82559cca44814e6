"""Properties of whole streams, and that the comparison finds what it should."""
import random
from decimal import Decimal

import pytest

from .bench import NOW
from .books import COUNTS, Books
from .catalogue import shipped
from .compare import compare, judge
from .generator import Account, Generator, generate
from .mirror import Mirror, dead_letters
from .replay import Observed, replay


def booked(messages):
    return Books(shipped(), NOW).run(messages)


def interleaved(messages, seed):
    """Another order that keeps phases and the order of each partition."""
    out, draw = [], random.Random(seed)
    for phase in sorted({m.phase for m in messages}):
        queues = {}
        for message in messages:
            if message.phase == phase:
                queues.setdefault((message.topic, message.partition), []).append(message)
        queues = [queue[::-1] for queue in queues.values()]
        while queues:
            queue = draw.choice(queues)
            for _ in range(draw.choice((1, 1, 5, 40))):
                if queue:
                    out.append(queue.pop())
            queues = [q for q in queues if q]
    return out


@pytest.fixture(scope="module")
def stream():
    return generate(3, 3000, 3, NOW)


def test_the_same_seed_gives_the_same_messages():
    assert generate(5, 400, 2, NOW) == generate(5, 400, 2, NOW)
    assert generate(5, 400, 2, NOW) != generate(6, 400, 2, NOW)


def test_poison_and_only_poison_is_rejected_with_the_code_in_its_name(stream):
    books, codes = Books(shipped(), NOW), set()
    for message in stream:
        outcome = books.apply(message)
        if message.note.startswith("poison"):
            assert outcome == "rejected:" + message.note.split()[1], message
        elif message.note in ("id reused", "voided already"):
            assert outcome in ("rejected:id_reused", "rejected:already_voided"), message
        else:
            assert not outcome.startswith("rejected"), message
        codes.add(outcome.removeprefix("rejected:"))
    assert codes >= {"too_large", "malformed_json", "not_a_cloudevent", "bad_attribute",
                     "unknown_type",
                     "bad_time", "time_in_future", "too_old", "bad_data", "bad_quantity",
                     "out_of_range",
                     "id_reused", "unknown_event", "already_voided", "unknown_plan",
                     "unknown_package",
                     "unit_mismatch", "duplicates", "skipped", "parked:unknown_account",
                     "parked:unknown_metric", "parked:unpriced"}


def test_the_stream_raises_every_alert_of_the_model(stream):
    assert {alert.type for alert in booked(stream).alerts} == {
        "usage.threshold.reached", "balance.low", "balance.exhausted", "balance.recovered",
        "price.missing"}


@pytest.mark.parametrize("seed", range(4))
def test_every_message_is_counted_once_and_every_chain_is_whole(seed):
    messages = generate(seed, 700, 2, NOW, big=False)
    books = booked(messages)
    counted = [counts[name] for counts in books.positions.values() for name in COUNTS]
    assert sum(counted) == len(messages)
    balances = {}
    for entry in books.entries:
        balances[entry.payer] = balances.get(entry.payer, 0) + entry.amount
        assert entry.balance_after == balances[entry.payer]
    for payer in books.payers.values():
        c = payer.columns
        assert payer.balance == balances.get(payer.id, 0) == (
            c["purchased"] + c["granted"] + c["refunded"] + c["adjusted"] + c["settled"]
            - c["spent"] - c["expired"])
        assert c["spent"] == sum(month.charge for month in payer.months.values())
    for at, total in enumerate((
            sum(e.quantity for e in books.entries if e.usage),
            sum(e.total_cost or 0 for e in books.entries if e.usage),
            -sum(e.amount for e in books.entries if e.usage))):
        assert sum(sums[at] for sums in books.daily_sums.values()) == total


@pytest.mark.parametrize("seed", range(4))
def test_another_interleaving_gives_the_same_totals(seed):
    messages = generate(seed, 700, 3, NOW, cross_resends=False, big=False)
    first, second = booked(messages), booked(interleaved(messages, seed))
    assert first.entries != second.entries
    for name, payer in first.payers.items():
        other = second.payers[name]
        assert (payer.balance, payer.columns) == (other.balance, other.columns)
        assert {k: v for k, v in payer.months.items()} == {k: v for k, v in other.months.items()}
    assert first.daily_sums.keys() == second.daily_sums.keys()

    def thresholds(books):
        return {(a.key, a.metric, a.threshold) for a in books.alerts if a.type.startswith("usage")}
    assert thresholds(first) == thresholds(second)


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_in_observed_order_gives_the_same_books(stream, seed):
    first = booked(interleaved(stream, seed))
    second = Books(shipped(), NOW)
    assert replay(second, stream, Observed.of(first)) == []
    assert second.positions == first.positions
    assert {p.id: (p.balance, p.columns) for p in first.payers.values()} == {
        p.id: (p.balance, p.columns) for p in second.payers.values()}
    by_payer = [{}, {}]
    for found, books in zip(by_payer, (first, second)):
        for e in books.entries:
            found.setdefault(e.payer, []).append((e.type, e.id, e.amount, e.balance_after))
    assert by_payer[0] == by_payer[1]


def test_faultless_books_have_no_difference(stream):
    daemon = booked(interleaved(stream, 1))
    mirror = Mirror(daemon)
    assert judge(Books(shipped(), NOW), stream, mirror, mirror.alerts(), dead_letters(daemon)) == []


def copies(fate):
    """An event and its copy on another partition of which one was counted as `fate` says; the opening first."""
    out = Generator(1, 2, NOW)
    account = Account("acct-1", "payg", "acct-1")
    if fate != "released":
        out.open(account)
    out.phase = 1
    metric = "unicorns" if fate in ("parked", "voided") else "requests"
    for partition in (0, 1):
        out.event("usage", "usage.recorded", account.id, f'{{"metric":"{metric}","quantity":3}}',
                  "u-1", partition=partition)
    out.phase = 2
    if fate == "voided":
        out.event("usage", "usage.voided", account.id, '{"id":"u-1"}', partition=0)
    if fate == "released":
        out.open(account)
    return out.messages


@pytest.mark.parametrize("first", (0, 1))
@pytest.mark.parametrize("fate", ("booked", "parked", "voided", "released"))
def test_a_copy_on_another_partition_is_judged_by_which_was_first(fate, first):
    messages, second = copies(fate), 1 - first
    daemon = booked(sorted(messages, key=lambda m: (
        m.phase, m.kind == "usage" and m.partition != first)))
    taken = "booked" if fate == "booked" else "parked"

    def found(*changes):
        mirror = Mirror(daemon)
        rows = {(row["topic"], row["partition"]): row for row in mirror.views["api.position"]}
        for partition, name, by in changes:
            rows["usage.events", partition][name] += by
        return judge(Books(shipped(), NOW), messages, mirror, mirror.alerts(), dead_letters(daemon))
    assert found() == []
    assert found((first, taken, 1))
    assert found((second, "duplicates", -1))
    assert found((first, taken, -1), (first, "duplicates", 1))
    # the sums of the partitions are right, and so is that of each
    assert found((first, taken, -1), (first, "duplicates", 1),
                 (second, "duplicates", -1), (second, taken, 1))


def test_the_row_of_a_parked_event_that_was_voided_may_be_gone(stream):
    daemon = booked(stream)
    mirror = Mirror(daemon)
    voided = {row.message.position for row in daemon.parked if row.voided}
    assert voided
    rows = mirror.views["api.parked"]
    rows[:] = [r for r in rows if (r["topic"], r["partition"], r["offset"]) not in voided]
    assert judge(Books(shipped(), NOW), stream, mirror, mirror.alerts(), dead_letters(daemon)) == []


def _change(view, column, change, fitting=lambda row: True):
    def fault(mirror, alerts, letters):
        row = next(row for row in reversed(mirror.views[view]) if fitting(row))
        row[column] = change(row[column])
    return fault


def _drop(view, fitting=lambda row: True):
    def fault(mirror, alerts, letters):
        rows = mirror.views[view]
        rows.remove(next(row for row in reversed(rows) if fitting(row)))
    return fault


def _on(which, change):
    def fault(mirror, alerts, letters):
        change(alerts if which == "alerts" else letters)
    return fault


def _swap_thresholds(alerts):
    at = next(i for i in range(len(alerts) - 1) if alerts[i][0] == alerts[i + 1][0] != b"platform"
              and b'"threshold": 80' in alerts[i][1] and b'"threshold": 100' in alerts[i + 1][1])
    alerts[at], alerts[at + 1] = alerts[at + 1], alerts[at]


def _lose_header(letters):
    headers = next(h for _, _, h in reversed(letters) if any(name == "ce_type" for name, _ in h))
    headers.remove(next(header for header in headers if header[0] == "ce_type"))


def _usage_row(row):
    return row["type"] == "usage" and row["amount"] and row["cost"]


TINY = Decimal("1e-12")
FAULTS = {
    "an amount": _change("api.ledger", "amount", lambda x: x - TINY, _usage_row),
    "a balance_after": _change("api.ledger", "balance_after", lambda x: x + TINY),
    "a cost": _change("api.ledger", "cost", lambda x: x + TINY, _usage_row),
    "a quantity": _change("api.ledger", "quantity", lambda x: x + TINY, _usage_row),
    "a component": _change("api.ledger", "components", lambda x: x.replace("input", "inputs"),
                           lambda row: "input" in (row["components"] or "")),
    "a model": _change("api.ledger", "model", lambda x: "other", _usage_row),
    "a plan": _change("api.ledger", "plan", lambda x: "other"),
    "metadata": _change("api.ledger", "metadata", lambda x: '{"a":1}', lambda row: row["metadata"]),
    "a missing entry": _drop("api.ledger", _usage_row),
    "what a void corrects": _change("api.ledger", "corrects", lambda x: 1,
                                    lambda row: row["corrects"]),
    "a balance": _change("api.balance", "balance", lambda x: x + TINY),
    "a column of a balance": _change("api.balance", "granted", lambda x: x + TINY),
    "a missing balance": _drop("api.balance"),
    "used": _change("api.usage", "used", lambda x: x + TINY),
    "percent": _change("api.usage", "percent", lambda x: x + Decimal("0.000001"),
                       lambda r: r["percent"] is not None),
    "overage": _change("api.usage", "overage_charge", lambda x: x + TINY,
                       lambda r: r["overage_charge"]),
    "a day's cost": _change("api.usage_daily", "cost", lambda x: x + TINY),
    "a day": _drop("api.usage_daily"),
    "a count": _change("api.position", "duplicates", lambda x: x + 1),
    "a lost offset": _change("api.position", "booked", lambda x: x - 1),
    "a reason": _change("api.rejected", "reason", lambda x: "bad"),
    "a rejected value": _change("api.rejected", "value", lambda x: x + b" "),
    "a missing rejection": _drop("api.rejected"),
    "where a parked event stood": _change("api.parked", "offset", lambda x: x + 1,
                                          lambda r: not r["released_at"]),
    "a parked reason": _change("api.parked", "reason", lambda x: "bad",
                               lambda r: not r["released_at"]),
    "an alert not raised": _drop("api.alert"),
    "a payer": _change("api.account", "payer_id", lambda x: "other"),
    "an alert twice": _on("alerts", lambda alerts: alerts.append(alerts[0])),
    "an alert not sent": _on("alerts", lambda alerts: alerts.pop()),
    "100 before 80": _on("alerts", _swap_thresholds),
    "an alert's key": _on("alerts", lambda alerts: alerts.append((b"x",) + alerts.pop()[1:])),
    "a number where a string must be": _on("alerts", lambda alerts: alerts.append(
        next((k, v.replace(b'"used": "', b'"used": "0'), h) for k, v, h in
             [alerts.pop(next(i for i, a in enumerate(alerts) if b'"used"' in a[1]))]))),
    "a dead letter twice": _on("letters", lambda letters: letters.append(letters[0])),
    "a dead letter not sent": _on("letters", lambda letters: letters.pop()),
    "a byte of a dead letter": _on("letters", lambda letters: letters.append(
        (lambda k, v, h: (k, v + b" ", h))(*letters.pop()))),
    "a header of the original": _on("letters", _lose_header),
}


@pytest.fixture(scope="module")
def small():
    return generate(11, 900, 2, NOW, big=False)


@pytest.mark.parametrize("name", FAULTS)
def test_the_comparison_finds_a_wrong(small, name):
    books = booked(small)
    mirror = Mirror(books)
    alerts, letters = mirror.alerts(), dead_letters(books)
    FAULTS[name](mirror, alerts, letters)
    assert compare(books, mirror, alerts, letters)


def test_an_entry_booked_twice_or_out_of_order_is_found(small):
    daemon = booked(small)
    twice = Mirror(daemon)
    row = dict(twice.views["api.ledger"][-1])
    row["entry_id"] += 1
    twice.views["api.ledger"].append(row)
    assert judge(Books(shipped(), NOW), small, twice, twice.alerts(), dead_letters(daemon))
    swapped = Mirror(daemon)
    rows = swapped.views["api.ledger"]
    first, second = (rows[-1], next(r for r in reversed(rows[:-1]) if (
        r["payer_id"], r["account_id"]) == (rows[-1]["payer_id"], rows[-1]["account_id"])))
    first["entry_id"], second["entry_id"] = second["entry_id"], first["entry_id"]
    assert judge(Books(shipped(), NOW), small, swapped, swapped.alerts(), dead_letters(daemon))
