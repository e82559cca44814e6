"""Account operations in SQL (contract 1.2, 2.3, 3): what they book, refuse and park. All money is worked out by hand from the small catalogue of sql_books.py."""

import json

import pytest

from tests.integration.sql_books import utc

COLUMNS = ("balance", "purchased", "granted", "refunded", "adjusted", "settled", "spent", "expired")


def sums(books, account):
    payer = books.payer(account)
    return {name: format(payer[name], "f") for name in COLUMNS if payer[name] != 0}


@pytest.fixture(autouse=True)
def sound(books):
    yield
    books.assert_sound()


# ---------------------------------------------------------------- opening, plans, grants

def test_opening_grants_the_welcome_of_the_plan(books):
    entry = books.done("account.opened", "a", plan="payg", name="Ann", charged=False, byok=["openai"])
    assert books.entries("a") == [("grant", "10", "10", "USD", "a")]
    assert sums(books, "a") == {"balance": "10", "granted": "10"}
    account = books.account("a")
    assert (account["payer"], account["plan"], account["title"], account["charged"], account["byok"]) == \
        ("a", "payg", "Ann", False, ["openai"])
    row = books.rows("SELECT l.*, n.name AS source FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id")[0]
    assert (row["entry_id"], row["source"], row["event_id"], row["cost"], row["late"]) == (entry, "/test", "e1", None, False)


def test_welcome_and_credits_of_the_period_are_two_entries(books):
    books.done("account.opened", "a", plan="both")
    # a welcome is no grant of the period: 5, then the whole 20
    assert books.entries("a") == [("grant", "5", "5", "USD", "a"), ("grant", "20", "25", "USD", "a")]
    books.done("plan.assigned", "a", plan="both")
    assert len(books.entries("a")) == 2  # a renewal within the month exceeds nothing


def test_the_entries_of_an_operation_stand_in_one_range_of_the_folder(books):
    first = books.done("account.opened", "a", plan="both")
    assert [(b["entry_lo"], b["entry_hi"]) for b in books.rows("SELECT * FROM debitd.batch")] == [(first, first + 1)]


def test_an_upgrade_grants_what_exceeds_the_grants_of_the_month(books):
    books.done("account.opened", "a", plan="free")
    books.done("plan.assigned", "a", plan="pro")
    books.done("plan.assigned", "a", plan="free")
    books.done("plan.assigned", "a", plan="pro")
    assert books.entries("a") == [("grant", "100", "100", "CREDIT", "a"), ("grant", "2400", "2500", "CREDIT", "a")]


def test_a_new_month_grants_anew_on_assignment(books):
    books.done("account.opened", "a", plan="free")
    books.move_clock("32 days")
    assert books.one("SELECT debitd.switch_month()") is True
    books.done("plan.assigned", "a", plan="free")
    assert books.entries("a") == [("grant", "100", "100", "CREDIT", "a"), ("grant", "100", "200", "CREDIT", "a")]


def test_opening_again_acts_as_update_and_assignment(books):
    books.done("account.opened", "a", plan="payg", name="Ann")
    books.done("account.opened", "a", plan="payg", name="Anna")
    assert books.entries("a") == [("grant", "10", "10", "USD", "a")]  # the welcome once
    assert books.account("a")["title"] == "Anna"


def test_another_unit_takes_the_grants_back_where_nothing_else_is_booked(books):
    books.done("account.opened", "a", plan="free")
    books.done("account.opened", "a", plan="payg")  # no welcome: the account is not new
    assert books.entries("a") == [("grant", "100", "100", "CREDIT", "a"), ("grant", "-100", "0", "CREDIT", "a")]
    books.done("plan.assigned", "a", plan="pro")
    assert books.entries("a")[2:] == [("grant", "2500", "2500", "CREDIT", "a")]  # granted anew: those before are taken back
    assert sums(books, "a") == {"balance": "2500", "granted": "2500"}
    assert books.alerts("a") == []  # nothing was used up


def test_grants_of_the_old_unit_do_not_count_in_the_new_one(books):
    books.done("account.opened", "a", plan="free")
    books.done("plan.assigned", "a", plan="both")
    # not 20 less the 100 credits that were granted and taken back
    assert books.entries("a")[1:] == [("grant", "-100", "0", "CREDIT", "a"), ("grant", "20", "20", "USD", "a")]


