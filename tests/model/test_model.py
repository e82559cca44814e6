"""Golden cases of the model. Expected money is worked out by hand in the comments, from the contract and
from facts/prices.json (`F`); nothing here is copied from what a program printed."""
from decimal import Decimal
from fractions import Fraction

import pytest

from . import rating
from .bench import D, NOW, Bench
from .catalogue import Plan, Quota, shipped
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
    ("0E-12", "0"), ("1E+3", "1000"), ("0.980000", "0.98"), ("-5.0", "-5"), ("1E-12", "0.000000000001")])
def test_alert_figures_are_in_shortest_plain_form(text, plain):
    assert rating.plain(Decimal(text)) == plain


@pytest.mark.parametrize("text, value", [
    ("1.0000000", "1"), ("5e2", "500"), ("1E-6", "0.000001"), ("0.10", "0.1"), ("-0", "0"), ("0e999", "0"),
    ("1e-7", None), ("0.0000001", None), ("1e400", None), ("1e99999999999999999999999", None),
    ("+1", None), ("01", None), (".5", None), ("1.", None), (" 1", None), ("", None), ("NaN", None)])
def test_decimals_are_read_by_value(text, value):
    assert read_decimal(text, 6) == (None if value is None else D(value))


@pytest.mark.parametrize("text, micros", [
    ("2026-11-20T12:00:00Z", NOV_20), ("2026-11-20t14:00:00.5+02:00", NOV_20 + 500000),
    ("2026-11-20T08:30:00-03:30", NOV_20), ("2026-02-29T00:00:00Z", None), ("2026-11-20T24:00:00Z", None),
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
    bench.use("a", "ai_tokens", {"input": 500, "output": 500}, service="openai", model="gpt-4o-mini")
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
    bench.use("a", "ai_tokens", {"input": 10, "output": 10}, service="anthropic", model="claude-opus")
    assert (bench.last.amount, bench.last.cost.total) == (-3, None)
    assert [a.data["component"] for a in bench.books.alerts] == ["input", "output"]
    bench.use("a", "ai_tokens", {"input": 10, "output": 10}, service="anthropic", model="claude-opus")
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


# ---- pooled accounts, guests, byok ----

def test_a_child_uses_the_quota_and_the_balance_of_its_payer():
    bench = Bench()
    bench.open("p", "quota-starter")
    bench.open("c", parent="p", plan="payg")    # its own plan has no effect, and brings no welcome
    bench.use("p", "signatures", 2, service="signaturit")
    bench.use("c", "signatures", 2, service="signaturit")
    assert (bench.last.account, bench.last.payer, bench.last.plan) == ("c", "p", "quota-starter")
    assert (bench.last.amount, bench.last.balance_after) == (-2, -2)
    assert "c" not in bench.books.payers
    bench.account("credits.purchased", "c", amount="5")
    assert (bench.last.account, bench.last.payer, bench.last.balance_after) == ("c", "p", 3)


def test_a_parent_must_be_open_and_have_no_parent():
    bench = Bench()
    assert bench.open("c", parent="p") == "parked:unknown_account"
    bench.open("p", "payg")
    assert bench.books.accounts["c"].payer == "p"
    assert bench.open("g", parent="c") == "rejected:bad_data"
    bench.open("q", "payg")
    assert bench.account("account.updated", "p", parent="q") == "rejected:bad_data"


def test_a_guest_pays_nothing_but_counts():
    bench = Bench()
    bench.open("p", "quota-starter")
    bench.open("g", parent="p", charged=False)
    bench.use("g", "signatures", 5, service="signaturit")
    assert (bench.last.amount, bench.last.cost.total) == (0, 5)
    assert bench.alerts() == [("usage.threshold.reached", 80, "e3"),
                              ("usage.threshold.reached", 100, "e3")]
    bench.use("p", "signatures", 1, service="signaturit")
    assert bench.last.amount == -2              # C(6) - C(5) = 6 - 4
    bench.use("g", "ai_tokens", 10, service="nobody")
    assert (bench.last.amount, bench.last.cost.total) == (0, None)  # never unpriced


def test_usage_with_ones_own_key_costs_and_charges_nothing():
    bench = Bench()
    bench.open("a", "payg", byok=["openai"])
    bench.use("a", "ai_tokens", {"input": 10}, service="openai", model="unheard-of")
    assert (bench.last.amount, bench.last.cost.total, bench.balance("a")) == (0, 0, 10)
    assert bench.month("a", "ai_tokens").used == 10
    assert bench.books.alerts == []


# ---- grants, credits ----

def test_opening_brings_welcome_or_the_credits_of_the_period():
    bench = Bench()
    for plan, balance in (("payg", 10), ("assistant-pro", 2500), ("studio", 0), ("codegen-pro", 100)):
        bench.open(plan, plan)
        assert bench.balance(plan) == balance
    assert [entry.type for entry in bench.books.entries] == ["grant"] * 3


def test_on_assignment_only_the_excess_is_granted():
    bench = Bench()
    bench.open("a", "assistant-free")           # 100
    bench.account("plan.assigned", "a", plan="assistant-pro")       # 2500 - 100
    assert bench.last.amount == 2400
    bench.account("plan.assigned", "a", plan="assistant-free")      # nothing, and nothing taken
    bench.account("plan.assigned", "a", plan="assistant-pro-plus")  # 7500 - 2500
    assert (bench.last.amount, len(bench.books.entries)) == (5000, 3)
    assert bench.open("a", "assistant-pro-plus") == "booked"        # the same again: nothing
    assert (bench.balance("a"), len(bench.books.entries)) == (7500, 3)


def test_a_package_is_a_purchase_and_a_bonus_of_one_event():
    bench = Bench()
    bench.open("a", "assistant-business")
    bench.account("credits.purchased", "a", package="basic", reference="order 7")
    entries = [(e.type, e.amount, e.balance_after, e.reference) for e in bench.books.entries]
    assert entries == [("purchase", 5000, 5000, "order 7"), ("bonus", 500, 5500, "order 7")]
    bench.account("credits.purchased", "a", package="starter")      # has no bonus
    columns = bench.books.payers["a"].columns
    assert (columns["purchased"], columns["granted"], bench.balance("a")) == (6000, 500, 6500)


def test_each_kind_of_credit_has_its_column():
    bench = Bench()
    bench.open("a", "payg")
    bench.account("credits.purchased", "a", amount="20")
    bench.account("credits.granted", "a", amount="3")
    bench.account("credits.refunded", "a", amount="0.5")
    bench.account("credits.adjusted", "a", amount="-1")
    bench.use("a", "sms", 1, cost="2")
    assert bench.books.payers["a"].columns == {
        "purchased": 20, "granted": 13, "refunded": D("0.5"), "adjusted": -1, "settled": 0, "spent": 2,
        "expired": 0}
    assert bench.balance("a") == D("30.5")      # 20 + 13 + 0.5 - 1 - 2


def test_another_unit_is_refused_unless_nothing_but_grants_is_booked():
    bench = Bench()
    bench.open("a", "assistant-free")
    assert bench.open("a", "quota-free") == "booked"
    payer = bench.books.payers["a"]
    assert (payer.unit, payer.balance, payer.columns["granted"]) == ("EUR", 0, 0)
    bench.use("a", "storage_gb", "0.1")
    assert bench.open("a", "payg") == "rejected:unit_mismatch"
    assert bench.account("plan.assigned", "a", plan="payg") == "rejected:unit_mismatch"
    assert bench.account("credits.purchased", "a", package="basic") == "rejected:unit_mismatch"
    assert bench.account("plan.assigned", "a", plan="quota-starter") == "booked"


def test_balances_stay_below_a_quintillion():
    bench = Bench()
    bench.open("a", "assistant-business")
    assert bench.account("credits.adjusted", "a", amount="1e18") == "rejected:out_of_range"
    assert bench.account("credits.adjusted", "a", amount="-1e99") == "rejected:out_of_range"
    assert bench.account("credits.adjusted", "a", amount="999999999999999999.999999999999") == "booked"
    assert bench.account("credits.adjusted", "a", amount="1e-12") == "rejected:out_of_range"
    assert bench.balance("a") == D("999999999999999999.999999999999")


# ---- parking ----

def test_usage_of_an_unknown_account_is_booked_once_it_opens():
    bench = Bench()
    assert bench.use("a", "sms", 1, cost="2", event_id="u1") == "parked:unknown_account"
    assert bench.account("credits.purchased", "a", amount="5") == "parked:unknown_account"
    assert bench.use("a", "sms", 1, cost="2", event_id="u1") == "duplicates"
    bench.open("a", "payg")
    assert [(e.type, e.amount) for e in bench.books.entries] == [("grant", 10), ("usage", -2),
                                                                 ("purchase", 5)]
    assert dict(bench.books.positions["usage.events", 0]) == {
        "parked": 1, "duplicates": 1, "next_offset": 2}


def test_unpriced_usage_is_booked_once_the_catalogue_has_a_price():
    bench = Bench()
    bench.open("a", "payg")
    bench.use("a", "ai_tokens", 10, service="new", model="m")
    assert bench.use("a", "unicorns", 1) == "parked:unknown_metric"
    catalogue = shipped()
    catalogue.add_price("new", "*", "ai_tokens", "*", "0.1")
    catalogue.add_metric("unicorns")
    bench.books.change_catalogue(catalogue)
    assert bench.last.amount == -1
    # the metric is known now, but has no price
    assert [row.reason for row in bench.books.parked if not row.released] == ["unpriced"]


def test_usage_may_open_the_account_on_the_default_plan():
    bench = Bench(unknown="open", default_plan="assistant-free")
    assert bench.use("a", "sms", 1, cost="0.02") == "booked"
    assert [(e.type, e.source, e.amount) for e in bench.books.entries] == [
        ("grant", None, 100), ("usage", "/s", -2)]


# ---- voids ----

def test_a_void_on_a_quota_gives_back_overage_at_the_margin():
    bench = Bench()
    bench.open("a", "quota-starter")
    bench.use("a", "signatures", 3, service="signaturit", event_id="u1")    # within: 0
    bench.use("a", "signatures", 2, service="signaturit", event_id="u2")    # beyond: 4
    bench.void("a", "u1")
    assert (bench.last.amount, bench.last.quantity, bench.last.total_cost) == (4, -3, -3)
    assert bench.balance("a") == 0
    bench.void("a", "u2")
    assert (bench.last.amount, bench.balance("a")) == (0, 0)
    month = bench.month("a", "signatures")
    assert (month.used, month.cost, month.charge, month.overage_charge) == (0, 0, 0, 0)


def test_a_void_elsewhere_gives_back_the_originals_own_amount():
    catalogue = shipped()
    bench = Bench(catalogue)
    bench.open("a", "payg")
    bench.use("a", "ai_tokens", {"input": 1000000}, service="openai", model="gpt-4o", event_id="u1")
    catalogue.prices.clear()
    bench.void("a", "u1", source="/s")
    assert (bench.last.amount, bench.balance("a")) == (D("2.5"), 10)
    bench.open("g", "payg", charged=False)
    bench.use("g", "sms", 1, cost="1", event_id="u2")
    bench.void("g", "u2")
    assert bench.last.amount == 0


def test_what_was_free_for_a_guest_gives_nothing_back_on_a_quota():
    bench = Bench()
    bench.open("g", "quota-starter", charged=False)
    bench.use("g", "signatures", 9, service="signaturit", event_id="u1")
    bench.void("g", "u1")
    assert (bench.last.amount, bench.month("g", "signatures").used) == (0, 0)


def test_voids_that_name_nothing_or_are_second():
    bench = Bench()
    bench.open("a", "payg")
    bench.open("b", "payg")
    bench.use("a", "sms", 1, cost="1", event_id="u1")
    assert bench.void("a", "u2") == "rejected:unknown_event"
    assert bench.void("a", "u1", source="/other") == "rejected:unknown_event"
    assert bench.void("b", "u1") == "rejected:unknown_event"        # of the same account only
    assert bench.void("a", "e1") == "rejected:unknown_event"        # no usage
    assert bench.void("nobody", "u1") == "rejected:unknown_event"
    assert bench.void("a", "u1", "v1") == "booked"
    assert bench.void("a", "u1", "v1") == "duplicates"
    assert bench.void("a", "u1", "v2") == "rejected:already_voided"
    assert bench.void("a", "v1") == "rejected:unknown_event"


def test_the_void_of_a_parked_event_removes_it():
    bench = Bench()
    bench.use("a", "sms", 1, cost="1", event_id="u1")
    assert bench.void("a", "u1") == "booked"
    assert bench.void("a", "u1") == "rejected:already_voided"
    bench.open("a", "payg")
    assert [entry.type for entry in bench.books.entries] == ["grant"]


# ---- identity ----

def test_the_same_event_again_is_a_duplicate_whatever_its_time():
    bench = Bench()
    bench.open("a", "payg")
    assert bench.use("a", "sms", 1, "u1", cost="1", time="2026-11-20T10:00:00Z") == "booked"
    assert bench.use("a", "sms", 1, "u1", cost="1", time="2026-11-19T10:00:00Z") == "duplicates"
    assert bench.use("a", "sms", 2, "u1", cost="1") == "rejected:id_reused"
    assert bench.use("b", "sms", 1, "u1", cost="1") == "rejected:id_reused"
    # data are compared as sent: one blank more is other data
    event = ("usage", "usage.recorded", "a")
    assert bench.event(*event, '{"metric": "sms", "quantity": 1, "cost": "1" }', "u1") == (
        "rejected:id_reused")
    assert bench.event(*event, '{"metric": "sms", "quantity": 1, "cost": "1"}', "u1") == "duplicates"
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"u1"), ("ce_source", b"/s"), ("ce_subject", b"a"),
               ("ce_type", b"usage.recorded"), ("ce_type", b"ignored")]
    assert bench.send("usage", b'{"metric": "sms", "quantity": 1, "cost": "1"}', headers) == "duplicates"


