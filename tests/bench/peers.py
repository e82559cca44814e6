"""./run bench --peers [EVENTS]: debitd against what a user would pick instead, in one run: one topic, one broker, one PostgreSQL.

Each contender starts on the full topic with a database of its own, round after round in turn, and is watched from outside: when
its first rows are visible, when all are, what it and PostgreSQL used until then. Then its rows are judged: all there, how many
twice, how many costs not the exact amount. In the end each kind is killed once. It reports and never judges a time. The table
is for people; build/peers.json has every single round.
"""

import argparse
import json
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import bench, peers_fetch, usage  # noqa: E402
from tests.bench.figures import figure, middle  # noqa: E402
from tests.bench.ground import PARTITIONS, SERVER, TIMEOUT_S, WATCH_S, fresh_world, prepare  # noqa: E402
from tests.bench.peers_contenders import CarefulScript, Debitd, Script  # noqa: E402
from tests.bench.peers_java import Connect, Flink  # noqa: E402
from tests.bench.stream import ACCOUNTS, EVENT_BYTES, ZIPF, Stream, send  # noqa: E402
from tests.rig.daemon import TOP  # noqa: E402
from tests.rig.kafka import VERSION, Kafka  # noqa: E402
from tests.rig.postgres import Postgres  # noqa: E402
from tests.rig.wait import wait_until  # noqa: E402
from tests.rig.world import migrate_template  # noqa: E402

OURS = [Debitd(1), Debitd(2)]
CRASH_EVENTS = 50_000  # at most, where a contender is killed


def scripts():
    packages = peers_fetch.python_packages()
    return [Script(packages), Script(packages, processes=2)]


def careful_scripts():
    packages = peers_fetch.python_packages()
    return [CarefulScript(packages), CarefulScript(packages, processes=2)]


def connects():
    jars = peers_fetch.jars("connect")
    return [Connect(jars), Connect(jars, tasks=2)]


def flinks():
    return [Flink(peers_fetch.jars("flink"))]


# Each fetches what it needs, the first time, and returns its contenders.
PEERS = {"script": scripts, "careful": careful_scripts, "connect": connects, "flink": flinks}


# -------------------------------------------------------------------- one round

@contextmanager
def contest(kafka, postgres, prepared, seed, name, topic):
    """A world whose usage comes from a topic that is not its own."""
    with fresh_world(kafka, postgres, prepared, seed, name) as world:
        own = world.topics["usage"]
        world.topics["usage"] = world.config["topics"]["usage"] = topic
        try:
            yield world
        finally:
            world.topics["usage"] = own


def when(predicate, what, contender, interval=WATCH_S):
    """(moment before the look that found it so, what was found)."""
    moment = None

    def look():
        nonlocal moment
        contender.check_running()
        moment = time.monotonic()
        return predicate()
    found = wait_until(look, TIMEOUT_S, f"{what} of {contender.title}", dump=contender.tail, interval=interval)
    return moment, found


def race(contender, world, stream):
    """One round of one contender."""
    postmaster, broker = world.postgres.child.pid, world.kafka.brokers[0].child.pid
    contender.prepare(world, stream)
    world.sql("CHECKPOINT")
    count = len(stream.events)
    before = usage.machine_s(), usage.family_s(postmaster), usage.cpu_s(broker)
    began = time.monotonic()
    contender.start()
    try:
        first, visible = when(contender.first_visible, "the first rows", contender)
        warm = contender.cpu_s()
        done, _ = when(contender.all_visible, "all rows", contender)
        when(contender.settled, "everything", contender)
        quiet, ours, server = time.monotonic(), contender.cpu_s(), usage.family_s(postmaster) - before[1]
        others = usage.machine_s() - before[0] - ours - server - (usage.cpu_s(broker) - before[2])
        found = {
            "contender": contender.title, "first_visible_s": first - began, "from_start_s": done - began,
            "events_per_s": (count - visible) / (done - first) if visible < count else None,
            "events_per_s_from_start": count / (done - began),
            "cpu_us": ours / count * 1e6,
            "working_cpu_us": (ours - warm) / (count - visible) * 1e6 if visible < count else None,
            "postgres_cpu_us": server / count * 1e6, "rss_peak_mib": contender.rss_peak_mib(),
            "others_processors": others / (quiet - began),
        }
        return found | contender.judge()
    finally:
        contender.stop()


