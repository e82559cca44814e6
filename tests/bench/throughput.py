"""A backlog is consumed by a fresh daemon; beside it, in the same round, what bounds it.

The floor: COPY of the very same entries and keys into empty tables with the same indexes, over one connection. Raw
consumption: librdkafka reads the topic and does nothing with it. The profile is of debitd_profile, the same sources
with a clock between their steps.
"""

import json
import subprocess
import time
from collections import Counter

from tests.bench import usage
from tests.bench.ground import Watch, check_books, fresh_world, usage_entries, wait_settled
from tests.bench.stream import send
from tests.rig.daemon import build_folder

WRITERS = (1, 2)   # writers.count: the default, and one for each of two processors


class Costs:
    """What the servers and the daemons spend between begin() and end(), and what the database grows by."""

    LEAVES = ("SELECT pg_relation_size(l) AS heap, pg_indexes_size(l) AS index, pg_total_relation_size(k) AS keys,"
              " pg_current_wal_lsn() - '0/0'::pg_lsn AS wal FROM (SELECT ('debitd.ledger_' || m)::regclass AS l,"
              " ('debitd.event_key_' || m)::regclass AS k FROM (SELECT to_char(month, 'YYYY_MM') AS m FROM debitd.books) b) t")

    def __init__(self, world, sql):
        self.world, self.sql = world, sql
        self.postmaster, self.broker = world.postgres.child.pid, world.kafka.brokers[0].child.pid
        world.sql("CHECKPOINT")
        self.sizes, self.backends = world.sql(self.LEAVES)[0], usage.backends_s(sql)
        self.server, self.broker_s, self.machine = self.spent()
        self.began = time.monotonic()

    def spent(self):
        return usage.family_s(self.postmaster), usage.cpu_s(self.broker), usage.machine_s()

    def end(self, daemons, events):
        """Per event; `others_processors`: CPUs that something else was using."""
        took = time.monotonic() - self.began
        pids = [daemon.child.pid for daemon in daemons]
        ours = sum(map(usage.cpu_s, pids))
        server, broker, machine = (now - before for now, before in
                                   zip(self.spent(), (self.server, self.broker_s, self.machine)))
        backends, threads = Counter(), Counter()
        for key, seconds in usage.backends_s(self.sql).items():
            backends[key[1]] += seconds - self.backends.get(key, 0)
        server -= sum(backends.pop(own, 0) for own in ("bench", "client backend"))  # of the daemon's each has a name
        for pid in pids:
            threads.update(usage.threads_s(pid))
        sizes = self.world.sql(self.LEAVES)[0]
        return {
            "daemon_cpu_us": ours / events * 1e6, "postgres_cpu_us": server / events * 1e6,
            "broker_cpu_us": broker / events * 1e6, "others_processors": (machine - ours - server - broker) / took,
            "threads_us": {name: seconds / events * 1e6 for name, seconds in threads.items()},
            "backends_us": {name: seconds / events * 1e6 for name, seconds in backends.items() if seconds},
            "bytes": {name: float(sizes[name] - before) / events for name, before in self.sizes.items()},
            "rss_peak_mib": max(usage.memory_kib(pid)[1] for pid in pids) / 1024,
        }


def consume(world, stream, writers=WRITERS[0], daemons=1, booked=0, program="debitd", env=None):
    """One round: the backlog is there, behind `booked` messages; the daemons start. Leaves them stopped."""
    watch = Watch(world, booked + len(stream), booked)
    batches, alerts = "SELECT count(*) FROM debitd.batch", "SELECT count(*) FROM api.alert"
    opened, raised, present = world.value(batches), world.value(alerts), usage_entries(world)
    costs = Costs(world, watch.sql)
    began = time.monotonic()
    world.start(daemons, wait=False, program=program, env=env, writers={"count": writers})
    started = world.daemons[-daemons:]
    watch.wait()
    done = time.monotonic()
    wait_settled(world)
    found = {"writers": writers, "daemons": daemons, "events_per_s": watch.rate(), "first_s": watch.moves[0][0] - began,
             "from_start_s": done - began, "settled_s": time.monotonic() - done, "moves": len(watch.moves),
             **costs.end(started, len(stream)), "alerts": world.value(alerts) - raised,
             "transactions": world.value(batches) - opened}
    check_books(world, stream, booked, present)
    for daemon in started:
        daemon.stop()
    watch.close()
    return found


# -------------------------------------------------------------------- what bounds it

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


def raw(world, stream):
    """librdkafka alone, from the first message to the last."""
    done = subprocess.run([build_folder() / "tests" / "raw_consumer", world.kafka.bootstrap, world.topics["usage"],
                           str(world.partitions["usage"]), str(len(stream))], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"raw consumption failed: {done.stderr}")
    found = json.loads(done.stdout)
    return {"events_per_s": len(stream) / found["seconds"], "cpu_us": found["cpu_s"] / len(stream) * 1e6,
            "event_bytes": found["bytes"] / len(stream)}


def throughput(kafka, postgres, prepared, stream, seed, rounds):
    """{"rounds": […], "floors": […], "raw": […]}; the configurations take turns, so that a change of the machine's mood hits
    all. `of_floor` of a round is against the floor of its own turn."""
    found = {"rounds": [], "floors": [], "raw": []}
    for turn in range(rounds):
        for count in WRITERS:
            with fresh_world(kafka, postgres, prepared, seed, f"bench {turn} {count}") as world:
                send(kafka, world.topics["usage"], stream)
                row = consume(world, stream, count)
                if count == WRITERS[0]:
                    found["floors"].append(floor(world, stream))
                    found["raw"].append(raw(world, stream))
            rate = row["events_per_s"]
            row["of_floor"] = rate and rate / found["floors"][-1]["rows_per_s"]
            found["rounds"].append(row)
    return found


# -------------------------------------------------------------------- by phase

def profile(kafka, postgres, prepared, stream, seed):
    """[{"writers": …, "phases": {phase: {"wall_us": …, "cpu_us": … an event, "times": …}}, …}], a round of each configuration."""
    found = []
    for count in WRITERS:
        with fresh_world(kafka, postgres, prepared, seed, f"bench profile {count}") as world:
            send(kafka, world.topics["usage"], stream)
            path = world.folder / "phases.json"
            row = consume(world, stream, count, program="tests/debitd_profile", env={"DEBITD_PROFILE": str(path)})
            phases = json.loads(path.read_text())
        for phase in phases.values():
            phase["wall_us"] /= len(stream)
            phase["cpu_us"] /= len(stream)
        found.append({**row, "phases": phases})
    return found
