"""What every part of the benchmark stands on: databases with open accounts, a world for each round, and the eyes on it."""

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.bench import present
from tests.bench.stream import ACCOUNTS, MODELS, catalogue, plans
from tests.rig.daemon import TOP, debitctl, write_config
from tests.rig.wait import wait_until
from tests.rig.world import World

# A server that has a machine's memory; fsync and synchronous_commit are on, as everywhere in tests/rig.
SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}

PARTITIONS = 4      # of the input topics
WATCH_S = 0.02      # how often positions are looked at
TIMEOUT_S = 3600    # of one round


def prepare(postgres, migrated, accounts=ACCOUNTS, name="bench", models=MODELS, more=()):
    """A database with the catalogue of the bench and all accounts open, and [(account, plan)] `more`: the template of
    rounds. Returns its name."""
    postgres.create_database(name, migrated)
    with tempfile.TemporaryDirectory(prefix="debitd-bench-", dir="/var/tmp") as folder:
        config = write_config(Path(folder) / "owner.conf", {"postgres": {"conninfo": postgres.conninfo(name)}})
        prices = Path(folder) / "catalog.conf"
        prices.write_text(catalogue((TOP / "etc" / "catalog.conf").read_text(), models))
        debitctl(config, "catalog", "apply", prices, json=False)
    with postgres.connect(name) as connection:
        present.open_accounts(connection, plans(accounts) + list(more))
    return name


@contextmanager
def fresh_world(kafka, postgres, prepared, seed, name, partitions=PARTITIONS):
    if sys.stderr.isatty():  # somebody waits, in the case of growth for long
        print(name, file=sys.stderr)
    world = World(kafka, postgres, seed, name, partitions=partitions, template=prepared)
    try:
        yield world
    finally:
        world.close()


class Watch:
    """Follows the positions of the usage topic: when they first moved beyond `start`, when they reached `goal`."""

    def __init__(self, world, goal, start=0):
        self.world, self.goal, self.start, self.moves = world, goal, start, []
        self.sql = world.postgres.connect(world.name, application_name="bench")

    def close(self):
        self.sql.close()

    def consumed(self):
        total = int(self.sql.execute(
            "SELECT coalesce(sum(next_offset), 0) FROM api.position WHERE topic = %s", [self.world.topics["usage"]],
            prepare=True).fetchone()[0])
        if total > (self.moves[-1][1] if self.moves else self.start):
            self.moves.append((time.monotonic(), total))
        return total

    def wait(self, goal=None):
        goal = goal or self.goal
        wait_until(lambda: self.consumed() >= goal, TIMEOUT_S, f"{goal} events to be consumed", dump=self.world.dump,
                   interval=WATCH_S)

    def rate(self):
        """Events/s between the first and the last move; None where it was one move."""
        (first, before), (last, after) = self.moves[0], self.moves[-1]
        return (after - before) / (last - first) if after > before else None


def check_books(world, stream, booked=0, present=0):
    """Every event is booked once, every duplicate counted, nothing is parked or rejected. Before there were `booked` events
    of the topic, and `present` usage entries."""
    row = world.sql("SELECT sum(booked)::int AS booked, sum(duplicates)::int AS duplicates,"
                    " sum(rejected + parked + skipped)::int AS other FROM api.position WHERE topic = %s",
                    [world.topics["usage"]])[0]
    row["entries"] = usage_entries(world)
    wanted = {"booked": booked + stream.unique, "duplicates": len(stream) - stream.unique, "other": 0, "entries": present + stream.unique}
    if row != wanted:
        raise RuntimeError(f"the books are wrong: {row}, wanted {wanted}\n{world.dump()}")


def usage_entries(world):
    return world.value("SELECT count(*) FROM debitd.ledger WHERE type = 'usage'")


def settled(world):
    return world.value("SELECT count(*) FROM debitd.batch WHERE NOT folded") == 0 and world.unpublished() == 0


def wait_settled(world):
    wait_until(lambda: settled(world), TIMEOUT_S, "everything to be summed and published", dump=world.dump)
