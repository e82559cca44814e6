"""debitctl rate: events in, one JSON line each out, without a server. Sums are worked out by hand beside each case."""

import json
import subprocess
from decimal import Decimal
from random import Random

from tests.model import rating
from tests.model.catalogue import at, shipped
from tests.model.wire import Usage
from tests.rig.daemon import TOP, build_folder

SHIPPED = TOP / "etc" / "catalog.conf"


def usage(id, metric, subject="a", time="2026-11-20T12:00:00Z", type="usage.recorded", **data):
    event = {"specversion": "1.0", "type": type, "source": "/s", "id": str(id), "subject": subject, "time": time,
             "data": {"metric": metric, **data}}
    return {name: value for name, value in event.items() if value is not None}


def void(id, original, subject="a"):
    return {"specversion": "1.0", "type": "usage.voided", "source": "/s", "id": str(id), "subject": subject,
            "time": "2026-11-20T13:00:00Z", "data": {"id": str(original)}}


def run(*arguments, events=(), expect=0):
    lines = "".join((event if isinstance(event, str) else json.dumps(event)) + "\n" for event in events)
    ran = subprocess.run([build_folder() / "debitctl", "rate", *map(str, arguments)], input=lines.encode(errors="surrogateescape"),
                         capture_output=True, timeout=60, cwd=TOP)
    assert ran.returncode == expect, ran.stderr.decode()
    return [json.loads(line) for line in ran.stdout.decode().splitlines()] if expect == 0 else ran.stderr.decode()


def rate(plan, *events):
    return run("--catalog", SHIPPED, "--plan", plan, "--json", events=events)


def figures(lines):
    return [line.get("reason") or (line["cost"], line["charge"]) for line in lines]


def test_a_line_has_every_figure_as_text():
    # 512 x 0.15 / 1e6 = 0.0000768, 207 x 0.60 / 1e6 = 0.0001242; a credit is 0.01 USD
    assert rate("assistant-pro", usage(1, "ai_tokens", service="openai", model="gpt-4o-mini",
                                       quantities={"input": 512, "output": 207})) == [{
        "id": "1", "account": "a", "metric": "ai_tokens", "quantity": "719", "cost": "0.000201", "currency": "USD",
        "charge": "0.0201", "unit": "CREDIT", "components": {
            "input": {"quantity": "512", "cost": "0.0000768", "charge": "0.00768"},
            "output": {"quantity": "207", "cost": "0.0001242", "charge": "0.01242"}}}]


def test_quotas_count_from_zero_by_account_metric_and_month():
    lines = rate("quota-starter",  # 3 signatures included, 2.00 each beyond, at a cost of 1.00
                 usage(1, "signatures", service="signaturit", quantity=2),
                 usage(2, "signatures", service="signaturit", quantity=2),
                 usage(3, "signatures", service="signaturit", quantity=2, subject="b"),
                 usage(4, "signatures", service="signaturit", quantity=2, time="2026-12-01T00:00:00Z"),
                 usage(5, "signatures", service="signaturit", quantity="1", time="2026-11-30T23:59:59.999999Z"),
                 usage(6, "signatures", service="signaturit", quantity=1, time="2026-12-01T00:30:00+01:00"))
    assert figures(lines) == [("2", "0"), ("2", "2"), ("2", "0"), ("2", "0"), ("1", "2"), ("1", "2")]


def test_a_void_gives_back_at_the_margin():
    lines = rate("quota-starter",
                 usage(1, "signatures", service="signaturit", quantity=2), usage(2, "signatures", service="signaturit", quantity=3),
                 void(3, 1), void(4, 1), void(5, 9), void(6, 2, subject="b"), void(7, 3))
    # 5 used cost 2 x 2.00; taking 2 of them back leaves the 3 that are included
    assert figures(lines) == [("2", "0"), ("3", "4"), ("-2", "-4"), "already_voided", "unknown_event", "unknown_event",
                              "unknown_event"]
    assert lines[2]["quantity"] == "-2" and lines[2]["voids"] == "1"
    assert lines[2]["components"] == {"": {"quantity": "-2", "cost": "-2", "charge": "-4"}}


def test_parked_and_rejected_events_have_a_reason_and_no_figures():
    lines = rate("payg", usage(1, "telepathy", quantity=1), usage(2, "ai_tokens", quantity=1), usage(3, "ai_tokens", quantity=-1),
                 usage(4, "ai_tokens"), usage(5, "ai_tokens", quantity=1, type="usage.guessed"), "{", '"text"', "",
                 usage(6, "ai_tokens", quantity=1, subject=None), usage(7, "ai_tokens", quantity=1, time="yesterday"),
                 '{"specversion":"1.0","id":"8","id":"8"}', "\udcff", void(9, 2), void(10, 2))
    assert [line.get("reason") for line in lines] == [
        "unknown_metric", "unpriced", "bad_quantity", "bad_data", "unknown_type", "malformed_json", "not_a_cloudevent",
        "not_a_cloudevent", "bad_time", "malformed_json", "malformed_json", None, "already_voided"]
    assert [line["id"] for line in lines[:5]] == ["1", "2", "3", "4", "5"]
    assert not any("cost" in line or "charge" in line or "components" in line for line in lines)
    assert lines[11] == {"id": "9", "account": "a", "voids": "2"}  # of a parked event: no entry


