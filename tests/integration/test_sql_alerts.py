"""Alert rules and the builder of alerts in SQL (contract 4). The golden files are those that the rules in C are held against."""

import json
import re
import uuid

import pytest

from tests.integration.sql_books import golden, numbers, utc

TYPES = {"low": "balance.low", "exhausted": "balance.exhausted", "recovered": "balance.recovered"}


# ---------------------------------------------------------------- rules

def test_balance_alerts_are_raised_as_the_golden_file_says(books):
    cases = golden("balance_alerts.txt")
    assert len(cases) > 20
    for kind, low, before, after, charged, raised in cases:
        found = books.one("SELECT debitd.balance_alerts(%s, %s, %s, %s, %s)", kind, low, before, after, charged == "yes")
        assert found == [TYPES[name] for name in (raised or "").split(",") if name], (kind, low, before, after, charged)


def test_thresholds_are_raised_as_the_golden_file_says(books):
    cases = golden("thresholds.txt")
    assert len(cases) > 15
    for included, thresholds, before, after, raised in cases:
        found = books.one("SELECT debitd.crossed_thresholds(%s::numeric[], %s, %s, %s, %s)", numbers(thresholds), included, before,
                          included, after)
        assert found == numbers(raised), (included, thresholds, before, after)


def test_plan_changes_raise_thresholds_as_the_golden_file_says(books):
    cases = golden("plan_changes.txt")
    assert len(cases) > 10
    for before, after, thresholds, used, raised in cases:
        found = books.one("SELECT debitd.crossed_thresholds(%s::numeric[], %s, %s, %s, %s)", numbers(thresholds), before, used, after, used)
        assert found == numbers(raised), (before, after, thresholds, used)


def test_percent_is_as_the_golden_file_says(books):
    for used, included, percent in golden("percent.txt"):
        assert books.one("SELECT debitd.plain(debitd.percent(%s, %s))", used, included) == percent, (used, included)


# ---------------------------------------------------------------- raised by operations

def balance_alert(kind, balance, threshold, event, unit="USD"):
    return (f"balance.{kind}", {"unit": unit, "balance": balance, "threshold": threshold, "event_source": "/test", "event_id": event})


def test_an_adjustment_that_is_low_and_exhausts_raises_both_low_first(books):
    books.done("account.opened", "a", plan="payg")
    books.done("credits.adjusted", "a", id="x", amount="-10.5")
    assert books.alerts("a") == [balance_alert("low", "-0.5", "1", "x"), balance_alert("exhausted", "-0.5", "0", "x")]


def test_recovered_is_raised_only_after_a_charge(books):
    books.done("account.opened", "a", plan="payg")
    books.done("credits.adjusted", "a", amount="-9.5")
    books.done("credits.purchased", "a", amount="5")
    assert [kind for kind, _ in books.alerts("a")] == ["balance.low"]
    books.done("credits.adjusted", "a", amount="-5")
    books.sql.execute("UPDATE debitd.payer SET has_charge = true")
    books.done("credits.purchased", "a", id="x", amount="0.5")
    assert books.alerts("a")[-1] == balance_alert("recovered", "1", "1", "x")


def test_a_package_recovers_once_by_the_entry_that_does(books):
    books.sql.execute("UPDATE debitd.plan SET low_balance = 1200 WHERE credits_per_period = 100")
    books.done("account.opened", "a", plan="free")
    books.sql.execute("UPDATE debitd.payer SET has_charge = true")
    books.done("credits.purchased", "a", package="basic", id="x")
    assert books.alerts("a") == [balance_alert("recovered", "5100", "1200", "x", unit="CREDIT")]


def test_a_postpaid_plan_raises_no_balance_alerts(books):
    books.done("account.opened", "a", plan="small")
    books.done("credits.adjusted", "a", amount="5")
    books.done("credits.adjusted", "a", amount="-50")
    assert books.alerts("a") == []


def test_a_childs_credits_raise_the_payers_alerts(books):
    books.done("account.opened", "p", plan="payg")
    books.done("account.opened", "c", parent="p")
    books.done("credits.adjusted", "c", id="x", amount="-9.5")
    assert books.alerts("p") == [balance_alert("low", "0.5", "1", "x")]
    assert books.alerts("c") == []


