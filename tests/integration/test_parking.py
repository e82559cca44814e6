"""What cannot be booked yet is parked, and booked by itself, once, when what was missing arrives."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest


def price_file(world, text):
    path = world.folder / "prices.conf"
    path.write_text('prices = ( { service = "acme"; metric = "ai_tokens"; currency = "USD"; per = "1000"; effective_from = "2025-01-01"; price = "'
                    + text + '"; } );\n')
    return str(path)


def parked(world):
    return world.sql("SELECT event_id, reason, released_at IS NOT NULL AS released FROM api.parked ORDER BY event_id")


def test_usage_of_an_unknown_account_is_booked_when_it_is_opened_and_a_resend_is_a_duplicate(world):
    world.catalog()
    world.start()
    world.usage("late", id="u-1", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.usage("late", id="u-1", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.wait_booked(total=0)
    assert parked(world) == [{"event_id": "u-1", "reason": "unknown_account", "released": False}]
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: parked(world)[0]["released"], "the parked event to be released")
    world.wait_booked(total=1)
    # 10 welcome - 1000 x 0.15 / 1e6
    assert world.value("SELECT balance FROM api.balance") == Decimal("9.99985")
    assert world.value("SELECT sum(duplicates) FROM api.position") == 1
    world.verify()


def test_an_unknown_metric_is_booked_when_the_catalogue_has_it(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="assistant-business")
    world.flush()
    world.start()
    world.usage("acct-1", "pages", id="u-1", quantity=3)
    world.wait_booked(total=0)
    assert parked(world) == [{"event_id": "u-1", "reason": "unknown_metric", "released": False}]
    text = open("etc/catalog.conf").read()
    text = text.replace('{ name = "ai_tokens"; },', '{ name = "ai_tokens"; }, { name = "pages"; },', 1)
    text = text.replace("prices = (", 'prices = ( { metric = "pages"; currency = "USD"; price = "0.02"; },', 1)
    world.catalog(text)
    world.wait(lambda: parked(world)[0]["released"], "the parked event to be released")
    world.wait_booked(total=1)
    assert world.value("SELECT balance FROM api.balance") == -6  # 3 x 0.02 USD = 6 credits
    world.verify()


def test_a_price_file_taken_up_by_a_reload_prices_what_was_parked_for_the_want_of_it(world):
    world.catalog()
    world.account("account.opened", "acct-1", plan="payg")
    world.flush()
    daemon = world.start()
    world.usage("acct-1", id="u-1", service="acme", model="m", quantity=500)
    world.wait_booked(total=0)
    assert parked(world) == [{"event_id": "u-1", "reason": "unpriced", "released": False}]
    daemon.configure({**daemon.config, "prices": {"file": price_file(world, "2")}})
    daemon.reload()
    world.wait(lambda: parked(world)[0]["released"], "the parked event to be released")
    world.wait_booked(total=1)
    assert world.sql("SELECT amount, price_source FROM api.ledger WHERE type = 'usage'") == [
        {"amount": -1, "price_source": "file"}]
    world.verify()


def test_a_parked_event_that_is_voided_never_comes_into_the_books(world):
    world.catalog()
    world.start()
    world.usage("late", id="u-1", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, key="k")
    world.wait_booked(total=0)
    world.void("late", "u-1", id="v-1", key="k")
    world.void("late", "u-1", id="v-2", key="k")
    world.wait_booked(total=0)
    assert world.value("SELECT reason FROM api.rejected") == "already_voided"
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: world.value("SELECT count(*) FROM api.account") == 1, "the account to be open")
    world.usage("late", id="u-2", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, key="k")
    world.wait_booked(total=1)
    assert world.value("SELECT balance FROM api.balance") == Decimal("9.99985")
    world.verify()


def test_an_operation_that_waits_for_its_parent_and_is_then_refused_is_a_dead_letter(world):
    world.catalog()
    world.start()
    world.account("account.opened", "child", id="o-1", parent="middle", key="a")
    world.wait_booked()
    assert [row["reason"] for row in parked(world)] == ["unknown_account"]
    world.account("account.opened", "top", plan="payg", key="b")
    world.wait(lambda: world.value("SELECT count(*) FROM api.account WHERE account_id = 'top'") == 1, "top to be open")
    world.account("account.opened", "middle", parent="top", key="c")  # a parent that has a parent itself: bad_data
    world.wait(lambda: world.value("SELECT count(*) FROM api.rejected WHERE published_at IS NOT NULL") == 1,
               "the operation to be refused")
    row, = world.sql("SELECT reason, value FROM api.rejected")
    letter, = world.topic_messages("deadletter")
    assert (row["reason"], row["value"]) == ("bad_data", letter.value)
    assert letter.header("debitd-reason") == b"bad_data"
    # rejected events have no identity: it can be sent again, as something else
    world.account("account.opened", "child", id="o-1", parent="top", key="a")
    world.wait_booked()
    assert world.value("SELECT payer_id FROM api.account WHERE account_id = 'child'") == "top"


@pytest.mark.world(partitions=1)
def test_a_parked_operation_is_booked_as_what_it_was_when_it_came_in(world):
    """Whatever PostgreSQL would read in its message otherwise, or not at all: an offset beyond its 15:59, decimals and names of members
    that it does not take, a leap second."""
    world.catalog()
    world.start()
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    month_end = datetime.now(timezone.utc).replace(day=1) - timedelta(days=1)

    def operation(id, data, time, more=""):
        world.produce("accounts", (f'{{"specversion":"1.0","type":"credits.granted","source":"/tests","id":"{id}","subject":"late","time":"{time}",'
                                   f'{more}"data":{data}}}').encode(), "late", partition=0)

    operation("east", '{"amount":"1"}', f"{yesterday:%Y-%m-%d}T04:00:00+16:00")
    operation("zeros", '{"amount":2.' + 17000 * "0" + "}", f"{yesterday:%Y-%m-%d}T00:00:00Z")
    operation("nul", '{"amount":"4"}', f"{yesterday:%Y-%m-%d}T00:00:00Z", '"ty\\u0000pe":"credits.adjusted","da\\u0000ta":{"amount":"-7"},')
    operation("leap", '{"amount":"8","note":1e999999}', f"{month_end:%Y-%m-%d}T23:59:60Z")
    world.account("credits.granted", "late", id="binary", amount="16", mode="binary", time=f"{yesterday:%Y-%m-%d}T00:00:00.1234569Z")
    world.usage("late", id="u", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.wait_booked(total=0)
    assert {row["reason"] for row in parked(world)} == {"unknown_account"} and len(parked(world)) == 6
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: all(row["released"] for row in parked(world)), "everything to be released")
    world.wait_booked(total=1)
    booked = {row["event_id"]: (row["type"], row["amount"], row["occurred_at"]) for row in world.sql(
        "SELECT event_id, type::text, amount, occurred_at FROM api.ledger WHERE event_id IN ('east', 'zeros', 'nul', 'leap', 'binary')")}
    midnight = yesterday.replace(hour=0, minute=0, second=0, microsecond=0)
    assert booked == {
        "east": ("bonus", 1, midnight - timedelta(hours=12)), "zeros": ("bonus", 2, midnight), "nul": ("bonus", 4, midnight),
        "leap": ("bonus", 8, month_end.replace(hour=23, minute=59, second=59, microsecond=999999)),
        "binary": ("bonus", 16, midnight + timedelta(microseconds=123456))}
    world.verify()


@pytest.mark.world(partitions=1)
def test_usage_of_a_closed_account_waits_until_it_is_opened_again(world):
    world.catalog()
    world.start()
    world.account("account.opened", "acct", plan="payg")
    world.account("account.closed", "acct", reason="left")
    world.wait_booked()
    world.usage("acct", id="u-1", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.usage("acct", "unheard", id="u-2", quantity=1)  # the account is looked for before the metric
    world.account("credits.granted", "acct", id="c-1", amount="2")
    world.wait_booked(total=0)
    assert [(row["event_id"], row["reason"]) for row in parked(world)] == [
        ("c-1", "unknown_account"), ("u-1", "account_closed"), ("u-2", "account_closed")]
    world.account("account.opened", "acct", plan="payg")
    world.wait(lambda: {row["event_id"] for row in parked(world) if row["released"]} == {"c-1", "u-1"}, "two of them to be booked")
    world.wait_booked(total=1)
    # 10 of welcome, once; 2; 1000 x 0.15 / 1e6
    assert world.value("SELECT balance FROM api.balance") == Decimal("11.99985")
    assert [row["reason"] for row in parked(world) if not row["released"]] == ["unknown_metric"]
    world.verify()


@pytest.mark.world(partitions=1)
def test_a_parked_operation_that_the_database_refuses_is_a_dead_letter_and_holds_up_nobody(world):
    world.catalog()
    world.start()
    world.account("credits.granted", "late", id="bad", amount="7")
    world.account("credits.granted", "late", id="good", amount="5")
    world.usage("late", id="u", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.wait_booked(total=0)
    world.sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.event_id = 'bad' THEN"
              " RAISE division_by_zero; END IF; RETURN new; END $$")
    world.sql("CREATE TRIGGER refuse BEFORE INSERT ON debitd.ledger FOR EACH ROW EXECUTE FUNCTION refuse()")
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: all(row["released"] for row in parked(world)), "everything to be released")
    world.wait_booked(total=1)
    assert world.sql("SELECT reason, detail FROM api.rejected") == [
        {"reason": "bad_data", "detail": "the database refuses it with SQLSTATE 22012"}]
    assert world.value("SELECT granted FROM api.balance") == 15
    world.verify()


def test_where_the_configuration_says_so_usage_opens_its_account(world):
    world.catalog()
    world.start(accounts={"unknown": "open", "default_plan": "assistant-free"})
    for n in range(3):
        world.usage("walk-in", id=f"u-{n}", service="openai", model="gpt-4o-mini", quantities={"input": 1_000_000})
    world.wait_booked(total=3)
    # 100 credits a period; 0.15 USD = 15 credits each
    assert world.sql("SELECT balance, granted, spent FROM api.balance") == [{"balance": 55, "granted": 100, "spent": 45}]
    world.verify()


def test_what_was_parked_for_its_account_and_then_lacks_a_price_is_told_as_unpriced(world):
    world.catalog()
    world.start()
    world.usage("late", id="u-1", service="openai", model="gpt-9", quantities={"cached_input": 5})
    world.wait_booked(total=0)
    assert parked(world) == [{"event_id": "u-1", "reason": "unknown_account", "released": False}]
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: parked(world)[0]["reason"] == "unpriced", "it to wait for a price")
    world.wait_booked(total=0)
    alert, = world.alerts()
    assert (alert["type"], alert["subject"], alert["data"]["component"]) == ("price.missing", "platform", "cached_input")
    # another catalogue, on another day, does not have its price either: nothing has been parked anew
    world.sql("UPDATE debitd.books SET clock_offset = interval '1 day'")
    text = open("etc/catalog.conf").read()
    world.catalog(text.replace('{ name = "ai_tokens"; },', '{ name = "ai_tokens"; }, { name = "pages"; },', 1))
    world.wait(lambda: world.value("SELECT catalogue_version FROM debitd.parked") == 2, "the new catalogue to be tried")
    world.wait_booked(total=0)
    assert len(world.alerts()) == 1
    world.verify()
