"""Roles and row-level security (contract 6): what each role may do, and what it may not."""

import psycopg
import pytest

from tests.integration.sql_books import SqlBooks

Denied = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def family(books: SqlBooks):
    """p pays for c; q is a stranger."""
    books.done("account.opened", "p", plan="free")
    books.done("account.opened", "c", parent="p")
    books.done("account.opened", "q", plan="payg")
    books.done("credits.granted", "c", amount="1")
    books.done("credits.adjusted", "q", amount="-10")
    return books


def first(connection, query):
    return [row[0] for row in connection.execute(query).fetchall()]


# ---------------------------------------------------------------- the writer

def test_the_writer_books_operations(books, acting):
    writer = acting("debitd_writer")
    assert books.event("account.opened", "a", {"plan": "both"}, connection=writer)[0] == "done"
    assert books.event("credits.adjusted", "a", {"amount": "-25"}, connection=writer)[0] == "done"
    writer.execute("SELECT debitd.open_unknown('{b}', 'payg')")
    writer.execute("SELECT debitd.claim('t', 0, 'o')")
    writer.execute("SELECT debitd.advance('t', 0, 1, NULL, 1, 0, 0)")
    writer.execute("SELECT debitd.fold(10)")
    assert books.alerts("a") != []


def test_the_writer_moves_the_month_and_gets_leaves_it_could_not_make(books, acting):
    writer = acting("debitd_writer")
    with pytest.raises(Denied):
        writer.execute("CREATE TABLE debitd.mine ()")
    books.move_clock("200 days")
    assert first(writer, "SELECT debitd.switch_month()") == [True]
    writer.execute("SELECT debitd.ensure_months()")
    assert books.event("account.opened", "a", {"plan": "free"}, connection=writer)[0] == "done"


def test_the_writer_copies_into_the_leaves(books, acting):
    writer = acting("debitd_writer")
    month = books.one("SELECT month FROM debitd.books")
    with writer.cursor() as cursor, cursor.copy(f"COPY debitd.event_key_{month:%Y_%m} (month, key, digest) FROM STDIN") as copy:
        copy.write_row((month, "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"))
    with writer.cursor() as cursor, cursor.copy(
            f"COPY debitd.ledger_{month:%Y_%m} (entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, amount, unit_id, "
            "balance_after) FROM STDIN") as copy:
        copy.write_row((1, 1, 1, "usage", month, month, month, 0, 1, 0))
    assert books.one("SELECT count(*) FROM debitd.ledger") == 1


@pytest.mark.parametrize("statement", [
    "UPDATE debitd.ledger SET amount = 0", "DELETE FROM debitd.ledger", "TRUNCATE debitd.ledger", "UPDATE debitd.event_key SET entry_id = 1",
    "DELETE FROM debitd.event_key", "DELETE FROM debitd.payer", "DELETE FROM debitd.alert", "UPDATE debitd.books SET clock_offset = '1 day'",
    "UPDATE debitd.books SET month = '2020-01-01'", "UPDATE debitd.plan SET fee = 0", "INSERT INTO debitd.price DEFAULT VALUES",
    "DROP TABLE debitd.ledger", "ALTER TABLE debitd.ledger DISABLE TRIGGER ALL", "SELECT api.credit_grant('k', 'a', 1)"])
def test_the_writer_may_not(family, acting, statement):
    with pytest.raises(Denied):
        acting("debitd_writer").execute(statement)


# ---------------------------------------------------------------- the reader

def test_the_reader_reads_all_of_api_and_changes_nothing(family, acting):
    reader = acting("debitd_reader")
    for view in first(family.sql, "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'api'::regnamespace AND relkind = 'v'"):
        reader.execute(f"SELECT * FROM {view}")
    assert first(reader, "SELECT count(*) FROM debitd.ledger") == [4]
    for statement in ("INSERT INTO debitd.name (name) VALUES ('x')", "UPDATE debitd.payer SET balance = 0",
                      "SELECT api.credit_grant('k', 'a', 1)", "SELECT debitd.intern('{x}')", "SELECT debitd.open_unknown('{x}', 'payg')",
                      "SELECT debitd.switch_month()", "SELECT debitd.forget_identity(1)"):
        with pytest.raises(Denied):
            reader.execute(statement)