def test_rejected_events_take_no_identity():
    bench = Bench()
    bench.open("a", "payg")
    assert bench.use("a", "sms", -1, "u1") == "rejected:bad_quantity"
    assert bench.use("a", "sms", 1, "u1", cost="1") == "booked"


# ---- alerts ----

def test_a_jump_from_50_to_130_percent_raises_80_and_100():
    bench = Bench()
    bench.open("a", "quota-professional")       # 10 signatures
    bench.use("a", "signatures", 5, "u1")
    bench.use("a", "signatures", 8, "u2")
    assert bench.alerts("usage.threshold.reached") == [
        ("usage.threshold.reached", 80, "u2"), ("usage.threshold.reached", 100, "u2")]
    data = [a.data for a in bench.books.alerts if a.type.startswith("usage")][0]
    assert data == {"metric": "signatures", "period": "month", "period_start": "2026-11-01",
                    "threshold": 80, "used": "13", "included": "10", "percent": "130",
                    "event_source": "/s", "event_id": "u2"}


def test_a_threshold_is_reached_by_meeting_it_exactly_and_once():
    bench = Bench()
    bench.open("a", "quota-starter")            # 5 GB
    for at, quantity in enumerate(("3.999999", "0.000001", "0.999999", "0.000001", "1")):
        bench.use("a", "storage_gb", quantity, f"u{at}")
    assert [(t, i) for _, t, i in bench.alerts("usage.threshold.reached")] == [(80, "u1"), (100, "u3")]


