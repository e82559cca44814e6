"""./run bench in small: it still runs, its books are right, and its report holds what people and programs look for in it."""

import json

import pytest

from tests.bench import bench


@pytest.fixture(scope="module")
def report(kafka, postgres, migrated):
    return bench.measure(kafka, postgres, migrated, count=2000, rounds=1, seed=7, parts=("latency", "throughput"),
                         accounts=100, singles=2)


def test_a_small_bench_measures_both_configurations_and_the_floor(report):
    rounds = report["throughput"]["rounds"]
    assert [row["writers"] for row in rounds] == [1, 2]
    for row in rounds:
        assert row["from_start_s"] > 0 and row["daemon_cpu_us"] > 0 and row["postgres_cpu_us"] > 0
        assert row["rss_peak_mib"] > 1 and row["transactions"] > 0
    assert [row["rows_per_s"] > 0 for row in report["throughput"]["floors"]] == [True]


def test_a_small_bench_measures_the_latency_of_entries_and_alerts(report):
    for what in ("visible", "alert"):
        found = report["latency"][what]
        assert found["n"] == 2 and 0 < found["median_ms"] <= found["p90_ms"] <= found["max_ms"]


def test_the_benchs_table_has_a_line_for_each_figure_and_its_json_holds_the_same(report):
    lines = bench.table(json.loads(json.dumps(report)))
    first_words = [line.split()[0] for line in lines if line]
    for word in ("latency,", "produced", "throughput,", "writers.count=1", "writers.count=2", "floor"):
        assert word in first_words


def test_bench_refuses_books_that_lack_an_event(world):
    with pytest.raises(RuntimeError, match="the books are wrong"):
        bench.check_books(world, bench.Stream(7, 100, accounts=10))


def test_the_benchs_stream_is_the_same_for_a_seed_and_resends_one_in_a_hundred():
    one, two = (bench.Stream(7, 5000) for _ in range(2))
    assert one.unique == 4950
    assert len({json.loads(value)["id"] for _, value in one.events}) == 4950
    assert {len(value) for _, value in one.events} == {340}
    assert [key for key, _ in one.events] == [key for key, _ in two.events]
