"""Ids that tell when they were made lead the keys of their events; books that began before that keep keys by the hash alone. Either way an event is booked once."""

import hashlib

import pytest

LEAD = {"019aa7c0-5c00-7abc-8def-0123456789ab": "a9f017", "019aa7c0-5c00-7abc-8def-0123456789ac": "a9f017",
        "01KAKW0Q00TSV4RRFFQ69G5FAV": "a9f017", "019AA7C0-6000-7ABC-8DEF-0123456789AB": "a9f018"}
VOIDED = "019aa7c0-5c00-7abc-8def-0123456789ac"
OPENED, PARKED, VOID, BOUGHT, KEY = (f"019aa7c0-5c00-7abc-8def-00000000000{n}" for n in range(5))


def whole(id, source="/tests"):
    """The first half of SHA-256 over the parts, each behind its length."""
    parts = [part.encode() for part in ("debitd/event/v1", source, id)]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()[:32]


def keys(world):
    return {row["id"]: row["key"].hex for row in world.sql(
        "SELECT l.event_id AS id, k.key FROM debitd.event_key k JOIN debitd.ledger l USING (entry_id)")}


def send(world, **given):
    for id in LEAD:
        world.usage("acct-1", id=id, service="openai", model="gpt-4o-mini", quantities={"input": 1000}, **given)
    world.usage("late", id=PARKED, service="openai", model="gpt-4o-mini", quantities={"input": 1000}, **given)
    world.void("acct-1", VOIDED, id=VOID, **given)
    world.account("credits.purchased", "acct-1", id=BOUGHT, amount="5", **given)


def duplicates(world):
    return world.value("SELECT sum(duplicates) FROM api.position")


@pytest.fixture(params=(True, False), ids=("timed", "begun before"))
def books(request, world):
    assert world.value("SELECT timed_keys FROM debitd.books") is True  # of a new database
    if not request.param:
        world.sql("UPDATE debitd.books SET timed_keys = false")
    world.timed = request.param
    world.catalog()
    world.account("account.opened", "acct-1", id=OPENED, plan="payg")
    return world


def test_an_event_whose_id_tells_its_time_is_booked_once_and_leads_its_key_by_it_unless_the_books_began_before(books):
    books.flush()
    daemon = books.start()
    books.wait_booked(total=0)
    send(books)
    books.wait_booked(total=4)
    found = keys(books)
    for id, lead in LEAD.items():
        assert found[id] == (lead + whole(id)[6:] if books.timed else whole(id))
    daemon.stop()
    books.start()
    send(books, mode="binary")
    books.account("account.opened", "acct-1", id=OPENED, plan="payg")
    books.wait_booked(total=4)
    assert duplicates(books) == len(LEAD) + 4
    books.account("account.opened", "late", plan="payg")
    books.wait(lambda: books.value("SELECT count(*) FROM api.parked WHERE released_at IS NULL") == 0, "the parked event to be released")
    send(books)
    books.wait_booked(total=5)
    assert duplicates(books) == 2 * len(LEAD) + 7
    assert books.value("SELECT count(*) FROM api.rejected") == 0
    for outcome in ("done", "duplicate"):
        assert books.sql("SELECT outcome FROM api.credit_purchase(%s, 'acct-1', 1)", [KEY])[0]["outcome"] == outcome
    assert keys(books)[KEY][:6] == ("a9f017" if books.timed else whole(KEY, "/debitd/operations")[:6])
    assert books.debitctl("verify", "--topic", json=False).out.endswith(" 0 differences\n")