def test_a_percentage_is_half_even_at_six_places():
    bench = Bench()
    bench.open("a", "quota-starter")            # 3 signatures: 8 of 3 are 266.666...
    bench.use("a", "signatures", 8, "u1")
    assert [a.data.get("percent") for a in bench.books.alerts if a.metric == "signatures"][0] == "266.666667"


def test_with_nothing_included_the_first_quantity_raises_each_threshold():
    bench = Bench()
    bench.open("a", "quota-free")
    for quantity in (0, 1, 1):
        bench.use("a", "sms", quantity, service="twilio")
    assert bench.alerts() == [("usage.threshold.reached", 80, "e3"), ("usage.threshold.reached", 100, "e3")]
    assert bench.books.alerts[0].data["percent"] is None


def test_low_and_exhausted_of_one_entry_come_in_that_order_and_recovery_after_a_charge():
    bench = Bench()
    bench.open("a", "payg")
    bench.use("a", "sms", 1, "u1", cost="9")                # 1 is not below 1
    bench.use("a", "sms", 1, "u2", cost="1")
    bench.account("credits.purchased", "a", "p1", amount="0.5")     # 0.5: still low
    bench.account("credits.purchased", "a", "p2", amount="0.5")     # 1
    assert bench.alerts() == [("balance.low", "1", "u2"), ("balance.exhausted", "0", "u2"),
                              ("balance.recovered", "1", "p2")]
    assert bench.books.alerts[0].data == {"unit": "USD", "balance": "0", "threshold": "1",
                                          "event_source": "/s", "event_id": "u2"}


