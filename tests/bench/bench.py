"""./run bench [EVENTS]: how fast debitd is, and what it costs, on a real Kafka and a real PostgreSQL that make every COMMIT durable.

Three parts. Latency: single events on an idle system, produced -> visible in api.ledger, and produced -> its alert read by a
read_committed consumer. Throughput: a backlog of EVENTS is consumed by a fresh daemon; beside it the floor, COPY of the
very same rows into empty tables with the same indexes. Memory: the resident size while PostgreSQL is away and the backlog stands.

It reports and never judges a time. What it does demand is that the books are right: each event booked once, each
duplicate counted. The table is for people; build/bench.json has every single round.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import usage  # noqa: E402
from tests.bench.stream import ACCOUNTS, EVENT_BYTES, ZIPF, Stream, plans, send  # noqa: E402
from tests.rig import events  # noqa: E402
from tests.rig.daemon import TOP, build_folder, debitctl, write_config  # noqa: E402
from tests.rig.kafka import VERSION, Kafka  # noqa: E402
from tests.rig.postgres import Postgres  # noqa: E402
from tests.rig.wait import wait_until  # noqa: E402
from tests.rig.world import World, migrate_template  # noqa: E402

PARTS = ("latency", "throughput", "memory")
SINGLES = 50       # events of each latency, one after the other
PARTITIONS = 4     # of the input topics
WRITERS = (1, 2)   # writers.count: the default, and one for each of two processors
WATCH_S = 0.02     # how often positions are looked at
OUTAGE_S = 8       # PostgreSQL is away for so long
OPEN_AT_ONCE = 500  # accounts in one statement: plans that were made for empty tables do not live on in it
TIMEOUT_S = 600    # of one round


# -------------------------------------------------------------------- before

def prepare(postgres, migrated, accounts, name="bench"):
    """A database with the shipped catalogue and all accounts open: the template of every round. Returns its name."""
    postgres.create_database(name, migrated)
    with tempfile.TemporaryDirectory(prefix="debitd-bench-", dir="/var/tmp") as folder:
        config = write_config(Path(folder) / "owner.conf", {"postgres": {"conninfo": postgres.conninfo(name)}})
        debitctl(config, "catalog", "apply", TOP / "etc" / "catalog.conf", json=False)
    wanted = plans(accounts) + [("still", "assistant-business")] + [(f"edge-{n}", "quota-starter")
                                                                    for n in range(SINGLES + 1)]
    with postgres.connect(name) as connection:
        for first in range(0, len(wanted), OPEN_AT_ONCE):
            some = wanted[first:first + OPEN_AT_ONCE]
            done = connection.execute(
                "SELECT count(*) FROM unnest(%s::text[], %s::text[]) AS w (account, plan),"
                " api.account_open('bench-' || w.account, w.account, w.plan) AS o WHERE o.outcome = 'done'",
                [[account for account, _ in some], [plan for _, plan in some]]).fetchone()[0]
            if done != len(some):
                raise RuntimeError(f"only {done} of {len(some)} accounts could be opened")
            connection.execute("VACUUM ANALYZE")  # as the server would in time have done by itself
        while connection.execute("SELECT debitd.fold(10000)").fetchone()[0]:  # what a daemon would have summed long ago
            pass
    return name


@contextmanager
def fresh_world(kafka, postgres, prepared, seed, name):
    world = World(kafka, postgres, seed, name, partitions=PARTITIONS, template=prepared)
    try:
        yield world
    finally:
        world.close()


# -------------------------------------------------------------------- latency

def spread(seconds):
    """Median, 90th of a hundred and maximum, in ms."""
    ordered = sorted(seconds)
    return {"n": len(ordered), "median_ms": median(ordered) * 1000, "p90_ms": ordered[len(ordered) * 9 // 10] * 1000,
            "max_ms": ordered[-1] * 1000}


class Idle:
    """A daemon that has nothing to do, a producer without linger, and a consumer of alerts that is polling already."""

    def __init__(self, world):
        self.world, self.dice = world, random.Random(world.seed)
        self.producer = Producer({"bootstrap.servers": world.kafka.bootstrap, "linger.ms": 0,
                                  "enable.idempotence": True, "partitioner": "murmur2_random"})
        self.consumer = Consumer({"bootstrap.servers": world.kafka.bootstrap, "group.id": f"{world.name}.bench",
                                  "isolation.level": "read_committed", "enable.auto.commit": False})
        alerts = world.topics["alerts"]
        self.consumer.assign([TopicPartition(alerts, 0, world.kafka.ends(alerts, [0])[0][1])])
        self.sql = world.postgres.connect(world.name)

    def close(self):
        self.producer.flush(10)
        self.consumer.close()
        self.sql.close()

    def send(self, id, account, metric, **data):
        """Produces one event; returns the moment before."""
        value = events.structured(id=id, source="/bench", type="usage.recorded", subject=account,
                                  data={"metric": metric, **data})
        began = time.monotonic()
        self.producer.produce(self.world.topics["usage"], value=value, key=account)
        return began

    def pause(self):
        """Some silence of random length, so that events do not fall in step with what polls inside the daemon."""
        stray = self.consumer.poll(self.dice.uniform(0.05, 0.2))
        if stray is not None:
            raise RuntimeError(f"an alert that nobody waits for: {stray.error() or stray.value()}")

    def look(self, id):
        """Whether the entry is visible; one prepared query."""
        return self.sql.execute("SELECT FROM api.ledger WHERE account_id = 'still' AND event_id = %s", [id],
                                prepare=True).rowcount == 1

    def until_visible(self, id):
        began = self.send(id, "still", "ai_tokens", service="openai", model="gpt-4o-mini",
                          quantities={"input": 512, "output": 207})
        while not self.look(id):
            if time.monotonic() - began > 30:
                raise RuntimeError(f"the event {id} was not booked in 30 s\n{self.world.dump()}")
        return time.monotonic() - began

    def until_alert(self, number):
        """2.5 of the 3 signatures that are included: 80 % is crossed, 100 % is not."""
        began = self.send(f"edge-{number}", f"edge-{number}", "signatures", service="signaturit",
                          quantity=events.Raw("2.5"))
        message = self.consumer.poll(30)
        took = time.monotonic() - began
        if message is None or message.error() or json.loads(message.value())["data"]["event_id"] != f"edge-{number}":
            raise RuntimeError(f"no alert of edge-{number} in 30 s: {message and (message.error() or message.value())}"
                               f"\n{self.world.dump()}")
        return took


def latency(kafka, postgres, prepared, seed, singles=SINGLES):
    with fresh_world(kafka, postgres, prepared, seed, "bench latency") as world:
        world.start()
        idle = Idle(world)
        try:
            visible, alert = [], []
            for number in range(singles + 1):  # the first of each warms up and is not counted
                visible.append(idle.until_visible(f"still-{number}"))
                idle.pause()
            began = time.monotonic()
            for _ in range(100):
                idle.look("nothing")
            look_ms = (time.monotonic() - began) * 10
            for number in range(singles + 1):
                alert.append(idle.until_alert(number))
                idle.pause()
        finally:
            idle.close()
        world.daemons[0].stop()
        return {"visible": spread(visible[1:]), "alert": spread(alert[1:]), "look_ms": look_ms}


# -------------------------------------------------------------------- throughput

class Watch:
    """Follows the positions of the usage topic: when they first moved, when they reached `goal`."""

    def __init__(self, world, goal):
        self.world, self.goal, self.moves = world, goal, []
        self.sql = world.postgres.connect(world.name)

    def consumed(self):
        total = int(self.sql.execute(
            "SELECT coalesce(sum(next_offset), 0) FROM api.position WHERE topic = %s", [self.world.topics["usage"]],
            prepare=True).fetchone()[0])
        if total and (not self.moves or total > self.moves[-1][1]):
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


def check_books(world, stream):
    """Every event is booked once, every duplicate counted, nothing is parked or rejected."""
    row = world.sql("SELECT sum(booked)::int AS booked, sum(duplicates)::int AS duplicates,"
                    " sum(rejected + parked + skipped)::int AS other,"
                    " (SELECT count(*)::int FROM debitd.ledger WHERE type = 'usage') AS entries"
                    " FROM api.position WHERE topic = %s", [world.topics["usage"]])[0]
    wanted = {"booked": stream.unique, "duplicates": len(stream.events) - stream.unique, "other": 0,
              "entries": stream.unique}
    if row != wanted:
        raise RuntimeError(f"the books are wrong: {row}, wanted {wanted}\n{world.dump()}")


def settled(world):
    return world.value("SELECT count(*) FROM debitd.batch WHERE NOT folded") == 0 and world.unpublished() == 0


def consume(world, stream, writers):
    """One round: the backlog is there, the daemon starts."""
    postmaster, broker = world.postgres.child.pid, world.kafka.brokers[0].child.pid
    world.sql("CHECKPOINT")
    watch = Watch(world, len(stream.events))
    batches = "SELECT count(*) FROM debitd.batch"
    opened = world.value(batches)  # transactions of the template
    before = usage.machine_s(), usage.family_s(postmaster), usage.cpu_s(broker)
    began = time.monotonic()
    daemon = world.start(wait=False, writers={"count": writers})
    watch.wait()
    done = time.monotonic()
    wait_until(lambda: settled(world), TIMEOUT_S, "everything to be summed and published", dump=world.dump)
    quiet = time.monotonic()
    pid = daemon.child.pid
    ours, server = usage.cpu_s(pid), usage.family_s(postmaster) - before[1]
    others = usage.machine_s() - before[0] - ours - server - (usage.cpu_s(broker) - before[2])
    count = len(stream.events)
    found = {
        "writers": writers, "events_per_s": watch.rate(), "from_start_s": done - began, "settled_s": quiet - done,
        "moves": len(watch.moves), "daemon_cpu_us": ours / count * 1e6, "postgres_cpu_us": server / count * 1e6,
        "others_processors": others / (quiet - began), "threads_s": usage.threads_s(pid),
        "rss_peak_mib": usage.memory_kib(pid)[1] / 1024,
        "alerts": world.value("SELECT count(*) FROM api.alert"),
        "transactions": world.value(batches) - opened,
    }
    check_books(world, stream)
    daemon.stop()
    watch.sql.close()
    return found


def copy_out(connection, query, path):
    with connection.cursor() as cursor, open(path, "wb") as out:
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as rows:
            for block in rows:
                out.write(block)


def copy_in(connection, table, path):
    """Seconds of one COPY, committed."""
    blocks = []
    with open(path, "rb") as source:
        while block := source.read(1 << 20):
            blocks.append(block)
    began = time.monotonic()
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as into:
        for block in blocks:
            into.write(block)
    return time.monotonic() - began


def floor(world, stream):
    """The least that PostgreSQL needs for these rows: COPY of what this round has booked, in its order, over one connection."""
    month = world.value("SELECT to_char(month, 'YYYY_MM') FROM debitd.books")
    chosen = {"ledger": "type = 'usage'",
              "event_key": f"entry_id IN (SELECT entry_id FROM debitd.ledger_{month} WHERE type = 'usage')"}
    took = {}
    with world.postgres.connect(world.name) as connection:
        connection.execute("CREATE SCHEMA twin")
        for table, condition in chosen.items():
            path = world.folder / f"{table}.copy"
            leaf = f"debitd.{table}_{month}"
            copy_out(connection, f"SELECT * FROM {leaf} WHERE {condition} ORDER BY ctid", path)
            connection.execute(f"CREATE TABLE twin.{table} (LIKE {leaf} INCLUDING DEFAULTS INCLUDING INDEXES)")
            connection.execute("CHECKPOINT")
            took[table] = copy_in(connection, f"twin.{table}", path)
            held = connection.execute(f"SELECT count(*) FROM twin.{table}").fetchone()[0]
            if held != stream.unique:
                raise RuntimeError(f"the twin of {leaf} has {held} rows, wanted {stream.unique}")
    return {"ledger_s": took["ledger"], "event_key_s": took["event_key"],
            "rows_per_s": stream.unique / sum(took.values())}


def throughput(kafka, postgres, prepared, stream, seed, rounds):
    """{"rounds": […], "floors": […]}; the configurations take turns, so that a change of the machine's mood hits all."""
    found = {"rounds": [], "floors": []}
    for turn in range(rounds):
        for count in WRITERS:
            with fresh_world(kafka, postgres, prepared, seed, f"bench {turn} {count}") as world:
                send(kafka, world.topics["usage"], stream.events)
                found["rounds"].append(consume(world, stream, count))
                if count == WRITERS[0]:
                    found["floors"].append(floor(world, stream))
    return found