def test_another_unit_is_refused_once_something_else_is_booked(books):
    books.done("account.opened", "a", plan="free")
    books.done("credits.granted", "a", amount="1")
    for type in ("plan.assigned", "account.opened", "account.updated"):
        assert books.event(type, "a", {"plan": "payg"})[:2] == ("rejected", "unit_mismatch")
    assert books.account("a")["plan"] == "free"
    books.done("plan.assigned", "a", plan="pro")  # the same unit


def test_unknown_plan_and_unknown_package_are_refused_and_leave_nothing(books):
    assert books.event("account.opened", "a", {"plan": "gold"})[:2] == ("rejected", "unknown_plan")
    assert books.rows("SELECT * FROM debitd.account") == []
    books.done("account.opened", "a", plan="free")
    assert books.event("credits.purchased", "a", {"package": "gold"})[:2] == ("rejected", "unknown_package")
    assert len(books.entries("a")) == 1


def test_a_rejected_event_takes_no_identity(books):
    assert books.event("account.opened", "a", {"plan": "gold"}, id="x")[:2] == ("rejected", "unknown_plan")
    assert books.event("account.opened", "a", {"plan": "free"}, id="x")[0] == "done"


# ---------------------------------------------------------------- closing

def test_a_closed_account_parks_its_events_and_reopens_without_a_second_welcome(books):
    books.done("account.opened", "a", plan="payg")
    books.event("account.closed", "a", {"reason": "moved"}, at=utc(2026, 11, 3))
    assert books.account("a")["closed_at"] == utc(2026, 11, 3)
    assert books.event("credits.granted", "a", {"amount": "1"}) == ("parked", "unknown_account", "a", None)
    books.done("account.opened", "a", plan="payg")
    assert books.account("a")["closed_at"] is None
    assert books.entries("a") == [("grant", "10", "10", "USD", "a")]


# ---------------------------------------------------------------- credits

def test_a_package_is_a_purchase_and_then_its_bonus(books):
    books.done("account.opened", "a", plan="free")
    books.done("credits.purchased", "a", package="basic", reference="inv-7")
    books.done("credits.purchased", "a", package="starter")  # no bonus, no entry
    assert books.entries("a")[1:] == [("purchase", "5000", "5100", "CREDIT", "a"), ("bonus", "500", "5600", "CREDIT", "a"),
                                      ("purchase", "1000", "6600", "CREDIT", "a")]
    assert sums(books, "a") == {"balance": "6600", "purchased": "6000", "granted": "600"}
    assert [r["reference"] for r in books.rows("SELECT reference FROM debitd.ledger ORDER BY entry_id")] == \
        [None, "inv-7", "inv-7", None]


def test_a_package_of_another_unit_is_refused(books):
    books.done("account.opened", "a", plan="payg")
    assert books.event("credits.purchased", "a", {"package": "basic"})[:2] == ("rejected", "unit_mismatch")


def test_every_kind_of_credit_has_its_entry_and_its_sum(books):
    books.done("account.opened", "a", plan="payg")                        # 10
    books.done("credits.purchased", "a", amount="20.5")                   # 30.5
    books.done("credits.granted", "a", amount="0.000000000001")           # 30.500000000001
    books.done("credits.refunded", "a", amount="1e1", reason="sorry")     # 40.500000000001
    books.done("credits.adjusted", "a", amount="-50")                     # -9.499999999999
    books.done("invoice.paid", "a", amount="9.5", period="2026-10")       # 0.000000000001
    assert books.entries("a") == [
        ("grant", "10", "10", "USD", "a"), ("purchase", "20.5", "30.5", "USD", "a"),
        ("bonus", "0.000000000001", "30.500000000001", "USD", "a"), ("refund", "10", "40.500000000001", "USD", "a"),
        ("adjustment", "-50", "-9.499999999999", "USD", "a"), ("settlement", "9.5", "0.000000000001", "USD", "a")]
    assert sums(books, "a") == {"balance": "0.000000000001", "purchased": "20.5", "granted": "10.000000000001",
                                "refunded": "10", "adjusted": "-50", "settled": "9.5"}
    assert books.one("SELECT metadata FROM debitd.ledger WHERE type = 'settlement'") == {"period": "2026-10"}


