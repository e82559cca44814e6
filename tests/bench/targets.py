"""What the figures of a report are aimed at, on two processors with everything on one machine: [(what, aim, measured)].

Only what the report has measured. Nothing fails for missing an aim: what a run on a busy machine says proves nothing.
"""

from statistics import median

from tests.bench.figures import figure, middle


def shown(value, digits, unit=""):
    return figure(value, digits) + (unit if value is not None else "")


def of_throughput(found):
    for writers, aim in ((1, 0.65), (2, 1.0)):
        rows = [row for row in found["rounds"] if row["writers"] == writers]
        yield f"end to end / floor, writers.count={writers}", f">= {aim}", figure(middle(rows, "of_floor"), 2)
    rows = [row for row in found["rounds"] if row["writers"] == 1]
    reading = median(row["threads_us"].get("librdkafka", 0) for row in rows)
    yield ("daemon CPU an event", "<= 2 us", f"{shown(middle(rows, 'daemon_cpu_us'), 2, ' us')}, of which librdkafka "
           f"{figure(reading, 2)}")
    yield "peak RSS, 10,000 accounts", "<= 200 MB", shown(max(row["rss_peak_mib"] for row in found["rounds"]), 0, " MiB")


def of_latency(found):
    rate = found["at_rate"]
    yield "at 2,000 events/s: p99 visible", "<= 50 ms", shown(rate["visible"]["p99_ms"], 1, " ms")
    yield "at 2,000 events/s: p99 alert", "<= 150 ms", shown(rate["alert"]["p99_ms"], 1, " ms")


def of_memory(found):
    yield "peak RSS, PostgreSQL away", "<= 200 MB", shown(found["rss_peak_mib"], 0, " MiB")


def of_growth(found):
    rows = {row["case"]: row for row in found}
    for case, what, aim in (("entries-30m", "rate with {entries:,} entries / none", ">= 0.85"),
                            ("hot", "rate of one hot account / spread load", ">= 0.8")):
        if case in rows:
            yield what.format(**rows[case]), aim, figure(rows[case]["of_base"], 2)
    for case, what, aim in (("backlog-10m", "peak RSS, a backlog of {events:,}", "<= 200 MB"),
                            ("accounts-1m", "peak RSS, {accounts:,} accounts", "<= 500 MB")):
        if case in rows:
            yield what.format(**rows[case]), aim, shown(rows[case]["rss_peak_mib"], 0, " MiB")
    if "entries-10m" in rows:
        row = rows["entries-10m"]
        for what, answer in row["answers"].items():
            yield (f"{what} with {row['entries']:,} entries, p99", "<= 2 ms" if what == "check_usage" else "<= 10 ms",
                   shown(answer["p99_ms"], 1, " ms"))


def targets(report):
    found = []
    for part, rows in (("throughput", of_throughput), ("latency", of_latency), ("memory", of_memory), ("growth", of_growth)):
        if part in report:
            found += rows(report[part])
    return found