# -------------------------------------------------------------------- memory

def memory(kafka, postgres, prepared, stream, seed, outage_s=OUTAGE_S):
    """PostgreSQL goes away once the daemon is at work on the backlog; then it comes back and all is booked."""
    with fresh_world(kafka, postgres, prepared, seed, "bench memory") as world:
        send(kafka, world.topics["usage"], stream.events)
        daemon = world.start()
        pid = daemon.child.pid
        watch = Watch(world, len(stream.events))
        watch.wait(1)
        working = watch.consumed()
        world.postgres.stop()
        gone = time.monotonic()
        sizes = []

        def over():
            sizes.append(usage.memory_kib(pid)[0] / 1024)
            return time.monotonic() - gone >= outage_s
        wait_until(over, outage_s + 30, "the outage to end", interval=0.1)
        world.postgres.start()
        Watch(world, len(stream.events)).wait()
        wait_until(lambda: settled(world), TIMEOUT_S, "everything to be summed and published", dump=world.dump)
        check_books(world, stream)
        found = {"outage_s": outage_s, "booked_before": working, "backlog": len(stream.events) - working,
                 "rss_at_outage_mib": sizes[0], "rss_end_of_outage_mib": sizes[-1], "rss_most_mib": max(sizes),
                 "rss_peak_mib": usage.memory_kib(pid)[1] / 1024}
        daemon.stop()
        return found


