"""Schema api shows what the contract says, in its columns, to each role what is its own."""

from datetime import date, datetime, timezone
from decimal import Decimal as D

import psycopg
import pytest

from tests.integration.ctl_stream import book
from tests.rig.daemon import debitctl, merge, write_config
from tests.rig.process import free_port
from tests.rig.world import World

COLUMNS = {
    "account": "account_id payer_id name plan unit charged byok plan_until opened_at closed_at",
    "balance": "account_id unit balance purchased granted refunded adjusted settled spent expired updated_at",
    "usage": "account_id metric period period_start used included percent currency cost unit charge overage_quantity overage_charge",
    "ledger": "entry_id account_id payer_id type event_source event_id occurred_at booked_at service model metric quantity components"
              " currency cost amount unit balance_after plan price_source late corrects reference reason user_id thread_id execution_id"
              " agent_id metadata",
    "usage_daily": "account_id day metric service model component quantity cost charge events",
    "monthly_summary": "account_id month events quantity cost charge top_model",
    "thread_usage": "account_id thread_id events quantity cost charge first_use last_use",
    "model_usage": "account_id service model metric events quantity cost charge first_use last_use",
    "alert": "alert_id type account_id metric period_start threshold raised_at published_at event",
    "rejected": "topic partition offset reason detail key value at published_at replayed_at",
    "parked": "topic partition offset reason detail account_id event_source event_id at released_at",
    "position": "topic partition next_offset booked duplicates rejected parked skipped last_event_time updated_at",
    "position_move": "topic partition moved_at moved_by role from_offset to_offset passed_over read_again log_begin log_end forced halted"
                     " reason",
    "cluster_move": "moved_at moved_by role from_cluster to_cluster reason",
}
MONTH = date.today().replace(day=1)


@pytest.fixture(scope="module")
def booked(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "ctl_views", partitions=1, template=migrated)
    try:
        yield book(world)
    finally:
        world.close()


def as_role(world, role, account, statement):
    with world.postgres.connect(world.name, role) as connection:
        if account:
            connection.execute("SELECT set_config('debitd.account', %s, false)", [account])
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("view", sorted(COLUMNS))
def test_a_view_has_the_contracts_columns_in_its_order(booked, view):
    with booked.postgres.connect(booked.name) as connection:
        cursor = connection.execute(f"SELECT * FROM api.{view} LIMIT 0")
        assert " ".join(column.name for column in cursor.description) == COLUMNS[view]


def test_an_entry_says_everything_about_its_event(booked):
    (row,) = booked.sql("SELECT * FROM api.ledger WHERE event_id = 'chat-1'")
    assert isinstance(row.pop("entry_id"), int)
    booked_at, occurred_at = row.pop("booked_at"), row.pop("occurred_at")
    assert booked_at.tzinfo and occurred_at <= datetime.now(timezone.utc)
    prices = {name: part.pop("price_id") for name, part in row["components"].items()}
    assert all(isinstance(number, int) for number in prices.values())
    assert row == {
        "account_id": "solo", "payer_id": "solo", "type": "usage", "event_source": "/tests", "event_id": "chat-1", "service": "openai",
        "model": "gpt-4o-mini", "metric": "ai_tokens", "quantity": D("1500000"),
        "components": {"input": {"quantity": "1000000", "cost": "0.15"}, "output": {"quantity": "500000", "cost": "0.3"}},
        # 10 welcome + 5.5 + 0.25 - 1 - 0.45
        "currency": "USD", "cost": D("0.45"), "amount": D("-0.45"), "unit": "USD", "balance_after": D("14.3"), "plan": "payg",
        "price_source": "catalogue", "late": False, "corrects": None, "reference": None, "reason": None, "user_id": "u-1",
        "thread_id": "t-1", "execution_id": "x-1", "agent_id": "peter", "metadata": {"a": [1, "ü"]}}
    assert booked.value("SELECT components -> 'input' ->> 'price_id' FROM api.ledger WHERE event_id = 'chat-1'") == str(prices["input"])
    (price,) = booked.sql("SELECT * FROM api.price WHERE price_id = %s", [prices["output"]])
    assert (price["service"], price["model"], price["component"], price["price"], price["per"], price["plan"]) == (
        "openai", "gpt-4o-mini", "output", D("0.6"), D("1000000"), None)


