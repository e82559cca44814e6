"""Contract 6 to 9 from outside: every view, function, role, command, exit code and key by its name, and the shipped
catalogue against the price list. Figures are worked out by hand."""

import json
import subprocess
from decimal import ROUND_HALF_UP
from decimal import Decimal as D

import psycopg
import pytest

from tests.rig.daemon import TOP, build_folder
from tests.rig.world import World

CATALOG = TOP / "etc" / "catalog.conf"


def run(program, *arguments, stdin=""):
    return subprocess.run([build_folder() / program, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          timeout=60, cwd=TOP)


# ---------------------------------------------------------------- one stream, looked at from everywhere

@pytest.fixture(scope="module")
def told(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "contract_commands", partitions=1, template=migrated)
    try:
        world.catalog()
        for account, data in (("ann", {"plan": "payg", "name": "Ann", "byok": ["xai"]}), ("firm", {"plan": "quota-starter"}),
                              ("staff", {"parent": "firm"})):
            world.account("account.opened", account, **data)
        world.flush()
        world.start()
        world.wait_booked()
        world.usage("ann", id="u-1", service="openai", model="gpt-4o", quantities={"input": 400, "output": 100}, thread="t-1",
                    user="u", agent="peter", execution="x", metadata={"k": ["v"]})
        world.usage("ann", id="u-2", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, thread="t-1")
        world.usage("ann", id="u-3", service="xai", model="grok-4-fast", quantities={"output": 1000}, thread="t-2")
        world.usage("ann", id="u-4", service="openai", model="no-such-model", quantities={"output": 1})
        world.usage("ann", "fax", id="u-5", quantity=1)
        world.usage("ann", id="u-6", quantity=-1)
        world.usage("staff", "signatures", id="u-7", service="signaturit", quantity=D("3.5"))
        world.usage("firm", "storage_gb", id="u-8", service="s3", quantity="4.5", cost="0.25")
        world.wait_booked()
        yield world
    finally:
        world.close()


VIEWS = {
    "account": "account_id, payer_id, name, plan, unit, charged, byok, plan_until, opened_at, closed_at",
    "balance": "account_id, unit, balance, purchased, granted, refunded, adjusted, settled, spent, expired, updated_at",
    "usage": "account_id, metric, period, period_start, used, included, percent, currency, cost, unit, charge, overage_quantity,"
             " overage_charge",
    "ledger": "entry_id, account_id, payer_id, type, event_source, event_id, occurred_at, booked_at, service, model, metric, quantity,"
              " components, currency, cost, amount, unit, balance_after, plan, price_source, late, corrects, reference, reason,"
              " user_id, thread_id, execution_id, agent_id, metadata",
    "usage_daily": "account_id, day, metric, service, model, component, quantity, cost, charge, events",
    "monthly_summary": "account_id, month, events, quantity, cost, charge, top_model",
    "alert": "alert_id, type, account_id, metric, period_start, threshold, raised_at, published_at, event",
    "rejected": "topic, partition, offset, reason, detail, key, value, at, published_at, replayed_at",
    "parked": "topic, partition, offset, reason, detail, account_id, event_source, event_id, at, released_at",
    "position": "topic, partition, next_offset, booked, duplicates, rejected, parked, skipped, last_event_time, updated_at",
}
TYPES = {("usage", "period_start"): "date", ("ledger", "entry_id"): "bigint", ("ledger", "components"): "jsonb",
         ("alert", "event"): "jsonb", ("rejected", "value"): "bytea", ("ledger", "metadata"): "jsonb"}


def test_views_have_the_columns_of_the_contract(told):
    for view, columns in VIEWS.items():
        rows = told.sql("SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
                        " WHERE attrelid = ('api.' || %s)::regclass AND attnum > 0 ORDER BY attnum", [view])
        assert ", ".join(row["attname"] for row in rows) == columns
        for row in rows:
            assert row["type"] == TYPES.get((view, row["attname"]), row["type"]), (view, row)
    for view in ("thread_usage", "model_usage"):
        with told.postgres.connect(told.name) as connection:
            have = {column.name for column in connection.execute(f"SELECT * FROM api.{view}").description}
        assert {"events", "quantity", "cost", "charge"} <= have


def test_summaries_add_up_by_thread_model_month_and_day(told):
    def rows(statement):
        return [tuple(row.values()) for row in told.sql(statement)]
    # u-1: 400 x 2.50 + 100 x 10.00 = 0.002; u-2: 1,000 x 0.15 = 0.00015; u-3 by a key of her own: 0
    assert rows("SELECT thread_id, events, quantity, cost, charge FROM api.thread_usage WHERE account_id = 'ann' ORDER BY 1") == [
        ("t-1", 2, 1500, D("0.00215"), D("0.00215")), ("t-2", 1, 1000, 0, 0)]
    assert rows("SELECT service, model, events, quantity, cost, charge FROM api.model_usage WHERE account_id = 'ann' ORDER BY 2") == [
        ("openai", "gpt-4o", 1, 500, D("0.002"), D("0.002")), ("openai", "gpt-4o-mini", 1, 1000, D("0.00015"), D("0.00015")),
        ("xai", "grok-4-fast", 1, 1000, 0, 0)]
    assert rows("SELECT events, quantity, cost, charge, top_model FROM api.monthly_summary WHERE account_id = 'ann'") == [
        (3, 2500, D("0.00215"), D("0.00215"), "gpt-4o")]
    assert rows("SELECT model, component, quantity, cost, charge, events FROM api.usage_daily WHERE account_id = 'ann' ORDER BY 1, 2") == [
        ("gpt-4o", "input", 400, D("0.001"), D("0.001"), 1), ("gpt-4o", "output", 100, D("0.001"), D("0.001"), 1),
        ("gpt-4o-mini", "input", 1000, D("0.00015"), D("0.00015"), 1), ("grok-4-fast", "output", 1000, 0, 0, 1)]
    (row,) = told.sql("SELECT * FROM api.ledger WHERE event_id = 'u-1'")
    assert {name: row[name] for name in ("service", "model", "metric", "quantity", "currency", "cost", "amount", "unit", "balance_after",
                                         "plan", "late", "corrects", "user_id", "thread_id", "execution_id", "agent_id", "metadata")} == {
        "service": "openai", "model": "gpt-4o", "metric": "ai_tokens", "quantity": 500, "currency": "USD", "cost": D("0.002"),
        "amount": D("-0.002"), "unit": "USD", "balance_after": D("9.998"), "plan": "payg", "late": False, "corrects": None,
        "user_id": "u", "thread_id": "t-1", "execution_id": "x", "agent_id": "peter", "metadata": {"k": ["v"]}}
    assert {name: set(part) for name, part in row["components"].items()} == {
        "input": {"quantity", "cost", "price_id"}, "output": {"quantity", "cost", "price_id"}}
    assert rows("SELECT event_id, reason FROM api.parked ORDER BY 1") == [("u-4", "unpriced"), ("u-5", "unknown_metric")]
    assert rows("SELECT reason FROM api.rejected") == [("bad_quantity",)]
    (price,) = told.alerts("price.missing")
    assert price["subject"] == "platform"
    assert {name: price["data"][name] for name in ("service", "model", "metric", "component")} == {
        "service": "openai", "model": "no-such-model", "metric": "ai_tokens", "component": "output"}
    assert rows("SELECT metric, used, included, percent, cost, charge, overage_quantity, overage_charge FROM api.usage"
                " WHERE account_id = 'firm' AND period = 'month' ORDER BY 1") == [
        ("signatures", D("3.5"), 3, D("116.666667"), D("3.5"), 1, D("0.5"), 1),   # 0.5 x 2.00
        ("storage_gb", D("4.5"), 5, 90, D("0.25"), 0, 0, 0)]                       # the cost as the provider said


# ---------------------------------------------------------------- roles

def as_role(world, role, *statements, account=None):
    with world.postgres.connect(world.name, role) as connection:
        if account is not None:
            connection.execute("SELECT set_config('debitd.account', %s, false)", [account])
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_each_role_may_do_its_own_and_nothing_else(told):
    def refused(role, statement):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
            as_role(told, role, statement)
    for statement in ("UPDATE debitd.ledger SET amount = 0", "DELETE FROM debitd.ledger", "TRUNCATE debitd.ledger",
                      "CREATE TABLE debitd.mine (x int)", "CREATE TABLE api.mine (x int)", "DROP VIEW api.ledger",
                      "ALTER TABLE debitd.ledger ADD x int"):
        for role in ("debitd_writer", "debitd_reader", "debitd_account", "debitd_admin"):
            refused(role, statement)
    (leaf,) = told.sql("SELECT tableoid::regclass::text AS name FROM debitd.ledger LIMIT 1")
    assert leaf["name"].startswith("debitd.ledger_")
    for role in ("debitd_writer", "debitd_admin"):
        refused(role, f"UPDATE {leaf['name']} SET amount = 0")
        refused(role, f"DELETE FROM {leaf['name']}")
    for view in [*VIEWS, "thread_usage", "model_usage", "price", "plan", "package"]:
        for role in ("debitd_reader", "debitd_admin", "debitd_writer"):
            as_role(told, role, f"SELECT * FROM api.{view}")
    assert as_role(told, "debitd_reader", "SELECT api.credit_balance('staff')") == [(-1,)]
    refused("debitd_reader", "SELECT api.credit_grant('k', 'ann', 5)")
    refused("debitd_account", "SELECT api.credit_grant('k', 'ann', 5)")
    refused("debitd_admin", "INSERT INTO debitd.payer (payer_id) VALUES (99)")
    assert as_role(told, "debitd_admin", "SELECT outcome FROM api.account_open('admin-1', 'by-admin', plan => 'studio')",
                   "SELECT outcome FROM api.credit_grant('admin-2', 'by-admin', 5)") == [("done",)]
    for view in VIEWS:
        if view in ("rejected", "position"):
            continue
        own = f"SELECT account_id FROM api.{view}"
        assert {row[0] for row in as_role(told, "debitd_account", own, account="ann")} <= {"ann"}
        for account in (None, "", "nobody"):
            assert as_role(told, "debitd_account", own, account=account) == []
    assert len(as_role(told, "debitd_account", "SELECT * FROM api.ledger", account="ann")) == 4


# ---------------------------------------------------------------- commands

def test_every_verb_answers_people_and_programs(told):
    ctl = told.debitctl
    assert ctl("migrate", json=False).code == 0
    for verb in ("check", "diff", "apply"):
        assert ctl("catalog", verb, CATALOG, json=False).code == 0
    assert ctl("account", "open", "carl", "payg", "--name", "Carl", "--key", "c-1").data["outcome"] == "done"
    assert ctl("account", "show", "carl").data["plan"] == "payg"
    assert ctl("account", "assign", "carl", "payg").data["outcome"] == "done"
    for verb, amount in (("purchase", "2.5"), ("grant", "1"), ("refund", "0.25"), ("adjust", "-0.75")):
        assert ctl("credit", verb, "carl", amount).data["outcome"] == "done"
    balance = ctl("balance", "carl").data
    assert {name: balance[name] for name in ("unit", "balance", "purchased", "granted", "refunded", "adjusted")} == {
        "unit": "USD", "balance": "13", "purchased": "2.5", "granted": "11", "refunded": "0.25", "adjusted": "-0.75"}
    assert ctl("balance", "staff").data["balance"] == "-1"
    assert [row["type"] for row in ctl("ledger", "carl").data] == ["adjustment", "refund", "bonus", "purchase", "grant"]
    (usage,) = [row for row in ctl("usage", "firm").data if row["metric"] == "storage_gb"]
    assert (usage["used"], usage["included"], usage["percent"], usage["cost"]) == ("4.5", "5", "90", "0.25")
    assert [row["threshold"] for row in ctl("alerts", "firm").data] == ["80", "100", "80"]  # newest first
    assert ctl("check", "firm", "signatures", "1").data["allowed"] is True
    no = ctl("check", "firm", "sms", "1", expect=1).data
    assert no["allowed"] is False and no["reason"]
    estimate = ctl("estimate", "carl", "ai_tokens", "input=500", "output=500", "--service", "openai", "--model", "gpt-4o").data
    assert estimate == {"cost": "0.00625", "charge": "0.00625", "balance_after": "12.99375", "affordable": True}
    (rejected,) = ctl("rejected", "list").data
    assert (rejected["reason"], rejected["topic"]) == ("bad_quantity", told.topics["usage"])
    assert ctl("rejected", "show", rejected["id"]).data["reason"] == "bad_quantity"
    assert {row["event_id"] for row in ctl("parked", "list").data} == {"u-4", "u-5"}
    assert ctl("status").data["positions"]
    assert ctl("verify").code == 0
    for words in (["account", "show", "carl"], ["balance", "carl"], ["usage", "firm"], ["ledger", "carl"], ["alerts", "firm"],
                  ["rejected", "list"], ["parked", "list"], ["status"], ["verify"]):
        assert ctl(*words, json=False).out.strip(), words


@pytest.mark.parametrize("words", [["rejected", "replay", "1"], ["parked", "release", "1"]])
def test_what_is_not_there_yet_is_refused(told, words):
    refused = told.debitctl(*words, expect=64)
    assert f"this version knows no '{words[1]}'" in refused.err


def test_both_programs_say_their_version():
    for program in ("debitd", "debitctl"):
        ran = run(program, "--version")
        assert (ran.returncode, ran.stderr) == (0, "") and ran.stdout.startswith(f"{program} ")


def test_exit_codes_say_what_kind_of_failure_it_is(told, tmp_path):
    def code(*arguments, config=told.owner_config, says=()):
        ran = run("debitctl", "--config", config, *arguments)
        assert ran.returncode in (0, 1) or ran.stderr.strip(), arguments
        for word in says:
            assert word in ran.stderr, (word, ran.stderr)
        return ran.returncode
    assert code("status") == 0
    assert code("check", "firm", "sms", 1) == 1
    assert code("check", "nobody", "sms", 1) == 1
    assert code() == code("dance") == code("balance") == code("credit", "grant", "ann", 5, "--color") == 64
    assert code("credit", "grant", "ann", "0", says=["bad_data"]) == 65
    assert code("credit", "purchase", "ann", "--package", "gigantic", says=["unknown_package", "gigantic"]) == 65
    assert code("credit", "purchase", "ann", "--package", "basic", says=["unit_mismatch"]) == 65
    assert code("account", "assign", "ann", "gold", says=["unknown_plan", "gold"]) == 65
    assert code("balance", "nobody", says=["nobody", "account open"]) == 65
    assert code("catalog", "check", tmp_path / "none.conf", says=["none.conf"]) == 65
    away = tmp_path / "away.conf"
    away.write_text('postgres = { conninfo = "host=127.0.0.1 port=1 dbname=debitd connect_timeout=2"; };')
    assert code("status", config=away, says=["127.0.0.1"]) == 69
    reader = tmp_path / "reader.conf"
    reader.write_text(f'postgres = {{ conninfo = "{told.postgres.conninfo(told.name, "debitd_reader")}"; }};')
    assert code("credit", "grant", "ann", 5, config=reader, says=["ctl_command", "connect as debitd_admin"]) == 77
    assert code("catalog", "apply", CATALOG, config=reader, says=["connect as the owner"]) == 77
    assert code("migrate", config=reader, says=["connect as the owner"]) == 77
    bad = tmp_path / "bad.conf"
    bad.write_text("\nbatch = { max_event = 1; };")
    assert code("status", config=bad, says=["bad.conf:2", "batch.max_event", "batch.max_events"]) == 78
    assert code("status", config=tmp_path / "missing.conf", says=["missing.conf"]) == 78


def test_verify_prints_every_difference(told):
    def verify():
        ran = told.debitctl("verify", json=False, expect=None)
        return ran.code, ran.out
    assert verify()[0] == 0
    told.sql("UPDATE debitd.payer SET spent = spent + 0.000000000001 WHERE payer_id ="
             " (SELECT payer_id FROM debitd.account WHERE name = 'ann' LIMIT 1)")
    told.sql("UPDATE debitd.position SET booked = booked + 1 WHERE topic = %s", [told.topics["usage"]])
    try:
        code, text = verify()
        assert code == 1 and "ann" in text and "spent" in text and told.topics["usage"] in text
        assert told.debitctl("verify", expect=1).data
    finally:
        told.sql("UPDATE debitd.payer SET spent = spent - 0.000000000001 WHERE payer_id ="
                 " (SELECT payer_id FROM debitd.account WHERE name = 'ann' LIMIT 1)")
        told.sql("UPDATE debitd.position SET booked = booked - 1 WHERE topic = %s", [told.topics["usage"]])
    assert verify()[0] == 0


# ---------------------------------------------------------------- rate

def rated(plan, *events):
    lines = "".join(json.dumps({"specversion": "1.0", "type": type, "id": str(number), "source": "/s", "subject": "acct",
                                "time": "2020-02-29T12:00:00Z" if "old" in data else "2026-11-20T12:00:00Z",
                                "data": {name: value for name, value in data.items() if name != "old"}}) + "\n"
                    for number, (type, data) in enumerate(events, 1))
    ran = run("debitctl", "rate", "--catalog", CATALOG, "--plan", plan, stdin=lines)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def use(metric, **data):
    return ("usage.recorded", {"metric": metric, **data})


@pytest.mark.parametrize("plan, event, cost, currency, charge, unit", [
    ("assistant-pro", use("ai_tokens", service="openai", model="gpt-4o", quantities={"input": 500, "output": 500}),
     "0.00625", "USD", "0.625", "CREDIT"),
    ("payg", use("ai_tokens", service="google", model="gemini-2.0-flash", quantities={"input": 500, "output": 500}),
     "0.0001875", "USD", "0.0001875", "USD"),
    ("payg", use("ai_tokens", service="x", cost="1.5", quantity=1), "1.5", "USD", "1.5", "USD"),
    ("studio", use("ai_tokens", service="anything", model="claude-opus", quantities={"input": 10}), None, "USD", "1.5", "CREDIT"),
    ("codegen-pro", use("requests", quantity="2.5"), "0", "USD", "2.5", "CREDIT"),
    # 3 are included: 7.5 x 2.00
    ("quota-starter", use("signatures", service="signaturit", quantity="10.5"), "10.5", "EUR", "15", "EUR"),
    # 60,000 of 50,000: 10,000 x 0.008 / 1,000; 60,000 x 4.7 / 1,000,000
    ("quota-professional", use("ai_tokens", service="claude", model="any", quantities={"input": 40000, "output": 20000}),
     "0.282", "EUR", "0.08", "EUR"),
    ("quota-enterprise", use("sms", service="twilio", quantity=201), "15.075", "EUR", "0.08", "EUR"),
    ("quota-free", use("signatures", service="signaturit", quantity=1), "1", "EUR", "0", "EUR"),
    ("quota-free", use("ai_valuations", quantity=1), None, "EUR", "0", "EUR"),
    ("payg", use("requests", quantity=1, old=True), "unpriced", None, None, None),  # before the prices begin
])
def test_rate_charges_what_the_price_list_says(plan, event, cost, currency, charge, unit):
    (line,) = rated(plan, event)
    if cost == "unpriced":
        assert line["reason"] == "unpriced"
        assert not {"cost", "charge"} & set(line)
        return
    assert {name: line[name] for name in ("id", "account", "metric", "cost", "currency", "charge", "unit")} == {
        "id": "1", "account": "acct", "metric": event[1]["metric"], "cost": cost, "currency": currency, "charge": charge, "unit": unit}
    assert isinstance(line["quantity"], str) and isinstance(line["components"], dict)


def test_the_four_quota_plans_cost_what_the_price_list_says_when_fully_used():
    full = {"quota-free": (0, "0.5", 100, 0), "quota-starter": (3, "5", 5000, 0), "quota-professional": (10, "20", 50000, 50),
            "quota-enterprise": (50, "100", 200000, 200)}
    cost = {"quota-free": "0.01", "quota-starter": "3.14", "quota-professional": "14.45", "quota-enterprise": "68.24"}
    for plan, quantities in full.items():
        lines = rated(plan, *(use(metric, service=service, quantity=quantity) for (metric, service), quantity in zip(
            (("signatures", "signaturit"), ("storage_gb", "s3"), ("ai_tokens", "claude"), ("sms", "twilio")), quantities)))
        assert {line["charge"] for line in lines} == {"0"}
        # the price list rounds half up: 14.445 of quota-professional is its 14.45
        assert sum(D(line["cost"]) for line in lines).quantize(D("0.01"), ROUND_HALF_UP) == D(cost[plan]), plan


# ---------------------------------------------------------------- the shipped catalogue

def test_the_catalogue_in_force_is_the_price_list(told):
    rows = told.sql("SELECT plan, unit, kind, tariff, markup, credits_per_period, credits_policy, welcome, low_balance, minimum_balance, fee,"
                    " enforce FROM api.plan WHERE until IS NULL ORDER BY plan")
    plans = {row.pop("plan"): {name: value for name, value in row.items() if value is not None and value != "none"} for row in rows}
    assistant = {"unit": "CREDIT", "kind": "prepaid", "tariff": "cost_plus", "markup": 0, "enforce": False, "credits_policy": "reset"}
    codegen = {"unit": "CREDIT", "kind": "prepaid", "tariff": "fixed", "enforce": True, "credits_policy": "reset"}
    quota = {"unit": "EUR", "kind": "postpaid", "enforce": True}
    wanted = {
        "assistant-free": {**assistant, "credits_per_period": 100}, "assistant-pro": {**assistant, "credits_per_period": 2500},
        "assistant-pro-plus": {**assistant, "credits_per_period": 7500},
        "assistant-business": {**assistant, "kind": "postpaid"}, "studio": codegen,
        "payg": {"unit": "USD", "kind": "prepaid", "tariff": "cost_plus", "markup": 0, "welcome": 10, "low_balance": 1,
                 "minimum_balance": D("0.01"), "enforce": True},
        "codegen-free": {**codegen, "credits_per_period": 5}, "codegen-pro": {**codegen, "credits_per_period": 100},
        "quota-free": {**quota, "fee": 0}, "quota-starter": {**quota, "fee": 49}, "quota-professional": {**quota, "fee": 149},
        "quota-enterprise": {**quota, "fee": 499}}
    assert set(plans) == set(wanted)
    for plan, figures in wanted.items():
        for name, value in figures.items():
            if name != "credits_policy" or "credits_per_period" in figures:
                assert plans[plan][name] == value, (plan, name)
        for name in ("welcome", "low_balance", "credits_per_period", "minimum_balance"):
            assert plans[plan].get(name, 0) == figures.get(name, 0), (plan, name)


QUOTAS = {  # metric: included, overage price, per, day limit
    "quota-free": {"signatures": ("0", None, 20), "storage_gb": ("0.5", None, None), "ai_tokens": ("100", None, None),
                   "sms": ("0", None, None), "ai_valuations": (None, None, 50)},
    "quota-starter": {"signatures": ("3", "2", 20), "storage_gb": ("5", "0.05", None), "ai_tokens": ("5000", "0.01/1000", None),
                      "sms": ("0", None, None), "ai_valuations": (None, None, 50)},
    "quota-professional": {"signatures": ("10", "1.8", 20), "storage_gb": ("20", "0.04", None), "ai_tokens": ("50000", "0.008/1000", None),
                           "sms": ("50", "0.09", None), "ai_valuations": (None, None, 50)},
    "quota-enterprise": {"signatures": ("50", "1.5", 20), "storage_gb": ("100", "0.03", None), "ai_tokens": ("200000", "0.006/1000", None),
                         "sms": ("200", "0.08", None), "ai_valuations": (None, None, 50)},
}
COSTS = {  # (service, model, metric): in and out, or one price; for how many; currency
    ("xai", "grok-4-fast"): ("0.02", "0.08"), ("openai", "gpt-4o-mini"): ("0.15", "0.6"), ("openai", "gpt-4o"): ("2.5", "10"),
    ("openai", "gpt-5"): ("1.25", "10"), ("google", "gemini-1.5-flash"): ("0.35", "1.4"), ("google", "gemini-2.0-flash"): ("0.075", "0.3"),
    ("anthropic", "claude-3.5-sonnet"): ("3", "15"), ("anthropic", "claude-3.5-haiku"): ("0.8", "4"),
    ("deepseek", "deepseek-chat"): ("0.14", "0.28")}
EURO = {("signaturit", "signatures"): "1", ("s3", "storage_gb"): "0.023", ("claude", "ai_tokens"): "4.7/1000000", ("twilio", "sms"): "0.075"}
STUDIO = {"gemini-flash": 1, "gpt-4o-mini": 2, "gpt-4o": 25, "claude-sonnet": 30, "claude-opus": 150}


def test_quotas_prices_and_packages_are_the_price_list(told):
    def per(price, units):
        return f"{D(price):f}" + (f"/{D(units):f}" if D(units) != 1 else "")
    for plan, wanted in QUOTAS.items():
        quotas = told.value("SELECT quotas FROM api.plan WHERE plan = %s AND until IS NULL", [plan])
        assert {metric: (q["included"], q["overage_price"] and per(q["overage_price"], q["overage_per"]),
                         q["day_limit"] and int(q["day_limit"])) for metric, q in quotas.items()} == wanted, plan
        assert all(q["thresholds"] == [80, 100] for metric, q in quotas.items() if q["included"] is not None)
    prices = told.sql("SELECT * FROM api.price WHERE effective_until IS NULL")
    assert {str(row["effective_from"].date()) for row in prices} == {"2025-01-01"}
    wanted = {(None, service, model, "ai_tokens", component, f"{price}/1000000", "USD")
              for (service, model), pair in COSTS.items() for component, price in zip(("input", "output"), pair)}
    wanted |= {(None, service, "*", metric, "*", price, "EUR") for (service, metric), price in EURO.items()}
    wanted |= {(None, "*", "*", "requests", "*", "0", "USD")}
    wanted |= {("studio", "*", model, "ai_tokens", "*", f"{credits}/1000", "CREDIT") for model, credits in STUDIO.items()}
    wanted |= {(plan, "*", "*", "requests", "*", "1", "CREDIT") for plan in ("codegen-free", "codegen-pro")}
    have = [(row["plan"], row["service"], row["model"], row["metric"], row["component"], per(row["price"], row["per"]), row["currency"])
            for row in prices]
    assert len(have) == len(wanted) and set(have) == wanted
    rows = told.sql("SELECT package, unit, amount, bonus, price, currency FROM api.package WHERE until IS NULL ORDER BY amount")
    assert [tuple(row.values()) for row in rows] == [
        ("starter", "CREDIT", 1000, 0, 10, "USD"), ("basic", "CREDIT", 5000, 500, 45, "USD"), ("pro", "CREDIT", 12000, 1500, 100, "USD"),
        ("business", "CREDIT", 30000, 5000, 225, "USD"), ("enterprise", "CREDIT", 100000, 20000, 700, "USD")]


@pytest.mark.parametrize("find, put, says", [
    ('input = "0.02"', 'input = 0.02', "quotes"),
    ('input = "0.02"', 'input = "-0.02"', "negative"),
    ('input = "0.02"', 'input = "1000001"', "1000000"),
    ('{ name = "sms"; }', '{ name = "texts"; }', "sms"),
    ('name = "assistant-pro-plus"', 'name = "assistant-pro"', "second time"),
    ('price = "1.00"; },', 'price = "1.00"; }, { service = "signaturit"; metric = "signatures"; currency = "EUR"; price = "2.00"; },', "in force"),
    ('metric = "sms"; included = "50"; overage_price', 'metric = "sms"; included = "50"; overage_prize', "overage_price"),
    ('welcome = "10.00"', 'welcome = 10.00', "quotes"),
])
def test_a_bad_catalogue_is_refused_with_file_and_line(tmp_path, find, put, says):
    text = CATALOG.read_text()
    assert find in text
    line = text[:text.index(find)].count("\n") + 1
    bad = tmp_path / "bad.conf"
    bad.write_text(text.replace(find, put, 1))
    ran = run("debitctl", "catalog", "check", bad)
    assert ran.returncode == 65
    if find.startswith("{ name"):
        assert f"{bad}:" in ran.stderr  # wherever the metric is used
    else:
        assert f"{bad}:{line}: " in ran.stderr
    assert says in ran.stderr


# ---------------------------------------------------------------- configuration

SAMPLE = """
kafka    = { bootstrap_servers = "127.0.0.1:9092"; group_id = "debitd"; properties = ( ("security.protocol", "PLAINTEXT") ); };
topics   = { usage = "usage.events"; accounts = "usage.accounts"; alerts = "usage.alerts"; dead_letter = "usage.deadletter"; };
postgres = { conninfo = "host=/run/postgresql dbname=debitd"; };
batch    = { max_events = 20000; max_delay_ms = 20; };   /* an idle writer takes what is there at once */
accounts = { unknown = "park"; default_plan = "assistant-free"; };   /* park | open: usage opens the account on the default plan */
"""


def test_the_contracts_own_configuration_is_accepted_and_is_the_default(tmp_path):
    sample, empty = tmp_path / "sample.conf", tmp_path / "empty.conf"
    sample.write_text(SAMPLE)
    empty.write_text("")
    for path in (sample, empty):
        assert (run("debitd", "--config", path, "--check-config").returncode, run("debitd", "--check-config", "--config", path).returncode) == (0, 0)

    def dump(path):
        text = run("debitd", "--config", path, "--dump-config").stdout
        return [line.split(" # ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert dump(sample) == dump(empty)


@pytest.mark.parametrize("text, line, key", [
    ("kafka = { bootstrap_server = \"x\"; };", 1, "kafka.bootstrap_server"),
    ("\nkafks = { };", 2, "kafks"),
    ("batch = {\n max_events = \"20\"; };", 2, "batch.max_events"),
    ("batch = { max_events = 0; };", 1, "batch.max_events"),
    ("batch = { max_delay_ms = -1; };", 1, "batch.max_delay_ms"),
    ("\n\naccounts = { unknown = \"ignore\"; };", 3, "accounts.unknown"),
    ("topics = { usage = 5; };", 1, "topics.usage"),
    ("topics = { usage = \"a\";\n alerts = \"a\"; };", 2, "topics.alerts"),
    ("postgres = 5;", 1, "postgres"),
    ("\npostgres = { conninfo = \"hots=x\"; };", 2, "postgres.conninfo"),
    ("\nkafka = { properties = ( (\"enable.auto.commit\", \"true\") ); };", 2, "enable.auto.commit"),
    ("\nkafka = { properties = ( (\"isolation.level\", \"read_uncommitted\") ); };", 2, "isolation.level"),
    ("\nkafka = { properties = ( (\"securty.protocol\", \"SSL\") ); };", 2, "security.protocol"),
    ("\nkafka = { properties = ( (\"session.timeout.ms\", \"soon\") ); };", 2, "session.timeout.ms"),
    ("\nkafka = { properties = ( (\"security.protocol\") ); };", 2, "kafka.properties"),
])
def test_a_fault_of_the_configuration_names_file_line_and_key(tmp_path, text, line, key):
    path = tmp_path / "faulty.conf"
    path.write_text(text)
    for arguments in (["--check-config"], []):
        ran = run("debitd", "--config", path, *arguments)
        assert ran.returncode == 78
        assert f"{path}:{line}: " in ran.stderr and key in ran.stderr