# -------------------------------------------------------------------- the report

def middle(rows, field):
    """The median of a field over the rounds; None where a round has none."""
    values = [row[field] for row in rows]
    return None if None in values else median(values)


def figure(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(report):
    """What people read: a list of lines."""
    machine = report["machine"]
    lines = [f"{machine['processors']} x {machine['model']}, {machine['memory_mib']} MiB, load average {machine['load_average']:.2f}"
             f" before; Kafka {VERSION}, PostgreSQL {report['postgres']}, fsync and synchronous_commit on; build {report['build']}"]
    if "latency" in report:
        found = report["latency"]
        lines += ["", f"latency, single events on an idle system (one look takes {found['look_ms']:.2f} ms)",
                  f"  {'ms':28}{'median':>10}{'p90':>10}{'max':>10}{'aim':>8}"]
        for title, field, aim in (("produced -> in api.ledger", "visible", 100), ("produced -> alert read", "alert", 300)):
            row = found[field]
            lines.append(f"  {title:28}{row['median_ms']:10.1f}{row['p90_ms']:10.1f}{row['max_ms']:10.1f}{aim:8}")
    if "throughput" in report:
        lines += ["", f"throughput, {report['events']:,} events of {EVENT_BYTES} bytes, {report['accounts']:,} accounts (zipf {ZIPF}), "
                      f"{PARTITIONS} partitions; median of {report['repeated']}", *throughput_table(report["throughput"])]
    if "memory" in report:
        found = report["memory"]
        lines += ["", f"memory, PostgreSQL away for {found['outage_s']} s, {found['backlog']:,} events waiting",
                  f"  resident at its start {found['rss_at_outage_mib']:.0f} MiB, at its end "
                  f"{found['rss_end_of_outage_mib']:.0f} MiB, peak of the whole run {found['rss_peak_mib']:.0f} MiB"]
    return lines


def throughput_table(found):
    lines = [f"  {'':16}{'events/s':>10}{'of floor':>10}{'start to end':>14}{'debitd CPU':>12}{'PostgreSQL':>12}{'peak RSS':>10}"
             f"{'alerts':>8}{'others':>8}",
             f"  {'':36}{'s':>14}{'us/event':>12}{'us/event':>12}{'MiB':>10}{'':8}{'CPUs':>8}"]
    least = middle(found["floors"], "rows_per_s")
    for writers in dict.fromkeys(row["writers"] for row in found["rounds"]):
        rows = [row for row in found["rounds"] if row["writers"] == writers]
        rate = middle(rows, "events_per_s")
        lines.append(f"  {f'writers.count={writers}':16}{figure(rate):>10}{figure(rate and rate / least, 2):>10}"
                     f"{figure(middle(rows, 'from_start_s'), 1):>14}{figure(middle(rows, 'daemon_cpu_us'), 1):>12}"
                     f"{figure(middle(rows, 'postgres_cpu_us'), 1):>12}{figure(middle(rows, 'rss_peak_mib')):>10}"
                     f"{figure(middle(rows, 'alerts')):>8}{figure(middle(rows, 'others_processors'), 2):>8}")
    lines.append(f"  {'floor':16}{figure(least):>10}{'1.00':>10}   COPY: ledger {middle(found['floors'], 'ledger_s'):.2f} s,"
                 f" event_key {middle(found['floors'], 'event_key_s'):.2f} s")
    return lines


def commit():
    done = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or None


def build_type():
    for line in (build_folder() / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_BUILD_TYPE:"):
            return line.partition("=")[2]
    return "unknown"


def measure(kafka, postgres, migrated, count, rounds, seed, parts=PARTS, accounts=ACCOUNTS,
            singles=SINGLES):
    """The whole report, as the JSON file has it."""
    with postgres.connect("postgres") as connection:
        version = connection.execute("SHOW server_version").fetchone()[0].split()[0]
    report = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "commit": commit(), "build": build_type(),
              "postgres": version, "kafka": VERSION, "machine": usage.machine(), "events": count, "accounts": accounts,
              "seed": seed, "repeated": rounds}
    prepared = prepare(postgres, migrated, accounts)
    try:
        stream = Stream(seed, count, accounts)
        if "latency" in parts:
            report["latency"] = latency(kafka, postgres, prepared, seed, singles)
        if "throughput" in parts:
            report["throughput"] = throughput(kafka, postgres, prepared, stream, seed, rounds)
        if "memory" in parts:
            report["memory"] = memory(kafka, postgres, prepared, stream, seed)
    finally:
        postgres.drop_database(prepared)
    return report


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        print(f"run: bench: {message}\n\n{self.format_help()}", file=sys.stderr, end="")
        sys.exit(64)


def arguments(words=None):
    parser = Arguments(prog="./run bench", description="Measures debitd on servers of its own. Figures mean something only "
                       "on a machine that does nothing else meanwhile.")
    parser.add_argument("events", nargs="?", type=int, default=200_000, metavar="EVENTS", help="of a round (200000)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of the throughput, the median counts (3)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the stream (1)")
    parser.add_argument("--part", choices=PARTS, help="only this one")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench.json", metavar="FILE",
                        help="the JSON (build/bench.json)")
    given = parser.parse_args(words)
    if given.events < 100 or given.rounds < 1:
        parser.error("at least 100 EVENTS and one round")
    return given


def main():
    given = arguments()
    kafka, postgres = Kafka(), None
    try:
        postgres = Postgres()
        kafka.start()
        postgres.start()
        report = measure(kafka, postgres, migrate_template(postgres, "migrated"), given.events, given.rounds, given.seed,
                         (given.part,) if given.part else PARTS)
    finally:
        kafka.close()
        if postgres:
            postgres.close()
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table(report)) + f"\n\nevery round: {given.output}")


if __name__ == "__main__":
    main()