def test_the_same_identity_again_is_a_duplicate_whatever_its_time():
    first = usage(1, "requests", quantity=1)
    lines = rate("codegen-free", first, {**first, "time": "2026-11-19T00:00:00Z"}, usage(1, "requests", quantity=2),
                 {**first, "source": "/t"}, usage(2, "requests", quantity=-1), usage(2, "requests", quantity=1),
                 usage(3, "telepathy", quantity=1), usage(3, "telepathy", quantity=1))
    # a rejected event takes no identity, a parked one does
    assert figures(lines) == [("0", "1"), "duplicate", "id_reused", ("0", "1"), "bad_quantity", ("0", "1"), "unknown_metric",
                              "duplicate"]


def test_a_cost_that_is_unknown_is_null():
    (line,) = rate("studio", usage(1, "ai_tokens", model="claude-opus", quantities={"input": 10, "output": 1}))
    # 150 credits for 1,000 tokens
    assert line["cost"] is None and line["charge"] == "1.65" and line["components"]["output"] == {
        "quantity": "1", "cost": None, "charge": "0.15"}


def test_the_acceptance_window_and_kafka_do_not_matter():
    lines = rate("payg", usage(1, "requests", quantity=1, time="2025-01-01T00:00:00Z"),
                 usage(2, "requests", quantity=1, time="2999-01-01T00:00:00Z"),
                 usage(3, "requests", quantity=1, time="2024-12-31T23:59:59Z"))
    assert figures(lines) == [("0", "0"), ("0", "0"), "unpriced"]


def test_an_event_without_time_is_of_the_time_of_the_one_before():
    lines = rate("quota-starter", usage(1, "signatures", quantity=3, time=None), usage(2, "signatures", quantity=3),
                 usage(3, "signatures", quantity=1, time=None))
    assert [line["charge"] for line in lines] == ["0", "0", "2"]


def test_wrong_use_and_bad_catalogues_are_told_apart(tmp_path):
    assert "--catalog" in run("--plan", "payg", expect=64)
    assert "--plan" in run("--catalog", SHIPPED, expect=64)
    assert "has no plan 'pay'" in run("--catalog", SHIPPED, "--plan", "pay", expect=65)
    (tmp_path / "bad.conf").write_text('plans = ( { name = "p"; } );\n')
    assert "bad.conf:1:" in run("--catalog", tmp_path / "bad.conf", "--plan", "p", expect=65)
    assert "nowhere" in run("--catalog", tmp_path / "nowhere", "--plan", "p", expect=65)


# ---- against the independent model of the rules

def guess(random, number):
    service, model = random.choice([("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-3.5-haiku"),
                                    ("claude", None), ("claude", "opus"), ("signaturit", None), ("s3", None), ("twilio", "x"),
                                    (None, "claude-opus"), (None, None), ("google", "gemini-2.0-flash"), ("x", "gemini-flash")])
    metric = random.choice(["ai_tokens"] * 4 + ["signatures", "storage_gb", "sms", "requests", "ai_valuations", "telepathy"])
    decimal = lambda: str(Decimal(random.randrange(0, 10 ** random.randrange(1, 12))).scaleb(-random.randrange(0, 7)))
    data = {"quantity": decimal()}
    if random.random() < 0.6:
        names = random.sample(["input", "output", "cached_input", "*", "audio"], random.randrange(1, 4))
        data = {"quantities": {name: decimal() for name in names}}
    if random.random() < 0.1:
        data["cost"] = str(Decimal(random.randrange(10 ** 12)).scaleb(-12))
    data.update({name: value for name, value in (("service", service), ("model", model)) if value})
    return usage(number, metric, subject=random.choice("abc"), time=f"2026-{random.randrange(1, 4):02}-15T00:00:00Z", **data)


def expected(catalogue, plan, event, used):
    """(cost, charge) or a reason, by tests/model."""
    data = event["data"]
    components = {name: Decimal(q) for name, q in data.get("quantities", {"": data.get("quantity")}).items()}
    spent = Decimal(data["cost"]) if "cost" in data else None
    asked = Usage(data["metric"], components, data.get("service"), data.get("model"), cost=spent)
    if asked.metric not in catalogue.metrics:
        return "unknown_metric"
    time_us = at(event["time"])
    cost = rating.cost_of(catalogue, plan, asked, time_us)
    quota = plan.quotas.get(asked.metric)
    if quota:
        key = event["subject"], asked.metric, event["time"]
        before = used.get(key, Decimal(0))
        used[key] = before + asked.quantity
        charge = rating.overage(quota, used[key]) - rating.overage(quota, before)
    else:
        found, _ = rating.tariff_charge(catalogue, plan, asked, cost, time_us)
        if found is None and not (plan.markup is None and asked.metric in plan.day_limits):
            return "unpriced"
        charge = found.amount if found else Decimal(0)
    return (None if cost.total is None else rating.plain(cost.total)), rating.plain(charge)


def test_random_events_are_rated_as_the_independent_model_rates_them(seed):
    catalogue, random = shipped(), Random(seed)
    for name, plan in catalogue.plans.items():
        events, used = [guess(random, number) for number in range(300)], {}
        lines = rate(name, *events)
        assert len(lines) == len(events)
        for event, got in zip(events, figures(lines)):
            assert got == expected(catalogue, plan, event, used), (name, event)
