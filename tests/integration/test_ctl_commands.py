"""debitctl from outside: its words, its exit codes, what it prints for people and for programs."""

import json
import re
import subprocess

import pytest

from tests.rig.daemon import TOP, build_folder, debitctl, write_config
from tests.rig.proxy import TO_CLIENT, Proxy
from tests.rig.wait import wait_until


class Ctl:
    def __init__(self, postgres, template, folder):
        self.postgres, self.name = postgres, "ctl_commands"
        postgres.create_database(self.name, template)
        self.config = write_config(folder / "ctl.conf", {"postgres": {"conninfo": postgres.conninfo(self.name)}})
        self("catalog", "apply", TOP / "etc" / "catalog.conf")

    def __call__(self, *arguments, **options):
        return debitctl(self.config, *arguments, **options)

    def open(self, account, plan, **options):
        return self("account", "open", account, plan, **options)


@pytest.fixture(scope="module")
def ctl(postgres, migrated, tmp_path_factory):
    made = Ctl(postgres, migrated, tmp_path_factory.mktemp("ctl"))
    yield made
    postgres.drop_database(made.name)


def run(*arguments, **options):
    return subprocess.run([build_folder() / "debitctl", *map(str, arguments)], capture_output=True, text=True, timeout=30, **options)


# ---------------------------------------------------------------- the command line

@pytest.mark.parametrize("arguments, says", [
    ([], "usage:"),
    (["fly"], "unknown command 'fly'"),
    (["help", "fly"], "this version knows no 'fly'"),
    (["help", "rejected", "fly"], "this version knows no 'rejected fly'"),
    (["account"], "account needs to be told what to do"),
    (["account", "fly"], "account needs to be told what to do"),
    (["balance"], "an argument is missing: ACCOUNT"),
    (["balance", "a", "b"], "too many arguments: 'b'"),
    (["balance", "a", "--loud"], "unknown option '--loud'"),
    (["ledger", "a", "--limit"], "option --limit needs a value"),
    (["ledger", "a", "--limit", "0"], "--limit"),
    (["ledger", "a", "--before", "x"], "--before"),
    (["usage", "a", "--month", "2026-13"], "--month"),
    (["check", "a", "sms", "much"], "QUANTITY"),
    (["check", "a", "sms", "0.0000001"], "QUANTITY"),
    (["estimate", "a", "sms", "input=x"], "'input=x' is no quantity"),
    (["rejected", "show", "x"], "ID"),
    (["account", "update", "a"], "nothing to update"),
    (["account", "update", "a", "--charged", "maybe"], "--charged"),
    (["account", "assign", "a"], "which plan?"),
    (["credit", "grant", "a", "5", "--amount", "6"], "one of them is enough"),
    (["credit", "grant", "a"], "an argument is missing: ACCOUNT AMOUNT"),
    (["credit", "purchase", "a", "--reference", "r"], "an argument is missing: ACCOUNT [AMOUNT]"),
    (["credit", "purchase", "a", "5", "--package", "basic"], "one of them is enough"),
])
def test_wrong_use_exits_64_and_shows_the_use(arguments, says):
    ran = run(*arguments)
    assert ran.returncode == 64
    assert says in ran.stderr and "usage: debitctl" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["help", "credit"], ["credit", "purchase", "--help"],
                                       ["help", "account", "open"]])
def test_help_is_asked_for_and_goes_to_standard_output(arguments):
    ran = run(*arguments)
    assert ran.returncode == 0 and ran.stderr == ""
    assert ran.stdout.startswith("usage: debitctl")


def test_the_completion_is_in_step_with_the_commands():
    assert run("completion").stdout == (TOP / "etc" / "debitctl.bash-completion").read_text()


