"""debitctl migrate brings any database to this program's schema, and nothing else to it; debitd starts on its own schema only."""

import hashlib
import re
import subprocess
import threading
from itertools import count

import pytest

from tests.rig.daemon import TOP, build_folder, debitctl, write_config
from tests.rig.postgres import Postgres

_numbers = count(1)
NEWEST = max(int(file.name[:4]) for file in (TOP / "schema").glob("[0-9]*.sql"))
WITH_MIGRATIONS = "schema/0001_core.sql"


class Database:
    def __init__(self, postgres, folder, template="template1"):
        self.postgres, self.name = postgres, f"ctl_migrate_{next(_numbers)}"
        postgres.create_database(self.name, template)
        self.config = write_config(folder / f"{self.name}.conf", {"postgres": {"conninfo": postgres.conninfo(self.name)}})

    def ctl(self, *arguments, **options):
        return debitctl(self.config, *arguments, **options)

    def rows(self, statement):
        with self.postgres.connect(self.name) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def schema(self):
        return self.ctl("status").data["schema"]


@pytest.fixture
def empty(postgres, tmp_path):
    made = Database(postgres, tmp_path)
    yield made
    postgres.drop_database(made.name)


@pytest.fixture
def database(postgres, migrated, tmp_path):
    made = Database(postgres, tmp_path, migrated)
    yield made
    postgres.drop_database(made.name)


def test_an_empty_database_gets_tables_views_roles_and_months_ahead(empty):
    done = empty.ctl("migrate", json=False)
    assert f"apply {WITH_MIGRATIONS}" in done.out
    text = (TOP / WITH_MIGRATIONS).read_bytes()
    assert empty.rows("SELECT number, name, sha256 FROM debitd.schema_version WHERE number = 1") == [
        (1, "core", hashlib.sha256(text).hexdigest())]
    roles = empty.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'debitd\\_%' ORDER BY 1")
    assert {"debitd_writer", "debitd_reader", "debitd_account", "debitd_admin"} <= {name for name, in roles}
    assert empty.rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'debitd.ledger'::regclass") == [(4,)]
    assert empty.schema() == "is this program's"


def test_running_it_again_does_nothing(database):
    before = database.rows("SELECT * FROM debitd.schema_version") + database.rows("SELECT * FROM debitd.schema_code")
    assert database.ctl("migrate").data == {"steps": 0, "newest": NEWEST, "dry_run": False}
    after = database.rows("SELECT * FROM debitd.schema_version") + database.rows("SELECT * FROM debitd.schema_code")
    assert after == before


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(empty):
    done = empty.ctl("migrate", "--dry-run", json=False)
    assert "would apply schema/0001_core.sql" in done.out
    assert empty.rows("SELECT count(*) FROM pg_namespace WHERE nspname IN ('debitd', 'api')") == [(0,)]


