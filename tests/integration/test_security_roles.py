"""Every object of the database against a written table of who may do what with it: one that nobody decided about fails.

What the rights are good for stands in docs/security.md; that they suffice, all other tests show, whose daemons run with them.
"""

import re

import psycopg
import pytest

Denied = psycopg.errors.InsufficientPrivilege
ROLES = ("debitd_writer", "debitd_reader", "debitd_account", "debitd_admin")
RIGHTS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "REFERENCES": "x", "TRIGGER": "t"}

# What each role may do, in the order of ROLES, to the tables and views of that line; LEAF stands for a month. Columns in
# brackets may be updated alone. A leaf is behind row-level security: only the writer may touch it.
TABLES = {
    "raw r r r": "account alert batch payer usage usage_daily",
    "ra(catalogue_version,detail,entry_id,outcome,reason,released_at,waits_for) r r r": "parked",
    "ra r r r": "ledger name",
    "r(dedup_months,kafka_cluster_id) r r r": "books",
    "r r r r": "catalogue metric package plan plan_quota unit",
    # what an account must not see: other people's messages and identities, what the provider charges, how the daemon works
    "ra r - r": "event_key voided",
    "raw r - r": "position rejected relay_place",
    "rad r - r": "alert_ahead letter_ahead",
    "rw r - r": "relay",
    "r r - r": "fx price cluster_move position_move",
    "ra - - -": "ledger_LEAF event_key_LEAF",
}
VIEWS = {
    "r r r r": "account alert balance ledger model_usage monthly_summary package parked plan thread_usage usage usage_daily",
    "r r - r": "cluster_move position position_move price rejected",
}
# Who may call it. What is in no line here is the writer's alone, in debitd, and nobody's else.
EVERYBODY = {
    "api": "check_usage credit_balance estimate ledger_page",
    "debitd": "key_head key_of month_of mul_div_half_even named_accounts now only_account own_account percent plain plan_named reached "
              "read_decimal round_half_even start_of time_of_id",
}
ADMIN = {
    "api": "account_assign account_close account_open account_update credit_adjust credit_grant credit_purchase credit_refund invoice_pay",
    "debitd": "adopt_cluster ctl_command move_position",
}
# With the rights of the owner: each for what the caller has no right to do otherwise.
DEFINERS = {
    "api": "account_assign account_close account_open account_update check_usage credit_adjust credit_balance credit_grant credit_purchase "
           "credit_refund estimate invoice_pay",
    "debitd": "adopt_cluster ctl_command ensure_months forget_identity move_position named_accounts own_account purge_batches switch_month",
}
DYNAMIC = {"debitd.make_leaves"}  # makes its statements from month numbers alone


def decided(table):
    return {name: rights.split() for rights, names in table.items() for name in names.split()}


def names_of(table):
    return {f"{schema}.{name}" for schema, names in table.items() for name in names.split()}


def relations(books, schema, kinds):
    return books.rows("SELECT c.oid, c.relname AS name, c.relkind AS kind FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s)"
                      " AND c.relkind = ANY (%s) ORDER BY 2", schema, list(kinds))


def leafless(name):
    return re.sub(r"_\d{4}_\d{2}$", "_LEAF", name)


def rights(books, role, oid):
    held = "".join(letter for right, letter in RIGHTS.items()
                   if books.one("SELECT has_table_privilege(%s, %s::oid, %s)", role, oid, right))
    alone = books.one("SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"
                      " AND has_column_privilege(%s, attrelid, attnum, 'UPDATE') AND NOT has_table_privilege(%s, attrelid, 'UPDATE')",
                      oid, role, role)
    return (held + (f"({alone})" if alone else "")) or "-"


@pytest.mark.parametrize("schema, kinds, table", [("debitd", "rpmf", TABLES), ("api", "rpvmf", VIEWS)])
def test_every_table_and_view_gives_each_role_what_was_decided_and_no_more(books, schema, kinds, table):
    found, wanted = {}, decided(table)
    for relation in relations(books, schema, kinds):
        given = [rights(books, role, relation["oid"]) for role in ROLES]
        assert found.setdefault(leafless(relation["name"]), given) == given, "leaves differ"
        assert rights(books, "public", relation["oid"]) == "-"
    assert found == wanted