def test_decimals_are_in_shortest_form(booked):
    for view, columns in (("ledger", "amount balance_after quantity cost"), ("balance", "balance spent granted"),
                          ("usage", "used included percent cost charge overage_quantity overage_charge"),
                          ("usage_daily", "quantity cost charge"), ("monthly_summary", "quantity cost charge"),
                          ("plan", "fee welcome credits_per_period markup"), ("price", "price per"), ("package", "amount bonus price")):
        for column in columns.split():
            texts = [row["v"] for row in booked.sql(f"SELECT {column}::text AS v FROM api.{view} WHERE {column} IS NOT NULL")]
            assert not [text for text in texts if "." in text and text.endswith("0")], (view, column)


def test_a_quantity_without_components_has_the_empty_name(booked):
    (row,) = booked.sql("SELECT components, currency, cost FROM api.ledger WHERE event_id = 'sign-0'")
    row["components"][""].pop("price_id")
    assert row == {"components": {"": {"quantity": "1", "cost": "1"}}, "currency": "EUR", "cost": D(1)}


def test_an_unknown_cost_is_null(booked):
    (row,) = booked.sql("SELECT components, cost, amount FROM api.ledger WHERE event_id = 'sms-1'")
    assert row == {"components": {"": {"quantity": "2", "cost": None, "price_id": None}}, "cost": None, "amount": 0}


def test_a_void_names_what_it_takes_back(booked):
    (row,) = booked.sql("SELECT v.type, v.quantity, v.amount, v.reason, v.thread_id, o.event_id FROM api.ledger v"
                        " JOIN api.ledger o ON o.entry_id = v.corrects WHERE v.account_id = 'solo' AND v.type = 'void'")
    # 2,000 x 0.15 / 1e6
    assert row == {"type": "void", "quantity": D(-2000), "amount": D("0.0003"), "reason": "a mistake", "thread_id": "t-2", "event_id": "chat-3"}


def test_balances_and_usage_have_rows_for_payers_only(booked):
    assert {row["account_id"] for row in booked.sql("SELECT account_id FROM api.balance")} == {
        "solo", "firm", "coder", "own-key", "late-comer"}
    assert {row["account_id"] for row in booked.sql("SELECT account_id FROM api.usage")} == {"solo", "firm", "coder", "own-key", "late-comer"}
    (row,) = booked.sql("SELECT * FROM api.balance WHERE account_id = 'solo'")
    row.pop("updated_at")
    assert row == {"account_id": "solo", "unit": "USD", "balance": D("-0.033335") + D(1), "purchased": D("5.5"), "granted": D(10),
                   "refunded": D("0.25"), "adjusted": D(-1), "settled": 0, "spent": D("13.783335"), "expired": 0}


def test_usage_has_the_percentage_and_the_overage_of_the_quota(booked):
    rows = {(row["metric"], row["period"]): row for row in booked.sql("SELECT * FROM api.usage WHERE account_id = 'firm'")}
    month = rows["signatures", "month"]
    # 1 + 1 + 1 + 1 (guest) + 2 + 0.5, less the 2 taken back: 4.5 of 3. The guest paid nothing: 0.5 x 2.00, and 2 x 2.00 charged and taken back
    assert month == {"account_id": "firm", "metric": "signatures", "period": "month", "period_start": MONTH, "used": D("4.5"), "included": D(3),
                     "percent": D(150), "currency": "EUR", "cost": D("4.5"), "unit": "EUR", "charge": D(1), "overage_quantity": D("1.5"),
                     "overage_charge": D(1)}
    day = rows["signatures", "day"]
    assert (day["used"], day["included"], day["percent"], day["overage_quantity"], day["period_start"]) == (
        D("4.5"), D(20), D("22.5"), 0, booked.value("SELECT (debitd.now() AT TIME ZONE 'UTC')::date"))
    sms = rows["sms", "month"]    # starter includes none and sells none
    assert (sms["used"], sms["included"], sms["percent"], sms["overage_quantity"], sms["overage_charge"]) == (D(2), 0, None, D(2), 0)
    (requests,) = booked.sql("SELECT * FROM api.usage WHERE account_id = 'coder'")
    assert (requests["used"], requests["included"], requests["percent"], requests["charge"], requests["overage_quantity"]) == (
        D(6), None, None, D(6), 0)


def test_daily_usage_names_who_used(booked):
    rows = booked.sql("SELECT account_id, service, model, component, quantity, cost, charge, events FROM api.usage_daily"
                      " WHERE metric = 'signatures' ORDER BY account_id")
    assert [tuple(row.values()) for row in rows] == [
        ("firm", "signaturit", None, "", D("2.5"), D("2.5"), D(1), 3),
        ("guest", "signaturit", None, "", D(1), D(1), D(0), 1),
        ("staff", "signaturit", None, "", D(1), D(1), D(0), 1)]


