"""A small stream with one of everything: its books are what the tests of views and of verify look at."""

import re
from contextlib import contextmanager
from datetime import datetime, timezone

from tests.rig.daemon import merge, write_config

ENTRY = "(SELECT l.entry_id FROM debitd.ledger l WHERE l.event_id = '{}' AND l.type = 'usage')"


def now():
    return datetime.now(timezone.utc)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def book(world):
    """Runs one daemon over the stream and stops it."""
    world.catalog()
    daemon = world.start()
    world.account("account.opened", "solo", plan="payg", name="Solo Ltd", id="open-solo")
    world.account("account.opened", "firm", plan="quota-starter")
    world.account("account.opened", "staff", parent="firm")
    world.account("account.opened", "guest", parent="firm", charged=False)
    world.account("account.opened", "coder", plan="codegen-free")
    world.account("account.opened", "own-key", plan="payg", byok=["openai"])
    world.account("credits.purchased", "solo", amount="5.5", reference="inv-1")
    world.account("credits.refunded", "solo", amount="0.25", reason="sorry")
    world.account("credits.adjusted", "solo", amount="-1")
    world.account("credits.granted", "late-comer", amount="3")   # waits for the account
    world.wait_booked(0)
    # payg, at cost: 1,000,000 x 0.15 / 1e6 = 0.15; 500,000 x 0.60 / 1e6 = 0.30
    chat = {"service": "openai", "model": "gpt-4o-mini"}
    world.usage("solo", id="chat-1", quantities={"input": 1000000, "output": 500000}, user="u-1", thread="t-1", execution="x-1",
                agent="peter", metadata={"a": [1, "ü"]}, **chat)
    world.usage("solo", id="chat-1", quantities={"input": 1000000, "output": 500000}, user="u-1", thread="t-1", execution="x-1",
                agent="peter", metadata={"a": [1, "ü"]}, **chat)     # a duplicate
    # 10.00 / 1e6 x 1,333,333.5 = 13.333335: exhausts the balance
    world.usage("solo", id="chat-2", quantities={"output": "1333333.5"}, service="openai", model="gpt-4o", thread="t-1")
    world.usage("solo", id="chat-3", quantities={"input": 2000}, thread="t-2", **chat)
    world.usage("solo", id="no-price", quantities={"cached_input": 5}, **chat)          # parked: unpriced
    world.usage("solo", id="no-metric", metric="minutes", quantity=1)                       # parked: unknown_metric
    world.usage("own-key", id="byok-1", quantities={"input": 100}, **chat)
    # quota-starter: 3 signatures included, then 2.00 each
    for at, (who, quantity) in enumerate([("firm", 1), ("staff", 1), ("firm", 1), ("guest", 1), ("staff", 2), ("firm", "0.5")]):
        world.usage(who, "signatures", id=f"sign-{at}", quantity=quantity, service="signaturit")
        world.wait_booked()
    world.usage("firm", "sms", id="sms-1", quantity=2, service="nobody")                   # no cost price: cost unknown
    for at in range(6):
        world.usage("coder", "requests", id=f"code-{at}", quantity=1)
    world.usage("late-comer", id="early", quantities={"input": 10}, **chat)                # parked: unknown_account
    world.usage("solo", id="bad-1", quantity=-1)
    world.event("usage", "usage.imagined", "solo", {}, id="bad-2")
    world.produce("usage", b"{", key="bad")
    world.wait_booked()
    world.void("solo", "chat-3", reason="a mistake")
    world.void("staff", "sign-4")                                                         # takes 2 x 2.00 back
    world.void("solo", "no-metric")                                                       # takes it out of parking
    world.void("solo", "chat-3")                                                          # already_voided
    world.account("account.opened", "late-comer", plan="payg")
    world.wait_booked()
    world.wait(lambda: world.value("SELECT count(*) FROM api.parked WHERE released_at IS NULL") == 1, "the release of what waited")
    world.wait_booked()
    world.wait(lambda: world.value("SELECT count(*) FROM debitd.batch WHERE NOT folded") == 0, "everything to be summed")
    daemon.stop()
    return world


@contextmanager
def damaging(world, path, config=None):
    """damage(*statements): a configuration of debitctl, at `path`, for a copy of the world's books that these were done to,
    and nothing else."""
    postgres, name = world.postgres, f"{world.name}_damaged"
    world.disconnect()
    postgres.create_database(name, world.name)
    config = write_config(path, merge(config or {}, {"postgres": {"conninfo": postgres.conninfo(name)}}))
    kept = set()  # tables that were changed: as they were, in schema kept
    with postgres.connect(name) as connection:
        connection.execute("SET session_replication_role = replica")  # or the triggers would refuse it
        connection.execute("CREATE SCHEMA kept")

        def damage(*statements):
            for table in kept:
                connection.execute(f"DELETE FROM debitd.{table}")
                connection.execute(f"INSERT INTO debitd.{table} OVERRIDING SYSTEM VALUE SELECT * FROM kept.{table}")
            for statement in statements:
                table = re.match(r"(?:UPDATE|INSERT INTO|DELETE FROM) debitd\.(\w+)", statement)[1]
                if table not in kept:
                    connection.execute(f"CREATE TABLE kept.{table} AS SELECT * FROM debitd.{table}")
                    kept.add(table)
                assert connection.execute(statement).rowcount > 0
            return config
        yield damage
    postgres.drop_database(name)
