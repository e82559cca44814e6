"""./run bench --peers in small, with the scripts alone, which need nothing that a check has not got: orjson, which Debian does
not have, is stood in for by json."""

import json
from contextlib import contextmanager

import pytest

from tests.bench import peers
from tests.bench.peers_contenders import CarefulScript, Debitd, Script
from tests.bench.stream import Stream, send
from tests.rig.wait import wait_until


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    (folder / "orjson.py").write_text("from json import loads\n")
    return folder


@pytest.fixture(scope="module")
def report(kafka, postgres, migrated, packages):
    return peers.measure(kafka, postgres, migrated, count=2000, turns=1, seed=7, accounts=100,
                         contenders=[Debitd(1), Script(packages, 2), CarefulScript(packages, 2)])


@pytest.fixture(scope="module")
def prepared(postgres, migrated):
    return peers.prepare(postgres, migrated, 100, "peers_script")


@contextmanager
def done(contender, kafka, postgres, prepared):
    """The contender has all rows of a small stream."""
    stream = Stream(7, 2000, accounts=100)
    with peers.fresh_world(kafka, postgres, prepared, 7, "peers script") as world:
        send(kafka, world.topics["usage"], stream.events)
        contender.prepare(world, stream)
        contender.start()
        wait_until(contender.all_visible, 60, "all rows", dump=contender.tail)
        yield contender
        contender.stop()


@pytest.fixture
def script(kafka, postgres, prepared, packages):
    with done(Script(packages), kafka, postgres, prepared) as contender:
        yield contender


@pytest.fixture
def careful(kafka, postgres, prepared, packages):
    with done(CarefulScript(packages), kafka, postgres, prepared) as contender:
        yield contender


def test_the_script_peer_has_a_row_for_each_of_2000_events_and_the_resent_ones_twice(report):
    ours, script, careful = report["rounds"]
    assert (ours["rows"], ours["booked_twice"]) == (1980, 0)
    assert (script["rows"], script["booked_twice"]) == (2000, 20)
    assert (careful["rows"], careful["booked_twice"], careful["inexact_costs"]) == (1980, 0, 0)
    for row in (ours, script, careful):
        assert 0 < row["first_visible_s"] <= row["from_start_s"]
        assert row["cpu_us"] >= 0 and row["postgres_cpu_us"] >= 0 and row["rss_peak_mib"] > 1


def test_after_a_crash_the_script_peer_has_its_batch_once_more_and_neither_debitd_nor_the_careful_one_has(report):
    assert report["crashes"]["debitd, 1 writer"] == report["crashes"]["careful script x 2"] == 0 < report["crashes"]["script x 2"]


def test_the_peers_table_has_a_line_and_a_ratio_for_each_and_says_what_it_lacks(report):
    lines = peers.table(json.loads(json.dumps(report)))
    assert [line[:14] for line in lines if line.startswith("  script x 2  ")] == ["  script x 2  "] * 2
    assert any(line.startswith("  script x 2: COPY") for line in lines)
    assert any("1,980 events, 20 booked twice" in line for line in lines)


def test_a_peers_costs_are_compared_with_the_exact_amounts(script):
    script.sql.execute("UPDATE peer.usage u SET cost = coalesce(u.input::numeric * p.input::numeric + u.output::numeric"
                       " * p.output::numeric, u.quantity::numeric * p.each::numeric) FROM peer.price p"
                       " WHERE p.service = u.service AND p.model = coalesce(u.model, '')")
    assert script.judge()["inexact_costs"] == 0
    script.sql.execute("UPDATE peer.usage SET cost = cost + 1e-12 WHERE event_id ="
                       " (SELECT event_id FROM peer.usage GROUP BY 1 HAVING count(*) = 1 LIMIT 1)")
    assert script.judge()["inexact_costs"] == 1


def test_sums_of_months_that_are_not_those_of_the_rows_are_refused(careful):
    assert careful.judge() == {"rows": 1980, "booked_twice": 0, "inexact_costs": 0}
    careful.sql.execute("UPDATE peer.month SET cost = cost + 1e-12 WHERE account_id = (SELECT min(account_id) FROM peer.month)")
    with pytest.raises(RuntimeError, match="careful script has [1-9][0-9]* sums of months that are not those of its rows"):
        careful.judge()


def test_a_peer_that_lacks_a_row_is_not_done_and_is_refused(script):
    script.sql.execute("DELETE FROM peer.usage WHERE ctid = (SELECT min(ctid) FROM peer.usage)")
    assert not script.all_visible()
    with pytest.raises(RuntimeError, match="script has 1999 rows"):
        script.judge()


def test_a_peer_that_ends_is_not_waited_for(script):
    script.sql.execute("DROP TABLE peer.price")
    script.start()
    with pytest.raises(RuntimeError, match=r'script ended with 1\n(.|\n)*relation "peer.price" does not exist'):
        wait_until(script.check_running, 60, "the second process to end")
