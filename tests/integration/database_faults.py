"""What the tests of a failing database share: a world on a server of its own or behind a proxy, and the question
whether its books are whole."""

from contextlib import contextmanager

from tests.rig.daemon import merge, write_config
from tests.rig.world import WRITER, World, migrate_template

ACCOUNTS = [f"acct-{n}" for n in range(8)]
WRITERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'debitd/writer%%'"
# their sessions that wait for a lock
WAITING_WRITERS = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                   " AND application_name LIKE 'debitd/writer%'")
# their sessions whose COMMIT waits for a standby
COMMITTING = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"
              " AND application_name LIKE 'debitd/writer%'")


@contextmanager
def commits_wait(world):
    """COMMIT waits for a standby that is not there. Gives a session whose own does not; at the end all are let go."""
    server = world.postgres
    server.configure(synchronous_standby_names="ghost")
    try:
        with server.connect(world.name) as admin:
            admin.execute("SET synchronous_commit = local")
            yield admin
    finally:
        server.configure(synchronous_standby_names=None)


@contextmanager
def world_on(server, kafka, seed, name, **options):
    """A world on `server`, which is running; in the end it may be down, or another may have taken over."""
    made = World(kafka, server, seed, name, template=migrate_template(server, "migrated"), **options)
    try:
        yield made
    finally:
        made.disconnect()
        made.postgres = server
        if server.child is None:
            server.start()
        made.close()


def goes_on_at(world, server):
    """The test itself and debitctl now speak to `server`; daemons find it by what through() told them."""
    world.disconnect()
    world.postgres = server
    write_config(world.owner_config, merge(world.config, {"postgres": {"conninfo": server.conninfo(world.name)}}))


def through(world, *ports, **more):
    """Lets the daemons that start from now on reach the database by TCP at these ports, tried in order."""
    options = "".join(f" {key}={value}" for key, value in more.items())
    world.config = merge(world.config, {"postgres": {"conninfo": (
        f"host={','.join('127.0.0.1' for _ in ports)} port={','.join(map(str, ports))} user={WRITER}"
        f" dbname={world.name} sslmode=disable{options}")}})


def opened(world, accounts=ACCOUNTS, plan="assistant-business"):
    world.catalog()
    for account in accounts:
        world.account("account.opened", account, plan=plan)
    world.flush()


def use(world, count, first=0, **options):
    """`count` events of 8 accounts, ids u-first and on."""
    for n in range(first, first + count):
        world.usage(ACCOUNTS[n % len(ACCOUNTS)], id=f"u-{n}", service="openai", model="gpt-4o-mini",
                    quantities={"input": 1000, "output": 100}, **options)
    world.flush()


def consumed(world):
    return world.value("SELECT coalesce(sum(next_offset), 0) FROM api.position WHERE topic = %s", [world.topics["usage"]])


def counts(world):
    """What became of the offsets of usage."""
    row, = world.sql("SELECT sum(booked) AS booked, sum(duplicates) AS duplicates, sum(rejected) AS rejected,"
                     " sum(parked) AS parked, sum(skipped) AS skipped FROM api.position WHERE topic = %s",
                     [world.topics["usage"]])
    return {fate: int(count) for fate, count in row.items() if count}


def whole(world, total):
    """`total` events, each in its own offset, are each one entry, and the books agree with themselves."""
    world.wait_booked(total=total, timeout=120)
    assert counts(world) == {"booked": total}
    assert world.value("SELECT count(DISTINCT event_id) FROM api.ledger WHERE type = 'usage'") == total
    world.verify()


def judged(stream):
    """The books are the model's, and agree with themselves."""
    found = stream.verdict()
    assert not found, found
    stream.world.verify()
