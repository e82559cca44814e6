"""Golden cases of the model. Expected money is worked out by hand in the comments, from the
contract and from facts/prices.json (`F`); nothing here is copied from what a program printed."""
from decimal import Decimal
from fractions import Fraction

import pytest

from . import rating
from .bench import NOW, Bench, D
from .catalogue import Plan, shipped
from .wire import read_decimal, read_time

NOV_20 = 1795176000 * 1000000       # 2026-11-20T12:00:00Z


# ---- arithmetic ----

@pytest.mark.parametrize("value, rounded", [
    ("0.0000000000005", "0"), ("0.0000000000015", "0.000000000002"),
    ("0.0000000000025", "0.000000000002"), ("0.00000000000251", "0.000000000003"),
    ("-0.0000000000015", "-0.000000000002"), ("0.0000000000014999", "0.000000000001")])
def test_rounding_is_half_even_at_twelve_places(value, rounded):
    assert rating.round12(Fraction(value)) == D(rounded)


@pytest.mark.parametrize("text, plain", [
    ("0E-12", "0"), ("1E+3", "1000"), ("0.980000", "0.98"), ("-5.0", "-5"),
    ("1E-12", "0.000000000001")])
def test_alert_figures_are_in_shortest_plain_form(text, plain):
    assert rating.plain(Decimal(text)) == plain


@pytest.mark.parametrize("text, value", [
    ("1.0000000", "1"), ("5e2", "500"), ("1E-6", "0.000001"), ("0.10", "0.1"), ("-0", "0"),
    ("0e999", "0"),
    ("1e-7", None), ("0.0000001", None), ("1e400", None), ("1e99999999999999999999999", None),
    ("+1", None), ("01", None), (".5", None), ("1.", None), (" 1", None), ("", None),
    ("NaN", None)])
def test_decimals_are_read_by_value(text, value):
    assert read_decimal(text, 6) == (None if value is None else D(value))


@pytest.mark.parametrize("text, micros", [
    ("2026-11-20T12:00:00Z", NOV_20), ("2026-11-20t14:00:00.5+02:00", NOV_20 + 500000),
    ("2026-11-20T08:30:00-03:30", NOV_20), ("2026-02-29T00:00:00Z", None),
    ("2026-11-20T24:00:00Z", None),
    ("2026-11-20T12:00:00", None), ("2026-11-20", None), ("2026-11-20T12:00:00.Z", None),
    ("1970-01-01T00:00:00Z", 0), ("2024-02-29T00:00:00Z", 1709164800 * 1000000)])
def test_times_are_rfc_3339(text, micros):
    assert read_time(text) == micros


# ---- cost ----

# F.cost_examples_usd_500_in_500_out, each again by hand: 500 x in / 1e6 + 500 x out / 1e6
@pytest.mark.parametrize("service, model, cost", [
    ("openai", "gpt-4o", "0.00625"),            # 500 x 2.50 = 1250, 500 x 10 = 5000 -> 6250 / 1e6
    ("openai", "gpt-4o-mini", "0.000375"),      # 75 + 300
    ("anthropic", "claude-3.5-sonnet", "0.009"),    # 1500 + 7500
    ("anthropic", "claude-3.5-haiku", "0.0024"),    # 400 + 2000
    ("google", "gemini-2.0-flash", "0.0001875"),    # 37.5 + 150
    ("deepseek", "deepseek-chat", "0.00021")])      # 70 + 140
def test_cost_of_500_tokens_in_and_500_out(service, model, cost):
    bench = Bench()
    bench.open("a", "payg")
    bench.use("a", "ai_tokens", {"input": 500, "output": 500}, service=service, model=model)
    assert (bench.last.cost.total, bench.last.cost.currency) == (D(cost), "USD")
    # payg is cost_plus 0 in USD: charged what it costs, from the welcome of 10 USD
    assert (bench.last.amount, bench.balance("a")) == (-D(cost), 10 - D(cost))


# F.plan_cost_and_margin_if_fully_used, before its rounding to cents:
# STARTER 3 x 1.00 + 5 x 0.023 + 5000 x 4.7 / 1e6 = 3 + 0.115 + 0.0235 = 3.1385
# PROFESSIONAL 10 + 20 x 0.023 + 50000 x 4.7 / 1e6 + 50 x 0.075 = 10 + 0.46 + 0.235 + 3.75 = 14.445
# ENTERPRISE 50 + 2.3 + 0.94 + 15 = 68.24
@pytest.mark.parametrize("plan, used, cost", [
    ("quota-free", ("0", "0.5", "100", "0"), "0.01197"),
    ("quota-starter", ("3", "5", "5000", "0"), "3.1385"),
    ("quota-professional", ("10", "20", "50000", "50"), "14.445"),
    ("quota-enterprise", ("50", "100", "200000", "200"), "68.24")])
