"""Books for tests of the SQL functions alone: a database made from the files in schema/, a small catalogue, and short ways to act and to look.

Nothing of debitd or debitctl is needed. Events are given as the decoder hands them on: known members, decimals as strings.
"""

import itertools
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
TEMPLATE = "sql_books"
_numbers = itertools.count(1)

# name, unit, kind, credits a period, welcome, low_balance; all with tariff cost_plus
PLANS = [
    ("payg", "USD", "prepaid", None, "10", "1"),
    ("both", "USD", "prepaid", "20", "5", None),
    ("free", "CREDIT", "prepaid", "100", None, None),
    ("pro", "CREDIT", "prepaid", "2500", None, None),
    ("business", "CREDIT", "postpaid", None, None, None),
    ("small", "EUR", "postpaid", None, None, None),
    ("large", "EUR", "postpaid", None, None, None),
    ("bare", "EUR", "postpaid", None, None, None),
]
# plan, metric, included, thresholds
QUOTAS = [
    ("small", "signatures", "5", [80, 100]),
    ("small", "sms", "0", [80, 100]),
    ("large", "signatures", "50", [80, 100]),
    ("large", "sms", "200", [80, 100]),
]
# sold on CREDIT plans: name, amount, bonus, price
PACKAGES = [("starter", "1000", "0", "10"), ("basic", "5000", "500", "45")]


def schema_files():
    """What debitctl migrate runs, in its order."""
    return [*sorted(SCHEMA.glob("[0-9]*.sql")), *sorted((SCHEMA / "functions").glob("*.sql")),
            *sorted((SCHEMA / "api").glob("*.sql"))]


def make_template(postgres):
    """A migrated database with the catalogue, to be copied by every test."""
    postgres.create_database(TEMPLATE)
    with postgres.connect(TEMPLATE) as connection:
        for file in schema_files():
            with connection.transaction():
                connection.execute(file.read_text())
        _fill_catalogue(connection)
    return TEMPLATE


def _fill_catalogue(connection):
    def name(text):
        return connection.execute("SELECT name_id FROM debitd.intern(ARRAY[%s])", [text]).fetchone()[0]

    execute = connection.execute
    execute("INSERT INTO debitd.catalogue VALUES (1, now(), 'test', 'test')")
    execute("UPDATE debitd.books SET catalogue_version = 1")
    for code, valued_in, value in (("USD", "USD", "1"), ("EUR", "EUR", "1"), ("CREDIT", "USD", "0.01")):
        execute("INSERT INTO debitd.unit VALUES (%s, %s, %s, 1)", [name(code), name(valued_in), value])
    for metric in ("signatures", "sms", "ai_tokens"):
        execute("INSERT INTO debitd.metric VALUES (%s, 'sum', 1)", [name(metric)])
    for plan, unit, kind, credits, welcome, low in PLANS:
        execute("""INSERT INTO debitd.plan (plan_name_id, unit_id, kind, tariff, credits_per_period, credits_policy, welcome,
                                            low_balance, enforce, since)
                   VALUES (%s, %s, %s, 'cost_plus', %s, CASE WHEN %s::numeric IS NULL THEN NULL ELSE 'reset' END, %s, %s, true, 1)""",
                [name(plan), name(unit), kind, credits, credits, welcome, low])
    for plan, metric, included, thresholds in QUOTAS:
        execute("""INSERT INTO debitd.plan_quota (plan_id, metric_id, included, thresholds)
                   SELECT p.plan_id, %s, %s, %s FROM debitd.plan p WHERE p.plan_name_id = %s""",
                [name(metric), included, thresholds, name(plan)])
    for package, amount, bonus, price in PACKAGES:
        execute("""INSERT INTO debitd.package (name, unit_id, amount, bonus, price, currency_id, since)
                   VALUES (%s, %s, %s, %s, %s, %s, 1)""", [package, name("CREDIT"), amount, bonus, price, name("USD")])


