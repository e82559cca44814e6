"""The questions of programs: api.check_usage, api.estimate, api.credit_balance. Expected figures are worked out beside each case."""

import json
import random
import subprocess
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D
from itertools import count

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.rig.daemon import TOP, build_folder, debitctl, write_config

_numbers = count(1)
SHIPPED = TOP / "etc" / "catalog.conf"

ODD = """
units = ( { code = "USD"; }, { code = "EUR"; }, { code = "COIN"; valued_in = "EUR"; value = "0.03"; } );
metrics = ( { name = "tokens"; }, { name = "calls"; }, { name = "pages"; } );
fx = ( { from = "USD"; to = "EUR"; rate = "0.923456789"; effective_from = "2020-01-01"; } );
defaults = { effective_from = "2020-01-01"; };
prices = (
    { service = "s1"; model = "m1"; metric = "tokens"; currency = "USD"; per = "3"; price = { in = "0.0000001"; out = "0.7"; }; },
    { service = "s1"; model = "m1"; metric = "tokens"; currency = "EUR"; per = "7"; price = "0.000000000001"; },
    { service = "s1"; metric = "tokens"; currency = "EUR"; per = "7"; price = { in = "0.0000005"; }; },
    { model = "m2"; metric = "tokens"; currency = "USD"; per = "9"; price = "0.5"; },
    { metric = "tokens"; currency = "EUR"; per = "1000"; price = { in = "1"; }; },
    { metric = "calls"; currency = "USD"; price = "0"; }
);
plans = (
    { name = "plus"; unit = "COIN"; kind = "prepaid"; enforce = true; tariff = "cost_plus"; markup = "12.5"; minimum_balance = "2"; },
    { name = "plain"; unit = "USD"; kind = "postpaid"; enforce = true; tariff = "cost_plus"; markup = "0"; },
    { name = "fixed"; unit = "COIN"; kind = "prepaid"; enforce = true; tariff = "fixed";
      prices = ( { model = "m1"; metric = "tokens"; per = "3"; price = "1"; }, { service = "s1"; metric = "tokens"; per = "7"; price = { out = "2"; }; },
                 { metric = "calls"; price = "0.5"; } ); },
    { name = "quota"; unit = "EUR"; kind = "prepaid"; enforce = true; tariff = "cost_plus"; markup = "10";
      quotas = ( { metric = "tokens"; included = "10"; overage_price = "0.1"; overage_per = "3"; }, { metric = "calls"; included = "2"; day_limit = "1"; },
                 { metric = "pages"; day_limit = "3"; } ); }
);
"""


class Asked:
    """A database with a catalogue in which programs ask."""

    def __init__(self, postgres, template, folder, catalogue):
        self.postgres, self.name, self.catalogue = postgres, f"ctl_check_{next(_numbers)}", catalogue
        postgres.create_database(self.name, template)
        self.config = write_config(folder / f"{self.name}.conf", {"postgres": {"conninfo": postgres.conninfo(self.name)}})
        self.ctl("catalog", "apply", catalogue)
        self.sql = postgres.connect(self.name, row_factory=dict_row)

    def ctl(self, *arguments, **options):
        return debitctl(self.config, *arguments, **options).data

    def close(self):
        self.sql.close()
        self.postgres.drop_database(self.name)

    def open(self, plan, balance=None, **options):
        account = f"{plan}-{next(_numbers)}"
        self.ctl("account", "open", account, *([plan] if "parent" not in options else []),
                 *[word for name, value in options.items() for word in ([f"--{name}"] if value is True else [f"--{name}", value])])
        if balance is not None:
            self.ctl("credit", "adjust", account, balance - self.value("SELECT api.credit_balance(%s)", account))
        return account

    def row(self, statement, *parameters):
        return self.sql.execute(statement, parameters).fetchone()

    def value(self, statement, *parameters):
        (value,) = self.row(statement, *parameters).values()
        return value

    def check(self, account, metric, quantity):
        return self.row("SELECT * FROM api.check_usage(%s, %s, %s)", account, metric, quantity)

    def allowed(self, account, metric, quantity):
        row = self.check(account, metric, quantity)
        return row["allowed"], row["reason"]

    def estimate(self, account, service, model, metric, quantities):
        return tuple(self.row("SELECT * FROM api.estimate(%s, %s, %s, %s, %s::jsonb)", account, service, model, metric,
                              json.dumps(quantities)).values())

    def used(self, account, metric, used, period="m"):
        """As if that much of it had been used in this month, or today."""
        self.sql.execute(
            """INSERT INTO debitd.usage (payer_id, metric_id, period, period_start, events, used, cost, charge, overage_charge)
               SELECT a.payer_id, n.name_id, %(period)s::"char", CASE %(period)s::text WHEN 'm' THEN date_trunc('month', d)::date ELSE d::date END,
                      1, %(used)s, 0, 0, 0
                 FROM debitd.account a, debitd.name n, LATERAL (SELECT debitd.now() AT TIME ZONE 'UTC') AS t (d)
                WHERE a.name = %(account)s AND n.name = %(metric)s""",
            {"account": account, "metric": metric, "used": used, "period": period})