def test_daily_usage_agrees_with_the_ledger_before_it_is_summed(booked):
    every = "SELECT * FROM api.usage_daily ORDER BY 1, 2, 3, 4, 5, 6"
    summed = booked.sql(every)
    with booked.postgres.connect(booked.name, autocommit=False) as connection:
        connection.execute("DELETE FROM debitd.usage_daily")
        connection.execute("UPDATE debitd.batch SET folded = false")
        assert connection.execute(every).fetchall() == [tuple(row.values()) for row in summed]
        connection.rollback()


def test_summaries_by_month_thread_and_model(booked):
    (month,) = booked.sql("SELECT * FROM api.monthly_summary WHERE account_id = 'solo'")
    # chat-1 and chat-2; chat-3 was taken back. 0.45 + 13.333335
    assert month == {"account_id": "solo", "month": MONTH, "events": 2, "quantity": D("2833333.5"), "cost": D("13.783335"),
                     "charge": D("13.783335"), "top_model": "gpt-4o"}
    threads = {row["thread_id"]: row for row in booked.sql("SELECT * FROM api.thread_usage WHERE account_id = 'solo'")}
    assert (threads["t-1"]["events"], threads["t-1"]["charge"], threads["t-2"]["events"], threads["t-2"]["quantity"]) == (
        2, D("13.783335"), 0, 0)
    assert threads["t-1"]["first_use"] <= threads["t-1"]["last_use"]
    models = {row["model"]: row for row in booked.sql("SELECT * FROM api.model_usage WHERE account_id = 'solo'")}
    assert {name: (row["service"], row["metric"], row["events"], row["cost"]) for name, row in models.items()} == {
        "gpt-4o": ("openai", "ai_tokens", 1, D("13.333335")), "gpt-4o-mini": ("openai", "ai_tokens", 1, D("0.45"))}


def test_alerts_name_the_account_and_platform_alerts_the_platform(booked):
    rows = booked.sql("SELECT * FROM api.alert ORDER BY raised_at")
    assert {(row["account_id"], row["type"], row["threshold"]) for row in rows} >= {
        ("solo", "balance.low", D(1)), ("firm", "usage.threshold.reached", D(80)), ("firm", "usage.threshold.reached", D(100)),
        ("platform", "price.missing", None)}
    for row in rows:
        assert (row["event"]["id"], row["event"]["type"], row["event"]["subject"]) == (row["alert_id"], row["type"], row["account_id"])
        assert row["published_at"] >= row["raised_at"]
        assert (row["metric"] is None) == row["type"].startswith("balance.") or row["type"] == "price.missing"


def test_what_was_not_booked_is_there_with_its_reason(booked):
    rejected = booked.sql("SELECT topic, reason, key, value FROM api.rejected")
    assert sorted(row["reason"] for row in rejected) == ["already_voided", "bad_quantity", "malformed_json", "unknown_type"]
    (malformed,) = [row for row in rejected if row["reason"] == "malformed_json"]
    assert (malformed["topic"], malformed["key"], malformed["value"]) == (booked.topics["usage"], b"bad", b"{")
    parked = {row["event_id"]: row for row in booked.sql("SELECT * FROM api.parked WHERE topic = %s", [booked.topics["usage"]])}
    assert {name: (row["reason"], row["account_id"], row["released_at"] is None) for name, row in parked.items()} == {
        "no-price": ("unpriced", "solo", True), "no-metric": ("unknown_metric", "solo", False),
        "early": ("unknown_account", "late-comer", False)}
    (position,) = booked.sql("SELECT * FROM api.position WHERE topic = %s", [booked.topics["usage"]])
    assert (position["duplicates"], position["rejected"], position["parked"], position["skipped"]) == (1, 4, 3, 0)
    assert sum(position[name] for name in ("booked", "duplicates", "rejected", "parked", "skipped")) == position["next_offset"]


def test_the_catalogue_is_readable(booked):
    (plan,) = booked.sql("SELECT * FROM api.plan WHERE plan = 'quota-starter' AND until_version IS NULL")
    assert (plan["unit"], plan["kind"], plan["fee"], plan["enforce"]) == ("EUR", "postpaid", D(49), True)
    assert plan["quotas"]["signatures"] == {"included": "3", "overage_price": "2", "overage_per": "1", "day_limit": "20", "thresholds": [80, 100]}
    (package,) = booked.sql("SELECT * FROM api.package WHERE package = 'basic'")
    assert (package["unit"], package["amount"], package["bonus"], package["price"], package["currency"]) == ("CREDIT", D(5000), D(500), D(45), "USD")