def threshold_alert(books, metric, threshold, used, included, percent, event):
    return ("usage.threshold.reached",
            {"metric": metric, "period": "month", "period_start": str(books.one("SELECT month FROM debitd.books")),
             "threshold": threshold, "used": used, "included": included, "percent": percent,
             "event_source": "/test", "event_id": event})


def test_a_smaller_plan_raises_the_thresholds_that_are_reached_by_it(books):
    books.done("account.opened", "a", plan="large")
    books.use("a", "signatures", "4.5")  # 9 % of 50, 90 % of 5
    books.use("a", "sms", "1")           # 0.5 % of 200; nothing included now
    books.use("a", "ai_tokens", "1000")  # no quota
    entry = books.event("plan.assigned", "a", {"plan": "small"}, id="x")[3]
    assert entry is None
    assert books.alerts("a") == [
        threshold_alert(books, "signatures", 80, "4.5", "5", "90", "x"),
        threshold_alert(books, "sms", 80, "1", "0", None, "x"), threshold_alert(books, "sms", 100, "1", "0", None, "x")]
    assert books.rows("SELECT DISTINCT entry_id FROM debitd.alert") == [{"entry_id": None}]
    books.done("plan.assigned", "a", plan="small")
    books.done("plan.assigned", "a", plan="large")
    assert len(books.alerts("a")) == 3


def test_a_metric_that_had_no_quota_counts_from_zero(books):
    books.done("account.opened", "a", plan="bare")
    books.use("a", "signatures", "7")
    books.done("account.updated", "a", id="x", plan="small")
    assert books.alerts("a") == [threshold_alert(books, "signatures", 80, "7", "5", "140", "x"),
                                 threshold_alert(books, "signatures", 100, "7", "5", "140", "x")]


def test_what_was_used_in_another_month_raises_nothing(books):
    books.done("account.opened", "a", plan="large")
    books.use("a", "signatures", "9", month="2025-03-01")
    books.done("plan.assigned", "a", plan="small")
    assert books.alerts("a") == []


def test_thresholds_of_a_plan_change_precede_the_balance_alerts_of_its_grants(books):
    books.sql.execute("UPDATE debitd.plan SET low_balance = 500 WHERE credits_per_period = 2500")
    books.sql.execute("""INSERT INTO debitd.plan_quota (plan_id, metric_id, included)
                         SELECT p.plan_id, n.name_id, 5 FROM debitd.plan p, debitd.name n
                          WHERE p.credits_per_period = 2500 AND n.name = 'signatures'""")
    books.done("account.opened", "a", plan="free")
    books.use("a", "signatures", "4")
    books.sql.execute("UPDATE debitd.payer SET has_charge = true")
    books.done("plan.assigned", "a", id="x", plan="pro")
    assert books.alerts("a") == [threshold_alert(books, "signatures", 80, "4", "5", "80", "x"),
                                 balance_alert("recovered", "2500", "500", "x", unit="CREDIT")]


# ---------------------------------------------------------------- the builder

def raise_alerts(books, *alerts, at=utc(2026, 11, 20, 12, 34, 56, 789000), connection=None):
    """raise_alerts() with one dict an alert."""
    columns = (("seq", "bigint"), ("type", "text"), ("payer_id", "bigint"), ("metric_id", "integer"), ("period_start", "date"),
               ("threshold", "numeric"), ("entry_id", "bigint"), ("used", "numeric"), ("included", "numeric"), ("balance", "numeric"),
               ("source", "text"), ("event_id", "text"), ("service", "text"), ("model", "text"), ("metric", "text"), ("component", "text"))
    arrays = [[alert.get(name, i if name == "seq" else None) for i, alert in enumerate(alerts)] for name, _ in columns]
    return (connection or books.sql).execute(
        f"SELECT debitd.raise_alerts({', '.join(f'%s::{kind}[]' for _, kind in columns)}, %s)", [*arrays, at]).fetchone()[0]


def threshold(books, **changed):
    return {"type": "usage.threshold.reached", "payer_id": books.account("a")["account_id"], "period_start": "2026-11-01",
            "threshold": "80", "entry_id": 7, "used": "4.0", "included": "5.000", "source": "/services/sign", "event_id": "e-1",
            "metric": "signatures", **changed}