def rounds(kafka, postgres, prepared, stream, seed, contenders, turns):
    """Every round of every contender; they take turns, so that a change of the machine's mood hits all."""
    found = []
    with fresh_world(kafka, postgres, prepared, seed, "peers topic") as source:
        topic = source.topics["usage"]
        send(kafka, topic, stream.events)
        for turn in range(turns):
            for contender in contenders:
                with contest(kafka, postgres, prepared, seed, f"peers {turn}", topic) as world:
                    found.append(race(contender, world, stream))
                    print(f"  round {turn + 1}, {contender.title}: {found[-1]['from_start_s']:.1f} s", flush=True)
    return found


# -------------------------------------------------------------------- a crash

def crash(contender, world, stream):
    """How many events are booked once too often after kill -9 of it and the broker, at the one moment that tells: PostgreSQL has
    committed, and no word of it can have reached the broker."""
    contender.prepare(world, stream)
    with world.postgres.connect(world.name, autocommit=False) as blocker:
        blocker.execute(f"LOCK TABLE {contender.TABLE} IN EXCLUSIVE MODE")
        contender.start()
        when(lambda: world.value("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                                 " WHERE NOT granted AND datname = current_database()"), "the first insert", contender)
        world.kafka.kill()
    try:
        when(contender.first_visible, "the first rows", contender)
        contender.kill()
    finally:
        world.kafka.start()
    contender.start()
    try:
        when(contender.caught_up, "all rows and offsets after the crash", contender, interval=0.5)
        return contender.surplus()
    finally:
        contender.stop()


def crashes(kafka, postgres, prepared, stream, seed, contenders):
    """{title: events booked once too often} of one contender of each kind."""
    found = {}
    for contender in {type(each): each for each in reversed(contenders)}.values():
        with fresh_world(kafka, postgres, prepared, seed, "peers crash") as world:
            send(kafka, world.topics["usage"], stream.events)
            found[contender.title] = crash(contender, world, stream)
            print(f"  kill -9, {contender.title}", flush=True)
    return found


# -------------------------------------------------------------------- the report

def ratio(ours, theirs, digits=1):
    return "-" if None in (ours, theirs) or not theirs else f"{ours / theirs:.{digits}f}"


def table(report):
    """What people read: a list of lines."""
    machine, found = report["machine"], report["rounds"]
    of = {each["title"]: [row for row in found if row["contender"] == each["title"]] for each in report["contenders"]}
    ours = [title for title in of if title.startswith("debitd")]
    lines = [f"{machine['processors']} x {machine['model']}, {machine['memory_mib']} MiB, load average "
             f"{machine['load_average']:.2f} before; Kafka {VERSION}, PostgreSQL {report['postgres']}, fsync and "
             f"synchronous_commit on; build {report['build']}",
             "", f"{report['events']:,} events of {EVENT_BYTES} bytes, {report['accounts']:,} accounts (zipf {ZIPF}), "
             f"{PARTITIONS} partitions, one topic for all; median of {report['repeated']}",
             f"  {'':18}{'events/s':>10}{'from start':>12}{'first row':>11}{'CPU':>9}{'working':>9}{'PostgreSQL':>12}"
             f"{'peak RSS':>10}{'others':>8}",
             f"  {'':18}{'':>10}{'events/s':>12}{'s':>11}{'us/event':>9}{'us/event':>9}{'us/event':>12}{'MiB':>10}{'CPUs':>8}"]
    for title, rows in of.items():
        lines.append(f"  {title:18}{figure(middle(rows, 'events_per_s')):>10}"
                     f"{figure(middle(rows, 'events_per_s_from_start')):>12}{figure(middle(rows, 'first_visible_s'), 1):>11}"
                     f"{figure(middle(rows, 'cpu_us'), 1):>9}{figure(middle(rows, 'working_cpu_us'), 1):>9}"
                     f"{figure(middle(rows, 'postgres_cpu_us'), 1):>12}{figure(middle(rows, 'rss_peak_mib')):>10}"
                     f"{figure(middle(rows, 'others_processors'), 2):>8}")
    lines += ["", "debitd / peer: events/s once rows flow, and CPU an event (debitd's whole, the peer's once rows flow)",
              f"  {'':18}" + "".join(f"{title:>20}{'CPU':>7}" for title in ours)]
    for title, rows in of.items():
        if title not in ours:
            lines.append(f"  {title:18}" + "".join(
                f"{ratio(middle(of[our], 'events_per_s'), middle(rows, 'events_per_s')):>20}"
                f"{ratio(middle(of[our], 'cpu_us'), middle(rows, 'working_cpu_us'), 2):>7}" for our in ours))
    lines += ["", "what each was told, and what it leaves to its user"]
    for each in report["contenders"]:
        last = of[each["title"]][-1]
        costs = "no cost" if last["inexact_costs"] is None else f"{last['inexact_costs']:,} costs not the exact amount"
        killed = report["crashes"].get(each["title"])
        lines += [f"  {each['title']}: {each['settings']}", f"      lacks {each['lacks']}",
                  f"      {last['rows']:,} rows of {report['unique']:,} events, {last['booked_twice']:,} booked twice; {costs}"
                  + ("" if killed is None else f"; {killed:,} events once more after kill -9")]
    return lines


def measure(kafka, postgres, migrated, count, turns, seed, contenders, accounts=ACCOUNTS):
    """The whole report, as the JSON file has it."""
    stream = Stream(seed, count, accounts)
    report = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "commit": bench.commit(),
              "build": bench.build_type(), "postgres": postgres.sql("SHOW server_version")[0][0].split()[0], "kafka": VERSION,
              "machine": usage.machine(), "events": count, "unique": stream.unique, "accounts": accounts, "seed": seed,
              "repeated": turns, "contenders": [{"title": each.title, "settings": each.settings, "lacks": each.LACKS}
                                                for each in contenders]}
    prepared = prepare(postgres, migrated, accounts, "peers")
    try:
        report["rounds"] = rounds(kafka, postgres, prepared, stream, seed, contenders, turns)
        short = Stream(seed, min(count, CRASH_EVENTS), accounts)
        report["crashes"] = crashes(kafka, postgres, prepared, short, seed, contenders)
    finally:
        postgres.drop_database(prepared)
    return report


def arguments(words=None):
    parser = bench.Arguments(prog="./run bench --peers", description="Measures debitd and what a user would pick instead, on "
                             "servers of its own. Figures mean something only on a machine that does nothing else meanwhile.")
    parser.add_argument("events", nargs="?", type=int, default=1_000_000, metavar="EVENTS", help="of a round (1000000)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each, the median counts (3)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the stream (1)")
    parser.add_argument("--only", choices=PEERS, help="debitd and this one")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "peers.json", metavar="FILE",
                        help="the JSON (build/peers.json)")
    given = parser.parse_args(words)
    if given.events < 100 or given.rounds < 1:
        parser.error("at least 100 EVENTS and one round")
    return given


def main():
    given = arguments()
    contenders = list(OURS)
    for name in [given.only] if given.only else PEERS:
        contenders += PEERS[name]()
    kafka, postgres = Kafka(), None
    try:
        postgres = Postgres(SERVER)
        kafka.start()
        postgres.start()
        report = measure(kafka, postgres, migrate_template(postgres, "migrated"), given.events, given.rounds, given.seed,
                         contenders)
    finally:
        kafka.close()
        if postgres:
            postgres.close()
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print("\n" + "\n".join(table(report)) + f"\n\nevery round: {given.output}")


if __name__ == "__main__":
    main()
