"""Account operations from several connections at once: each event exactly once, chains unbroken, no deadlock, no exception."""

import random
import threading
from collections import Counter

import pytest
from psycopg.errors import LockNotAvailable

from tests.rig.daemon import TOP
from tests.integration.test_sql_functions import in_thread, wait_for_lock


@pytest.fixture(autouse=True)
def sound(books):
    yield
    books.assert_sound()


def at_once(books, works):
    """Runs works[i](connection) in a thread and a connection each; their results. The first exception is raised."""
    start = threading.Barrier(len(works))

    def run(work):
        with books.connect() as connection:
            start.wait(20)
            return work(connection)
    return [join() for join in [in_thread(lambda work=work: run(work)) for work in works]]


def test_an_account_opened_by_four_at_once_is_opened_once(books):
    for round_ in range(5):
        name = f"a{round_}"
        results = at_once(books, [lambda connection, i=i: books.event("account.opened", name, {"plan": "both"}, id=f"{name}-{i}",
                                                                      connection=connection) for i in range(4)])
        assert Counter(outcome for outcome, *_ in results) == {"done": 4}  # each is an event of its own: one opens, three assign
        assert books.entries(name) == [("grant", "5", "5", "USD", name), ("grant", "20", "25", "USD", name)]


def test_the_same_event_by_four_at_once_is_booked_once(books):
    for round_ in range(5):
        name = f"a{round_}"
        results = at_once(books, [lambda connection: books.event("account.opened", name, {"plan": "payg"}, id=name, connection=connection)] * 4)
        assert Counter(outcome for outcome, *_ in results) == {"done": 1, "duplicate": 3}
        assert {entry for *_, entry in results} == {books.one("SELECT max(entry_id) FROM debitd.ledger")}
        results = at_once(books, [lambda connection: books.event("credits.granted", name, {"amount": "1"}, id=f"g{name}", connection=connection)] * 4)
        assert Counter(outcome for outcome, *_ in results) == {"done": 1, "duplicate": 3}
        results = at_once(books, [lambda connection: books.event("credits.granted", "nobody", {"amount": "1"}, id=f"p{name}",
                                                                 connection=connection)] * 4)
        assert Counter(outcome for outcome, *_ in results) == {"parked": 1, "duplicate": 3}


def test_a_session_that_waits_for_an_identity_finds_a_duplicate(books):
    books.done("account.opened", "a", plan="payg")
    books.done("account.opened", "b", plan="payg")
    with books.connect(autocommit=False) as first, books.connect() as second:
        assert books.event("credits.granted", "a", {"amount": "1"}, id="x", connection=first)[0] == "done"
        # another payer, so that only the identity is contended
        join = in_thread(lambda: books.event("credits.granted", "b", {"amount": "1"}, id="x", connection=second))
        wait_for_lock(books, second.info.backend_pid)
        first.commit()
        assert join()[:2] == ("rejected", "id_reused")
    with books.connect(autocommit=False) as first, books.connect() as second:
        assert books.event("credits.granted", "a", {"amount": "1"}, id="y", connection=first)[0] == "done"
        join = in_thread(lambda: books.event("credits.granted", "a", {"amount": "1"}, id="y", connection=second))
        wait_for_lock(books, second.info.backend_pid)
        first.rollback()
        assert join()[0] == "done"


def test_credits_book_on_the_parent_that_the_account_got_while_they_waited(books):
    for name in "pc":
        books.done("account.opened", name, plan="payg")
    with books.connect(autocommit=False) as first, books.connect() as second:
        assert books.event("account.updated", "c", {"parent": "p"}, connection=first)[0] == "done"
        join = in_thread(lambda: books.event("credits.granted", "c", {"amount": "2"}, connection=second))
        wait_for_lock(books, second.info.backend_pid)
        first.commit()
        assert join()[0] == "done"
    assert books.entries("p")[-1] == ("bonus", "2", "12", "USD", "c")
    assert books.entries("c") == [("grant", "10", "10", "USD", "c")]


def test_an_account_gets_no_parent_while_another_makes_it_one(books):
    for name in "pqc":
        books.done("account.opened", name, plan="payg")
    with books.connect(autocommit=False) as first, books.connect() as second:
        assert books.event("account.updated", "c", {"parent": "p"}, connection=first)[0] == "done"
        join = in_thread(lambda: books.event("account.updated", "p", {"parent": "q"}, connection=second))
        wait_for_lock(books, second.info.backend_pid)
        first.commit()
        assert join()[:2] == ("rejected", "bad_data")
    assert (books.account("c")["payer"], books.account("p")["payer"]) == ("p", "p")