def missing(**changed):
    return {"type": "price.missing", "metric": "ai_tokens", "service": "openai", "component": "input", "source": "s", "event_id": "e",
            **changed}


@pytest.fixture
def opened(books):
    books.done("account.opened", "a", plan="payg")
    return books


def test_the_event_of_a_threshold_is_that_of_the_contract(opened):
    assert raise_alerts(opened, threshold(opened)) == 1
    row = opened.rows("SELECT * FROM debitd.alert")[0]
    assert uuid.UUID(row["event"].pop("id")) == row["alert_id"]
    assert row["event"] == json.loads("""
        {"specversion":"1.0","source":"/debitd","type":"usage.threshold.reached","subject":"a","time":"2026-11-20T12:34:56.789000Z",
         "datacontenttype":"application/json",
         "data":{"metric":"signatures","period":"month","period_start":"2026-11-01","threshold":80,"used":"4","included":"5",
                 "percent":"80","event_source":"/services/sign","event_id":"e-1"}}""")
    assert (row["state"], row["published_at"], row["raised_at"]) == (0, None, utc(2026, 11, 20, 12, 34, 56, 789000))
    text = opened.one("SELECT event::text FROM debitd.alert")
    assert re.search(r'"threshold": 80[,}]', text)  # a JSON integer


def test_decimals_are_plain_and_shortest(opened):
    raise_alerts(opened, threshold(opened, used="1000000000000.500000", included="0.000001"))
    data = opened.one("SELECT event -> 'data' FROM debitd.alert")
    assert (data["used"], data["included"]) == ("1000000000000.5", "0.000001")


def test_the_same_alert_is_raised_once_and_every_part_of_its_rule_tells_it_from_others(opened):
    one = threshold(opened)
    assert raise_alerts(opened, one, one) == 1
    assert raise_alerts(opened, {**one, "used": "5", "entry_id": 8}, at=utc(2026, 11, 21)) == 0
    others = [{"threshold": "100"}, {"period_start": "2026-12-01"}, {"metric": "sms"}, {"event_id": "e-2"}, {"source": "/services/sig"},
              {"source": "/services/signe", "event_id": "-1"}, {"type": "balance.low"}, {"payer_id": None}]
    assert raise_alerts(opened, *[{**one, **other} for other in others]) == len(others)
    assert opened.one("SELECT raised_at FROM debitd.alert WHERE event #>> '{data,event_id}' = 'e-1' AND threshold = 80 "
                      "AND period_start = '2026-11-01' AND metric_id IS NULL AND type LIKE 'usage%%' AND payer_id IS NOT NULL "
                      "AND event #>> '{data,metric}' = 'signatures' AND event #>> '{data,event_source}' = '/services/sign'").day == 20


def test_alerts_of_no_event_are_told_apart_by_their_entries(opened):
    low = {"type": "balance.low", "payer_id": opened.account("a")["account_id"], "threshold": "1", "balance": "0.5"}
    assert raise_alerts(opened, {**low, "entry_id": 1}, {**low, "entry_id": 2}, {**low, "entry_id": 2}) == 2


def test_a_missing_price_is_told_once_a_day(opened):
    assert raise_alerts(opened, missing(), missing(source="t", event_id="f"), missing(component="output"),
                        missing(service=None, component="")) == 3
    assert raise_alerts(opened, missing(), at=utc(2026, 11, 20, 23, 59, 59)) == 0
    assert raise_alerts(opened, missing(), at=utc(2026, 11, 21)) == 1
    events = [row["event"] for row in opened.rows("SELECT event FROM debitd.alert ORDER BY raised_at, alert_seq")]
    assert {event["subject"] for event in events} == {"platform"}
    assert events[0]["data"] == {"service": "openai", "model": None, "metric": "ai_tokens", "component": "input",
                                 "event_source": "s", "event_id": "e"}
    assert (events[2]["data"]["service"], events[2]["data"]["component"]) == (None, "")


def test_no_alerts_are_no_alerts(opened):
    assert raise_alerts(opened) == 0