# ---------------------------------------------------------------- who sees what

def test_readers_see_everything_and_change_nothing(booked):
    for view in [*COLUMNS, "price", "plan", "package"]:
        as_role(booked, "debitd_reader", None, f"SELECT * FROM api.{view}")
    assert as_role(booked, "debitd_reader", None, "SELECT count(DISTINCT account_id) FROM api.ledger")[0][0] == 7
    assert as_role(booked, "debitd_reader", None, "SELECT balance FROM api.check_usage('solo', 'ai_tokens', 1)") == [(D("0.966665"),)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(booked, "debitd_reader", None, "UPDATE debitd.payer SET balance = 0")


def test_an_account_sees_its_own_rows_and_no_others(booked):
    def own(account, statement):
        return as_role(booked, "debitd_account", account, statement)
    for view in ("account", "balance", "usage", "ledger", "usage_daily", "monthly_summary", "thread_usage", "model_usage", "parked"):
        assert {row[0] for row in own("solo", f"SELECT account_id FROM api.{view}")} == {"solo"}, view
    assert {row[0] for row in own("firm", "SELECT account_id FROM api.alert")} == {"firm"}
    assert own("staff", "SELECT account_id, payer_id FROM api.account") == [("staff", "firm")]
    assert {row for row in own("staff", "SELECT account_id, payer_id FROM api.ledger")} == {("staff", "firm")}
    assert own("staff", "SELECT count(*) FROM api.balance") == [(0,)]
    assert {row[0] for row in own("staff", "SELECT account_id FROM api.ledger_page('staff')")} == {"staff"}
    assert own("staff", "SELECT * FROM api.ledger_page('firm')") == []
    for account in (None, "", "nobody"):
        for view in ("account", "balance", "ledger", "usage", "usage_daily", "alert", "parked"):
            assert own(account, f"SELECT count(*) FROM api.{view}") == [(0,)], (account, view)


def test_an_account_asks_about_itself_only(booked):
    def own(account, statement):
        return as_role(booked, "debitd_account", account, statement)
    assert own("staff", "SELECT api.credit_balance('staff')") == [(booked.value("SELECT balance FROM api.balance WHERE account_id = 'firm'"),)]
    assert own("staff", "SELECT api.credit_balance('solo')") == [(None,)]
    assert own("staff", "SELECT allowed, reason, used FROM api.check_usage('staff', 'signatures', 1)") == [(True, None, D("4.5"))]
    assert own("staff", "SELECT allowed, reason, balance FROM api.check_usage('solo', 'ai_tokens', 1)") == [(False, "unknown_account", None)]
    assert own(None, "SELECT reason FROM api.check_usage('solo', 'ai_tokens', 1)") == [("unknown_account",)]


def test_status_knows_how_far_behind_each_partition_is(booked):
    topic = booked.topics["usage"]
    booked.usage("solo", id="after-the-end", quantities={"input": 1}, service="openai", model="gpt-4o-mini")
    booked.flush()
    positions = {row["topic"]: row for row in booked.debitctl("status").data["positions"]}
    assert (positions[topic]["lag"], positions[booked.topics["accounts"]]["lag"]) == (1, 0)
    assert positions[topic]["parked"] == 3
    unreachable = write_config(booked.folder / "no-kafka.conf", merge(booked.config, {
        "kafka": {"bootstrap_servers": f"127.0.0.1:{free_port()}"}, "postgres": {"conninfo": booked.postgres.conninfo(booked.name)}}))
    done = debitctl(unreachable, "status")
    assert {row["lag"] for row in done.data["positions"]} == {None}
    assert "the lag is not known" in done.err


@pytest.mark.parametrize("words", [["status"], ["position", "list"]], ids=" ".join)
def test_a_topic_that_kafka_compacts_is_told(booked, words):
    def complaint(policy):
        booked.kafka.configure_topic(booked.topics["accounts"], cleanup_policy=policy)
        return booked.debitctl(*words).err
    try:
        for policy in ("compact", "compact,delete"):
            (line,) = complaint(policy).splitlines()
            assert line.startswith(f"debitctl: Kafka compacts the topic {booked.topics['accounts']} (cleanup.policy)"), line
            assert line.endswith(f"--alter --topic {booked.topics['accounts']} --add-config cleanup.policy=delete"), line
    finally:
        assert complaint("delete") == ""


def test_the_books_verify(booked):
    booked.verify()
