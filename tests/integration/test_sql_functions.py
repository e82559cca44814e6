"""The SQL functions that the daemon calls: positions, the booking month, names, entries that never change, the folder; and that plpgsql_check finds nothing."""

import hashlib
import random
import threading
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import psycopg
import pytest

from tests.integration.sql_books import first_of_month, golden, schema_files
from tests.rig.wait import wait_until

CHECK = """
    SELECT p.oid::regprocedure::text AS function, c.line
      FROM pg_proc p
      LEFT JOIN pg_trigger t ON t.tgfoid = p.oid AND t.tgrelid = 'debitd.ledger'::regclass AND t.tgname = 'append_only'
     CROSS JOIN LATERAL plpgsql_check_function(p.oid, coalesce(t.tgrelid, 0), fatal_errors => false, performance_warnings => false,
                                               security_warnings => true) AS c (line)
     WHERE p.pronamespace IN ('debitd'::regnamespace, 'api'::regnamespace)
       AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')"""


def in_thread(work):
    """Runs work() beside the test; join() gives its result or its exception."""
    box = {}

    def run():
        try:
            box["result"] = work()
        except Exception as error:
            box["error"] = error
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(30)
        assert not thread.is_alive(), "it waits still"
        if "error" in box:
            raise box["error"]
        return box["result"]
    return join


def wait_for_lock(books, pid):
    wait_until(lambda: books.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", pid) == 1,
               20, "the other session to wait for a lock")


# ---------------------------------------------------------------- all functions

def test_plpgsql_check_finds_nothing(books):
    books.sql.execute("CREATE EXTENSION plpgsql_check")
    assert books.rows(CHECK) == []
    # it would have: a function that names a column that is not there
    books.sql.execute("CREATE FUNCTION debitd.wrong() RETURNS void LANGUAGE plpgsql AS "
                      "'BEGIN UPDATE debitd.books SET mnoth = NULL; END'")
    assert {row["function"] for row in books.rows(CHECK)} == {"debitd.wrong()"}


def test_every_function_has_a_search_path_of_its_own(books):
    assert books.rows("""SELECT p.oid::regprocedure FROM pg_proc p
                          WHERE p.pronamespace IN ('debitd'::regnamespace, 'api'::regnamespace)
                            AND NOT coalesce(p.proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}'""") == []


def test_migrating_again_changes_nothing(books):
    books.done("account.opened", "a", plan="payg")
    for file in schema_files():
        if file.parent.name != "schema":
            with books.sql.transaction():
                books.sql.execute(file.read_text())
    assert books.entries("a") == [("grant", "10", "10", "USD", "a")]


# ---------------------------------------------------------------- decimals and hashes

@pytest.mark.parametrize("value, places, rounded", [
    ("0.5", 0, "0"), ("1.5", 0, "2"), ("2.5", 0, "2"), ("-0.5", 0, "0"), ("-1.5", 0, "-2"), ("-2.5", 0, "-2"), ("2.51", 0, "3"),
    ("0.0000000000005", 12, "0"), ("0.0000000000015", 12, "0.000000000002"), ("0.00000000000051", 12, "0.000000000001"),
    ("1.10", 12, "1.1"), ("999999999999999999.9999999999995", 12, "1000000000000000000"), ("7", 12, "7")])
def test_rounding_is_half_even(books, value, places, rounded):
    assert books.one("SELECT debitd.round_half_even(%s, %s)::text", value, places) == rounded


def test_products_and_quotients_are_rounded_once(books):
    rng = random.Random(7)
    context = Context(prec=200, rounding=ROUND_HALF_EVEN)
    for _ in range(300):
        a, b, c = (Decimal(rng.randint(-10 ** rng.randint(1, 18), 10 ** rng.randint(1, 18))).scaleb(-rng.randint(0, 12)) for _ in "abc")
        if not c:
            continue
        exact = Fraction(a) * Fraction(b) / Fraction(c) * 10 ** 12
        whole, rest = divmod(exact, 1)
        whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2)
        assert books.one("SELECT debitd.mul_div_half_even(%s, %s, %s, 12)", a, b, c) == Decimal(int(whole)).scaleb(-12, context)
    # 1000 tokens at 0.0000000000005 a token: half of the last place goes to the even one
    assert books.one("SELECT debitd.mul_div_half_even(3, 0.5, 1000000000000, 12)::text") == "0.000000000002"
    assert books.one("SELECT debitd.mul_div_half_even(5, 0.5, 1000000000000, 12)::text") == "0.000000000002"


