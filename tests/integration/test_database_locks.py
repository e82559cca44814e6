"""Writers that want the same rows at once: no deadlock, and whatever the database takes back is booked all the same."""

import pytest

from tests.integration.database_faults import WAITING_WRITERS, consumed, counts, opened

DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def deadlocks(world):
    """Of this database so far. Sessions report when they end or idle, so the daemons are stopped before."""
    world.sql("SELECT pg_stat_force_next_flush()")
    return world.value(DEADLOCKS)


IN_A_HURRY = {"writers": {"count": 2}, "batch": {"max_events": 50, "max_delay_ms": 0}}
SIDES, BLOCK = 4, 50


def meet(world, count, account):
    """`count` events a partition, the same ids in partitions 0 and 1, in 2 and 3; of each block of ids one has them in
    ascending order and the other in descending order. Two daemons with two writers each then start at once. account(side,
    n) has used. Returns when all is booked and they have stopped."""
    for side in range(SIDES):
        for n in range(count):
            block, at = divmod(n, BLOCK)
            id = block * BLOCK + (at if side % 2 else BLOCK - 1 - at)
            world.usage(account(side, id), id=f"u-{id}", source=f"/pair/{side // 2}", service="openai", model="gpt-4o-mini",
                        quantities={"input": 1000}, partition=side)
    world.flush()
    running = world.start(2, wait=False, **IN_A_HURRY)
    world.wait_booked(timeout=120)
    for daemon in running:
        daemon.stop()


SLOW_KEYS = """
    CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON debitd.event_key FOR EACH ROW EXECUTE FUNCTION public.slow()"""


@pytest.mark.world(partitions=SIDES)
def test_writers_with_the_same_identities_in_another_order_never_deadlock(world):
    """Each partition has an account of its own, so that nothing but the identities brings the writers together: whoever
    comes second with one finds it used for another account."""
    count = 8 * BLOCK
    opened(world, [f"side-{n}" for n in range(SIDES)])
    daemon = world.start()
    world.wait_booked()
    daemon.stop()
    world.sql(SLOW_KEYS)  # so that the writers meet in the middle of their keys
    meet(world, count, lambda side, n: f"side-{side}")
    assert deadlocks(world) == 0
    assert counts(world) == {"booked": 2 * count, "rejected": 2 * count}
    assert {row["reason"] for row in world.sql("SELECT DISTINCT reason FROM api.rejected")} == {"id_reused"}
    world.verify()


@pytest.mark.world(partitions=SIDES)
def test_writers_that_share_payers_in_another_order_never_deadlock(world):
    """Every partition uses for children of eight payers; half of its events are another's too."""
    count = 40 * BLOCK
    opened(world, [f"parent-{n}" for n in range(8)])
    daemon = world.start()
    world.wait_booked()
    for n in range(32):
        world.account("account.opened", f"child-{n}", parent=f"parent-{n % 8}")
    world.wait_booked()
    daemon.stop()
    meet(world, count, lambda side, n: f"child-{n % 32}")
    assert deadlocks(world) == 0
    assert counts(world) == {"booked": 2 * count, "duplicates": 2 * count}
    world.verify()


TAKEN_BACK = """
    CREATE TABLE public.taken_back (code text);
    CREATE SEQUENCE public.tries;
    GRANT ALL ON public.taken_back, public.tries TO public;
    CREATE FUNCTION public.take_back() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        try bigint := nextval('public.tries'); -- a sequence does not roll back
        codes CONSTANT text[] := ARRAY['40001', '40P01', '55P03', '57014'];
    BEGIN
        IF try <= 12 THEN
            RAISE EXCEPTION 'taken back' USING ERRCODE = codes[1 + try % 4];
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER take_back AFTER {when} ON debitd.{table} FOR EACH STATEMENT EXECUTE FUNCTION public.take_back()"""


@pytest.mark.parametrize("table, when", [("position", "UPDATE"), ("payer", "UPDATE"), ("batch", "INSERT")])
@pytest.mark.world(partitions=2)
def test_what_is_taken_back_for_want_of_order_locks_or_time_is_booked_later_and_once(world, table, when):
    """40001, 40P01, 55P03 and 57014, three times each, at the beginning, the middle and the end of a transaction."""
    opened(world, ["acme"])
    daemon = world.start()
    world.wait_booked()
    world.sql(TAKEN_BACK.format(table=table, when=when))
    for n in range(60):
        world.usage("acme", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=n % 2)
    world.wait_booked(total=60)
    assert world.value("SELECT last_value FROM public.tries") > 12, "nothing was taken back"
    assert counts(world) == {"booked": 60}
    world.verify()
    assert daemon.running, daemon.tail()


@pytest.mark.world(partitions=1)
def test_a_statement_that_a_person_cancels_is_run_again(world):
    opened(world, ["acme"])
    world.start()
    world.wait_booked()
    with world.postgres.connect(world.name, autocommit=False) as owner:
        owner.execute("SELECT 1 FROM debitd.payer FOR UPDATE")
        for _ in range(20):
            world.usage("acme", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
        world.flush()
        for _ in range(8):  # of 20 messages in halves only one would be left before that
            (session,) = world.wait(lambda: world.sql(WAITING_WRITERS), "the writer to wait for the lock")
            since = world.value("SELECT query_start FROM pg_stat_activity WHERE pid = %s", [session["pid"]])
            world.sql("SELECT pg_cancel_backend(%s)", [session["pid"]])
            world.wait(lambda: world.sql(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND query_start > %s AND wait_event_type = 'Lock'",
                [session["pid"], since]), "the writer to wait again")
        assert consumed(world) == 0
        owner.commit()
    world.wait_booked(total=20)
    assert counts(world) == {"booked": 20}
    world.verify()
