"""debitctl catalog check, diff, apply against a real database: what is stored is what the file says, once, and what was
applied never changes."""

import itertools
import threading

import psycopg
import pytest

from tests.rig.daemon import TOP, debitctl, write_config

SHIPPED = TOP / "etc" / "catalog.conf"
HEAD = """\
defaults = { effective_from = "2025-01-01"; };
units = ( { code = "USD"; }, { code = "EUR"; }, { code = "CREDIT"; valued_in = "USD"; value = "0.01"; } );
metrics = ( { name = "tokens"; }, { name = "calls"; } );
"""
PRICE = '{ service = "s"; metric = "tokens"; currency = "USD"; per = "1000"; price = "2.50"; %s }'
PLAN = ('{ name = "p"; unit = "CREDIT"; kind = "prepaid"; tariff = "cost_plus"; markup = "15"; welcome = "%s";'
        ' quotas = ( { metric = "calls"; included = "0.5"; overage_price = "2"; day_limit = "20"; thresholds = [ 50, 100 ]; } ); }')
PACKAGE = '{ name = "a"; unit = "CREDIT"; amount = "1000"; bonus = "%s"; price = "10"; currency = "USD"; }'
RATE = '{ from = "USD"; to = "EUR"; rate = "0.92"; %s }'

_numbers = itertools.count(1)


def text(prices="", plans=PLAN % 10, packages=PACKAGE % 0, fx="", head=HEAD):
    return head + f"prices = ( {prices} );\nplans = ( {plans} );\npackages = ( {packages} );\nfx = ( {fx} );\n"


class Database:
    def __init__(self, postgres, template, folder):
        self.postgres, self.folder, self.name = postgres, folder, f"catalog_{next(_numbers)}"
        postgres.create_database(self.name, template)
        self.config = write_config(folder / "owner.conf", {"postgres": {"conninfo": postgres.conninfo(self.name)}})
        self.sql = postgres.connect(self.name)

    def catalog(self, verb, source, **options):
        if isinstance(source, str):
            (self.folder / "catalog.conf").write_text(source)
            source = self.folder / "catalog.conf"
        return debitctl(self.config, "catalog", verb, source, **options)

    def apply(self, source, **options):
        return self.catalog("apply", source, **options).data

    def refused(self, source):
        """The words of the refusal; nothing may have changed."""
        before = self.rows("SELECT count(*), max(version) FROM debitd.catalogue")
        done = self.catalog("apply", source, expect=65)
        assert self.catalog("diff", source, expect=65).err == done.err
        assert self.rows("SELECT count(*), max(version) FROM debitd.catalogue") == before
        return done.err

    def rows(self, query, *values):
        return self.sql.execute(query, values).fetchall()

    def one(self, query, *values):
        (row,) = self.rows(query, *values)
        return row[0] if len(row) == 1 else row

    def close(self):
        self.sql.close()
        self.postgres.drop_database(self.name)