class SqlBooks:
    def __init__(self, postgres, template):
        self.postgres, self.database = postgres, f"sql_{next(_numbers)}"
        postgres.create_database(self.database, template)
        self.sql = self.connect()
        self._ids = itertools.count(1)

    def close(self):
        self.sql.close()
        self.postgres.drop_database(self.database)

    def connect(self, user="postgres", **options):
        return self.postgres.connect(self.database, user, **options)

    def one(self, query, *parameters):
        """The only value of the only row."""
        rows = self.sql.execute(query, parameters or None).fetchall()
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return rows[0][0]

    def rows(self, query, *parameters):
        with self.sql.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters or None).fetchall()

    # ---------------------------------------------------------------- acting

    def event(self, type, account, data, id=None, at=None, connection=None, digest=None):
        """account_event(): (outcome, reason, detail, entry_id). Without an id each is an event of its own."""
        id = id or f"e{next(self._ids)}"
        return (connection or self.sql).execute(
            """SELECT outcome, reason, detail, entry_id FROM debitd.account_event(
                   debitd.hash_parts(ARRAY['debitd/event/v1', '/test', %(id)s]),
                   debitd.hash_parts(ARRAY[%(type)s, %(account)s, coalesce(%(digest)s, %(data)s::jsonb::text)]),
                   '/test', %(id)s, %(type)s, %(account)s, coalesce(%(at)s, debitd.now()), %(data)s)""",
            {"id": id, "type": type, "account": account, "data": Jsonb(data), "at": at, "digest": digest}).fetchone()

    def done(self, type, account, id=None, **data):
        """An operation that must be booked; its first entry's id."""
        result = self.event(type, account, data, id)
        assert result[0] == "done", result
        return result[3]

    def use(self, account, metric, used, month=None):
        """As if that much had been used; only the summary, which is what a plan change looks at."""
        self.sql.execute(
            """INSERT INTO debitd.usage (payer_id, metric_id, period, period_start, events, used, cost, charge, overage_charge)
               SELECT a.account_id, n.name_id, 'm', coalesce(%s, b.month), 1, %s, 0, 0, 0
                 FROM debitd.account a, debitd.name n, debitd.books b WHERE a.name = %s AND n.name = %s""",
            [month, used, account, metric])

    def move_clock(self, interval):
        self.sql.execute("UPDATE debitd.books SET clock_offset = %s", [interval])

    def move_to_month(self, first, ahead):
        """The middle of the month that many months after `first`; the booking month follows."""
        self.sql.execute("""UPDATE debitd.books SET clock_offset = debitd.start_of((%s::date + make_interval(months => %s))::date)
                                                                   + interval '14 days' - clock_timestamp()""", [first, ahead])
        self.sql.execute("SELECT debitd.switch_month()")

    # ---------------------------------------------------------------- looking

    def payer(self, account):
        return self.rows("SELECT p.* FROM debitd.payer p JOIN debitd.account a ON a.account_id = p.payer_id WHERE a.name = %s", account)[0]

    def account(self, account):
        return self.rows("""SELECT a.*, p.name AS payer, n.name AS plan FROM debitd.account a
                              JOIN debitd.account p ON p.account_id = a.payer_id
                              LEFT JOIN debitd.name n ON n.name_id = a.plan_name_id WHERE a.name = %s""", account)[0]

    def entries(self, payer):
        """(type, amount, balance after, unit, account) of a payer's entries in their order, decimals as text."""
        return [(e["type"], e["amount"], e["balance_after"], e["unit"], e["account"]) for e in self.rows(
            """SELECT l.type, l.amount::text AS amount, l.balance_after::text AS balance_after, u.name AS unit, a.name AS account FROM debitd.ledger l
                 JOIN debitd.name u ON u.name_id = l.unit_id JOIN debitd.account a ON a.account_id = l.account_id
                 JOIN debitd.account p ON p.account_id = l.payer_id WHERE p.name = %s ORDER BY l.entry_id""", payer)]

    def alerts(self, payer):
        """(type, data) in the order of publication."""
        return [(a["type"], a["event"]["data"]) for a in self.rows(
            """SELECT l.type, l.event FROM debitd.alert l JOIN debitd.account a ON a.account_id = l.payer_id
                WHERE a.name = %s ORDER BY l.alert_seq""", payer)]

    def assert_sound(self):
        """Every payer: the sums make up the balance, the entries make up the sums, and each entry stands on the one before."""
        assert self.rows("""SELECT p.* FROM debitd.payer p
            WHERE balance <> purchased + granted + refunded + adjusted + settled - spent - expired
               OR balance <> (SELECT coalesce(sum(l.amount), 0) FROM debitd.ledger l WHERE l.payer_id = p.payer_id)""") == []
        assert self.rows("""SELECT * FROM (SELECT l.*, lag(l.balance_after, 1, 0::numeric) OVER (PARTITION BY l.payer_id ORDER BY l.entry_id)
                                             AS before FROM debitd.ledger l) AS e WHERE e.before + e.amount <> e.balance_after""") == []
        for file in sorted((SCHEMA / "verify").glob("*.sql")):
            # no message came from Kafka in these tests: what holds the books against its offsets has nothing to say
            if "position" not in file.stem:
                assert self.sql.execute(file.read_text()).fetchall() == [], file.name


def utc(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


def first_of_month(moment):
    return date(moment.year, moment.month, 1)


def golden(name):
    """The cases of a golden file: lists of words, '-' read as None."""
    file = SCHEMA.parent / "tests" / "golden" / name
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [[None if word == "-" else word for word in line.split()] for line in lines]


def numbers(text):
    """'80,100' as decimals, None as none."""
    return [Decimal(part) for part in text.split(",")] if text else []