def test_sequences_are_the_writers_to_count_on_and_nobody_sets_them(books):
    for sequence in relations(books, "debitd", "S"):
        for role in ROLES:
            for right, wanted in (("USAGE", role == "debitd_writer"), ("UPDATE", False)):
                assert books.one("SELECT has_sequence_privilege(%s, %s::oid, %s)", role, sequence["oid"], right) == wanted, sequence["name"]


def functions(books):
    return books.rows("SELECT p.oid, n.nspname || '.' || p.proname AS name, p.prosecdef AS definer, p.proconfig AS settings, p.prosrc AS text,"
                      " p.proowner AS owner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
                      " WHERE n.nspname IN ('debitd', 'api') ORDER BY 2")


def test_every_function_may_be_called_by_whom_it_was_decided_for_and_no_other(books):
    everybody, admin = names_of(EVERYBODY), names_of(ADMIN)
    for function in functions(books):
        name = function["name"]
        wanted = set(ROLES) if name in everybody else {"debitd_admin"} if name in admin else set()
        wanted |= {"debitd_writer"} if name.startswith("debitd.") and name not in ("debitd.adopt_cluster", "debitd.move_position") else set()
        may = {role for role in (*ROLES, "public") if books.one("SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')", role, function["oid"])}
        assert may == wanted, name
    assert everybody | admin <= {function["name"] for function in functions(books)}


def test_functions_with_the_owners_rights_are_those_that_were_decided_and_cannot_be_bent(books):
    owner = books.one("SELECT datdba FROM pg_database WHERE datname = current_database()")
    found = functions(books)
    assert {f["name"] for f in found if f["definer"]} == names_of(DEFINERS)
    for function in found:
        assert "search_path=pg_catalog, pg_temp" in (function["settings"] or []), function["name"]
        assert function["owner"] == owner, function["name"]
    assert {f["name"] for f in found if re.search(r"\bEXECUTE\b(?! FUNCTION)", f["text"])} == DYNAMIC


def test_views_show_what_their_reader_may_see_not_what_their_owner_may(books):
    assert books.one("SELECT count(*) FROM pg_class WHERE relnamespace = 'api'::regnamespace AND relkind = 'v'"
                     " AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'") == 0


def test_every_table_that_an_account_may_read_is_behind_row_level_security_or_the_same_for_all(books):
    same_for_all = {"batch", "books", "catalogue", "metric", "name", "package", "plan", "plan_quota", "unit"}
    readable = {name for name, given in decided(TABLES).items() if given[2] != "-"}
    guarded = {r["name"] for r in books.rows("SELECT relname AS name FROM pg_class WHERE relnamespace = 'debitd'::regnamespace AND relrowsecurity")}
    assert readable - guarded == same_for_all
    own = books.rows("SELECT tablename AS name, cmd FROM pg_policies WHERE 'debitd_account' = ANY (roles)")
    assert {row["name"] for row in own} == guarded
    assert {row["cmd"] for row in own} == {"SELECT"}


# ---------------------------------------------------------------- trying

def denied(connection, statement):
    with pytest.raises(Denied):
        connection.execute(statement)


def test_no_role_changes_deletes_truncates_or_alters_an_entry_or_an_identity(books, acting):
    tables = [r["name"] for r in relations(books, "debitd", "rp") if re.match(r"(ledger|event_key)($|_\d)", r["name"])]
    assert len(tables) == 10
    for role in ROLES:
        connection = acting(role)
        for table in tables:
            column = "amount" if table.startswith("ledger") else "entry_id"
            for statement in (f"UPDATE debitd.{table} SET {column} = 0", f"DELETE FROM debitd.{table}", f"TRUNCATE debitd.{table}",
                              f"ALTER TABLE debitd.{table} DISABLE TRIGGER ALL", f"ALTER TABLE debitd.{table} ADD extra int",
                              f"DROP TABLE debitd.{table}", f"CREATE INDEX ON debitd.{table} ({column})",
                              f"CREATE RULE away AS ON INSERT TO debitd.{table} DO INSTEAD NOTHING"):
                denied(connection, statement)