def test_there_is_no_recovery_before_the_first_charge():
    bench = Bench()
    bench.open("a", "payg")                     # 0 -> 10, but nothing was used yet
    bench.account("credits.adjusted", "a", amount="-9.5")
    bench.account("credits.adjusted", "a", amount="5")
    assert [kind for kind, _, _ in bench.alerts()] == ["balance.low"]


def test_usage_alerts_precede_balance_alerts():
    catalogue = shipped()
    catalogue.add_plan(Plan("both", "USD", "prepaid", quotas={"sms": Quota(D("0"), D("1"))},
                            low_balance=D("1")))
    bench = Bench(catalogue)
    bench.open("a", "both")
    bench.account("credits.purchased", "a", amount="2")
    bench.use("a", "sms", 2, "u1", service="twilio")
    assert [(kind, str(t)) for kind, t, _ in bench.alerts()] == [
        ("usage.threshold.reached", "80"), ("usage.threshold.reached", "100"), ("price.missing", "None"),
        ("balance.low", "1"), ("balance.exhausted", "0")]


def test_a_downgrade_raises_what_the_new_quota_has_reached():
    bench = Bench()
    bench.open("a", "quota-professional")       # 10 signatures, 20 GB
    bench.use("a", "signatures", 3, service="signaturit")   # 30 %
    bench.use("a", "storage_gb", "4.5", service="s3")       # 22.5 %
    bench.account("plan.assigned", "a", "down", plan="quota-starter")   # 3: 100 %, 5 GB: 90 %
    assert [(a.metric, a.data["threshold"], a.data["event_id"]) for a in bench.books.alerts] == [
        ("signatures", 80, "down"), ("signatures", 100, "down"), ("storage_gb", 80, "down")]
    bench.account("plan.assigned", "a", plan="quota-professional")
    assert len(bench.books.alerts) == 3


# ---- periods ----

def test_an_entry_counts_in_the_month_of_its_event_while_that_is_open():
    bench = Bench()
    bench.open("a", "quota-starter")
    bench.use("a", "sms", 1, time="2026-11-01T00:30:00+01:00")  # October 31st in UTC; closed since the 5th
    assert (bench.last.late, str(bench.last.period)) == (True, "2026-11-01")
    early = Bench()
    early.books.now_us -= 15 * 24 * 3600 * 1000000 + 12 * 3600 * 1000000 + 1    # 2026-11-04T23:59:59.999999
    early.open("a", "quota-starter")
    early.use("a", "sms", 1, time="2026-10-31T23:00:00Z")
    assert (early.last.late, str(early.last.period)) == (False, "2026-10-01")


def test_the_bench_has_the_clock_it_says():
    assert (NOW.isoformat(), int(NOW.timestamp()) * 1000000) == ("2026-11-20T12:00:00+00:00", NOV_20)