def test_hashes_are_those_of_the_daemon(books):
    parts = ["debitd/event/v1", "/täst", "", None]
    content = b"".join(b"\xff\xff\xff\xff" if part is None else len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    assert books.one("SELECT debitd.hash_parts(%s)", parts).bytes == hashlib.sha256(content).digest()[:16]


def test_ids_that_tell_their_time_lead_keys_as_the_golden_file_says(books):
    key_of = "SELECT debitd.key_of(debitd.key_head('/s'), %s, %s)"
    cases = golden("timed_ids.txt")
    for id, first in cases:
        whole = books.one("SELECT debitd.hash_parts(%s)", ["debitd/event/v1", "/s", id]).hex
        assert books.one(key_of, id, False).hex == whole
        assert books.one(key_of, id, True).hex == (first + whole[6:] if first else whole), id
    assert len(cases) == 35


def test_names_get_an_id_once(books):
    first = books.sql.execute("SELECT name, name_id FROM debitd.intern(%s)", [["b", "a", "b", ""]]).fetchall()
    assert [name for name, _ in first] == ["", "a", "b"]
    again = books.sql.execute("SELECT name, name_id FROM debitd.intern(%s)", [["a", "c", "b"]]).fetchall()
    assert dict(first)["a"] == dict(again)["a"] and len({id for _, id in again}) == 3


# ---------------------------------------------------------------- positions

def claim(connection, owner="o"):
    return connection.execute("SELECT epoch, next_offset, last_offset, last_fingerprint, halted FROM debitd.claim('t', 3, %s)", [owner]).fetchone()


def advance(connection, epoch, expected, following, last=None, fingerprint=5):
    connection.execute("SELECT debitd.advance('t', 3, %s, %s, %s, %s, %s)",
                       [epoch, expected, following, following - 1 if last is None else last, fingerprint])


def test_a_claim_raises_the_epoch_and_tells_where_to_go_on(books):
    assert claim(books.sql) == (1, None, None, None, None)
    advance(books.sql, 1, None, 8)
    assert claim(books.sql, "other") == (2, 8, 7, 5, None)
    assert books.one("SELECT owner FROM debitd.position") == "other"


@pytest.mark.parametrize("epoch, expected, following", [
    (1, 10, 12),    # the epoch of the owner before
    (3, 10, 12),    # one that nobody has
    (2, 9, 12),     # behind: these messages are in the books
    (2, 11, 12),    # ahead: a message would be left out
    (2, None, 12),  # as if nothing had been consumed
    (2, 10, 10), (2, 10, 9)])
def test_advance_is_refused_where_epoch_or_offset_is_not_ours(books, epoch, expected, following):
    claim(books.sql)
    claim(books.sql)
    advance(books.sql, 2, None, 10)
    with pytest.raises(psycopg.Error) as error:
        advance(books.sql, epoch, expected, following)
    assert error.value.sqlstate == "UF001"
    assert books.one("SELECT next_offset FROM debitd.position") == 10
    advance(books.sql, 2, 10, 12)


def test_advance_is_refused_for_a_partition_that_is_halted_or_unknown(books):
    with pytest.raises(psycopg.Error, match="at epoch none"):
        advance(books.sql, 1, None, 1)
    claim(books.sql)
    books.sql.execute("UPDATE debitd.position SET halted = 'the topic was made anew'")
    with pytest.raises(psycopg.Error, match="halted: the topic was made anew") as error:
        advance(books.sql, 1, None, 1)
    assert error.value.sqlstate == "UF001"


def test_a_claim_waits_for_the_transaction_of_the_owner_before(books):
    claim(books.sql)
    with books.connect() as other, books.connect(autocommit=False) as before:
        advance(before, 1, None, 20)
        join = in_thread(lambda: claim(other, "new"))
        wait_for_lock(books, other.info.backend_pid)
        before.commit()
        assert join() == (2, 20, 19, 5, None)
        with pytest.raises(psycopg.Error) as error:
            advance(before, 1, 20, 30)
        assert error.value.sqlstate == "UF001"


# ---------------------------------------------------------------- the booking month

def open_books(connection):
    return connection.execute("SELECT month, now, dedup_months FROM debitd.open_books()").fetchone()


def leaves(books, table):
    return books.rows("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", f"debitd.{table}")


def test_leaves_are_made_for_the_booking_month_and_three_after_it(books):
    month = books.one("SELECT month FROM debitd.books")
    names = [f"{month.year + (month.month + i - 1) // 12}_{(month.month + i - 1) % 12 + 1:02}" for i in range(4)]
    assert [row["name"] for row in leaves(books, "ledger")] == [f"debitd.ledger_{name}" for name in names]
    assert [row["name"] for row in leaves(books, "event_key")] == [f"debitd.event_key_{name}" for name in names]
    books.sql.execute("SELECT debitd.ensure_months()")
    assert len(leaves(books, "ledger")) == 4
    indexes = [row["indexdef"].split(" USING ")[1] for row in books.rows(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'debitd' AND tablename = %s ORDER BY 1", f"ledger_{names[0]}")]
    assert sorted(indexes) == [
        "brin (entry_id) WITH (pages_per_range='32', autosummarize='on')", "btree (account_id, entry_id)",
        "btree (account_id, thread_id text_pattern_ops) WHERE (thread_id IS NOT NULL)", "btree (payer_id, entry_id)"]


def test_the_moment_of_booking_stays_within_the_booking_month(books):
    month, now, _ = open_books(books.sql)
    assert first_of_month(now) == month
    books.move_clock("70 days")
    late = open_books(books.sql)
    assert (late[0], first_of_month(late[1])) == (month, month)
    books.move_clock("-70 days")
    early = open_books(books.sql)
    assert (early[1].day, early[1].hour, first_of_month(early[1])) == (1, 0, month)


def test_the_month_moves_with_the_clock_and_never_back(books):
    before = books.one("SELECT month FROM debitd.books")
    assert books.one("SELECT debitd.switch_month()") is False
    books.move_clock("100 days")
    assert books.one("SELECT debitd.switch_month()") is True
    after = books.one("SELECT month FROM debitd.books")
    assert after == first_of_month(books.one("SELECT debitd.now()"))
    assert f"debitd.ledger_{after:%Y_%m}" in [row["name"] for row in leaves(books, "ledger")]
    books.move_clock("0")
    assert books.one("SELECT debitd.switch_month()") is False
    assert books.one("SELECT month FROM debitd.books") == after > before


def test_a_booking_in_flight_holds_the_switch_of_the_month_back(books):
    with books.connect() as other, books.connect(autocommit=False) as booking:
        month = open_books(booking)[0]
        books.move_clock("40 days")
        assert other.execute("SELECT debitd.switch_month(wait => false)").fetchone()[0] is False
        join = in_thread(lambda: other.execute("SELECT debitd.switch_month()").fetchone()[0])
        wait_for_lock(books, other.info.backend_pid)
        assert open_books(booking)[0] == month  # a booking may open the books twice
        booking.commit()
        assert join() is True
    assert books.one("SELECT month FROM debitd.books") > month


def test_identities_are_known_over_the_edge_of_the_month_and_within_the_window(books):
    books.done("account.opened", "a", plan="payg")
    entry = books.done("credits.granted", "a", id="x", amount="1")
    first = books.one("SELECT month FROM debitd.books")
    for ahead, known in ((1, True), (2, True), (3, False)):  # the window is two calendar months
        books.move_to_month(first, ahead)
        with books.sql.transaction(force_rollback=True):
            outcome = books.event("credits.granted", "a", {"amount": "1"}, id="x")
            assert outcome == ("duplicate", None, None, entry) if known else outcome[0] == "done"
    books.sql.execute("UPDATE debitd.books SET dedup_months = 0")
    assert books.event("credits.granted", "a", {"amount": "1"}, id="x")[0] == "duplicate"


# ---------------------------------------------------------------- entries never change

@pytest.mark.parametrize("statement", ["UPDATE {} SET amount = amount + 1", "DELETE FROM {}", "TRUNCATE {}",
                                       "UPDATE {} SET booked_at = booked_at + interval '40 days'"])
@pytest.mark.parametrize("leaf", [False, True])
def test_entries_never_change_not_even_for_the_owner(books, statement, leaf):
    books.done("account.opened", "a", plan="payg")
    table = leaves(books, "ledger")[0]["name"] if leaf else "debitd.ledger"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never change"):
        books.sql.execute(statement.format(table))
    assert books.entries("a") == [("grant", "10", "10", "USD", "a")]


# ---------------------------------------------------------------- the folder

class Entries:
    """Writes entries as the daemon does: into the ledger, and their range into debitd.batch."""

    def __init__(self, books):
        self.books = books
        books.done("account.opened", "a", plan="free")
        self.account = books.account("a")["account_id"]
        names = books.sql.execute("SELECT name, name_id FROM debitd.intern('{ai_tokens,openai,gpt,input,output,CREDIT}')").fetchall()
        self.id = dict(names)

    def write(self, connection, *entries, batch=True):
        """entries: (type, day, {component: (quantity, cost, charge)})."""
        first = connection.execute("SELECT nextval('debitd.entry_seq')").fetchone()[0]
        for i, (kind, day, components) in enumerate(entries):
            quantities, costs, charges = ([part[at] for part in components.values()] for at in range(3))
            known = None if None in costs else sum(map(Decimal, costs))
            connection.execute(
                """INSERT INTO debitd.ledger (entry_id, account_id, payer_id, type, occurred_at, booked_at, counted_on, service_id, model_id, metric_id,
                       component_ids, component_quantities, component_costs, component_charges, cost, amount, unit_id, balance_after)
                   SELECT %s, %s, %s, %s, now(), debitd.start_of(month), %s, %s, %s, %s, %s, %s::numeric[], %s::numeric[], %s::numeric[], %s, 0, %s, 0
                     FROM debitd.books""",
                [first + i, self.account, self.account, kind, day, self.id["openai"], self.id["gpt"] if kind != "grant" else None,
                 self.id["ai_tokens"], [self.id[name] for name in components], quantities, costs, charges, known, self.id["CREDIT"]])
        if batch:
            connection.execute("INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at) SELECT %s, %s, debitd.start_of(month) FROM debitd.books",
                               [first, first + len(entries) - 1])

    def daily(self):
        return [(str(r["day"]), r["component"], *(format(r[name], "f") for name in ("quantity", "cost", "charge")), r["events"])
                for r in self.books.rows("""SELECT d.day, n.name AS component, trim_scale(d.quantity) AS quantity, trim_scale(d.cost) AS cost,
                                                     trim_scale(d.charge) AS charge, d.events FROM debitd.usage_daily d
                                              JOIN debitd.name n ON n.name_id = d.component_id ORDER BY d.day, n.name""")]


def test_the_folder_sums_components_by_day_and_voids_take_back(books):
    entries = Entries(books)
    two = {"input": ("512", "0.5", "1.5"), "output": ("207", "0.25", "1")}
    entries.write(books.sql, ("usage", "2026-11-20", two), ("usage", "2026-11-20", {"input": ("8", "0.5", "0.5")}))
    entries.write(books.sql, ("usage", "2026-11-21", two), ("usage", "2026-11-21", {"input": ("1", None, "0")}))
    assert books.one("SELECT debitd.fold(100)") == 5  # and the grant at opening, which is no usage
    assert entries.daily() == [("2026-11-20", "input", "520", "1", "2", 2), ("2026-11-20", "output", "207", "0.25", "1", 1),
                               ("2026-11-21", "input", "513", "0.5", "1.5", 2), ("2026-11-21", "output", "207", "0.25", "1", 1)]
    entries.write(books.sql, ("void", "2026-11-20", {name: tuple("-" + part for part in parts) for name, parts in two.items()}))
    assert books.one("SELECT debitd.fold(100)") == 1
    assert entries.daily()[:2] == [("2026-11-20", "input", "8", "0.5", "0.5", 1), ("2026-11-20", "output", "0", "0", "0", 0)]
    assert books.one("SELECT debitd.fold(100)") == 0


def test_the_folder_takes_ranges_until_it_has_as_many_entries_as_it_is_told_and_each_range_once(books):
    entries = Entries(books)
    one = ("usage", "2026-11-20", {"input": ("1", "1", "1")})
    for count in (2, 3, 1, 4):
        entries.write(books.sql, *[one] * count)
    assert [books.one("SELECT debitd.fold(4)") for _ in range(4)] == [1 + 2 + 3, 1 + 4, 0, 0]  # the grant at opening is one
    assert entries.daily() == [("2026-11-20", "input", "10", "10", "10", 10)]
    entries.write(books.sql, *[one] * 7)
    assert [books.one("SELECT debitd.fold(1)") for _ in range(2)] == [7, 0]


def test_the_folder_loses_no_transaction_that_commits_later(books):
    entries = Entries(books)
    with books.connect(autocommit=False) as slow:
        entries.write(slow, ("usage", "2026-11-20", {"input": ("1", "1", "1")}))
        entries.write(books.sql, ("usage", "2026-11-20", {"input": ("2", "2", "2")}))
        assert books.one("SELECT debitd.fold(100)") == 2
        assert entries.daily()[0][2] == "2"
        slow.commit()
    assert books.one("SELECT debitd.fold(100)") == 1
    assert entries.daily() == [("2026-11-20", "input", "3", "3", "3", 2)]


def test_two_folders_take_different_ranges(books):
    entries = Entries(books)
    for _ in range(4):
        entries.write(books.sql, ("usage", "2026-11-20", {"input": ("1", "1", "1")}))
    with books.connect(autocommit=False) as one, books.connect() as two:
        assert one.execute("SELECT debitd.fold(2)").fetchone()[0] == 2
        join = in_thread(lambda: two.execute("SELECT debitd.fold(100)").fetchone()[0])
        wait_for_lock(books, two.info.backend_pid)  # for the row of usage_daily, not for the ranges
        one.commit()
        assert join() == 3
    assert entries.daily() == [("2026-11-20", "input", "4", "4", "4", 4)]