@pytest.fixture
def database(postgres, migrated, tmp_path):
    made = Database(postgres, migrated, tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_the_shipped_catalogue_is_applied_once(database):
    first = database.apply(SHIPPED)
    assert first["version"] == 1 and first["changes"] == 3 + 6 + 30 + 12 + 5
    assert database.catalog("diff", SHIPPED).data == {"changes": 0, "text": []}
    assert database.apply(SHIPPED) == {"version": 1, "changes": 0}
    assert database.one("SELECT catalogue_version FROM debitd.books") == 1
    counts = {"unit": 3, "metric": 6, "price": 30, "plan": 12, "plan_quota": 20, "package": 5, "fx": 0, "catalogue": 1}
    assert {table: database.one(f"SELECT count(*) FROM debitd.{table}") for table in counts} == counts


def test_diff_changes_nothing_and_says_what_apply_would_do(database):
    diff = database.catalog("diff", text(PRICE % "")).data
    assert diff["changes"] == 3 + 2 + 1 + 1 + 1
    assert "+ price s/* tokens *: 2.5 USD per 1000, from 2025-01-01" in diff["text"]
    assert database.one("SELECT count(*) FROM debitd.catalogue") == 0
    assert database.apply(text(PRICE % ""))["changes"] == diff["changes"]


def test_what_is_stored_is_what_the_file_says(database):
    database.apply(text(PRICE % 'model = "*"; component = "";', fx=RATE % 'effective_until = "2026-01-01T12:00:00Z";'))
    assert database.rows("""
        SELECT s.name, p.model_id, m.name, c.name, u.name, p.price::text, p.per::text,
               p.effective_from AT TIME ZONE 'UTC' = '2025-01-01', p.effective_until, p.plan_name_id
          FROM debitd.price p JOIN debitd.name s ON s.name_id = p.service_id JOIN debitd.name m ON m.name_id = p.metric_id
          JOIN debitd.name c ON c.name_id = p.component_id JOIN debitd.name u ON u.name_id = p.currency_id""") == [
        ("s", None, "tokens", "", "USD", "2.5", "1000", True, None, None)]
    assert database.rows("""
        SELECT u.name, kind, tariff, markup::text, trust_cost, credits_per_period, credits_policy, welcome::text, low_balance,
               minimum_balance, fee::text, enforce, since, until
          FROM debitd.plan p JOIN debitd.name u ON u.name_id = p.unit_id""") == [
        ("CREDIT", "prepaid", "cost_plus", "15", True, None, None, "10", None, None, "0", True, 1, None)]
    assert database.rows("SELECT included::text, overage_price::text, overage_per::text, day_limit::text, thresholds::text FROM debitd.plan_quota") == [
        ("0.5", "2", "1", "20", "{50,100}")]
    assert database.rows("SELECT f.rate::text, effective_until AT TIME ZONE 'UTC' = '2026-01-01 12:00' FROM debitd.fx f") == [("0.92", True)]
    assert database.rows("SELECT p.name, u.name, amount::text, bonus::text, price::text, c.name FROM debitd.package p"
                         " JOIN debitd.name u ON u.name_id = p.unit_id JOIN debitd.name c ON c.name_id = p.currency_id") == [
        ("a", "CREDIT", "1000", "0", "10", "USD")]


def test_a_price_gets_an_end_and_a_successor(database):
    database.apply(text(PRICE % ""))
    new = (PRICE % 'effective_until = "2026-07-01";') + ", " + (PRICE % 'effective_from = "2026-07-01";').replace("2.50", "2.00")
    diff = database.catalog("diff", text(new)).data["text"]
    assert diff == ["~ price s/* tokens *: 2.5 USD per 1000, from 2025-01-01, until 2026-07-01",
                    "+ price s/* tokens *: 2 USD per 1000, from 2026-07-01"]
    assert database.apply(text(new)) == {"version": 2, "changes": 2}
    assert database.rows("SELECT price::text, effective_until AT TIME ZONE 'UTC' = '2026-07-01', since FROM debitd.price ORDER BY price_id") == [
        ("2.5", True, 1), ("2", None, 2)]
    assert database.apply(text(new))["changes"] == 0


def test_a_price_that_was_applied_never_changes(database):
    database.apply(text(PRICE % "", fx=RATE % ""))
    error = database.refused(text((PRICE % "").replace("2.50", "3"), fx=RATE % ""))
    assert "catalog.conf:4: price s/* tokens *: 2.5 USD per 1000, from 2025-01-01" in error and "never changes" in error
    assert "rate 1 USD is 0.92 EUR" in database.refused(text(PRICE % "", fx=(RATE % "").replace("0.92", "0.9")))


def test_a_price_that_disappears_is_refused_unless_it_has_ended(database):
    database.apply(text(PRICE % "", fx=RATE % ""))
    error = database.refused(text(""))
    assert "price s/* tokens *: 2.5" in error and "rate 1 USD" in error and "effective_until" in error
    ended = 'effective_until = "2026-01-01";'
    database.apply(text(PRICE % ended, fx=RATE % ended))
    assert database.apply(text(""))["changes"] == 0  # history may be left out
    assert "overlaps" in database.refused(text(PRICE % 'effective_from = "2025-06-01";'))
    assert "its end has been applied" in database.refused(text(PRICE % 'effective_until = "2027-01-01";'))
    assert "its end has been applied" in database.refused(text(PRICE % ""))
    assert database.apply(text(PRICE % 'effective_from = "2026-01-01";'))["changes"] == 1


def test_a_changed_plan_or_package_is_a_new_version(database):
    database.apply(text())
    assert database.catalog("diff", text(plans=PLAN % 20, packages=PACKAGE % 5)).data["text"] == [
        "~ plan p", "    - welcome = 10", "    + welcome = 20", "~ package a: 1000 CREDIT and 5 more for 10 USD"]
    assert database.apply(text(plans=PLAN % 20, packages=PACKAGE % 5)) == {"version": 2, "changes": 2}
    assert database.rows("SELECT welcome::text, since, until FROM debitd.plan ORDER BY plan_id") == [("10", 1, 2), ("20", 2, None)]
    assert database.rows("SELECT bonus::text, since, until FROM debitd.package ORDER BY package_id") == [("0", 1, 2), ("5", 2, None)]
    assert database.one("SELECT count(*) FROM debitd.plan_quota") == 2
    # back to what it was: a third version, not the first again
    assert database.apply(text()) == {"version": 3, "changes": 2}
    assert database.one("SELECT count(DISTINCT digest) FROM debitd.catalogue") == 3
    assert database.apply(text(packages=""))["changes"] == 1
    assert database.one("SELECT count(*) FROM debitd.package WHERE until IS NULL") == 0


def test_units_metrics_and_plans_cannot_be_removed(database):
    database.apply(text())
    assert "metric 'calls'" in database.refused(text(plans="", head=HEAD.replace(', { name = "calls"; }', "")))
    assert "plan 'p'" in database.refused(text(plans=""))
    assert "unit 'EUR'" in database.refused(text(head=HEAD.replace('{ code = "EUR"; },', "")))
    assert "cannot change its unit" in database.refused(text(plans=(PLAN % 10).replace("CREDIT", "EUR")))


def test_the_value_of_a_unit_changes_only_until_it_is_used(database):
    database.apply(text())
    other = text(head=HEAD.replace("0.01", "0.02"))
    assert database.apply(other) == {"version": 2, "changes": 1}
    assert database.one("SELECT value::text FROM debitd.unit u JOIN debitd.name n ON n.name_id = u.unit_id WHERE n.name = 'CREDIT'") == "0.02"
    assert database.one("SELECT outcome FROM debitd.account_event(gen_random_uuid(), gen_random_uuid(), '/t', '1', 'account.opened',"
                        " 'acct', now(), '{\"plan\": \"p\"}')") == "done"
    done = database.catalog("apply", text(), expect=65)
    assert "unit 'CREDIT' has balances or entries" in done.err
    assert database.one("SELECT catalogue_version FROM debitd.books") == 2


def test_a_bad_file_is_refused_before_the_server_is_asked(tmp_path):
    (tmp_path / "bad.conf").write_text(text(PRICE % "").replace('"2.50"', "2.50"))
    config = write_config(tmp_path / "nowhere.conf", {"postgres": {"conninfo": "host=/nonexistent"}})
    for verb in ("check", "diff", "apply"):
        done = debitctl(config, "catalog", verb, tmp_path / "bad.conf", expect=65)
        assert "bad.conf:4: 'price' is a bare number" in done.err
    assert debitctl(config, "catalog", "check", SHIPPED).data["plans"] == 12
    assert "/nowhere" in debitctl(config, "catalog", "check", tmp_path / "nowhere", expect=65).err
    debitctl(config, "catalog", "apply", SHIPPED, expect=69)


def test_a_price_file_is_not_applied(database):
    error = database.refused('prices = ( { metric = "m"; currency = "USD"; price = "1"; effective_from = "2025-01-01"; } );\n')
    assert "catalog.conf:1:" in error and "a price file" in error


def test_who_listens_is_told_and_two_at_once_make_one_version(database):
    listener = database.postgres.connect(database.name)
    listener.execute("LISTEN debitd_catalogue")
    notices, answers = [], []
    listener.add_notify_handler(notices.append)
    (database.folder / "catalog.conf").write_text(text(PRICE % ""))
    threads = [threading.Thread(target=lambda: answers.append(database.apply(database.folder / "catalog.conf"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer["version"] for answer in answers] == [1, 1, 1]
    assert sorted(answer["changes"] for answer in answers) == [0, 0, 8]
    listener.execute("SELECT 1")  # brings along what was sent before
    assert [(notice.channel, notice.payload) for notice in notices] == [("debitd_catalogue", "1")]
    listener.close()


def test_a_row_changed_by_hand_is_named(database):
    database.apply(text(PRICE % ""))
    database.sql.execute("UPDATE debitd.price SET price = 0.0000000000001")
    done = database.catalog("diff", text(PRICE % ""), expect=65)
    assert "column price of catalogue_prices holds '0.0000000000001'" in done.err


def test_an_apply_that_fails_leaves_nothing(database):
    database.sql.execute("CREATE FUNCTION debitd.no() RETURNS trigger LANGUAGE plpgsql AS"
                         " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END $$;"
                         " CREATE TRIGGER no BEFORE INSERT ON debitd.package EXECUTE FUNCTION debitd.no()")
    database.catalog("apply", text(PRICE % ""), expect=None)
    assert database.one("SELECT catalogue_version FROM debitd.books") == 0
    assert database.one("SELECT (SELECT count(*) FROM debitd.catalogue) + (SELECT count(*) FROM debitd.price)") == 0
    with pytest.raises(psycopg.errors.DataException):
        database.sql.execute("INSERT INTO debitd.package (name) VALUES ('x')")