def test_a_plan_used_to_the_full_costs_what_the_facts_say_and_charges_nothing(plan, used, cost):
    bench = Bench()
    bench.open("a", plan)
    for metric, service, quantity in zip(("signatures", "storage_gb", "ai_tokens", "sms"),
                                         ("signaturit", "s3", "claude", "twilio"), used):
        bench.use("a", metric, quantity, service=service)
    assert sum(entry.cost.total for entry in bench.books.entries) == D(cost)
    assert bench.balance("a") == 0
    assert bench.last.cost.currency == "EUR"


def test_the_event_may_say_its_cost_unless_the_plan_does_not_trust_it():
    catalogue = shipped()
    bench = Bench(catalogue)
    bench.open("a", "payg")
    bench.use("a", "ai_tokens", {"input": 1000}, service="openai", model="gpt-4o", cost="0.5")
    assert bench.last.amount == D("-0.5")
    catalogue.plans["payg"].trust_cost = False
    # 1000 x 2.50 / 1e6 = 0.0025
    bench.use("a", "ai_tokens", {"input": 1000}, service="openai", model="gpt-4o", cost="0.5")
    assert bench.last.amount == D("-0.0025")


def test_the_price_in_force_at_the_events_time_applies():
    catalogue = shipped()
    catalogue.add_price("new", "m", "ai_tokens", "*", "1", effective_until="2026-11-19")
    catalogue.add_price("new", "m", "ai_tokens", "*", "3", effective_from="2026-11-19")
    bench = Bench(catalogue)
    bench.open("a", "payg")
    for time, cost in (("2026-11-18T23:59:59.999999Z", 2), ("2026-11-19T00:00:00Z", 6)):
        bench.use("a", "ai_tokens", 2, service="new", model="m", time=time)
        assert bench.last.cost.total == cost
    catalogue.add_price("ended", "m", "ai_tokens", "*", "1", effective_until="2026-11-19")
    assert bench.use("a", "ai_tokens", 1, service="ended", model="m",
                     time="2026-11-19T00:00:00Z") == "parked:unpriced"


def test_the_first_of_the_eight_keys_that_has_a_price_is_used():
    keys = [("s", "m", "c"), ("s", "m", "*"), ("s", "*", "c"), ("s", "*", "*"),
            ("*", "m", "c"), ("*", "m", "*"), ("*", "*", "c"), ("*", "*", "*")]
    for first in range(len(keys)):
        catalogue = shipped()
        for at, key in list(enumerate(keys))[first:]:
            catalogue.add_price(*key[:2], "sms", key[2], at + 1)
        bench = Bench(catalogue)
        bench.open("a", "payg")
        bench.use("a", "sms", {"c": 1}, service="s", model="m")
        assert bench.last.cost.total == first + 1


def test_an_absent_model_matches_only_the_star():
    bench = Bench()
    bench.open("a", "payg")
    assert bench.use("a", "ai_tokens", {"input": 1}, service="openai") == "parked:unpriced"


def test_a_price_in_another_currency_is_converted_at_the_rate_of_the_day():
    catalogue = shipped()
    catalogue.add_fx("EUR", "USD", "1.10", effective_until="2026-11-20")
    catalogue.add_fx("EUR", "USD", "1.25", effective_from="2026-11-20")
    bench = Bench(catalogue)
    bench.open("a", "payg")
    bench.use("a", "sms", 2, service="twilio", time="2026-11-19T10:00:00Z")
    assert bench.last.cost.total == D("0.165")      # 2 x 0.075 x 1.10
    bench.use("a", "sms", 2, service="twilio", time="2026-11-20T10:00:00Z")
    assert bench.last.cost.total == D("0.1875")     # 2 x 0.075 x 1.25


def test_the_price_file_is_asked_only_where_the_catalogue_has_no_price():
    catalogue = shipped()
    catalogue.add_price("openai", "gpt-4o", "ai_tokens", "input", "9", file=True)
    catalogue.add_price("mine", "*", "ai_tokens", "*", "2", 1000, file=True)
    bench = Bench(catalogue)
    bench.open("a", "payg")
    bench.use("a", "ai_tokens", {"input": 1000000}, service="openai", model="gpt-4o")
    assert (bench.last.cost.total, bench.last.cost.source) == (D("2.5"), "catalog")
    bench.use("a", "ai_tokens", 500, service="mine", model="m")
    assert (bench.last.cost.total, bench.last.cost.source) == (1, "file")


# ---- tariffs ----

def test_credits_are_worth_a_cent():
    bench = Bench()
    bench.open("a", "assistant-free")
    bench.use("a", "ai_tokens", {"input": 500, "output": 500}, service="openai", model="gpt-4o")
    # 0.00625 USD / 0.01 = 0.625 credits of the 100
    assert (bench.last.amount, bench.balance("a")) == (D("-0.625"), D("99.375"))


def test_cost_plus_fifteen_percent():
    catalogue = shipped()
    catalogue.add_plan(Plan("plus", "CREDIT", "postpaid", markup=Decimal(15)))
    bench = Bench(catalogue)
    bench.open("a", "plus")
    bench.use("a", "ai_tokens", {"input": 500, "output": 500}, service="openai",
              model="gpt-4o-mini")
    # 0.000375 x 1.15 = 0.00043125 USD = 0.043125 credits
    assert bench.last.amount == D("-0.043125")


