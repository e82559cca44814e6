"""The books move to the next month while the daemon runs: nothing is lost or booked twice over the edge."""

import pytest


def to_next_month(world):
    """Moves the clock of the books to a minute into the next month."""
    world.sql("UPDATE debitd.books SET clock_offset = date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
              " + interval '1 month 1 minute' - now()")


def use(world, first, last):
    for n in range(first, last):
        world.usage(f"acct-{n % 3}", id=f"u-{n}", service="openai", model="gpt-4o-mini", quantities={"input": 1000})


@pytest.mark.world(partitions=2)
def test_a_resend_over_the_edge_of_the_month_is_a_duplicate_and_the_chains_go_on(world):
    world.catalog()
    for n in range(3):
        world.account("account.opened", f"acct-{n}", plan="assistant-business")
    world.flush()
    world.start()
    use(world, 0, 60)
    world.wait_booked(total=60)
    months = "SELECT to_char(booked_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) FROM api.ledger GROUP BY 1 ORDER BY 1"
    before = world.sql(months)
    assert [row["count"] for row in before] == [60]
    to_next_month(world)
    use(world, 30, 90)  # half of them again
    world.wait_booked(total=90)
    assert [row["count"] for row in world.sql(months)] == [60, 30]
    assert world.value("SELECT sum(duplicates) FROM api.position") == 30
    # what happened last month counts in it, whenever it is booked
    assert world.value("SELECT count(DISTINCT period_start) FROM api.usage") == 1
    world.verify()


@pytest.mark.world(partitions=4)
def test_the_month_ends_in_the_middle_of_a_stream(world):
    world.catalog()
    for n in range(3):
        world.account("account.opened", f"acct-{n}", plan="assistant-business")
    world.flush()
    world.start(2, batch={"max_events": 20, "max_delay_ms": 0})
    use(world, 0, 2000)
    world.flush()
    world.wait(lambda: world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'") >= 100, "some to be booked")
    to_next_month(world)
    use(world, 1000, 3000)
    world.wait_booked(total=3000)
    assert world.value("SELECT sum(duplicates) FROM api.position") == 1000
    assert world.value("SELECT month = date_trunc('month', debitd.now() AT TIME ZONE 'UTC') FROM debitd.books")
    world.verify()


@pytest.mark.world(partitions=1)
def test_an_operation_right_after_the_edge_is_of_the_new_month_although_nobody_has_moved_the_books_yet(world):
    world.catalog()
    world.account("account.opened", "acct-0", plan="assistant-pro")
    world.flush()
    world.start()
    use(world, 0, 1)
    world.wait_booked(total=1)
    with world.postgres.connect(world.name) as other, other.transaction():
        other.execute("LOCK TABLE debitd.usage_daily IN ACCESS EXCLUSIVE MODE")
        use(world, 1, 2)
        world.wait(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%debitd.fold(%%' AND wait_event_type = 'Lock'") == 1,
                   "the keeper to stand still")
        to_next_month(world)
        world.account("plan.assigned", "acct-0", plan="assistant-pro")
        world.flush()
        world.wait(lambda: not world.behind(), "the operation to be booked")
    grants = world.sql("SELECT to_char(booked_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, amount FROM api.ledger WHERE type = 'grant' ORDER BY entry_id")
    assert [row["amount"] for row in grants] == [2500, 2500] and grants[0]["month"] < grants[1]["month"]
    world.wait_booked()
    world.verify()
