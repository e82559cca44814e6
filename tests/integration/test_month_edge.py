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
        use(world, 3, 4)  # another one of acct-0, to be summed
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


def months_on(world, months):
    """Moves the clock of the books so many months from now."""
    world.sql(f"UPDATE debitd.books SET clock_offset = interval '{months} months'")
    world.wait(lambda: world.value("SELECT month = date_trunc('month', debitd.now() AT TIME ZONE 'UTC') FROM debitd.books"), "the books to be moved")


def send_what_waits(world):
    """Usage and an operation of an account that is not open."""
    world.usage("late", id="u", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.account("credits.granted", "late", id="c", amount="7")
    world.flush()


def open_what_it_waits_for(world):
    world.account("account.opened", "late", plan="payg")
    world.wait(lambda: world.value("SELECT count(*) FROM api.parked WHERE released_at IS NULL") == 0, "both to be booked")


@pytest.mark.world(partitions=1)
def test_what_is_parked_has_its_identity_as_long_as_it_waits_and_a_whole_window_after_it_is_booked(world):
    """Two months are the window; the events themselves are of today."""
    world.catalog()
    world.start()
    send_what_waits(world)
    world.wait_booked(total=0)
    months_on(world, 4)
    send_what_waits(world)  # while it waits
    world.wait_booked(total=0)
    assert world.value("SELECT count(*) FROM api.parked") == 2
    world.usage("late", id="c", service="openai", model="gpt-4o-mini", quantities={"input": 1000})
    world.usage("late", id="u", service="openai", model="gpt-4o-mini", quantities={"input": 2000})
    world.wait_booked(total=0)
    assert [row["reason"] for row in world.sql("SELECT reason FROM api.rejected")] == ["id_reused", "id_reused"]
    open_what_it_waits_for(world)
    for months in (4, 6):  # when they were booked, and as late as it may come again
        months_on(world, months)
        send_what_waits(world)
        world.wait_booked(total=1)
    # 10 of welcome, 7, and 1000 x 0.15 / 1e6
    assert str(world.value("SELECT balance FROM api.balance")) == "16.99985"
    assert world.value("SELECT sum(duplicates) FROM api.position") == 6
    world.void("late", "u", id="v", key="late")
    world.wait_booked()
    assert world.value("SELECT balance FROM api.balance") == 17
    world.verify()


@pytest.mark.world(partitions=1)
def test_what_is_parked_since_a_month_whose_identities_were_dropped_is_booked_once(world):
    """As docs/operations.md says not to: nothing tells any more what the event was whose identity comes again."""
    world.catalog()
    world.start()
    send_what_waits(world)
    world.wait_booked(total=0)
    months_on(world, 4)
    leaf = world.value("SELECT 'event_key_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    world.sql(f"ALTER TABLE debitd.event_key DETACH PARTITION debitd.{leaf}")
    world.sql(f"DROP TABLE debitd.{leaf}")
    send_what_waits(world)
    world.wait_booked(total=0)
    assert [row["reason"] for row in world.sql("SELECT reason FROM api.rejected")] == ["id_reused", "id_reused"]
    open_what_it_waits_for(world)
    world.wait_booked(total=1)
    assert str(world.value("SELECT balance FROM api.balance")) == "16.99985"


@pytest.mark.world(partitions=1)
def test_usage_is_taken_back_however_long_ago_it_was_booked(world):
    """The dedup window is for what comes again, not for what a void names."""
    world.catalog()
    for n in range(3):
        world.account("account.opened", f"acct-{n}", plan="payg")
    world.flush()
    world.start()
    use(world, 0, 3)
    world.wait_booked(total=3)
    months_on(world, 4)
    world.void("acct-1", "u-1", id="v-1")
    world.void("acct-1", "u-2", id="v-2", key="acct-1")  # of another account
    world.void("acct-1", "u-1", id="v-3")
    world.wait_booked(total=3)
    assert sorted(row["reason"] for row in world.sql("SELECT reason FROM api.rejected")) == ["already_voided", "unknown_event"]
    assert world.value("SELECT balance FROM api.balance WHERE account_id = 'acct-1'") == 10
    world.verify()