def test_many_at_the_same_time_apply_each_migration_once(empty):
    results = []
    threads = [threading.Thread(target=lambda: results.append(empty.ctl("migrate", expect=None))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.code for done in results] == [0, 0, 0, 0], [done.err for done in results]
    assert sorted(done.data["steps"] > 0 for done in results) == [False, False, False, True]
    assert empty.rows("SELECT count(*) FROM debitd.schema_code") == [(1,)]


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(database):
    database.rows("UPDATE debitd.schema_version SET sha256 = 'other' WHERE number = 1")
    done = database.ctl("migrate", expect=78)
    assert "0001_core" in done.err and "never changes" in done.err


def test_a_newer_schema_is_refused_and_says_to_upgrade(database):
    database.rows("INSERT INTO debitd.schema_version (number, name, sha256) VALUES (9999, 'future', 'x')")
    done = database.ctl("migrate", expect=78)
    assert "newer than this program" in done.err and "9999" in done.err and "upgrade" in done.err
    assert "newer than this program" in database.schema()


def test_older_functions_are_replaced_and_what_users_built_on_views_stays(database):
    database.rows("CREATE SCHEMA theirs")
    database.rows("CREATE VIEW theirs.totals AS SELECT account_id, balance FROM api.balance")
    database.rows("CREATE OR REPLACE FUNCTION api.credit_balance(account text) RETURNS numeric LANGUAGE sql AS 'SELECT 7::numeric'")
    database.rows("UPDATE debitd.schema_code SET sha256 = 'of an older version'")
    assert "older than this program" in database.schema() and "debitctl migrate" in database.schema()
    assert database.ctl("migrate").data["steps"] == 1
    assert database.rows("SELECT * FROM theirs.totals") == []
    assert database.rows("SELECT api.credit_balance('nobody')") == [(None,)]
    assert database.schema() == "is this program's"


def test_leaves_that_were_there_get_the_index_on_threads_and_no_statistics_of_them(database):
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'ledger\\_%' ORDER BY 1"
    targets = "SELECT attrelid::regclass::text, attstattarget FROM pg_attribute WHERE attname = 'thread_id' AND attstattarget >= 0 ORDER BY 1"
    now, without = database.rows(indexes), database.rows(targets)
    assert [target for _, target in without] == [0] * 4
    for leaf, _ in without:
        database.rows(f"ALTER TABLE {leaf} ALTER COLUMN thread_id SET STATISTICS -1")
    of_threads = database.rows("SELECT indexrelid::regclass::text FROM pg_index WHERE pg_get_indexdef(indexrelid) LIKE '%thread_id%'")
    assert len(of_threads) == 4
    for name, in of_threads:
        database.rows(f"DROP INDEX {name}")
    database.rows("DELETE FROM debitd.schema_version WHERE number IN (4, 6)")
    assert "0004_threads is missing" in database.schema()
    assert re.findall("apply schema/(.*)", database.ctl("migrate", json=False).out) == ["0004_threads.sql", "0006_thread_statistics.sql"]
    assert (database.rows(indexes), database.rows(targets)) == (now, without)
    assert database.schema() == "is this program's"


@pytest.mark.parametrize("begun", ("", "INSERT INTO debitd.event_key SELECT month, gen_random_uuid(), gen_random_uuid() FROM debitd.books",
                                   "INSERT INTO debitd.position (topic, partition, epoch, updated_at) VALUES ('t', 0, 1, now())"))
def test_books_that_have_begun_keep_keys_by_the_hash_alone(database, begun):
    database.rows("ALTER TABLE debitd.books DROP COLUMN timed_keys")
    database.rows("DELETE FROM debitd.schema_version WHERE number >= 5")
    if begun:
        database.rows(begun)
    assert "apply schema/0005_timed_keys.sql" in database.ctl("migrate", json=False).out
    assert database.rows("SELECT timed_keys FROM debitd.books") == [(not begun,)]


@pytest.fixture
def other_collation(postgres, tmp_path):
    with postgres.connect("postgres") as connection:
        connection.execute("CREATE DATABASE other_collation TEMPLATE template0 LOCALE 'C.UTF-8'")
    made = Database(postgres, tmp_path, "other_collation")
    made.ctl("migrate")
    yield made
    postgres.drop_database(made.name)
    postgres.drop_database("other_collation")


@pytest.mark.parametrize("where", ("database", "other_collation"))
def test_a_thread_is_looked_up_by_its_account_even_right_after_a_month_began_with_grants(where, request):
    began = request.getfixturevalue(where)

    def entries(type, thread, count):
        began.rows("INSERT INTO debitd.ledger (entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, amount, unit_id,"
                   f" balance_after, thread_id) SELECT nextval('debitd.entry_seq'), n % 1000, n % 1000, '{type}', t, t, t::date, 0, 1, 0, {thread}"
                   f" FROM generate_series(1, {count}) n, debitd.now() t")
    entries("grant", "NULL::text", 1000)
    began.rows("VACUUM ANALYZE debitd.ledger")
    entries("usage", "'t-' || n % 64", 20000)
    plan = "\n".join(line.strip() for line, in began.rows(
        "EXPLAIN SELECT * FROM api.thread_usage WHERE account_id = 'a' AND thread_id = 't-1'"))
    assert re.search(r"^Index Cond: \(\(account_id = a.account_id\) AND .*\(thread_id = 't-1'::text\)\)$", plan, re.M), plan


def test_newer_functions_are_told_from_older_ones(database):
    database.rows("INSERT INTO debitd.schema_code (sha256) VALUES ('of a newer version')")
    assert "newer than this program" in database.schema()
    assert database.ctl("migrate").data["steps"] == 1  # going back is allowed: the tables are the same
    assert database.schema() == "is this program's"


def test_what_fails_halfway_leaves_no_trace_of_that_migration(empty):
    empty.rows("CREATE SCHEMA debitd CREATE TABLE position (x int)")
    done = empty.ctl("migrate", expect=70)
    assert "schema/0001_core.sql" in done.err and "already exists" in done.err
    assert empty.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'debitd'::regnamespace AND relkind = 'r'") == [(1,)]


def test_who_may_not_is_told_to_be_the_owner(postgres, empty, tmp_path):
    with postgres.connect("postgres") as connection:
        connection.execute("CREATE ROLE ctl_stranger LOGIN")
    try:
        config = write_config(tmp_path / "stranger.conf", {"postgres": {"conninfo": postgres.conninfo(empty.name, "ctl_stranger")}})
        done = debitctl(config, "migrate", expect=77)
        assert "owner" in done.err and "permission denied" in done.err
    finally:
        with postgres.connect("postgres") as connection:
            connection.execute("DROP ROLE ctl_stranger")


def test_an_owner_that_cannot_create_the_missing_roles_is_told_which_and_how(tmp_path):
    server = Postgres()
    try:
        server.start()
        with server.connect("postgres") as connection:
            connection.execute("CREATE ROLE plain_owner LOGIN")
            connection.execute("CREATE DATABASE owned OWNER plain_owner")
        config = write_config(tmp_path / "plain.conf", {"postgres": {"conninfo": server.conninfo("owned", "plain_owner")}})
        done = debitctl(config, "migrate", expect=77)
        assert "role debitd_writer is missing" in done.err and "ALTER ROLE plain_owner CREATEROLE" in done.err
        with server.connect("postgres") as connection:
            connection.execute("ALTER ROLE plain_owner CREATEROLE")
        assert debitctl(config, "migrate", json=False).code == 0
        assert debitctl(config, "verify").code == 0
    finally:
        server.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_keep_every_name_is_refused(postgres, tmp_path, encoding):
    name = f"ctl_{encoding.lower()}"
    with postgres.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        config = write_config(tmp_path / "narrow.conf", {"postgres": {"conninfo": postgres.conninfo(name)}})
        done = debitctl(config, "migrate", expect=78)
        assert encoding in done.err and "createdb -E UTF8 -T template0" in done.err
    finally:
        postgres.drop_database(name)


@pytest.mark.parametrize("change, says", [
    ("DROP SCHEMA debitd CASCADE", "run debitctl migrate"),
    ("DELETE FROM debitd.schema_version", "run debitctl migrate"),
    ("UPDATE debitd.schema_code SET sha256 = 'x'", "run debitctl migrate"),
    ("INSERT INTO debitd.schema_version (number, name, sha256) VALUES (9999, 'future', 'x')", "upgrade debitd"),
])
def test_debitd_does_not_start_on_a_schema_that_is_not_its_own(database, change, says):
    database.rows(change)
    ran = subprocess.run([build_folder() / "debitd", "--config", database.config], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 78
    assert says in ran.stderr
