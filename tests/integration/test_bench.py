"""./run bench in small: it still runs, its books are right, and its report holds what people and programs look for in it."""

import json
import uuid
from collections import Counter
from statistics import median
from types import SimpleNamespace

import pytest

from tests.bench import bench, figures, ground, growth, present, stream, targets
from tests.bench.stream import AlertingStream, Stream, alerting
from tests.rig.daemon import TOP

EVENTS = 1000
TICK_US = 10_000  # of the clock that processes are charged by
PHASES = {"consume", "decode", "rate", "dedup", "copy keys", "copy entries", "upsert", "commit"}
CASES = ("entries-10m", "uuid7-30m", "alerts")


@pytest.fixture(scope="module")
def report(kafka, postgres, migrated):
    return bench.measure(kafka, postgres, migrated, count=EVENTS, rounds=1, seed=7, parts=("latency", "throughput", "profile"),
                         accounts=100, singles=2)


@pytest.fixture(scope="module")
def grown(kafka, postgres, migrated):
    return bench.measure(kafka, postgres, migrated, count=EVENTS, rounds=1, seed=7, parts=("growth",), accounts=100,
                         cases=CASES)


def words_of(report):
    return [line.split()[0] for line in bench.table(json.loads(json.dumps(report))) if line]


def test_a_small_bench_measures_both_configurations_the_floor_and_raw_consumption_side_by_side(report):
    found = report["throughput"]
    assert [row["writers"] for row in found["rounds"]] == [1, 2]
    assert [row["rows_per_s"] > 0 for row in found["floors"]] == [True]
    assert [row["events_per_s"] > 0 and row["event_bytes"] == 340 for row in found["raw"]] == [True]
    for row in found["rounds"]:
        assert row["from_start_s"] >= row["first_s"] > 0 and row["rss_peak_mib"] > 1 and row["transactions"] > 0


@pytest.mark.unwrapped
def test_a_small_bench_tells_cpu_by_thread_and_session_and_bytes_by_table(report):
    for row in report["throughput"]["rounds"]:
        assert {"debitd", "source", "writer", "accounts", "keeper", "relay", "librdkafka"} <= row["threads_us"].keys()
        # threads that ended, and ticks that a thread has not filled, are in the whole only
        assert sum(row["threads_us"].values()) <= row["daemon_cpu_us"] + 5 * TICK_US / EVENTS
        assert all(us > 0 for us in row["backends_us"].values()) and "bench" not in row["backends_us"]
        assert row["bytes"]["wal"] > 100 and row["bytes"]["heap"] > 100 and row["bytes"]["keys"] > 16
        assert row["bytes"]["index"] >= 0


def test_a_small_bench_has_a_time_for_every_phase_of_a_batch(report):
    assert [row["writers"] for row in report["profile"]] == [1, 2]
    for row in report["profile"]:
        phases = row["phases"]
        assert PHASES <= phases.keys()
        assert all(phases[name]["wall_us"] > 0 and phases[name]["times"] > 0 for name in PHASES)
        assert phases["rate"]["cpu_us"] > 0
        assert phases["copy entries"]["times"] == phases["commit"]["times"] >= row["transactions"]


