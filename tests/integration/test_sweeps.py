"""Allocations and system calls that fail as they may (tests/sweep/faults.c), in programs and in running daemons.

The sweeps here are short; `python3 tests/sweep/programs.py` takes every allocation of the programs, and DEBITD_SWEEP=200
that many starts of the daemon in each test.
"""

import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.rig.daemon import build_folder
from tests.rig.judged import Judged
from tests.rig.wait import wait_until
from tests.sweep.programs import programs, run, sweep

STARTS = int(os.environ.get("DEBITD_SWEEP", 4))
MEMORY_ENDS = (75, -6, -11)  # ours with words; librdkafka's abort; libconfig does not look
CALL_ENDS = (69, 71, 75, 78)    # what it cannot start without; a configuration that it cannot read
PROGRESS_S = 60


@pytest.mark.unsanitized
@pytest.mark.parametrize("name, step", [("configuration", 11), ("catalogue", 41), ("usage", 3), ("accounts", 3)])
def test_a_program_whose_nth_allocation_fails_refuses_or_ends_with_words(tmp_path, name, step):
    total, codes, findings = sweep(name, programs(build_folder())[name], build_folder(), tmp_path, step)
    assert findings == []
    assert total > 100 and len(codes) > 1, f"{total} allocations, ended with {codes}: nothing was kept from it"


@pytest.mark.unwrapped
@pytest.mark.parametrize("command", [["migrate", "--dry-run"], ["catalog", "diff", "etc/catalog.conf"], ["parked", "list"]], ids=" ".join)
def test_debitctl_whose_nth_system_call_fails_does_its_work_or_ends_with_words(world, tmp_path, command):
    world.catalog()
    whole = [build_folder() / "debitctl", "--config", world.owner_config, *command]

    def ended(n):
        return run(whole, build_folder(), tmp_path / f"{n}.log", f"calls {n}")

    code, said, _, log = ended(0)
    assert code == 0
    calls = int(re.search(r"(\d+) calls", log)[1])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(enumerate(pool.map(ended, range(1, calls + 1)), 1))
    wrong = [f"call {n}: it ended with {got}: {words.strip()[-300:]} ({log.splitlines()[:1]})"
             for n, (got, out, words, log) in results
             if not (got == 0 and out == said or got in (65, *CALL_ENDS) and words.startswith("debitctl: "))]
    assert wrong == []
    assert {got for _, (got, *_) in results} > {0}, f"{calls} calls: nothing was kept from it"


def consumed(world):
    return world.value("SELECT coalesce(sum(next_offset), 0) FROM api.position")


def start(world, faults):
    """A daemon that fails so. Nothing waits for it to be ready: it may never be."""
    log = world.folder / f"faults-{len(world.daemons)}.log"
    return world.start(wait=False, batch={"max_events": 50}, env={
        "LD_PRELOAD": str(build_folder() / "tests/faults.so"), "FAULTS": faults, "FAULTS_LOG": str(log)}), log


def failed(log):
    """How many faults there were."""
    return len(re.findall("^(?!in all).+ for ", log.read_text(), re.MULTILINE)) if log.exists() else 0


def until_it_shows(world, daemon, log, enough=1):
    """Until it has ended, or was hit often enough; where that is once, until it has got over it and books on."""
    def over():
        if not daemon.running:
            return True
        if failed(log) < enough:
            return not world.behind()
        if enough > 1:
            return True
        start = reached.setdefault("offset", consumed(world))
        return consumed(world) > start or not world.behind()
    reached = {}
    wait_until(over, PROGRESS_S, "the daemon to end or to get over it", dump=world.dump)


def stream_through(world, choose, ends):
    """The stream of a seed, phase by phase, through daemons that fail; `choose(dice)` says how, and how often is enough."""
    world.catalog()
    stream = Judged(world, 1500)
    dice, hit = random.Random(world.seed), 0
    for phase in stream.phases():
        stream.send(phase)
        for _ in range(max(1, STARTS // 4)):
            faults, enough = choose(dice)
            daemon, log = start(world, faults)
            until_it_shows(world, daemon, log, enough)
            hit += failed(log) > 0
            if daemon.running:
                daemon.kill()
            else:
                code = daemon.wait_exit()
                # librdkafka aborts where it gets no thread; it asks pthread_create for one under the thread sanitizer only
                assert code in ends or code == -6 and "pthread_create" in log.read_text(), f"{faults}: it ended with {code}\n{log.read_text()}\n{daemon.tail()}"
        # what is left is booked by a daemon that nothing happens to
        clean = world.start(batch={"max_events": 200})
        stream.settle()
        clean.stop()
    assert hit, "nothing ever failed"
    assert stream.verdict() == ""
    world.verify()


@pytest.mark.unsanitized
@pytest.mark.world(partitions=3)
def test_a_daemon_whose_nth_allocation_fails_ends_or_goes_on_and_the_books_are_the_models(world):
    def choose(dice):  # of all sizes: a start takes some thousands, booking goes on from there
        return f"memory {int(600 * 10 ** dice.uniform(0, 2))}{dice.choice(['', '+'])}", 1
    stream_through(world, choose, MEMORY_ENDS)


@pytest.mark.world(partitions=3)
def test_a_daemon_whose_system_calls_fail_books_what_the_model_books(world):
    def choose(dice):
        rate = dice.choice([10, 100, 500, 0])
        return (f"calls {rate}/10000 {dice.randrange(1 << 30)}", 5) if rate else (f"calls {dice.randrange(1, 2000)}", 1)
    stream_through(world, choose, CALL_ENDS)
