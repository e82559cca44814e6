"""./run bench [EVENTS]: how fast debitd is, and what it costs, on a real Kafka and a real PostgreSQL that make every COMMIT durable.

Parts: latency (latency.py), throughput against the floor and raw consumption (throughput.py), the profile by phase, memory
while PostgreSQL is away (memory.py), and, only where asked for, growth (growth.py). docs/performance.md says what each
figure means.

It reports and never judges a time. What it does demand is that the books are right: each event booked once, each
duplicate counted. The table is for people; build/bench.json has every single round.
"""

import argparse
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import usage  # noqa: E402
from tests.bench.ground import SERVER, prepare  # noqa: E402
from tests.bench.growth import CASES, growth  # noqa: E402
from tests.bench.latency import SINGLES, crossings, edges, latency  # noqa: E402
from tests.bench.memory import memory  # noqa: E402
from tests.bench.report import table  # noqa: E402
from tests.bench.stream import ACCOUNTS, Stream  # noqa: E402
from tests.bench.throughput import profile, throughput  # noqa: E402
from tests.rig.daemon import TOP, build_folder  # noqa: E402
from tests.rig.kafka import VERSION, Kafka  # noqa: E402
from tests.rig.postgres import Postgres  # noqa: E402
from tests.rig.world import migrate_template  # noqa: E402

PARTS = ("latency", "throughput", "profile", "memory")
ON_REQUEST = ("growth",)  # hours in its whole size
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def commit():
    done = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or None


def build_type():
    for line in (build_folder() / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_BUILD_TYPE:"):
            return line.partition("=")[2]
    return "unknown"


def measure(kafka, postgres, migrated, count, rounds, seed, parts=PARTS, accounts=ACCOUNTS, singles=SINGLES, cases=(),
            entries=None, settings=tuple(SERVER)):
    """The whole report, as the JSON file has it. `settings`: names of the server's that it tells."""
    with postgres.connect("postgres") as connection:
        version = connection.execute("SHOW server_version").fetchone()[0].split()[0]
        told = {name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0] for name in settings}
    report = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "commit": commit(), "build": build_type(),
              "postgres": version, "settings": told, "kafka": VERSION, "machine": usage.machine(), "events": count, "accounts": accounts,
              "seed": seed, "repeated": rounds}
    if set(parts) - set(ON_REQUEST):
        more = [("still", "assistant-business")] + edges(crossings(count, singles))
        prepared, stream = prepare(postgres, migrated, accounts, more=more), Stream(seed, count, accounts)
        try:
            if "latency" in parts:
                report["latency"] = latency(kafka, postgres, prepared, seed, count, accounts, singles)
            if "throughput" in parts:
                report["throughput"] = throughput(kafka, postgres, prepared, stream, seed, rounds)
            if "profile" in parts:
                report["profile"] = profile(kafka, postgres, prepared, stream, seed)
            if "memory" in parts:
                report["memory"] = memory(kafka, postgres, prepared, stream, seed)
        finally:
            postgres.drop_database(prepared)
    if "growth" in parts:
        report["growth"] = growth(kafka, postgres, migrated, count, seed, cases, entries, accounts)
    return report


def setting(words):
    """(name, value) of NAME=VALUE."""
    name, is_one, value = words.partition("=")
    if not (is_one and name and value) or name in DURABLE:
        raise argparse.ArgumentTypeError(f"{words!r}: NAME=VALUE, and none of {', '.join(DURABLE)}, which stay on")
    return name, value


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        print(f"run: bench: {message}\n\n{self.format_help()}", file=sys.stderr, end="")
        sys.exit(64)


def arguments(words=None):
    parser = Arguments(prog="./run bench", description="Measures debitd on servers of its own. Figures mean something only "
                       "on a machine that does nothing else meanwhile.")
    parser.add_argument("events", nargs="?", type=int, default=200_000, metavar="EVENTS",
                        help="of a round (200000); growth has the sizes of its cases' names from 1000000 on")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of the throughput, the median counts (3)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the stream (1)")
    parser.add_argument("--part", choices=PARTS + ON_REQUEST, help=f"only this one (all but {', '.join(ON_REQUEST)})")
    parser.add_argument("--case", action="append", choices=CASES, default=[], metavar="NAME",
                        help=f"of growth, beside base; may be repeated (all): {', '.join(CASES)}")
    parser.add_argument("--entries", type=int, metavar="N", help="present in the cases that are named, instead of their own")
    parser.add_argument("--postgres", action="append", type=setting, default=[], metavar="NAME=VALUE",
                        help="a setting of PostgreSQL; may be repeated ("
                             + ", ".join(f"{name}={value}" for name, value in SERVER.items()) + ")")
    parser.add_argument("--output", type=Path, default=TOP / "build" / "bench.json", metavar="FILE",
                        help="the JSON (build/bench.json)")
    given = parser.parse_args(words)
    if given.events < 100 or given.rounds < 1:
        parser.error("at least 100 EVENTS and one round")
    if given.case and given.part != "growth":
        parser.error("--case is of --part growth")
    if given.entries is not None and (not given.case or given.entries < 0):
        parser.error("--entries takes a number of entries and is of the cases that --case names")
    return given


def main():
    given = arguments()
    kafka, postgres, settings = Kafka(), None, {**SERVER, **dict(given.postgres)}
    try:
        postgres = Postgres(settings)
        kafka.start()
        postgres.start()
        report = measure(kafka, postgres, migrate_template(postgres, "migrated"), given.events, given.rounds, given.seed,
                         (given.part,) if given.part else PARTS, cases=given.case, entries=given.entries, settings=settings)
    finally:
        kafka.close()
        if postgres:
            postgres.close()
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table(report)) + f"\n\nevery round: {given.output}")


if __name__ == "__main__":
    main()