def test_entries_say_when_they_happened_and_when_they_were_booked(books):
    books.event("account.opened", "a", {"plan": "payg"}, at=utc(2026, 10, 31, 23, 59, 59))
    row = books.rows("SELECT * FROM debitd.ledger")[0]
    assert row["occurred_at"] == utc(2026, 10, 31, 23, 59, 59)
    assert str(row["counted_on"]) == "2026-10-31"
    assert row["booked_at"].date().replace(day=1) == books.one("SELECT month FROM debitd.books")


def test_a_balance_of_1e18_is_out_of_range(books):
    books.done("account.opened", "a", plan="free")  # 100
    most = "999999999999999899.999999999999"        # 100 below 1e18, less the least amount there is
    assert books.event("credits.granted", "a", {"amount": "999999999999999900"})[:2] == ("rejected", "out_of_range")
    books.done("credits.granted", "a", amount=most)
    assert books.event("credits.granted", "a", {"amount": "0.000000000001"})[:2] == ("rejected", "out_of_range")
    assert str(books.payer("a")["balance"]) == "999999999999999999.999999999999"


# ---------------------------------------------------------------- parents and children

def test_credits_to_a_child_go_to_its_payer(books):
    books.done("account.opened", "p", plan="free")
    books.done("account.opened", "c", parent="p", plan="pro")  # its own plan has no effect and brings no grant
    books.done("credits.purchased", "c", package="basic")
    assert books.entries("p") == [("grant", "100", "100", "CREDIT", "p"), ("purchase", "5000", "5100", "CREDIT", "c"),
                                  ("bonus", "500", "5600", "CREDIT", "c")]
    assert books.rows("""SELECT n.name FROM debitd.ledger l JOIN debitd.plan p USING (plan_id)
                           JOIN debitd.name n ON n.name_id = p.plan_name_id GROUP BY 1""") == [{"name": "free"}]
    books.done("plan.assigned", "c", plan="free")
    assert len(books.entries("p")) == 3
    assert (books.account("c")["payer"], books.account("c")["plan"]) == ("p", "free")


def test_a_new_parent_affects_later_entries_only(books):
    books.done("account.opened", "p", plan="payg")
    books.done("account.opened", "c", plan="payg")
    books.done("account.updated", "c", parent="p")
    books.done("credits.granted", "c", amount="2")
    assert books.entries("c") == [("grant", "10", "10", "USD", "c")]  # the balance stays where it is
    assert books.entries("p") == [("grant", "10", "10", "USD", "p"), ("bonus", "2", "12", "USD", "c")]
    assert books.payer("c")["plan_name_id"] is None
    books.done("account.opened", "q", plan="payg")
    books.done("account.updated", "c", parent="q")
    ids = [books.account(name)["account_id"] for name in "cp"]
    assert books.account("c")["past_payers"] == ids


def test_a_parent_must_have_no_parent_and_an_account_with_children_gets_none(books):
    books.done("account.opened", "p", plan="payg")
    books.done("account.opened", "q", plan="payg")
    books.done("account.opened", "c", parent="p")
    assert books.event("account.opened", "d", {"parent": "c"})[:2] == ("rejected", "bad_data")
    assert books.event("account.updated", "p", {"parent": "q"})[:2] == ("rejected", "bad_data")
    assert books.event("account.opened", "d", {"parent": "d"})[:2] == ("rejected", "bad_data")


def test_what_waits_for_an_account_is_parked_and_is_looked_for_first(books):
    assert books.event("credits.purchased", "a", {"package": "gold"}, id="x") == ("parked", "unknown_account", "a", None)
    assert books.event("credits.purchased", "a", {"package": "gold"}, id="x")[0] == "duplicate"  # it has its identity
    assert books.event("account.opened", "c", {"parent": "p", "plan": "gold"}) == ("parked", "unknown_account", "p", None)
    assert books.event("account.updated", "b", {"parent": "p"}) == ("parked", "unknown_account", "b", None)
    assert books.rows("SELECT * FROM debitd.account") == []
    books.done("account.opened", "p", plan="payg")
    books.done("account.closed", "p")
    assert books.event("account.opened", "d", {"parent": "p"}) == ("parked", "unknown_account", "p", None)