def test_cost_plus_rounds_half_even_once_an_event():
    catalogue = shipped()
    catalogue.add_plan(Plan("plus", "USD", "postpaid", markup=Decimal(50)))
    bench = Bench(catalogue)
    bench.open("a", "plus")
    # 1e-12 x 1.5 = 1.5e-12 -> 2e-12; 3e-12 x 1.5 = 4.5e-12 -> 4e-12
    bench.use("a", "sms", 1, cost="1e-12")
    assert bench.last.amount == D("-2e-12")
    bench.use("a", "sms", 1, cost="3e-12")
    assert bench.last.amount == D("-4e-12")


def test_studio_charges_fixed_credits_for_a_thousand_tokens_whatever_they_cost():
    bench = Bench()
    bench.open("a", "studio")
    bench.account("credits.purchased", "a", package="starter")
    bench.use("a", "ai_tokens", {"input": 500, "output": 501}, service="openai", model="gpt-4o")
    # 0.5 x 25 + 0.501 x 25 = 12.5 + 12.525
    assert (bench.last.amount, bench.balance("a")) == (D("-25.025"), D("974.975"))
    # claude-opus has no cost price: booked without cost, and an alert for each component
    bench.use("a", "ai_tokens", {"input": 10, "output": 10}, service="anthropic",
              model="claude-opus")
    assert (bench.last.amount, bench.last.cost.total) == (-3, None)
    assert [a.data["component"] for a in bench.books.alerts] == ["input", "output"]
    bench.use("a", "ai_tokens", {"input": 10, "output": 10}, service="anthropic",
              model="claude-opus")
    assert len(bench.books.alerts) == 2         # once a day


def test_codegen_charges_one_credit_a_request_and_parks_tokens():
    bench = Bench()
    bench.open("a", "codegen-free")
    bench.use("a", "requests", 1)
    assert (bench.last.amount, bench.balance("a"), bench.last.cost.total) == (-1, 4, 0)
    assert bench.use("a", "ai_tokens", 5) == "parked:unpriced"


def test_a_charge_once_an_event_is_split_in_proportion_to_cost():
    bench = Bench()
    bench.open("a", "assistant-free")
    bench.use("a", "ai_tokens", {"input": 500, "output": 500}, service="openai", model="gpt-4o")
    # costs 0.00125 and 0.005 of 0.00625: a fifth and four fifths of 0.625
    assert bench.last.charges == {"input": D("0.125"), "output": D("0.5")}


def test_the_last_component_takes_what_rounding_leaves():
    cost = rating.Cost(D("3"), "USD", {"a": D("1"), "b": D("1"), "c": D("1")}, "catalog")
    assert rating.split(D("0.000000000001"), cost) == {"a": 0, "b": 0, "c": D("1e-12")}
    assert rating.split(D("0.000000000002"), cost) == {"a": D("1e-12"), "b": D("1e-12"), "c": 0}


# ---- quotas ----

def test_what_straddles_the_limit_pays_for_the_part_beyond():
    bench = Bench()
    bench.open("a", "quota-starter")            # 3 signatures, then 2.00 each
    for quantity, amount in ((2, 0), (2, -2), (1, -2), (0, 0)):
        bench.use("a", "signatures", quantity, service="signaturit")
        assert bench.last.amount == amount
    assert bench.balance("a") == -4             # postpaid runs below zero
    month = bench.month("a", "signatures")
    assert (month.used, month.cost, month.overage_charge) == (5, 5, 4)


def test_overage_is_free_of_the_order_and_of_how_it_is_cut():
    # 0.01 EUR per 1000 tokens beyond 5000: 7 events of 1001 use 7007, 2007 beyond: 0.02007 EUR
    bench = Bench()
    bench.open("a", "quota-starter")
    for _ in range(7):
        bench.use("a", "ai_tokens", 1001, service="claude")
    assert bench.balance("a") == D("-0.02007")


def test_beyond_a_quota_without_overage_price_nothing_is_charged():
    bench = Bench()
    bench.open("a", "quota-free")
    bench.use("a", "storage_gb", "1.5", service="s3")
    assert (bench.last.amount, bench.last.cost.total) == (0, D("0.0345"))


def test_a_metric_with_only_a_day_limit_is_free_and_one_with_nothing_is_parked():
    bench = Bench()
    bench.open("a", "quota-free")
    assert bench.use("a", "ai_valuations", 60) == "booked"
    assert bench.last.amount == 0
    assert bench.alerts("usage.threshold.reached") == []
    assert bench.use("a", "requests", 1) == "parked:unpriced"



def test_the_bench_has_the_clock_it_says():
    assert (NOW.isoformat(), int(NOW.timestamp()) * 1000000) == ("2026-11-20T12:00:00+00:00",
                                                                 NOV_20)