@pytest.fixture(scope="module")
def shipped(postgres, migrated, tmp_path_factory):
    made = Asked(postgres, migrated, tmp_path_factory.mktemp("check"), SHIPPED)
    yield made
    made.close()


@pytest.fixture(scope="module")
def odd(postgres, migrated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    (folder / "odd.conf").write_text(ODD)
    made = Asked(postgres, migrated, folder, folder / "odd.conf")
    yield made
    made.close()


def next_month():
    return (datetime.now(timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)


# ---------------------------------------------------------------- the check

def test_a_quota_without_overage_price_refuses_what_goes_beyond(shipped):
    free = shipped.open("quota-free")   # 0.5 storage_gb, 100 ai_tokens, no signatures
    assert shipped.allowed(free, "storage_gb", "0.5") == (True, None)
    assert shipped.allowed(free, "storage_gb", "0.500001") == (False, "quota_exhausted")
    assert shipped.allowed(free, "sms", 1) == (False, "quota_exhausted")
    assert shipped.allowed(free, "sms", 0) == (True, None)
    shipped.used(free, "ai_tokens", 80)
    row = shipped.check(free, "ai_tokens", 21)
    assert row == {"allowed": False, "reason": "quota_exhausted", "used": D(80), "included": D(100), "remaining": D(20), "balance": D(0),
                   "percent": D(80), "resets_at": next_month()}
    assert shipped.allowed(free, "ai_tokens", 20) == (True, None)


def test_a_quota_that_sells_more_allows_it(shipped):
    starter = shipped.open("quota-starter")
    shipped.used(starter, "signatures", 4)
    row = shipped.check(starter, "signatures", 10)
    assert (row["allowed"], row["reason"], row["used"], row["included"], row["remaining"], row["percent"]) == (
        True, None, D(4), D(3), D(0), D("133.333333"))


def test_a_day_limit_refuses_until_tomorrow(shipped):
    starter = shipped.open("quota-starter")   # 20 signatures a day
    shipped.used(starter, "signatures", 19)
    shipped.used(starter, "signatures", 19, "d")
    assert shipped.allowed(starter, "signatures", 1) == (True, None)
    row = shipped.check(starter, "signatures", 2)
    tomorrow = datetime.combine(datetime.now(timezone.utc).date() + timedelta(days=1), datetime.min.time(), timezone.utc)
    assert row == {"allowed": False, "reason": "day_limit_reached", "used": D(19), "included": D(20), "remaining": D(1), "balance": D(0),
                   "percent": D(95), "resets_at": tomorrow}
    only = shipped.check(starter, "ai_valuations", 50)   # only a day limit: 50
    assert (only["allowed"], only["used"], only["included"], only["remaining"], only["resets_at"]) == (True, 0, D(50), D(50), tomorrow)
    assert shipped.allowed(starter, "ai_valuations", 51) == (False, "day_limit_reached")


def test_a_prepaid_plan_wants_its_minimum(shipped):
    payg = shipped.open("payg", D("0.01"))
    assert shipped.allowed(payg, "ai_tokens", 1000) == (True, None)
    shipped.ctl("credit", "adjust", payg, "-0.000000000001")
    assert shipped.allowed(payg, "ai_tokens", 1000) == (False, "balance_too_low")
    row = shipped.check(payg, "ai_tokens", 1000)
    assert (row["used"], row["included"], row["remaining"], row["balance"], row["percent"], row["resets_at"]) == (
        0, None, None, D("0.009999999999"), None, next_month())


def test_a_charge_that_is_known_must_be_covered(shipped):
    coder = shipped.open("codegen-free")   # 5 credits, 1 a request
    assert shipped.allowed(coder, "requests", 5) == (True, None)
    assert shipped.allowed(coder, "requests", 6) == (False, "balance_too_low")
    assert shipped.allowed(coder, "ai_tokens", 1) == (False, "unpriced")


def test_a_plan_that_is_not_enforced_allows_and_says_why_it_would_not(shipped):
    free = shipped.open("assistant-free", D(0))
    assert shipped.allowed(free, "ai_tokens", 1) == (True, "balance_too_low")
    assert shipped.allowed(free, "minutes", 1) == (False, "unknown_metric")


def test_a_postpaid_plan_does_not_look_at_the_balance(shipped):
    assert shipped.allowed(shipped.open("assistant-business"), "ai_tokens", 10**9) == (True, None)


def test_a_child_is_checked_with_its_payers_figures(shipped):
    payer = shipped.open("quota-starter")
    child, guest = shipped.open("child", parent=payer), shipped.open("guest", parent=payer, guest=True)
    shipped.used(payer, "sms", 1)
    for account in (child, guest):
        row = shipped.check(account, "sms", 1)
        assert (row["allowed"], row["reason"], row["used"]) == (False, "quota_exhausted", D(1))
    poor = shipped.open("payg", D(0))
    assert shipped.allowed(shipped.open("child", parent=poor), "ai_tokens", 1) == (False, "balance_too_low")
    assert shipped.allowed(shipped.open("guest", parent=poor, guest=True), "ai_tokens", 1) == (True, None)   # is charged nothing
    assert shipped.value("SELECT api.credit_balance(%s)", child) == 0


@pytest.mark.parametrize("metric, quantity, reason", [("nothing", 1, "unknown_metric"), (None, 1, "unknown_metric"), ("ai_tokens", -1, "bad_quantity"),
                                                      ("ai_tokens", None, "bad_quantity"), ("ai_tokens", "NaN", "bad_quantity"),
                                                      ("ai_tokens", "1000000000001", "bad_quantity"), ("requests", 1, None)])
def test_what_makes_no_sense_is_refused_with_the_reason(shipped, metric, quantity, reason):
    account = shipped.open("payg")
    assert shipped.allowed(account, metric, quantity) == (reason is None, reason)


def test_unknown_and_closed_accounts_are_refused(shipped):
    assert shipped.check("nobody", "ai_tokens", 1) == {
        "allowed": False, "reason": "unknown_account", "used": None, "included": None, "remaining": None, "balance": None, "percent": None,
        "resets_at": None}
    closed = shipped.open("payg")
    shipped.ctl("account", "close", closed)
    assert shipped.allowed(closed, "ai_tokens", 1) == (False, "account_closed")
    assert shipped.value("SELECT api.credit_balance('nobody')") is None


def test_prepaid_quotas_ask_for_money_only_beyond_what_is_included(odd):
    account = odd.open("quota")   # balance 0; 10 tokens included, then 0.1 for 3
    assert odd.allowed(account, "tokens", 10) == (True, None)
    assert odd.allowed(account, "tokens", 13) == (False, "balance_too_low")
    odd.ctl("credit", "grant", account, "0.1")
    assert odd.allowed(account, "tokens", 13) == (True, None)
    assert odd.allowed(account, "tokens", "13.000001") == (False, "balance_too_low")


# ---------------------------------------------------------------- the estimate

def test_an_estimate_follows_cost_and_markup(shipped):
    payg = shipped.open("payg")
    assert shipped.estimate(payg, "openai", "gpt-4o", "ai_tokens", {"input": 1000, "output": "200.5"}) == (
        D("0.004505"), D("0.004505"), D("9.995495"), True)      # 1,000 x 2.50 / 1e6 + 200.5 x 10.00 / 1e6
    pro = shipped.open("assistant-pro")                        # a credit is 0.01 USD
    assert shipped.estimate(pro, "openai", "gpt-4o", "ai_tokens", {"output": 1000000}) == (D(10), D(1000), D(1500), True)
    assert shipped.estimate(pro, "openai", "gpt-4o", "ai_tokens", {"output": 2600000})[2:] == (D(-100), False)


def test_an_estimate_without_a_price_is_null(shipped):
    payg = shipped.open("payg")
    assert shipped.estimate(payg, "openai", "gpt-9", "ai_tokens", {"input": 1}) == (None, None, None, None)
    assert shipped.estimate(payg, "openai", "gpt-4o", "ai_tokens", {"input": 1, "cached_input": 1}) == (None, None, None, None)
    assert shipped.estimate(payg, None, None, "minutes", 1) == (None, None, None, None)
    assert shipped.estimate("nobody", None, None, "ai_tokens", 1) == (None, None, None, None)
    # only the cost is unknown, the charge does not depend on it: 1 request is 1 of 5 credits; 1 sms beyond the quota is 0.09
    assert shipped.estimate(shipped.open("quota-professional"), "nobody", None, "sms", 51) == (None, D("0.09"), D("-0.09"), True)


def test_an_estimate_straddles_the_quota(shipped):
    firm = shipped.open("quota-starter")
    shipped.used(firm, "signatures", "2.5")
    assert shipped.estimate(firm, "signaturit", None, "signatures", 1.25) == (D("1.25"), D("1.5"), D("-1.5"), True)  # 0.75 x 2.00


def test_guests_and_own_keys_are_charged_nothing(shipped):
    payer = shipped.open("payg")
    guest = shipped.open("guest", parent=payer, guest=True)
    assert shipped.estimate(guest, "openai", "gpt-4o", "ai_tokens", {"input": 1000000}) == (D("2.5"), D(0), D(10), True)
    own = shipped.open("payg", byok="openai")
    assert shipped.estimate(own, "openai", "gpt-9", "ai_tokens", {"input": 1}) == (D(0), D(0), D(10), True)


@pytest.mark.parametrize("quantities", [{}, {"input": -1}, {"input": "x"}, {"input": None}, [1], "1e13", None])
def test_quantities_that_are_none_are_an_error(shipped, quantities):
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        shipped.estimate(shipped.open("payg"), None, None, "ai_tokens", quantities)


def rate(catalogue, plan, event):
    line = {"specversion": "1.0", "type": "usage.recorded", "source": "/s", "id": "1", "subject": "a",
            "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "data": event}
    ran = subprocess.run([build_folder() / "debitctl", "rate", "--json", "--catalog", catalogue, "--plan", plan], input=json.dumps(line),
                         capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_estimates_are_what_would_be_booked(odd, seed):
    """api.estimate against the daemon's own rating, for an account that has used nothing."""
    dice = random.Random(seed)
    accounts = {plan: odd.open(plan) for plan in ("plus", "plain", "fixed", "quota")}
    priced = 0
    for _ in range(120):
        plan = dice.choice(list(accounts))
        event = {"metric": dice.choice(["tokens"] * 4 + ["calls", "pages"]),
                 "quantities": {name: f"{dice.choice([1, 7, 13, 999, 10**6, dice.randrange(10**12)])}.{dice.randrange(10**6):06}"
                                for name in dice.sample(["in", "out", "other"], dice.randrange(1, 4))}}
        event.update({name: value for name, value in (("service", dice.choice([None, "s1", "s2"])), ("model", dice.choice([None, "m1", "m2", "m3"])))
                      if value})
        if sum(map(D, event["quantities"].values())) > 10**12:
            continue
        expected = rate(odd.catalogue, plan, event)
        cost, charge, *_ = odd.estimate(accounts[plan], event.get("service"), event.get("model"), event["metric"], event["quantities"])
        if "reason" in expected:
            assert charge is None, (plan, event, expected)
        else:
            priced += 1
            assert (charge, cost) == (D(expected["charge"]), expected["cost"] and D(expected["cost"])), (plan, event, expected)
    assert priced > 30


def test_questions_take_milliseconds(shipped):
    account = shipped.open("payg")
    shipped.estimate(account, "openai", "gpt-4o", "ai_tokens", {"input": 1})
    for question in ("SELECT * FROM api.check_usage('{}', 'ai_tokens', 1)",
                     "SELECT * FROM api.estimate('{}', 'openai', 'gpt-4o', 'ai_tokens', '{{\"input\": 1, \"output\": 2}}')"):
        plans = [shipped.value("EXPLAIN (ANALYZE, FORMAT JSON) " + question.format(account))[0]["Execution Time"] for _ in range(10)]
        assert min(plans) < 20, plans   # a few tenths of one here; room for slow machines
