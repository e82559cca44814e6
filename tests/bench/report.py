"""The report of a benchmark as people read it: a list of lines. build/bench.json has every round of what is a median here."""

from statistics import median

from tests.bench.figures import figure, middle, spread
from tests.bench.ground import PARTITIONS
from tests.bench.latency import RATE
from tests.bench.stream import EVENT_BYTES, ZIPF
from tests.bench.targets import targets


def table(report):
    machine, settings = report["machine"], ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    lines = [f"{machine['processors']} x {machine['model']}, {machine['memory_mib']} MiB, load average {machine['load_average']:.2f}"
             f" before; Kafka {report['kafka']}, PostgreSQL {report['postgres']} with {settings}, "
             f"fsync and synchronous_commit on; build {report['build']}"]
    for part, write in (("latency", latency), ("throughput", throughput), ("profile", profile), ("memory", memory),
                        ("growth", growth)):
        if part in report:
            lines += ["", *write(report, report[part])]
    aims = [f"  {what:48}{aim:>12}  {measured}" for what, aim, measured in targets(report)]
    return lines + (["", "what it is aimed at, on two processors, and what was measured", *aims] if aims else [])


def latency(report, found):
    lines = [f"latency, single events on an idle system (one look takes {found['look_ms']:.2f} ms), then {RATE:,} events/s"
             f" (one turn {found['at_rate']['turn']['p50_ms']:.1f}, 99th {found['at_rate']['turn']['p99_ms']:.1f} ms)",
             f"  {'ms':36}{'n':>8}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}"]
    for title, row in (("alone: produced -> in api.ledger", found["visible"]),
                       ("alone: produced -> alert read", found["alert"]),
                       ("at rate: produced -> acknowledged", found["at_rate"]["acknowledged"]),
                       ("at rate: from then -> in api.ledger", found["at_rate"]["booked"]),
                       ("at rate: produced -> in api.ledger", found["at_rate"]["visible"]),
                       ("at rate: crossing -> alert read", found["at_rate"]["alert"])):
        lines.append(f"  {title:36}{row['n']:8,}{row['p50_ms']:9.1f}{row['p99_ms']:9.1f}{row['p999_ms']:9.1f}{row['max_ms']:9.1f}")
    return lines


def throughput(report, found):
    lines = [f"throughput, {report['events']:,} events of {EVENT_BYTES} bytes, {report['accounts']:,} accounts (zipf {ZIPF}), "
             f"{PARTITIONS} partitions; median (least..most) of {report['repeated']}",
             f"  {'':18}{'events/s':>26}{'of floor':>20}{'of raw':>8}{'start to end':>14}{'peak RSS':>10}{'alerts':>8}{'others':>8}",
             f"  {'':72}{'s':>14}{'MiB':>10}{'':8}{'CPUs':>8}"]
    reading = middle(found["raw"], "events_per_s")
    configurations = {row["writers"]: [each for each in found["rounds"] if each["writers"] == row["writers"]]
                      for row in found["rounds"]}
    for writers, rows in configurations.items():
        rate = middle(rows, "events_per_s")
        lines.append(f"  {f'writers.count={writers}':18}{spread(rows, 'events_per_s'):>26}{spread(rows, 'of_floor', digits=2):>20}"
                     f"{figure(rate and rate / reading, 2):>8}{figure(middle(rows, 'from_start_s'), 1):>14}"
                     f"{figure(middle(rows, 'rss_peak_mib')):>10}{figure(middle(rows, 'alerts')):>8}{figure(middle(rows, 'others_processors'), 2):>8}")
    lines += [f"  {'floor':18}{spread(found['floors'], 'rows_per_s'):>26}   one COPY of the same rows: ledger "
              f"{figure(middle(found['floors'], 'ledger_s'), 2)} s, event_key {figure(middle(found['floors'], 'event_key_s'), 2)} s",
              f"  {'raw consumption':18}{spread(found['raw'], 'events_per_s'):>26}   librdkafka alone, "
              f"{figure(middle(found['raw'], 'cpu_us'), 2)} us of CPU an event"]
    for writers, rows in configurations.items():
        lines += costs(f"an event, writers.count={writers}", rows)
    return lines


def costs(title, rows):
    names = {part: sorted({name for row in rows for name in row[part]}, key=lambda name: -max(row[part].get(name, 0) for row in rows))
             for part in ("threads_us", "backends_us")}

    def each(part):
        return ", ".join(f"{name} {median(row[part].get(name, 0) for row in rows):.2f}" for name in names[part]
                         if median(row[part].get(name, 0) for row in rows) >= 0.01) or "below the clock's tick"
    return [f"  {title}:",
            f"    debitd CPU {figure(middle(rows, 'daemon_cpu_us'), 2)} us: {each('threads_us')}",
            f"    PostgreSQL CPU {figure(middle(rows, 'postgres_cpu_us'), 2)} us: {each('backends_us')}; Kafka "
            f"{figure(middle(rows, 'broker_cpu_us'), 2)} us",
            f"    bytes: WAL {figure(middle(rows, 'bytes', 'wal'))}, entries {figure(middle(rows, 'bytes', 'heap'))} and their indexes "
            f"{figure(middle(rows, 'bytes', 'index'))}, keys {figure(middle(rows, 'bytes', 'keys'))}"]


def profile(report, found):
    lines = [f"profile, {report['events']:,} events, us an event of a writer's time (of it CPU of its own; the rest waits for PostgreSQL)"]
    for row in found:
        lines += [f"  writers.count={row['writers']}: {figure(row['events_per_s'])} events/s",
                  f"    {'librdkafka':14}{'':9}{row['threads_us'].get('librdkafka', 0):9.2f}"]
        for name, phase in row["phases"].items():
            wall = f"{phase['wall_us']:9.2f}" if phase["thread"] == "writer" else " " * 9
            if phase["times"]:
                lines.append(f"    {name:14}{wall}{phase['cpu_us']:9.2f}")
    return lines


def memory(report, found):
    return [f"memory, PostgreSQL away for {found['outage_s']} s, {found['backlog']:,} events waiting",
            f"  resident at its start {found['rss_at_outage_mib']:.0f} MiB, at its end "
            f"{found['rss_end_of_outage_mib']:.0f} MiB, peak of the whole run {found['rss_peak_mib']:.0f} MiB"]


def growth(report, found):
    lines = ["growth, one thing changed in each case",
             f"  {'':16}{'events':>11}{'present':>12}{'accounts':>10}{'events/s':>10}{'of base':>9}{'debitd':>9}{'PostgreSQL':>12}"
             f"{'first':>8}{'peak RSS':>10}{'alerts':>10}",
             f"  {'':68}{'us CPU':>9}{'us CPU':>12}{'s':>8}{'MiB':>10}"]
    for row in found:
        lines.append(f"  {row['case']:16}{row['events']:11,}{row['entries']:12,}{row['accounts']:10,}{figure(row['events_per_s']):>10}"
                     f"{figure(row['of_base'], 2):>9}{row['daemon_cpu_us']:9.2f}{row['postgres_cpu_us']:12.2f}{row['first_s']:8.1f}"
                     f"{row['rss_peak_mib']:10.0f}{row['alerts']:10,}")
    lines += ["  answers, p50 and p99 in ms:", f"  {'':16}" + "".join(f"{what:>18}" for what in found[0]["answers"])]
    for row in found:
        pairs = (f"{answer['p50_ms']:.2f} {answer['p99_ms']:.2f}" for answer in row["answers"].values())
        lines.append(f"  {row['case']:16}" + "".join(f"{pair:>18}" for pair in pairs))
    return lines