@pytest.mark.parametrize("role", ["debitd_reader", "debitd_account", "debitd_admin"])
def test_nobody_reads_a_leaf_past_row_level_security(family, acting, role):
    connection = acting(role)
    for leaf in first(family.sql, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'debitd.ledger'::regclass"):
        with pytest.raises(Denied):
            connection.execute(f"SELECT * FROM {leaf}")


# ---------------------------------------------------------------- the admin

def test_the_admin_books_operations_and_writes_no_table(family, acting):
    admin = acting("debitd_admin")
    assert first(admin, "SELECT (api.credit_grant('k', 'p', 5)).outcome") == ["done"]
    assert first(admin, "SELECT (api.account_open('k2', 'new', 'payg')).outcome") == ["done"]
    assert str(family.payer("p")["balance"]) == "106"
    for statement in ("UPDATE debitd.payer SET balance = 0", "INSERT INTO debitd.name (name) VALUES ('x')",
                      "SELECT debitd.book_entry(1, now(), 'grant', 1, 1, 5, NULL, NULL, true)",
                      "SELECT debitd.account_command('k', 'credits.granted', 'p', '{}')"):
        with pytest.raises(Denied):
            admin.execute(statement)


# ---------------------------------------------------------------- accounts

def names_of(connection, query):
    return sorted(first(connection, query))


ENTRIES = "SELECT a.name FROM debitd.ledger l JOIN debitd.account a ON a.account_id = l.account_id"


def test_an_account_sees_its_own_rows_only(family, acting):
    connection = acting("debitd_account")
    connection.execute("SET debitd.account = 'q'")
    assert names_of(connection, ENTRIES) == ["q", "q"]
    assert names_of(connection, "SELECT name FROM debitd.account") == ["q"]
    assert len(connection.execute("SELECT * FROM debitd.payer").fetchall()) == 1
    assert names_of(connection, "SELECT type FROM debitd.alert") == ["balance.exhausted", "balance.low"]
    connection.execute("SET debitd.account = 'c'")
    assert names_of(connection, ENTRIES) == ["c"]
    assert names_of(connection, "SELECT name FROM debitd.account") == ["c", "p"]  # the name of who pays
    assert first(connection, "SELECT name FROM debitd.account WHERE account_id = debitd.only_account()") == ["c"]
    assert connection.execute("SELECT * FROM debitd.payer").fetchall() == []
    assert connection.execute("SELECT * FROM debitd.alert").fetchall() == []


def test_without_its_setting_an_account_sees_nothing(family, acting):
    connection = acting("debitd_account")
    tables = ("account", "payer", "ledger", "usage", "usage_daily", "alert", "parked")

    def seen():
        return [table for table in tables if connection.execute(f"SELECT * FROM debitd.{table}").fetchall()]
    assert seen() == []
    with connection.transaction():
        connection.execute("SET LOCAL debitd.account = 'q'")
        assert seen() == ["account", "payer", "ledger", "alert"]
    assert seen() == []  # the setting is an empty string now
    connection.execute("SET debitd.account = 'nobody'")
    assert seen() == []
    for table in ("event_key", "position", "rejected", "price", "fx"):
        with pytest.raises(Denied):
            connection.execute(f"SELECT * FROM debitd.{table}")


def test_views_of_api_show_an_account_its_own_rows_only(family, acting):
    connection = acting("debitd_account")
    family.sql.execute("CREATE VIEW api.seen AS SELECT a.name FROM debitd.ledger l JOIN debitd.account a USING (account_id)")
    from tests.integration.sql_books import SCHEMA
    family.sql.execute((SCHEMA / "api" / "zz_roles.sql").read_text())
    connection.execute("SET debitd.account = 'q'")
    assert names_of(connection, "SELECT name FROM api.seen") == ["q", "q"]
    reader = acting("debitd_reader")
    reader.execute("SET debitd.account = 'q'")
    assert names_of(reader, "SELECT name FROM api.seen") == ["c", "p", "q", "q"]
    assert first(reader, "SELECT debitd.only_account()") == [None]
    for view, column in (("account", "account_id"), ("ledger", "account_id"), ("balance", "account_id")):
        if family.one("SELECT count(*) FROM pg_class WHERE oid = to_regclass(%s)", f"api.{view}"):
            assert set(first(connection, f"SELECT {column} FROM api.{view}")) == {"q"}, view