def test_a_small_bench_measures_the_latency_alone_and_at_a_rate(report):
    found = report["latency"]
    counted = EVENTS - EVENTS // 4  # behind those that warm the broker up
    for row, count in ((found["visible"], 2), (found["alert"], 2), (found["at_rate"]["visible"], counted),
                       (found["at_rate"]["acknowledged"], counted), (found["at_rate"]["alert"], counted // 40)):
        assert row["n"] == count and 0 < row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"] <= row["max_ms"]
    assert 0 < found["at_rate"]["booked"]["max_ms"] <= found["at_rate"]["visible"]["max_ms"]
    assert 0 < found["at_rate"]["events_per_s"] < 4000


def test_the_benchs_table_has_a_line_for_each_figure_and_its_json_holds_the_same(report, grown):
    for word in ("latency,", "alone:", "at", "throughput,", "writers.count=1", "writers.count=2", "floor", "raw", "debitd",
                 "PostgreSQL", "bytes:", "profile,", "librdkafka", *(phase.split()[0] for phase in PHASES)):
        assert word in words_of(report)
    for word in ("growth,", "base", "answers,", *CASES):
        assert word in words_of(grown)


def test_the_bench_takes_settings_of_postgres_and_tells_what_the_server_has(report):
    assert bench.arguments(["--postgres", "wal_compression=lz4", "--postgres", "max_wal_size=16GB"]).postgres == [
        ("wal_compression", "lz4"), ("max_wal_size", "16GB")]
    assert "with shared_buffers 128MB, max_wal_size 1GB, checkpoint_timeout 5min, fsync" in bench.table(report)[0]


def test_the_benchs_table_ends_with_what_it_is_aimed_at_as_far_as_it_was_measured(report, grown):
    aims = {what: (aim, measured) for what, aim, measured in targets.targets({**report, **grown})}
    assert aims["end to end / floor, writers.count=1"][0] == ">= 0.65"
    assert aims["daemon CPU an event"][1].startswith(f"{median(cpu_of(report, writers=1)):,.2f} us, of which librdkafka")
    assert aims[f"check_usage with {10 * EVENTS:,} entries, p99"][0] == "<= 2 ms"
    assert not [what for what in aims if "hot" in what or "backlog" in what]
    assert bench.table(report)[-1].split()[:5] == ["at", "2,000", "events/s:", "p99", "alert"]


def cpu_of(report, writers):
    return [row["daemon_cpu_us"] for row in report["throughput"]["rounds"] if row["writers"] == writers]


def test_a_case_of_growth_is_measured_against_the_base_of_its_run_and_asks_what_api_promises(grown):
    rows = grown["growth"]
    assert [row["case"] for row in rows] == ["base", *(name for case in CASES for name in (case, "base"))]
    assert [row["entries"] for row in rows] == [0, 10 * EVENTS, 0, 30 * EVENTS, 0, 0, 0]
    for row in rows:
        assert row["of_base"] is None or row["of_base"] > 0
        assert row["answers"].keys() == {"history page", "thread usage", "balance", "check_usage"}
        assert all(0 < answer["p50_ms"] <= answer["p99_ms"] for answer in row["answers"].values())
    assert [row["alerts"] == EVENTS for row in rows] == 5 * [False] + [True, False]


def test_a_case_of_growth_is_held_against_the_bases_beside_it(monkeypatch):
    rates = iter((100, 60, 200, None, 300))
    monkeypatch.setattr(growth, "prepare", lambda *_: "made")
    monkeypatch.setattr(growth, "run", lambda kafka, postgres, made, name, case, seed: {"case": name, "events_per_s": next(rates)})
    rows = growth.growth(None, SimpleNamespace(drop_database=lambda name: None), None, 1000, 7, ("hot", "uuid7-30m"))
    assert [(row["case"], row["of_base"]) for row in rows] == [
        ("base", 1), ("hot", 0.4), ("base", 2), ("uuid7-30m", None), ("base", 3)]


def test_the_sizes_of_growth_are_those_of_the_names_from_a_million_events_on():
    assert growth.sized(growth.CASES["entries-30m"], 1_000_000).entries == 30_000_000
    assert growth.sized(growth.CASES["entries-30m"], 5_000_000).entries == 30_000_000
    assert growth.sized(growth.CASES["accounts-1m"], 100_000).accounts == 100_000
    assert growth.sized(growth.CASES["backlog-10m"], 100_000).events == 1_000_000
    assert growth.sized(growth.CASES["hot"], 100_000, entries=5).entries == 5


def test_accounts_that_the_bench_copies_are_as_if_each_had_been_opened(kafka, postgres, migrated):
    prepared = ground.prepare(postgres, migrated, accounts=60, name="bench_copies")
    try:
        with ground.fresh_world(kafka, postgres, prepared, 7, "bench copies") as world:
            assert world.value("SELECT count(*) FROM api.account") == 60
            assert world.value("SELECT count(*) FROM api.balance WHERE balance = 2500") == 9  # assistant-pro
            world.verify()
    finally:
        postgres.drop_database(prepared)


def test_entries_that_the_bench_copies_have_the_indexes_that_were_there(kafka, postgres, migrated):
    prepared = ground.prepare(postgres, migrated, accounts=60, name="bench_entries")
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'debitd' ORDER BY 1"
    try:
        with ground.fresh_world(kafka, postgres, prepared, 7, "bench entries") as world:
            before = world.sql(indexes)
            events = Stream(7, 50, accounts=60, resent_percent=0)
            stream.send(kafka, world.topics["usage"], events)
            world.start()
            ground.Watch(world, 50).wait()
            with postgres.connect(world.name) as connection:
                present.add_entries(connection, 123)
            assert world.sql(indexes) == before
            assert ground.usage_entries(world) == 173
            assert world.value("SELECT count(DISTINCT thread_id) FROM api.ledger WHERE thread_id LIKE '%.1'") > 0  # of the second round
            assert world.value("SELECT count(DISTINCT entry_id) FROM debitd.event_key WHERE entry_id IN"
                               " (SELECT entry_id FROM debitd.ledger WHERE type = 'usage')") == 173
    finally:
        postgres.drop_database(prepared)


def test_quantiles_are_values_that_were_measured_and_a_median_of_nothing_is_none():
    found = figures.quantiles([ms / 1000 for ms in range(2000, 0, -1)])
    assert {name: round(ms) for name, ms in found.items()} == {
        "n": 2000, "p50_ms": 1000, "p90_ms": 1800, "p99_ms": 1980, "p999_ms": 1998, "max_ms": 2000}
    assert figures.spread([{"a": {"b": 3}}, {"a": {"b": 1000}}, {"a": {"b": 5}}], "a", "b", digits=1) == "5.0 (3.0..1,000.0)"
    assert figures.middle([{"a": 1}, {"a": None}], "a") is None and figures.figure(None) == "-"


def test_bench_refuses_books_that_lack_an_event(world):
    with pytest.raises(RuntimeError, match="the books are wrong"):
        ground.check_books(world, Stream(7, 100, accounts=10))


def test_the_benchs_stream_is_the_same_for_a_seed_and_resends_one_in_a_hundred():
    one, two = (Stream(7, 5000) for _ in range(2))
    assert one.unique == 4950
    assert len({json.loads(value)["id"] for _, value in one}) == 4950
    assert {len(value) for _, value in one} == {340}
    assert [key for key, _ in one] == [key for key, _ in two]
    assert len({json.loads(value)["data"].get("model") for _, value in one}) == 23  # and events without one


def test_ids_of_the_benchs_stream_tell_their_time_where_that_is_wanted():
    found = [json.loads(value) for _, value in Stream(7, 5000, uuid7=True)]
    assert len({event["id"] for event in found}) == 4950 and {len(value) for _, value in Stream(7, 5000, uuid7=True)} == {340}
    ids = [uuid.UUID(event["id"]) for event in found]
    assert {id.version for id in ids} == {7} and {id.variant for id in ids} == {uuid.RFC_4122}
    assert 99 <= (ids[-1].int >> 80) - (ids[0].int >> 80) <= 100  # ms


def test_another_part_of_the_benchs_stream_is_of_the_accounts_that_use_most_and_has_ids_of_its_own():
    one, other = (list(Stream(7, 5000, part=part)) for part in ("events", "before"))
    most, next_most = ({key for key, _ in Counter(key for key, _ in events).most_common(5)} for events in (one, other))
    assert len(most & next_most) >= 3
    assert not {json.loads(value)["id"] for _, value in one} & {json.loads(value)["id"] for _, value in other}


def test_every_event_of_the_stream_that_alerts_crosses_one_threshold_of_its_account():
    used = {}
    for key, value in AlertingStream(7, 640):
        metric = json.loads(value)["data"]["metric"]
        used[key, metric] = used.get((key, metric), 0) + json.loads(value)["data"]["quantity"]
    assert set(used.values()) == {96} and len(used) == 4 * len(alerting(640))


def test_the_benchs_catalogue_is_the_shipped_one_with_more_models():
    text = stream.catalogue((TOP / "etc" / "catalog.conf").read_text(), 2000)
    assert text.count('model = "model-') == 2000 - len(stream.SHIPPED)


@pytest.mark.parametrize("words", (["10"], ["--rounds", "0"], ["--case", "hot"], ["--part", "growth", "--entries", "5"],
                                   ["--part", "nothing"], ["--postgres", "wal_compression"], ["--postgres", "fsync=off"]))
def test_bench_refuses_what_it_cannot_measure_and_says_how_it_is_used(words, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.arguments(words)
    assert ended.value.code == 64 and "usage: ./run bench" in capsys.readouterr().err