def test_every_operation_gives_the_payers_it_touches_a_new_version(books):
    def versions():
        return [books.payer(name)["version"] for name in "pqc"]
    for name in "pqc":
        books.done("account.opened", name, plan="payg")
    before = versions()
    books.done("account.updated", "c", parent="p")
    assert versions() == [before[0] + 1, before[1], before[2] + 1]
    books.done("account.updated", "c", parent="q")
    assert versions() == [before[0] + 2, before[1] + 1, before[2] + 2]
    books.done("credits.granted", "c", amount="1")
    assert versions()[1] == before[1] + 2


# ---------------------------------------------------------------- identities and bad data

def test_the_same_event_again_is_a_duplicate_and_another_one_with_its_identity_is_refused(books):
    books.done("account.opened", "a", plan="payg")
    first = books.done("credits.granted", "a", id="x", amount="1")
    assert books.event("credits.granted", "a", {"amount": "1"}, id="x") == ("duplicate", None, None, first)
    assert books.event("credits.granted", "a", {"amount": "2"}, id="x")[:2] == ("rejected", "id_reused")
    assert books.event("credits.refunded", "a", {"amount": "1"}, id="x")[:2] == ("rejected", "id_reused")
    assert len(books.entries("a")) == 2


def test_bad_data_comes_before_the_identity_and_the_identity_before_the_plan(books):
    books.done("account.opened", "a", plan="payg", id="x")
    assert books.event("credits.granted", "a", {"amount": "0"}, id="x")[:2] == ("rejected", "bad_data")
    assert books.event("credits.granted", "a", {"amount": "1e18"}, id="x")[:2] == ("rejected", "out_of_range")
    assert books.event("plan.assigned", "a", {"plan": "gold"}, id="x")[:2] == ("rejected", "id_reused")


BAD = [
    ("account.opened", {}), ("account.opened", {"plan": None}), ("account.opened", {"plan": 1}), ("account.opened", {"plan": ""}),
    ("account.opened", {"plan": "payg", "charged": "yes"}), ("account.opened", {"plan": "payg", "byok": "openai"}),
    ("account.opened", {"plan": "payg", "byok": [1]}), ("account.opened", {"plan": "payg", "name": "x" * 257}),
    ("account.opened", {"plan": "payg", "name": "a\u0085b"}), ("account.opened", []), ("account.opened", None),
    ("plan.assigned", {}), ("plan.assigned", {"plan": "payg", "until": "2027-01-01T00:00:00Z"}),
    ("credits.purchased", {}), ("credits.purchased", {"amount": "1", "package": "basic"}),
    ("credits.purchased", {"amount": "-1"}), ("credits.purchased", {"amount": "-1e400"}),
    ("credits.granted", {"amount": "0.0000000000001"}), ("credits.granted", {"amount": "1e-2000"}),
    ("credits.granted", {"amount": "0x1"}), ("credits.granted", {"amount": "1", "expires": "2027-01-01T00:00:00Z"}),
    ("credits.granted", {"amount": True}), ("credits.granted", {"amount": "0e5"}), ("credits.granted", {"amount": "1", "reason": 5}),
    ("credits.refunded", {"amount": "1", "event_id": "e"}), ("credits.refunded", {"amount": "1", "event_source": "s"}),
    ("credits.adjusted", {"amount": "0"}), ("invoice.paid", {"amount": "1"}), ("invoice.paid", {"period": "2026-10"}),
]


@pytest.mark.parametrize("type, data", BAD)
def test_bad_data_is_a_reason_not_an_exception(books, type, data):
    books.done("account.opened", "a", plan="payg")
    outcome, reason, detail, entry = books.event(type, "a", data)
    assert (outcome, reason, entry) == ("rejected", "bad_data", None) and detail
    assert len(books.entries("a")) == 1


def test_huge_amounts_are_out_of_range_and_unknown_types_unknown(books):
    books.done("account.opened", "a", plan="payg")
    for amount in ("1e18", "1" + "0" * 18, "1e400", "1e99999999999999999999", 10 ** 30):
        assert books.event("credits.granted", "a", {"amount": amount})[:2] == ("rejected", "out_of_range")
    assert books.event("credits.adjusted", "a", {"amount": "-1e18"})[:2] == ("rejected", "out_of_range")
    assert books.event("credits.given", "a", {"amount": "1"})[:2] == ("rejected", "unknown_type")


