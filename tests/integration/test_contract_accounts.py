"""Contract 1.2, 3 and what 2, 4 and 6 say of accounts, sentence by sentence, through a broker, a database and the
programs. Every sum is worked out by hand from the price list; nothing is taken from the code."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal as D

import pytest

from tests.rig.world import World

TOKENS = {"service": "openai", "model": "gpt-4o"}  # 2.50 USD in, 10.00 USD out for 1,000,000
SUMS = "purchased granted refunded adjusted settled spent expired balance"


def make_world(kafka, postgres, migrated, seed, name):
    world = World(kafka, postgres, seed, name, partitions=1, template=migrated)
    try:
        world.catalog()
        world.start()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def shared(kafka, postgres, migrated, seed):
    yield from make_world(kafka, postgres, migrated, seed, "contract_accounts")


def out_tokens(world, account, thousands, **given):
    """That many thousand tokens of gpt-4o out: 0.01 USD each thousand."""
    return world.usage(account, quantities={"output": thousands * 1000}, **TOKENS, **given)


def entries(world, account, columns="type, amount"):
    rows = world.sql(f"SELECT {columns} FROM api.ledger WHERE payer_id = %s ORDER BY entry_id", [account])
    return [tuple(row.values()) for row in rows]


def sums(world, account):
    (row,) = world.sql(f"SELECT {SUMS.replace(' ', ', ')} FROM api.balance WHERE account_id = %s", [account])
    return {name: value for name, value in row.items() if value}


def reasons(world, accounts):
    """{id: reason} of what was rejected for these accounts."""
    rows = world.sql("SELECT convert_from(value, 'UTF8')::jsonb AS event, reason FROM api.rejected WHERE convert_from(key, 'UTF8') = ANY(%s)",
                     [accounts])
    return {row["event"]["id"]: row["reason"] for row in rows}


def alerts(world, account):
    """(type, threshold, what it says, the event it names), in the order of the topic."""
    found = [alert for alert in world.alerts() if alert["subject"] == account]
    return [(alert["type"], alert["data"]["threshold"], alert["data"].get("balance") or alert["data"].get("percent"),
             alert["data"]["event_id"]) for alert in found]


# ---------------------------------------------------------------- every event, in both content modes

@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_every_event_of_accounts_makes_its_entries(shared, mode):
    a = f"every-{mode}"

    def send(type, id, **data):
        shared.account(type, a, id=f"{a}-{id}", mode=mode, **data)
    send("account.opened", "open", plan="assistant-free", name="Ann", byok=["openai", "xai"], nonsense={"a": [1]})
    send("account.updated", "update", name="Anna", charged=False, byok=[])
    send("account.updated", "update-2", charged=True)
    send("plan.assigned", "up", plan="assistant-pro")
    send("plan.assigned", "down", plan="assistant-free")
    send("plan.assigned", "plus", plan="assistant-pro-plus")
    send("credits.purchased", "buy", amount="12.50", reference="inv-1")
    send("credits.purchased", "package", package="basic", reference="inv-2")
    send("credits.granted", "gift", amount="1e2", reason="sorry")
    send("credits.refunded", "refund", amount=D("0.000000000001"), reference="inv-1", reason="too much")
    send("credits.adjusted", "adjust", amount=D("-7.25"), reason="counted wrong")
    shared.wait_booked()
    assert [(kind, amount, after, id.removeprefix(f"{a}-"), reference, reason) for kind, amount, after, id, reference, reason in entries(
        shared, a, "type, amount, balance_after, event_id, reference, reason")] == [
        ("grant", 100, 100, "open", None, None),
        ("grant", 2400, 2500, "up", None, None),         # 2,500 less the 100 granted in this month
        ("grant", 5000, 7500, "plus", None, None),       # 7,500 less 2,500; the downgrade between them nothing
        ("purchase", D("12.5"), D("7512.5"), "buy", "inv-1", None),
        ("purchase", 5000, D("12512.5"), "package", "inv-2", None),
        ("bonus", 500, D("13012.5"), "package", "inv-2", None),
        ("bonus", 100, D("13112.5"), "gift", None, "sorry"),
        ("refund", D("0.000000000001"), D("13112.500000000001"), "refund", "inv-1", "too much"),
        ("adjustment", D("-7.25"), D("13105.250000000001"), "adjust", None, "counted wrong")]
    assert sums(shared, a) == {"purchased": D("5012.5"), "granted": 8100, "refunded": D("0.000000000001"), "adjusted": D("-7.25"),
                               "balance": D("13105.250000000001")}
    (row,) = shared.sql("SELECT * FROM api.account WHERE account_id = %s", [a])
    assert row.pop("opened_at").tzinfo
    assert row == {"account_id": a, "payer_id": a, "name": "Anna", "plan": "assistant-pro-plus", "unit": "CREDIT", "charged": True,
                   "byok": [], "plan_until": None, "closed_at": None}
    assert {source for (source,) in entries(shared, a, "event_source")} == {"/tests"}


@pytest.mark.parametrize("package, amount, bonus", [
    ("starter", 1000, 0), ("basic", 5000, 500), ("pro", 12000, 1500), ("business", 30000, 5000), ("enterprise", 100000, 20000)])
def test_a_package_is_a_purchase_then_its_bonus(shared, package, amount, bonus):
    a = f"buys-{package}"
    shared.account("account.opened", a, plan="studio")
    shared.account("credits.purchased", a, package=package)
    shared.wait_booked()
    assert entries(shared, a) == [("purchase", amount)] + ([("bonus", bonus)] if bonus else [])
    assert sums(shared, a) == {name: value for name, value in (
        ("purchased", amount), ("granted", bonus), ("balance", amount + bonus)) if value}


@pytest.mark.parametrize("plan, unit, grants", [
    ("assistant-free", "CREDIT", [100]), ("assistant-pro", "CREDIT", [2500]), ("assistant-pro-plus", "CREDIT", [7500]),
    ("assistant-business", "CREDIT", []), ("studio", "CREDIT", []), ("payg", "USD", [10]), ("codegen-free", "CREDIT", [5]),
    ("codegen-pro", "CREDIT", [100]), ("quota-free", "EUR", []), ("quota-starter", "EUR", []), ("quota-professional", "EUR", []),
    ("quota-enterprise", "EUR", [])])
def test_opening_on_a_plan_grants_what_it_says(shared, plan, unit, grants):
    a = f"opens-{plan}"
    shared.account("account.opened", a, id=f"{a}-1", plan=plan)
    shared.wait_booked()
    assert entries(shared, a, "type, amount, unit, event_id, plan") == [("grant", amount, unit, f"{a}-1", plan) for amount in grants]
    (row,) = shared.sql("SELECT unit, balance, granted FROM api.balance WHERE account_id = %s", [a])
    assert row == {"unit": unit, "balance": sum(grants), "granted": sum(grants)}


# ---------------------------------------------------------------- what is required, and what is refused

BAD = {
    "no plan": ("account.opened", {}, "bad_data"),
    "no plan to assign": ("plan.assigned", {}, "bad_data"),
    "neither amount nor package": ("credits.purchased", {"reference": "r"}, "bad_data"),
    "a grant of nothing": ("credits.granted", {"amount": 0}, "bad_data"),
    "a grant of nothing with an exponent": ("credits.granted", {"amount": "0e5"}, "bad_data"),
    "less than nothing": ("credits.refunded", {"amount": "-1"}, "bad_data"),
    "a purchase below nothing": ("credits.purchased", {"amount": D("-0.5")}, "bad_data"),
    "an adjustment of nothing": ("credits.adjusted", {"amount": "0.000"}, "bad_data"),
    "thirteen places": ("credits.granted", {"amount": "0.0000000000001"}, "bad_data"),
    "thirteen places by an exponent": ("credits.granted", {"amount": "1e-13"}, "bad_data"),
    "a leading zero": ("credits.granted", {"amount": "01"}, "bad_data"),
    "a plus": ("credits.granted", {"amount": "+1"}, "bad_data"),
    "a space": ("credits.granted", {"amount": " 1"}, "bad_data"),
    "no number": ("credits.granted", {"amount": True}, "bad_data"),
    "a null amount": ("credits.granted", {"amount": None}, "bad_data"),
    "a plan that is a number": ("plan.assigned", {"plan": 7}, "bad_data"),
    "charged that is text": ("account.updated", {"charged": "no"}, "bad_data"),
    "byok that is text": ("account.updated", {"byok": "openai"}, "bad_data"),
    "byok with a number": ("account.updated", {"byok": ["openai", 3]}, "bad_data"),
    "an empty name": ("account.updated", {"name": ""}, "bad_data"),
    "a reference of 257 bytes": ("credits.purchased", {"amount": 1, "reference": "x" * 257}, "bad_data"),
    "a control character": ("credits.granted", {"amount": 1, "reason": "a\tb"}, "bad_data"),
    "its own parent": ("account.updated", {"parent": "wrong"}, "bad_data"),
    "1e18": ("credits.granted", {"amount": "1e18"}, "out_of_range"),
    "1e400": ("credits.purchased", {"amount": "1e400"}, "out_of_range"),
    "an unknown plan": ("plan.assigned", {"plan": "gold"}, "unknown_plan"),
    "an unknown plan at opening": ("account.opened", {"plan": "gold"}, "unknown_plan"),
    "an unknown package": ("credits.purchased", {"package": "huge"}, "unknown_package"),
    "another unit": ("plan.assigned", {"plan": "payg"}, "unit_mismatch"),
    "another unit at opening again": ("account.opened", {"plan": "quota-starter"}, "unit_mismatch"),
    "an unknown type": ("account.renamed", {"name": "x"}, "unknown_type"),
    "a plan that ends": ("plan.assigned", {"plan": "codegen-pro", "until": "2027-01-01T00:00:00Z"}, "bad_data"),
    "credits that expire": ("credits.granted", {"amount": 1, "expires": "2027-01-01T00:00:00Z"}, "bad_data"),
    "a refund of an event": ("credits.refunded", {"amount": 1, "event_source": "/tests", "event_id": "x"}, "bad_data"),
}


def test_what_is_refused_leaves_the_account_as_it_was(shared):
    shared.account("account.opened", "wrong", plan="codegen-free", id="wrong-open")
    shared.account("credits.adjusted", "wrong", amount=5, id="wrong-adjust")
    shared.wait_booked()
    before = shared.sql("SELECT * FROM api.account WHERE account_id = 'wrong'")
    for name, (type, data, _) in BAD.items():
        shared.account(type, "wrong", id=name, **data)
    shared.account("credits.granted", "wrong", amount="5.0000000000000", id="thirteen zeros")  # places are counted by value
    shared.wait_booked()
    assert reasons(shared, ["wrong"]) == {name: reason for name, (_, _, reason) in BAD.items()}
    assert shared.sql("SELECT * FROM api.account WHERE account_id = 'wrong'") == before
    assert entries(shared, "wrong") == [("grant", 5), ("adjustment", 5), ("bonus", 5)]
    # A rejected event takes no identity: the same one, mended, is booked.
    shared.account("credits.granted", "wrong", id="a null amount", amount=1)
    shared.wait_booked()
    assert sums(shared, "wrong")["balance"] == 16


def test_a_package_is_sold_on_plans_of_its_unit_only(shared):
    for plan in ("payg", "quota-starter"):
        shared.account("account.opened", f"no-credits-{plan}", plan=plan)
        shared.account("credits.purchased", f"no-credits-{plan}", id=f"no-credits-{plan}", package="basic")
    shared.wait_booked()
    assert reasons(shared, ["no-credits-payg", "no-credits-quota-starter"]) == {
        "no-credits-payg": "unit_mismatch", "no-credits-quota-starter": "unit_mismatch"}


def test_where_nothing_but_grants_is_booked_they_are_taken_back_and_the_unit_changes(shared):
    shared.account("account.opened", "changes", plan="codegen-pro")
    shared.account("account.opened", "changes", plan="quota-starter", name="now in euro")
    shared.wait_booked()
    assert entries(shared, "changes", "type, amount, balance_after") == [("grant", 100, 100), ("grant", -100, 0)]
    (row,) = shared.sql("SELECT plan, unit, name FROM api.account WHERE account_id = 'changes'")
    assert row == {"plan": "quota-starter", "unit": "EUR", "name": "now in euro"}
    (row,) = shared.sql("SELECT unit, balance, granted FROM api.balance WHERE account_id = 'changes'")
    assert row == {"unit": "EUR", "balance": 0, "granted": 0}


def test_opening_again_updates_and_assigns_without_a_second_welcome(shared):
    shared.account("account.opened", "again", plan="payg", name="one", byok=["openai"])
    shared.account("account.opened", "again", plan="payg", name="two")
    shared.account("account.opened", "again-2", plan="assistant-free")
    shared.account("account.opened", "again-2", plan="assistant-pro", charged=False)
    shared.wait_booked()
    assert entries(shared, "again") == [("grant", 10)]
    (row,) = shared.sql("SELECT name, byok, plan FROM api.account WHERE account_id = 'again'")
    assert row == {"name": "two", "byok": ["openai"], "plan": "payg"}
    assert entries(shared, "again-2") == [("grant", 100), ("grant", 2400)]
    assert shared.value("SELECT charged FROM api.account WHERE account_id = 'again-2'") is False


# ---------------------------------------------------------------- identity

def test_the_same_event_books_once_and_shares_its_identity_with_usage(shared):
    shared.account("account.opened", "id-1", id="id-open", plan="codegen-pro")
    for mode in ("structured", "structured", "binary"):
        shared.account("credits.granted", "id-1", id="id-same", mode=mode, amount="5", reason="once")
    shared.account("credits.granted", "id-1", id="id-same", source="/elsewhere", amount="5")    # another source: another event
    shared.account("credits.granted", "id-1", id="id-same", amount="6", reason="once")          # other data
    shared.account("credits.granted", "id-2", id="id-same", amount="5", reason="once")          # other subject
    shared.account("credits.adjusted", "id-1", id="id-same", amount="5", reason="once")         # other type
    shared.wait_booked()
    shared.usage("id-1", "requests", id="id-same", quantity=1)   # its identity is taken on the other topic
    shared.usage("id-1", "requests", id="id-used", quantity=1)
    shared.wait_booked()
    shared.account("credits.granted", "id-1", id="id-used", amount="7")
    shared.wait_booked()
    assert entries(shared, "id-1", "type, amount, event_source, event_id") == [
        ("grant", 100, "/tests", "id-open"), ("bonus", 5, "/tests", "id-same"), ("bonus", 5, "/elsewhere", "id-same"),
        ("usage", -1, "/tests", "id-used")]
    rows = shared.sql("SELECT topic = %s AS usage, convert_from(key, 'UTF8') AS key, reason FROM api.rejected"
                      " WHERE convert_from(value, 'UTF8')::jsonb ->> 'id' IN ('id-same', 'id-used') ORDER BY at, \"offset\"",
                      [shared.topics["usage"]])
    assert sorted((row["usage"], row["key"], row["reason"]) for row in rows) == sorted([
        (False, "id-1", "id_reused"), (False, "id-2", "id_reused"), (False, "id-1", "id_reused"), (True, "id-1", "id_reused"),
        (False, "id-1", "id_reused")])


def test_the_same_key_books_once_by_whichever_way_it_is_asked_for(shared):
    def by_sql(statement, *parameters):
        return shared.sql(f"SELECT * FROM api.{statement}", parameters)[0]["outcome"]
    assert by_sql("account_open(%s, %s, plan => %s)", "k-open", "keys", "studio") == "done"
    assert by_sql("credit_purchase(%s, %s, amount => %s)", "k-1", "keys", D("12.50")) == "done"
    assert by_sql("credit_purchase(%s, %s, amount => %s)", "k-1", "keys", D("12.5")) == "duplicate"
    for _ in range(2):
        assert shared.debitctl("credit", "purchase", "keys", "--package", "basic", "--key", "k-2").code == 0
        assert shared.debitctl("credit", "grant", "keys", "5.5", "--reason", "thanks", "--key", "k-3").code == 0
    assert by_sql("credit_adjust(%s, %s, %s, %s)", "k-4", "keys", D("-1.5"), "wrong") == "done"
    assert by_sql("credit_refund(%s, %s, %s, reference => %s)", "k-5", "keys", D(2), "inv-1") == "done"
    assert by_sql("account_update(%s, %s, name => %s)", "k-6", "keys", "Kay") == "done"
    assert by_sql("account_assign(%s, %s, %s)", "k-7", "keys", "assistant-free") == "done"
    # the same key by the other way, the amount written another way
    assert shared.debitctl("credit", "purchase", "keys", "1.25e1", "--key", "k-1").data["outcome"] == "duplicate"
    assert by_sql("credit_grant(%s, %s, %s, %s)", "k-3", "keys", D("5.50"), "thanks") == "duplicate"
    assert by_sql("credit_purchase(%s, %s, package => %s)", "k-2", "keys", "basic") == "duplicate"
    assert by_sql("credit_purchase(%s, %s, package => %s)", "k-2", "keys", "starter") == "rejected"
    reused = shared.debitctl("credit", "grant", "keys", "6", "--reason", "thanks", "--key", "k-3", expect=65)
    assert "id_reused" in reused.err
    # 12.5 + 5,000 + 500 + 5.5 - 1.5 + 2 + 100
    assert entries(shared, "keys") == [("purchase", D("12.5")), ("purchase", 5000), ("bonus", 500), ("bonus", D("5.5")),
                                       ("adjustment", D("-1.5")), ("refund", 2), ("grant", 100)]
    assert sums(shared, "keys")["balance"] == D("5618.5")
    assert entries(shared, "keys", "reference, reason")[3:6] == [(None, "thanks"), (None, "wrong"), ("inv-1", None)]


# ---------------------------------------------------------------- parents and children

def test_a_child_uses_its_payers_plan_and_balance(shared):
    shared.account("account.opened", "firm", plan="quota-starter")
    shared.account("account.opened", "staff", parent="firm", plan="assistant-pro", name="Lee")
    shared.account("account.opened", "guest", parent="firm", charged=False)
    shared.account("plan.assigned", "staff", plan="codegen-pro")     # no effect, no grant
    shared.account("credits.purchased", "staff", id="staff-buys", amount="5")
    shared.account("account.opened", "grandchild", id="grandchild", parent="staff")          # staff has a parent
    shared.account("account.opened", "boss", plan="quota-starter")
    shared.account("account.updated", "firm", id="firm-below", parent="boss")                # firm has children
    shared.account("credits.purchased", "staff", id="staff-package", package="basic")        # the payer's unit is EUR
    shared.wait_booked()
    assert reasons(shared, ["grandchild", "firm", "staff"]) == {
        "grandchild": "bad_data", "firm-below": "bad_data", "staff-package": "unit_mismatch"}
    shared.usage("firm", "signatures", id="firm-1", quantity=2, service="signaturit")
    shared.usage("staff", "signatures", id="staff-1", quantity=2, service="signaturit")      # 3 included, 2.00 beyond
    shared.usage("guest", "signatures", id="guest-1", quantity=1, service="signaturit")      # counts, but is not charged
    shared.usage("staff", "signatures", id="staff-2", quantity=1, service="signaturit")
    shared.wait_booked()
    assert entries(shared, "firm", "account_id, payer_id, type, amount, balance_after, event_id, plan") == [
        ("staff", "firm", "purchase", 5, 5, "staff-buys", "quota-starter"),
        ("firm", "firm", "usage", 0, 5, "firm-1", "quota-starter"),
        ("staff", "firm", "usage", -2, 3, "staff-1", "quota-starter"),
        ("guest", "firm", "usage", 0, 3, "guest-1", "quota-starter"),
        ("staff", "firm", "usage", -2, 1, "staff-2", "quota-starter")]
    assert shared.sql("SELECT account_id FROM api.balance WHERE account_id IN ('staff', 'guest', 'grandchild')") == []
    rows = shared.sql("SELECT account_id, period, used, included, percent, cost, charge, overage_quantity FROM api.usage"
                      " WHERE account_id IN ('firm', 'staff', 'guest') AND metric = 'signatures' ORDER BY period")
    assert [tuple(row.values()) for row in rows] == [
        ("firm", "day", 6, 20, 30, 6, 4, 0), ("firm", "month", 6, 3, 200, 6, 4, 3)]
    assert shared.value("SELECT overage_charge FROM api.usage WHERE account_id = 'firm' AND period = 'month'") == 4
    rows = shared.sql("SELECT account_id, component, quantity, cost, charge, events FROM api.usage_daily"
                      " WHERE account_id IN ('firm', 'staff', 'guest') ORDER BY account_id")
    assert [tuple(row.values()) for row in rows] == [("firm", "", 2, 2, 0, 1), ("guest", "", 1, 1, 0, 1), ("staff", "", 3, 3, 4, 2)]
    assert shared.sql("SELECT payer_id, plan, unit FROM api.account WHERE account_id = 'staff'") == [
        {"payer_id": "firm", "plan": "codegen-pro", "unit": "EUR"}]
    assert alerts(shared, "firm") == [  # 2 + 2 of 3: 80 and 100 at once
        ("usage.threshold.reached", 80, "133.333333", "staff-1"), ("usage.threshold.reached", 100, "133.333333", "staff-1")]
    assert [tuple(shared.sql("SELECT api.credit_balance(%s) AS b", [account])[0].values()) for account in ("firm", "staff", "guest")] == [(1,)] * 3


def test_a_new_parent_affects_later_entries_only(shared):
    shared.account("account.opened", "moves", plan="payg")
    shared.account("account.opened", "payer-2", plan="payg")
    shared.wait_booked()
    out_tokens(shared, "moves", 100)
    shared.wait_booked()
    shared.account("account.updated", "moves", parent="payer-2")
    shared.wait_booked()
    out_tokens(shared, "moves", 200)
    shared.account("credits.granted", "moves", amount=3)
    shared.wait_booked()
    assert entries(shared, "moves", "account_id, amount, balance_after") == [("moves", 10, 10), ("moves", -1, 9)]
    assert sorted(entries(shared, "payer-2", "account_id, amount")) == [("moves", -2), ("moves", 3), ("payer-2", 10)]
    assert sums(shared, "payer-2")["balance"] == 11


def test_what_waits_for_an_account_is_parked_until_it_is_open(shared):
    shared.account("credits.granted", "late-child", id="late-gift", amount=7)
    shared.account("account.opened", "late-child", id="late-open", parent="late-parent")
    shared.account("plan.assigned", "late-child", id="late-plan", plan="no-such-plan")   # the account is looked for before the plan
    shared.account("credits.granted", "late-child", id="late-gift", amount=7)            # parked has its identity: a duplicate
    shared.wait_booked()
    shared.usage("late-child", "requests", id="late-use", quantity=1)
    shared.wait_booked()
    rows = shared.sql("SELECT event_id, topic, reason, detail LIKE %s AS names, account_id, event_source, released_at FROM api.parked"
                      " WHERE account_id = 'late-child' ORDER BY topic, \"offset\"", ["%late-%"])
    assert [(row["event_id"], row["reason"], row["account_id"], row["event_source"], row["released_at"]) for row in rows] == [
        (id, "unknown_account", "late-child", "/tests", None) for id in ("late-gift", "late-open", "late-plan", "late-use")]
    shared.account("account.opened", "late-parent", id="late-parent", plan="codegen-free")
    shared.wait(lambda: not shared.sql("SELECT 1 FROM api.parked WHERE account_id = 'late-child' AND released_at IS NULL"), "the release")
    shared.wait_booked()
    assert sorted(entries(shared, "late-parent", "account_id, type, amount, event_id")) == sorted([
        ("late-parent", "grant", 5, "late-parent"), ("late-child", "bonus", 7, "late-gift"), ("late-child", "usage", -1, "late-use")])
    assert reasons(shared, ["late-child"]) == {"late-plan": "unknown_plan"}


# ---------------------------------------------------------------- alerts of balances and plans

def test_balance_alerts_are_those_of_a_prepaid_plan(shared):
    for account, plan in (("spender", "payg"), ("topped", "payg"), ("invoiced", "assistant-business"), ("free-rider", "payg")):
        shared.account("account.opened", account, plan=plan, id=f"{account}-open", charged=account != "free-rider")
    shared.account("credits.adjusted", "topped", id="topped-down", amount="-9.5")    # 10 -> 0.5
    shared.account("credits.purchased", "topped", id="topped-up", amount=5)          # back above 1, but nothing was ever used
    shared.account("credits.adjusted", "free-rider", id="free-down", amount="-9.5")
    shared.account("credits.purchased", "invoiced", amount=10)
    shared.wait_booked()
    out_tokens(shared, "spender", 900, id="to-1")          # 10 - 9 = 1: not below 1
    out_tokens(shared, "spender", 1, id="to-0.99")
    out_tokens(shared, "spender", 99, id="to-0")
    out_tokens(shared, "free-rider", 500, id="free")       # a guest: an entry with amount 0
    out_tokens(shared, "invoiced", 20, id="below")         # 0.20 USD, 20 credits: 10 -> -10
    shared.wait_booked()
    shared.account("credits.purchased", "spender", id="to-0.5", amount="0.5")
    shared.account("credits.granted", "spender", id="to-1-again", amount="0.5")
    shared.account("credits.adjusted", "spender", id="deep", amount="-2.125")
    shared.account("credits.purchased", "free-rider", id="free-up", amount=5)
    shared.wait_booked()
    assert alerts(shared, "spender") == [
        ("balance.low", "1", "0.99", "to-0.99"), ("balance.exhausted", "0", "0", "to-0"), ("balance.recovered", "1", "1", "to-1-again"),
        ("balance.low", "1", "-1.125", "deep"), ("balance.exhausted", "0", "-1.125", "deep")]
    assert alerts(shared, "topped") == [("balance.low", "1", "0.5", "topped-down")]
    assert alerts(shared, "free-rider") == [("balance.low", "1", "0.5", "free-down")]
    assert alerts(shared, "invoiced") == []
    (alert,) = [alert for alert in shared.alerts("balance.recovered") if alert["subject"] == "spender"]
    assert alert["data"] == {"unit": "USD", "balance": "1", "threshold": "1", "event_source": "/tests", "event_id": "to-1-again"}


def test_a_plan_change_raises_what_it_reaches_and_names_its_event(shared):
    shared.account("account.opened", "shrinks", plan="quota-starter")
    shared.wait_booked()
    shared.usage("shrinks", "ai_tokens", id="t-1", service="claude", quantity=4000)       # 80 % of 5,000
    shared.usage("shrinks", "signatures", id="t-2", service="signaturit", quantity=3)     # 3 of 3
    shared.wait_booked()
    shared.account("plan.assigned", "shrinks", id="to-pro", plan="quota-professional")    # 8 %, 30 %
    shared.wait_booked()
    shared.usage("shrinks", "sms", id="t-3", service="twilio", quantity=10)                # 10 of 50; 0 are included below
    shared.wait_booked()
    shared.account("account.opened", "shrinks", id="back", plan="quota-starter")          # 8 -> 80 %, 30 -> 100 %
    shared.account("account.updated", "shrinks", id="to-free", plan="quota-free")         # 80 -> 4000 %; of signatures 0 are included
    shared.wait_booked()
    found = [(alert["data"]["metric"], alert["data"]["threshold"], alert["data"]["used"], alert["data"]["included"],
              alert["data"]["percent"], alert["data"]["event_id"])
             for alert in shared.alerts("usage.threshold.reached") if alert["subject"] == "shrinks"]
    assert found[:3] == [("ai_tokens", 80, "4000", "5000", "80", "t-1"), ("signatures", 80, "3", "3", "100", "t-2"),
                         ("signatures", 100, "3", "3", "100", "t-2")]
    assert sorted(found[3:8], key=str) == sorted([
        ("ai_tokens", 80, "4000", "5000", "80", "back"), ("signatures", 80, "3", "3", "100", "back"),
        ("signatures", 100, "3", "3", "100", "back"), ("sms", 80, "10", "0", None, "back"), ("sms", 100, "10", "0", None, "back")], key=str)
    # signatures were at 100 % and sms beyond their 0 already
    assert found[8:] == [("ai_tokens", 100, "4000", "100", "4000", "to-free")]


# ---------------------------------------------------------------- the check and the estimate

CHECK = "allowed reason used included remaining balance percent resets_at"


def next_month():
    now = datetime.now(timezone.utc)
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=timezone.utc)


def tomorrow():
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def test_the_check_says_what_is_left_and_why_not(shared):
    for account, plan in (("c-quota", "quota-starter"), ("c-payg", "payg"), ("c-code", "codegen-free"), ("c-free", "assistant-free")):
        shared.account("account.opened", account, plan=plan)
    shared.account("credits.adjusted", "c-payg", amount="-9.99")
    shared.account("credits.adjusted", "c-free", amount="-100")
    shared.wait_booked()
    shared.usage("c-quota", "signatures", service="signaturit", quantity=2)
    shared.usage("c-quota", "ai_valuations", service="claude", quantity=50)
    shared.wait_booked()

    def check(account, metric, quantity):
        cursor = shared.postgres.connect(shared.name).execute("SELECT * FROM api.check_usage(%s, %s, %s)", [account, metric, D(quantity)])
        assert " ".join(column.name for column in cursor.description) == CHECK
        return cursor.fetchone()
    month = next_month()
    assert check("c-quota", "signatures", 2) == (True, None, 2, 3, 1, 0, D("66.666667"), month)      # overage is sold
    allowed, reason, *figures = check("c-quota", "sms", 1)                                           # overage is not
    assert (allowed, figures) == (False, [0, 0, 0, 0, None, month]) and reason                       # no percentage of 0
    allowed, reason, *figures = check("c-quota", "ai_valuations", 1)                                 # 50 a day
    assert (allowed, figures) == (False, [50, 50, 0, 0, 100, tomorrow()]) and reason
    assert check("c-quota", "signatures", 19)[0] is False                                            # 2 + 19 of 20 a day
    assert check("c-quota", "signatures", 18)[0] is True
    assert check("c-payg", "ai_tokens", 1)[:2] == (True, None)                                       # 0.01 is the minimum
    assert check("c-code", "requests", 5)[:2] == (True, None)
    assert check("c-code", "requests", 6)[0] is False
    allowed, reason, *_ = check("c-free", "ai_tokens", 1)                                            # not enforced
    assert allowed is True and reason
    shared.account("credits.adjusted", "c-payg", amount="-0.000000000001")
    shared.wait_booked()
    assert check("c-payg", "ai_tokens", 1)[:2] == (False, reason)
    assert [check(account, metric, quantity)[0] for account, metric, quantity in (
        ("nobody", "sms", 1), ("c-payg", "no-such-metric", 1), ("c-quota", "requests", 1))] == [False] * 3


def test_an_estimate_is_what_would_be_booked(shared):
    shared.account("account.opened", "e-payg", plan="payg")
    shared.account("account.opened", "e-studio", plan="studio")
    shared.account("credits.purchased", "e-studio", package="starter")
    shared.account("account.opened", "e-pro", plan="assistant-pro", byok=["google"])
    shared.wait_booked()

    def estimate(account, service, model, metric, quantities):
        cursor = shared.postgres.connect(shared.name).execute(
            "SELECT * FROM api.estimate(%s, %s, %s, %s, %s::jsonb)", [account, service, model, metric, quantities])
        assert " ".join(column.name for column in cursor.description) == "cost charge balance_after affordable"
        return cursor.fetchone()
    # the examples of the price list: 500 in, 500 out
    half = '{"input": 500, "output": "500"}'
    for service, model, cost in (("openai", "gpt-4o", "0.00625"), ("openai", "gpt-4o-mini", "0.000375"),
                                 ("anthropic", "claude-3.5-sonnet", "0.009"), ("anthropic", "claude-3.5-haiku", "0.0024"),
                                 ("google", "gemini-2.0-flash", "0.0001875"), ("deepseek", "deepseek-chat", "0.00021")):
        assert estimate("e-payg", service, model, "ai_tokens", half) == (D(cost), D(cost), 10 - D(cost), True)
    assert estimate("e-pro", "openai", "gpt-4o", "ai_tokens", half) == (D("0.00625"), D("0.625"), D("2499.375"), True)
    assert estimate("e-pro", "google", "gemini-2.0-flash", "ai_tokens", half)[:2] == (0, 0)   # its own key
    assert estimate("e-studio", "openai", "gpt-4o", "ai_tokens", half) == (D("0.00625"), 25, 975, True)
    assert estimate("e-studio", "openai", "gpt-4o", "ai_tokens", '{"output": 41000}')[1:] == (1025, -25, False)


def test_the_books_of_all_of_this_verify(shared):
    shared.verify()