def test_the_completion_knows_words_verbs_and_options():
    def complete(*words):
        script = ('source etc/debitctl.bash-completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _debitctl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, cwd=TOP).stdout.split()
    assert set(complete("debitctl", "c")) == {"catalog", "credit", "check", "completion"}
    assert complete("debitctl", "--config", "x", "credit", "") == ["purchase", "grant", "refund", "adjust"]
    assert complete("debitctl", "ledger", "acct", "--b") == ["--before"]


def test_every_command_of_the_contract_is_there():
    overview = run("help").stdout
    for words in ("migrate", "catalog check", "catalog diff", "catalog apply", "account open", "account show", "account assign",
                  "account close", "credit purchase", "credit grant", "credit refund", "credit adjust", "balance", "usage", "ledger",
                  "alerts", "check", "estimate", "rejected list", "rejected show", "parked list", "rate", "verify", "status"):
        assert f"\n  {words} " in overview, words


# ---------------------------------------------------------------- exit codes of what lies outside

def test_a_server_that_cannot_be_reached_exits_69(tmp_path):
    ran = run("--conninfo", f"host={tmp_path} port=1 dbname=x", "status")
    assert ran.returncode == 69 and "cannot connect to PostgreSQL" in ran.stderr


def test_a_bad_configuration_exits_78(tmp_path):
    bad = tmp_path / "bad.conf"
    bad.write_text("postgres = { coninfo = 'x'; };\n")
    ran = run("--config", bad, "status")
    assert ran.returncode == 78 and "bad.conf" in ran.stderr


def test_a_database_without_the_schema_exits_78_and_says_what_to_do(postgres):
    postgres.create_database("ctl_bare")
    try:
        for command in (["status"], ["balance", "a"], ["verify"], ["account", "open", "a", "payg"], ["check", "a", "sms", "1"]):
            ran = run("--conninfo", postgres.conninfo("ctl_bare"), *command)
            assert (ran.returncode, "debitctl migrate" in ran.stderr) == (78, True), (command, ran.stderr)
    finally:
        postgres.drop_database("ctl_bare")


def test_without_a_configuration_libpqs_environment_counts(postgres, ctl):
    environment = {"PGHOST": f"{postgres.folder}/socket", "PGPORT": str(postgres.port), "PGUSER": "postgres", "PGDATABASE": ctl.name,
                   "PATH": "/usr/bin"}
    ran = run("--json", "status", env=environment)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["books"]["catalogue_version"] == 1


def test_who_may_not_change_accounts_exits_77(ctl):
    reader = ctl.postgres.conninfo(ctl.name, "debitd_reader")
    ran = run("--conninfo", reader, "account", "open", "a77", "payg")
    assert ran.returncode == 77 and "permission denied" in ran.stderr
    assert run("--conninfo", reader, "status").returncode == 0


def test_debitd_admin_may_operate_and_look(ctl):
    admin = ctl.postgres.conninfo(ctl.name, "debitd_admin")
    for command in (["account", "open", "by-admin", "payg"], ["credit", "grant", "by-admin", "1"], ["balance", "by-admin"],
                    ["ledger", "by-admin"], ["check", "by-admin", "ai_tokens", "1"], ["usage", "by-admin"], ["status"]):
        ran = run("--conninfo", admin, *command)
        assert ran.returncode == 0, (command, ran.stderr)


# ---------------------------------------------------------------- accounts and credits

def test_an_account_is_opened_shown_updated_and_assigned(ctl):
    done = ctl.open("acct-1", "assistant-free").data
    assert (done["outcome"], done["reason"]) == ("done", None) and done["entry_id"] > 0 and done["key"].startswith("ctl-")
    ctl("account", "update", "acct-1", "--name", "Łucja & sons", "--byok", "openai, xai", "--charged", "no")
    shown = ctl("account", "show", "acct-1").data
    opened = shown.pop("opened_at")
    assert opened.endswith("Z") and opened[10] == "T"
    assert shown == {"account_id": "acct-1", "payer_id": "acct-1", "name": "Łucja & sons", "plan": "assistant-free", "unit": "CREDIT",
                     "charged": False, "byok": ["openai", "xai"], "plan_until": None, "closed_at": None}
    # 100 credits were granted on opening; pro grants 2,500 a period: 2,400 more
    ctl("account", "assign", "acct-1", "assistant-pro")
    balance = ctl("balance", "acct-1").data
    assert (balance["balance"], balance["granted"], balance["unit"]) == ("2500", "2500", "CREDIT")


def test_a_child_has_its_payers_balance_and_its_own_entries(ctl):
    ctl.open("parent-1", "payg")
    ctl("account", "open", "child-1", "--parent", "parent-1", "--guest")
    shown = ctl("account", "show", "child-1").data
    assert (shown["payer_id"], shown["plan"], shown["unit"], shown["charged"]) == ("parent-1", None, "USD", False)
    ctl("credit", "grant", "child-1", "2.5", "--reason", "for the child")
    assert ctl("balance", "child-1").data["balance"] == "12.5"
    (entry,) = ctl("ledger", "child-1").data
    assert (entry["account_id"], entry["payer_id"], entry["type"], entry["amount"], entry["balance_after"], entry["reason"]) == (
        "child-1", "parent-1", "bonus", "2.5", "12.5", "for the child")


def test_the_same_key_books_once(ctl):
    ctl.open("once", "payg")
    first = ctl("credit", "grant", "once", "5", "--key", "gift-1").data
    again = ctl("credit", "grant", "once", "5", "--key", "gift-1").data
    assert (first["outcome"], again["outcome"], again["key"]) == ("done", "duplicate", "gift-1")
    assert ctl("balance", "once").data["balance"] == "15"
    other = ctl("credit", "grant", "once", "6", "--key", "gift-1", expect=65)
    assert "id_reused" in other.err


def test_credits_of_every_kind_are_booked_to_the_last_digit(ctl):
    ctl.open("credits", "payg")
    ctl("credit", "purchase", "credits", "20.000000000001", "--reference", "inv-7")
    ctl("credit", "refund", "credits", "0.5", "--reason", "sorry")
    ctl("credit", "adjust", "credits", "-1e-12")
    balance = ctl("balance", "credits").data
    assert (balance["purchased"], balance["refunded"], balance["adjusted"], balance["balance"]) == (
        "20.000000000001", "0.5", "-0.000000000001", "30.5")
    adjusted, refunded, purchased, welcome = ctl("ledger", "credits").data
    assert [entry["type"] for entry in (welcome, purchased, refunded, adjusted)] == ["grant", "purchase", "refund", "adjustment"]
    assert (purchased["reference"], refunded["reason"], purchased["event_source"]) == ("inv-7", "sorry", "/debitd/operations")


def test_an_options_value_is_no_word_of_the_command(ctl):
    ctl.open("words", "payg")
    ctl("credit", "--reason", "refund", "grant", "words", "5")
    ctl("--key", "purchase", "credit", "--reason=adjust", "grant", "words", "6")
    second, first, _ = ctl("ledger", "words").data
    assert [(entry["type"], entry["amount"], entry["reason"]) for entry in (first, second)] == [
        ("bonus", "5", "refund"), ("bonus", "6", "adjust")]


def test_an_operation_whose_answer_is_lost_can_be_asked_for_again_and_is_done_once(ctl):
    """The connection ends when everything is committed but for the answer."""
    ctl.open("lost", "payg")
    with Proxy(ctl.postgres.port) as proxy:
        conninfo = f"host=127.0.0.1 port={proxy.port} user=postgres dbname={ctl.name} sslmode=disable"

        with ctl.postgres.connect(ctl.name) as locks:
            locks.execute("SELECT pg_advisory_lock(debitd.books_lock())")
            asking = subprocess.Popen([build_folder() / "debitctl", "--conninfo", conninfo, "credit", "purchase", "lost", "100"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_until(lambda: locks.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'advisory'",
                                             [ctl.name]).fetchone() == (1,), 30, "debitctl to wait for the books")
            for connection in proxy.find(b""):
                connection.hold(TO_CLIENT)
        wait_until(lambda: ctl("balance", "lost").data["balance"] == "110", 30, "it to be booked")
        proxy.cut()
        out, err = asking.communicate(timeout=30)
    assert asking.returncode == 69 and out == ""
    key = re.search(r"do it again with --key (ctl-[0-9a-f]{32})", err).group(1)
    assert ctl("credit", "purchase", "lost", "100", "--key", key).data["outcome"] == "duplicate"
    assert ctl("balance", "lost").data["balance"] == "110"


def test_a_package_is_a_purchase_and_its_bonus(ctl):
    ctl.open("packages", "studio")
    ctl("credit", "purchase", "packages", "--package", "basic")
    bonus, purchase = ctl("ledger", "packages").data
    assert [(e["type"], e["amount"], e["balance_after"]) for e in (purchase, bonus)] == [
        ("purchase", "5000", "5000"), ("bonus", "500", "5500")]


@pytest.mark.parametrize("arguments, reason", [
    (["account", "open", "new-1"], "bad_data"),
    (["account", "open", "new-1", "no-such-plan"], "unknown_plan"),
    (["account", "open", "new-1", "--parent", "nobody"], "unknown_account"),
    (["account", "open", "", "payg"], "bad_attribute"),
    (["account", "assign", "nobody", "payg"], "unknown_account"),
    (["credit", "purchase", "rejects", "--package", "no-such"], "unknown_package"),
    (["credit", "purchase", "rejects", "--package", "pro"], "unit_mismatch"),
    (["credit", "grant", "rejects", "0"], "bad_data"),
    (["credit", "grant", "rejects", "-1"], "bad_data"),
    (["credit", "grant", "rejects", "0.0000000000001"], "bad_data"),
    (["credit", "grant", "rejects", "1e18"], "out_of_range"),
    (["credit", "grant", "rejects", "five"], "bad_data"),
    (["credit", "refund", "nobody", "1"], "unknown_account"),
    (["credit", "grant", "rejects", "1", "--key", "two\nlines"], "bad_attribute"),
])
def test_an_operation_that_is_rejected_exits_65_with_its_reason(ctl, arguments, reason):
    ctl.open("rejects", "payg", expect=None)
    done = ctl(*arguments, expect=65)
    assert f": {reason}: " in done.err
    assert done.out == ""


@pytest.mark.parametrize("verb", ["balance", "usage", "ledger", "alerts"])
def test_an_account_that_does_not_exist_exits_65(ctl, verb):
    assert "there is no account 'nobody'" in ctl(verb, "nobody", expect=65).err


def test_the_ledger_is_read_page_by_page(ctl):
    ctl.open("pages", "payg")
    for amount in range(1, 7):
        ctl("credit", "grant", "pages", amount)
    pages, before = [], []
    while True:
        page = ctl("ledger", "pages", "--limit", 3, *before).data
        if not page:
            break
        pages.append([entry["amount"] for entry in page])
        before = ["--before", page[-1]["entry_id"]]
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["10"]]


def test_alerts_are_shown_newest_first_with_their_event(ctl):
    ctl.open("alerted", "payg")
    ctl("credit", "adjust", "alerted", "-12")
    exhausted, low = ctl("alerts", "alerted").data
    assert [low["type"], exhausted["type"]] == ["balance.low", "balance.exhausted"]
    assert low["event"]["data"] == {"unit": "USD", "balance": "-2", "threshold": "1", "event_source": "/debitd/operations",
                                    "event_id": low["event"]["data"]["event_id"]}


def test_the_check_answers_by_its_exit_code(ctl):
    ctl.open("checked", "payg")
    allowed = ctl("check", "checked", "ai_tokens", "1000").data
    assert (allowed["allowed"], allowed["reason"], allowed["balance"]) == (True, None, "10")
    ctl("credit", "adjust", "checked", "-10")
    refused = ctl("check", "checked", "ai_tokens", "1000", expect=1).data
    assert (refused["allowed"], refused["reason"]) == (False, "balance_too_low")


def test_the_estimate_takes_components(ctl):
    ctl.open("estimated", "payg")
    # 1,000,000 x 0.15 / 1e6 + 500,000 x 0.60 / 1e6 = 0.45 USD at cost
    done = ctl("estimate", "estimated", "ai_tokens", "input=1000000", "output=500000", "--service", "openai", "--model", "gpt-4o-mini")
    assert done.data == {"cost": "0.45", "charge": "0.45", "balance_after": "9.55", "affordable": True}


def test_people_get_tables(ctl):
    ctl.open("people", "payg")
    assert "entry_id" in ctl("ledger", "people", json=False).out.splitlines()[0]
    lines = dict(line.split(None, 1) for line in ctl("balance", "people", json=False).out.splitlines())
    assert (lines["balance"], lines["unit"]) == ("10", "USD")
    assert ctl("usage", "people", json=False).out == "none\n"
    done = ctl("credit", "grant", "people", "1", "--key", "k", json=False).out
    assert done.startswith("credits.granted: done, entry ") and done.endswith(", key k\n")


def test_status_knows_versions_months_and_positions(ctl):
    status = ctl("status").data
    assert status["schema"] == "is this program's"
    assert (status["books"]["catalogue_version"], status["books"]["months_ahead"], status["books"]["parked"]) == (1, 3, 0)
    assert status["positions"] == []
    assert "booking_month" in ctl("status", json=False).out


def test_verify_finds_nothing_wrong_with_what_debitctl_did(ctl):
    assert ctl("verify").data == []
    assert ctl("verify", json=False).out.endswith(" checks, 0 differences\n")