def test_members_that_a_type_does_not_have_are_ignored(books):
    books.done("account.opened", "a", plan="payg", amount="7")
    books.done("credits.granted", "a", amount="1", parent="nobody", plan="gold")
    books.done("account.closed", "a", plan="gold", name="x")
    assert books.account("a")["title"] is None


# ---------------------------------------------------------------- opened by usage

def test_usage_opens_accounts_with_the_grants_of_the_plan_that_no_event_caused(books):
    books.done("account.opened", "b", plan="payg")
    assert books.one("SELECT debitd.open_unknown('{c,a,b,a}', 'both')") == 2
    assert books.entries("a") == [("grant", "5", "5", "USD", "a"), ("grant", "20", "25", "USD", "a")]
    assert books.entries("b") == [("grant", "10", "10", "USD", "b")]
    assert books.rows("SELECT DISTINCT source_id, event_id FROM debitd.ledger WHERE event_id IS NULL") == \
        [{"source_id": None, "event_id": None}]
    assert books.one("SELECT debitd.open_unknown('{a,b,c}', 'both')") == 0
    assert books.one("SELECT debitd.open_unknown('{d}', 'gold')") == 0
    low, high = books.sql.execute("SELECT entry_lo, entry_hi FROM debitd.batch ORDER BY batch_id DESC LIMIT 1").fetchone()
    assert high - low == 3  # two accounts with two entries, one range
    books.done("plan.assigned", "a", plan="both")
    assert len(books.entries("a")) == 2


# ---------------------------------------------------------------- released from parking

def park(books, id, account, waits_for, value, headers=(), at=None):
    """The row that the daemon writes when account_event() says parked."""
    return books.one(
        """INSERT INTO debitd.parked (topic_kind, topic, partition, "offset", reason, detail, waits_for, catalogue_version, account, source,
                                      event_id, event_key, message_time, value, header_names, header_values, parked_at)
           VALUES ('accounts', 'usage.accounts', 0, 0, 'unknown_account', %s, %s, 1, %s, '/test', %s,
                   debitd.hash_parts(ARRAY['debitd/event/v1', '/test', %s]), %s, %s, %s, %s, debitd.now()) RETURNING parked_id""",
        waits_for, waits_for, account, id, id, at or utc(2026, 11, 1), value,
        [name.encode() for name, _ in headers], [content.encode() for _, content in headers])


def release(books, parked_id, type="credits.purchased", at=utc(2026, 11, 2, 10, 0, 0, 123456), refused=None, **data):
    return books.sql.execute("SELECT outcome, reason, entry_id FROM debitd.apply_parked(%s, %s, %s, %s::jsonb, %s, %s)",
                             [parked_id, type, at, json.dumps(data), refused, refused and "in words"]).fetchone()


def test_a_parked_operation_is_booked_once_when_its_account_opens(books):
    assert books.event("credits.purchased", "a", {"amount": "0.1"}, id="x")[0] == "parked"
    parked = park(books, "x", "a", "a", b"{}")
    assert release(books, parked, amount="0.1", reference="r")[:2] == ("parked", "unknown_account")
    books.done("account.opened", "a", plan="payg")
    outcome, reason, entry = release(books, parked, amount="0.1", reference="r")
    assert (outcome, reason) == ("done", None)
    assert books.entries("a") == [("grant", "10", "10", "USD", "a"), ("purchase", "0.1", "10.1", "USD", "a")]
    row = books.rows("SELECT * FROM debitd.ledger WHERE entry_id = %s", entry)[0]
    assert (row["event_id"], row["reference"], row["occurred_at"]) == ("x", "r", utc(2026, 11, 2, 10, 0, 0, 123456))
    state = books.rows("SELECT outcome, entry_id, released_at IS NOT NULL AS released FROM debitd.parked")[0]
    assert state == {"outcome": "booked", "entry_id": entry, "released": True}
    assert release(books, parked, amount="0.1")[0] == "duplicate"
    assert books.event("credits.purchased", "a", {"amount": "0.1"}, id="x")[0] == "duplicate"
    assert len(books.entries("a")) == 2


def test_an_operation_that_is_rejected_after_parking_loses_its_identity(books):
    assert books.event("credits.purchased", "a", {"package": "gold"}, id="x")[0] == "parked"
    parked = park(books, "x", "a", "a", b"{}")
    books.done("account.opened", "a", plan="free")
    assert release(books, parked, package="gold")[:2] == ("rejected", "unknown_package")
    assert books.one("SELECT outcome FROM debitd.parked") == "rejected"
    assert books.event("credits.purchased", "a", {"package": "basic"}, id="x")[0] == "done"