def test_a_batch_that_meets_an_account_opened_since_runs_again_rather_than_in_a_circle(books):
    """It has locked "a" when another opens "new", and it needs that too; who holds it waits for "a"."""
    books.done("account.opened", "a", plan="payg")
    lock = (TOP / "schema/queries/lock_accounts.sql").read_text().replace("$1", "%(names)s")
    with books.connect(autocommit=False) as batch, books.connect(autocommit=False) as other:
        batch.execute(lock, {"names": ["a", "new"]})
        books.done("account.opened", "new", plan="payg")
        assert books.event("credits.granted", "new", {"amount": "1"}, connection=other)[0] == "done"
        join = in_thread(lambda: books.event("credits.granted", "a", {"amount": "1"}, connection=other))
        wait_for_lock(books, other.info.backend_pid)
        with pytest.raises(LockNotAvailable):
            books.event("credits.granted", "new", {"amount": "2"}, connection=batch)
        batch.rollback()
        assert join()[0] == "done"
        other.commit()
        batch.execute(lock, {"names": ["a", "new"]})
        assert books.event("credits.granted", "new", {"amount": "2"}, connection=batch)[0] == "done"
        batch.commit()
    assert [entry[1] for entry in books.entries("new")] == ["10", "1", "2"]


def test_four_connections_book_a_mixed_stream_exactly_once(books, seed):
    rng = random.Random(seed)
    names = [f"a{i}" for i in range(6)]
    for name in names:
        books.done("account.opened", name, plan="free")
    books.done("account.opened", "child", parent="a0")
    events = []  # (type, account, data, id); the sum of what each gives, by hand: amounts are whole
    for i in range(200):
        name = rng.choice([*names, "child"])
        kind, data = rng.choice([("credits.purchased", {"amount": str(rng.randint(1, 9))}), ("credits.purchased", {"package": "basic"}),
                                 ("credits.adjusted", {"amount": str(-rng.randint(1, 900))}), ("plan.assigned", {"plan": "pro"}),
                                 ("credits.granted", {"amount": "3"}), ("account.updated", {"name": "x"})])
        events.append((kind, name, data, f"s{i}"))
    outcomes = [Counter() for _ in range(4)]

    def work(number):
        mine = events[:]
        random.Random(f"{seed}-{number}").shuffle(mine)

        def run(connection):
            for kind, name, data, id in mine:
                outcomes[number][books.event(kind, name, data, id, connection=connection)[0]] += 1
        return run
    at_once(books, [work(number) for number in range(4)])
    assert sum(outcomes, Counter()) == {"done": 200, "duplicate": 600}
    for name in names:
        mine = [(kind, data) for kind, account, data, _ in events if account == name or (account, name) == ("child", "a0")]
        upgraded = ("plan.assigned", name) in [(kind, account) for kind, account, *_ in events]
        expected = (2500 if upgraded else 100) + sum(5500 if "package" in data else int(data.get("amount", 0)) for _, data in mine)
        assert books.payer(name)["balance"] == expected, name
    assert books.one("SELECT count(*) FROM debitd.event_key") == 200 + len(names) + 1
    assert books.one("SELECT count(*) FROM debitd.ledger l WHERE NOT EXISTS "
                     "(SELECT FROM debitd.batch b WHERE l.entry_id BETWEEN b.entry_lo AND b.entry_hi)") == 0


def test_families_that_change_at_once_do_not_deadlock(books, seed):
    rng = random.Random(seed)
    names = list("abcdef")
    for name in names:
        books.done("account.opened", name, plan="payg")

    def work(number):
        mine = random.Random(f"{seed}-{number}")

        def run(connection):
            for i in range(40):
                child, parent = mine.sample(names, 2)
                kind, data = mine.choice([("account.updated", {"parent": parent}), ("credits.granted", {"amount": "1"})])
                outcome = books.event(kind, child, data, f"{number}-{i}", connection=connection)
                assert outcome[0] == "done" or outcome[1] == "bad_data", outcome
        return run
    rng.shuffle(names)
    at_once(books, [work(number) for number in range(4)])
    # nobody's parent has a parent
    assert books.rows("SELECT a.name FROM debitd.account a JOIN debitd.account p ON p.account_id = a.payer_id WHERE p.payer_id <> p.account_id") == []


def test_accounts_are_opened_once_by_usage_and_by_events_at_once(books):
    names = [f"u{i}" for i in range(20)]

    def usage(connection):
        with connection.transaction():
            return connection.execute("SELECT debitd.open_unknown(%s, 'payg')", [names[::-1]]).fetchone()[0]

    def opened(connection):
        return sum(books.event("account.opened", name, {"plan": "payg"}, f"o{name}", connection=connection)[0] == "done" for name in names)
    results = at_once(books, [usage, usage, opened])
    assert results[2] == 20
    assert all(books.entries(name) == [("grant", "10", "10", "USD", name)] for name in names)