def test_not_even_the_owner_changes_an_entry_by_accident(books):
    books.done("account.opened", "a", plan="free")
    books.done("credits.granted", "a", amount="1")
    leaf = books.one("SELECT tableoid::regclass::text FROM debitd.ledger LIMIT 1")
    for table in ("debitd.ledger", leaf):
        for statement in (f"UPDATE {table} SET amount = 0", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(psycopg.DatabaseError, match="never"):
                books.sql.execute(statement)


def test_no_role_makes_anything_or_becomes_somebody_else(books, acting):
    for role in ROLES:
        connection = acting(role)
        for schema in ("debitd", "api", "public"):
            for statement in (f"CREATE TABLE {schema}.mine ()", f"CREATE VIEW {schema}.mine AS SELECT 1",
                              f"CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", f"CREATE SEQUENCE {schema}.mine"):
                denied(connection, statement)
        for other in (*ROLES, "postgres"):
            if other != role:
                denied(connection, f"SET ROLE {other}")
                denied(connection, f"GRANT {other} TO {role}")
        for statement in ("CREATE SCHEMA mine", "CREATE ROLE mine", f"ALTER ROLE {role} SUPERUSER", "CREATE EXTENSION dblink",
                          "SET session_replication_role = replica", "SELECT pg_read_file('/etc/passwd')", "COPY debitd.name TO PROGRAM 'true'",
                          "SET SESSION AUTHORIZATION postgres"):
            denied(connection, statement)


def test_an_object_that_stands_in_front_of_ours_is_not_taken_for_it(books, acting):
    admin = acting("debitd_admin")
    # what a session can make is temporary, and pg_temp stands last in every function's search_path
    admin.execute("CREATE TEMP TABLE account AS SELECT 1 AS account_id, 'a' AS name")
    admin.execute("CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT 'epoch'::timestamptz$$")
    admin.execute("SET search_path = pg_temp, debitd, api")
    admin.execute("SELECT api.account_open('k', 'a', 'free')")
    assert books.one("SELECT opened_at > now() - interval '1 hour' FROM debitd.account WHERE name = 'a'")


# ---------------------------------------------------------------- whose rows an account sees

@pytest.fixture
def two(books):
    """`mine` and `yours`, with something in every view that has rows of accounts."""
    for account in ("mine", "yours"):
        books.done("account.opened", account, plan="payg")
        books.done("credits.granted", account, amount="5")
        books.done("credits.adjusted", account, amount="-100")
        books.use(account, "ai_tokens", 5)
        books.sql.execute("""
            WITH who AS (SELECT a.account_id, b.month, n.name_id FROM debitd.account a, debitd.books b, debitd.name n
                          WHERE a.name = %(account)s AND n.name = 'ai_tokens'),
                 daily AS (INSERT INTO debitd.usage_daily (account_id, day, metric_id, component_id, quantity, cost, charge, events)
                           SELECT account_id, month, name_id, name_id, 1, 1, 1, 1 FROM who),
                 entry AS (INSERT INTO debitd.ledger (entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, amount, unit_id,
                                                      balance_after, metric_id, model_id, thread_id)
                           SELECT 900000 + account_id, account_id, account_id, 'usage', month, month, month, 0, u.unit_id, -95, name_id, name_id, 't'
                             FROM who, (SELECT min(unit_id) AS unit_id FROM debitd.unit) AS u)
            INSERT INTO debitd.parked (topic_kind, topic, partition, "offset", reason, detail, catalogue_version, account, source, event_id,
                                       event_key, value, parked_at)
            SELECT 'usage', 't', 0, account_id, 'unpriced', '', 1, %(account)s, 's', 'e', gen_random_uuid(), '', now() FROM who""",
                          {"account": account})
    return books


ACCOUNT_VIEWS = sorted(name for name, given in decided(VIEWS).items() if given[2] != "-")
OF_ALL = {"package", "plan"}  # the same for everybody
CALLS = {"credit_balance": "'{}'", "check_usage": "'{}', 'sms', 1", "estimate": "'{}', 'openai', 'gpt', 'ai_tokens', '{{\"x\": 1}}'",
         "ledger_page": "'{}', 10, NULL"}


def seen_in(connection, view):
    rows = connection.execute(f"SELECT to_jsonb(v) FROM api.{view} v").fetchall()
    return {value for (row,) in rows for key, value in row.items() if key in ("account_id", "payer_id")}


def seen(connection):
    """The names of accounts in all that the role can read."""
    return set().union(*(seen_in(connection, view) for view in ACCOUNT_VIEWS if view not in OF_ALL))


def asked(connection, account):
    """What the functions tell about an account."""
    return {function: connection.execute(f"SELECT to_jsonb(f) FROM api.{function}({arguments.format(account)}) f").fetchall()
            for function, arguments in CALLS.items()}


def test_what_an_account_sees_is_decided_by_its_setting_alone(two, acting):
    connection, reader = acting("debitd_account"), acting("debitd_reader")
    for view in set(ACCOUNT_VIEWS) - OF_ALL:  # there is something to see
        assert seen_in(reader, view) == {"mine", "yours"}, view
    told = asked(reader, "yours")
    strange = asked(connection, "nobody at all")
    assert set(CALLS) == set(EVERYBODY["api"].split())
    assert seen(connection) == set()
    assert asked(connection, "yours") == strange != told  # as if it did not exist
    for setting in ("", "%", "*", "_", "yours'--", "mine,yours", "MINE", " mine", "mine ", "mi%", "{mine,yours}", "nobody"):
        connection.execute("SELECT set_config('debitd.account', %s, false)", [setting])
        assert seen(connection) == set(), setting
        assert asked(connection, "yours") == strange, setting
    connection.execute("SET debitd.account = 'mine'")
    assert seen(connection) == {"mine"}
    assert asked(connection, "yours") == strange
    assert asked(connection, "mine") != asked(connection, "nobody at all")
    connection.execute("RESET debitd.account")
    assert seen(connection) == set()


def test_a_setting_ends_with_its_transaction_and_a_savepoint_with_it(two, acting):
    connection = acting("debitd_account")
    with connection.transaction():
        connection.execute("SET LOCAL debitd.account = 'mine'")
        assert seen(connection) == {"mine"}
        with pytest.raises(ZeroDivisionError), connection.transaction():
            connection.execute("SET LOCAL debitd.account = 'yours'")
            assert seen(connection) == {"yours"}
            raise ZeroDivisionError
        assert seen(connection) == {"mine"}
    assert seen(connection) == set()
    connection.execute("SET debitd.account = 'mine'")
    with connection.transaction():
        connection.execute("SET LOCAL debitd.account = 'yours'")
    assert seen(connection) == {"mine"}


def test_a_statement_that_was_prepared_for_one_account_serves_the_next(two, acting):
    connection = acting("debitd_account")
    connection.execute("PREPARE rows AS SELECT DISTINCT account_id FROM api.ledger")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    for account in ("mine", "yours", "mine"):
        connection.execute("SELECT set_config('debitd.account', %s, false)", [account])
        assert connection.execute("EXECUTE rows").fetchall() == [(account,)]


def test_a_function_of_the_callers_does_not_see_rows_before_they_are_judged(two, acting):
    connection = acting("debitd_account")
    connection.execute("CREATE FUNCTION pg_temp.spy(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
                       " $$BEGIN RAISE WARNING 'saw %', t; RETURN true; END$$")
    connection.execute("SET debitd.account = 'mine'")
    heard = []
    connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    connection.execute("SELECT * FROM api.account WHERE pg_temp.spy(account_id)")
    connection.execute("SELECT * FROM api.ledger WHERE pg_temp.spy(account_id)")
    assert heard and not [line for line in heard if "yours" in line]
