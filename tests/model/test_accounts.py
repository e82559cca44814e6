"""Golden cases of accounts: pooled, guests, credits, parking, voids, identity, alerts, periods.

Expected money is worked out by hand in the comments.
"""
from .bench import Bench, D
from .catalogue import Plan, Quota, shipped


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
    assert bench.last.plan == "quota-starter"


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
    for plan, balance in (("payg", 10), ("assistant-pro", 2500), ("studio", 0),
                          ("codegen-pro", 100)):
        bench.open(plan, plan)
        assert bench.balance(plan) == balance
    assert [entry.type for entry in bench.books.entries] == ["grant"] * 3
    bench.open("payg", "payg")                  # welcome comes once
    assert bench.balance("payg") == 10


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


def test_a_welcome_is_none_of_the_credits_of_the_period():
    catalogue = shipped()
    catalogue.plans["both"] = Plan("both", "CREDIT", "prepaid", markup=D(0), welcome=D(10),
                                   credits_per_period=D(100))
    bench = Bench(catalogue)
    bench.open("a", "both")                     # 10 and 100
    assert [entry.amount for entry in bench.books.entries] == [10, 100]
    bench.account("plan.assigned", "a", plan="assistant-pro")       # 2500 - 100
    assert (bench.last.amount, bench.balance("a")) == (2400, 2510)


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
        "purchased": 20, "granted": 13, "refunded": D("0.5"), "adjusted": -1, "settled": 0,
        "spent": 2,
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
    assert bench.account("credits.adjusted", "a",
                         amount="999999999999999999.999999999999") == "booked"
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
    assert bench.event(*event, '{"metric": "sms", "quantity": 1, "cost": "1"}',
                       "u1") == "duplicates"
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"u1"), ("ce_source", b"/s"),
               ("ce_subject", b"a"),
               ("ce_type", b"usage.recorded"), ("ce_type", b"ignored")]
    assert bench.send("usage", b'{"metric": "sms", "quantity": 1, "cost": "1"}',
                      headers) == "duplicates"


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
    assert [(t, i) for _, t, i in bench.alerts("usage.threshold.reached")] == [(80, "u1"),
                                                                               (100, "u3")]


def test_a_percentage_is_half_even_at_six_places():
    bench = Bench()
    bench.open("a", "quota-starter")            # 3 signatures: 8 of 3 are 266.666...
    bench.use("a", "signatures", 8, "u1")
    assert bench.books.alerts[0].data["percent"] == "266.666667"


def test_with_nothing_included_the_first_quantity_raises_each_threshold():
    bench = Bench()
    bench.open("a", "quota-free")
    for quantity in (0, 1, 1):
        bench.use("a", "sms", quantity, service="twilio")
    assert bench.alerts() == [("usage.threshold.reached", 80, "e3"),
                              ("usage.threshold.reached", 100, "e3")]
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
        ("usage.threshold.reached", "80"), ("usage.threshold.reached", "100"),
        ("price.missing", "None"),
        ("balance.low", "1"), ("balance.exhausted", "0")]


def test_a_downgrade_raises_what_the_new_quota_has_reached():
    bench = Bench()
    bench.open("a", "quota-professional")       # 10 signatures, 20 GB
    bench.use("a", "signatures", 3, service="signaturit")   # 30 %
    bench.use("a", "storage_gb", "4.5", service="s3")       # 22.5 %
    bench.account("plan.assigned", "a", "down", plan="quota-starter")   # 3: 100 %, 5 GB: 90 %
    assert [(a.metric, a.data["threshold"], a.data["event_id"]) for a in bench.books.alerts] == [
        ("signatures", 80, "down"), ("signatures", 100, "down"), ("storage_gb", 80, "down")]
    # with nothing included, signatures stay at 100 %; 4.5 of 0.5 GB add 100 % to the 80 % there was
    bench.account("plan.assigned", "a", "free", plan="quota-free")
    added = [(a.metric, a.data["threshold"]) for a in bench.books.alerts[3:]]
    assert added == [("storage_gb", 100)]
    bench.account("plan.assigned", "a", plan="quota-professional")
    assert len(bench.books.alerts) == 4


# ---- periods ----

def test_an_entry_counts_in_the_month_of_its_event_while_that_is_open():
    bench = Bench()
    bench.open("a", "quota-starter")
    # October 31st in UTC, which closed five days after its end
    bench.use("a", "sms", 1, time="2026-11-01T00:30:00+01:00")
    assert (bench.last.late, str(bench.last.period)) == (True, "2026-11-01")
    early = Bench()
    early.books.now_us -= (15 * 24 + 12) * 3600 * 1000000 + 1   # the last moment of the 4th
    early.open("a", "quota-starter")
    early.use("a", "sms", 1, time="2026-10-31T23:00:00Z")
    assert (early.last.late, str(early.last.period)) == (False, "2026-10-01")


def test_what_was_parked_for_its_account_and_then_lacks_a_price_is_told_as_unpriced():
    bench = Bench()
    bench.use("late", "ai_tokens", 5, "u1", service="openai", model="gpt-9")
    bench.open("late", "assistant-business")
    assert [row.reason for row in bench.books.parked] == ["unpriced"]
    assert [kind for kind, _, _ in bench.alerts()] == ["price.missing"]