def test_a_parked_operation_that_never_can_be_booked_is_rejected_for_the_reason_given(books):
    assert books.event("credits.purchased", "a", {"amount": "1"}, id="x")[0] == "parked"
    parked = park(books, "x", "a", "a", b"{}")
    assert release(books, parked, type=None, at=None, refused="bad_data") == ("rejected", "bad_data", None)
    assert books.rows("SELECT reason, detail FROM debitd.rejected") == [{"reason": "bad_data", "detail": "in words"}]
    assert books.event("credits.purchased", "a", {"amount": "1"}, id="x")[0] == "parked"


def test_what_is_released_after_the_month_has_ended_is_booked_in_the_new_one(books):
    assert books.event("plan.assigned", "a", {"plan": "free"}, id="x")[0] == "parked"
    parked = park(books, "x", "a", "a", b"{}")
    books.done("account.opened", "a", plan="free")
    books.move_clock("32 days")
    assert release(books, parked, type="plan.assigned", plan="free")[0] == "done"
    assert [e[1] for e in books.entries("a")] == ["100", "100"]


# ---------------------------------------------------------------- the functions of api

def test_the_functions_of_api_book_each_key_once(books):
    def call(text, *parameters):
        return books.sql.execute(f"SELECT outcome, reason FROM api.{text}", parameters or None).fetchone()
    assert call("account_open('k1', 'a', 'free', name => 'Ann')") == ("done", None)
    assert call("account_open('k1', 'a', 'free', name => 'Ann')") == ("duplicate", None)
    assert call("account_update('k2', 'a', byok => '{openai,google}')") == ("done", None)
    assert call("account_assign('k3', 'a', 'pro')") == ("done", None)
    assert call("credit_purchase('k4', 'a', package => 'basic', reference => 'r')") == ("done", None)
    assert call("credit_purchase('k5', 'a', 1.50)") == ("done", None)
    assert call("credit_purchase('k5', 'a', 1.5)") == ("duplicate", None)  # the same amount
    assert call("credit_purchase('k5', 'a', 1.6)") == ("rejected", "id_reused")
    assert call("credit_grant('k6', 'a', 2, 'gift')") == ("done", None)
    assert call("credit_refund('k7', 'a', 3, reason => 'sorry')") == ("done", None)
    assert call("credit_adjust('k8', 'a', -4.5)") == ("done", None)
    assert call("invoice_pay('k9', 'a', '2026-10', 5)") == ("done", None)
    assert call("invoice_pay('k9b', 'a', '2026-13', 5)") == call("invoice_pay('k9b', 'a', '0000-01', 5)") == ("rejected", "bad_data")
    assert call("invoice_pay('k9b', 'a', 'never', 5)") == ("rejected", "bad_data")
    assert call("credit_grant('k10', 'a', 'NaN')") == ("rejected", "bad_data")
    assert call("credit_grant('', 'a', 1)") == ("rejected", "bad_attribute")
    assert call("account_close('k11', 'a')") == ("done", None)
    assert books.account("a")["byok"] == ["openai", "google"]
    # 100 + 2400 + 5000 + 500 + 1.5 + 2 + 3 - 4.5 + 5
    assert str(books.payer("a")["balance"]) == "8007"
    assert books.rows("SELECT DISTINCT n.name FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id") == [{"name": "/debitd/operations"}]


def test_sql_is_refused_what_a_message_would_be_parked_for(books):
    refused = books.sql.execute("SELECT outcome, reason, detail FROM api.credit_grant('k', 'a', 1)").fetchone()
    assert refused == ("rejected", "unknown_account", 'account "a" is not open')
    books.done("account.opened", "a", plan="free")
    assert books.sql.execute("SELECT outcome FROM api.credit_grant('k', 'a', 1)").fetchone() == ("done",)  # the key was not used up


def test_sql_moves_the_month_where_no_daemon_does(books):
    books.done("account.opened", "a", plan="free")
    books.move_clock("32 days")
    assert books.sql.execute("SELECT outcome FROM api.account_assign('k', 'a', 'free')").fetchone() == ("done",)
    assert [e[1] for e in books.entries("a")] == ["100", "100"]
