"""The process debitd from outside: start, what it waits for, reload, watchdog, stop, and its unit for systemd."""

import re
import shutil
import subprocess
import time

import pytest

from tests.rig import process
from tests.rig.daemon import TOP, Debitd, build_folder, debitctl, merge, write_config
from tests.rig.postgres import Postgres

STOP_S = 6  # "SIGTERM commits what it has and stops within seconds": 5, and some for a loaded machine


def statuses(daemon):
    return [line for line in daemon.heard() if line.startswith("STATUS=")]


def stop_in_time(daemon):
    began = time.monotonic()
    assert daemon.stop(timeout=20) == 0
    assert time.monotonic() - began < STOP_S


def test_it_says_ready_then_how_it_does_and_stops_on_sigterm(world):
    daemon = world.start()
    world.wait(lambda: any("partitions" in s for s in statuses(daemon)), "a status with figures")
    heard = daemon.heard
    daemon.child.send_signal(15)
    daemon.child.wait(20)
    assert "STOPPING=1" in heard()
    assert daemon.wait_exit() == 0


def test_what_it_has_taken_is_in_the_books_after_sigterm_and_nothing_twice(world):
    total = 20000
    world.catalog()
    world.account("account.opened", "acme", plan="assistant-business")
    for n in range(total):
        world.usage("acme", service="openai", model="gpt-4o-mini", quantities={"input": 100, "output": 10}, id=f"u{n}")
    world.flush()
    daemon = world.start(wait=False, batch={"max_events": 100}, queue={"max_messages": 1000})
    world.wait(lambda: world.value("SELECT count(*) FROM api.ledger") > 0, "the first entries")
    stop_in_time(daemon)
    entries = world.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")
    assert 0 < entries < total, "it stopped too late to tell"
    assert world.value("SELECT sum(next_offset) FROM api.position WHERE topic = %s", [world.topics["usage"]]) == entries
    world.start()
    world.wait_booked(total)
    world.verify()


def test_a_reload_takes_up_what_it_can_and_names_what_needs_a_restart(world):
    daemon = world.start()
    daemon.configure(merge(daemon.config, {"log": {"level": "error"}, "writers": {"count": 2}}))
    daemon.reload()
    world.wait(lambda: "RELOADING=1" in daemon.heard() and daemon.heard().count("READY=1") == 2, "the end of the reload")
    assert any(re.fullmatch(r"MONOTONIC_USEC=\d+", line) for line in daemon.heard())
    assert "reloaded, but a restart is needed for: writers.count" not in daemon.text()  # only errors are logged now
    daemon.configure(merge(daemon.config, {"log": {"level": "info"}}))
    daemon.reload()
    world.wait(lambda: "a restart is needed for: writers.count" in daemon.text(), "the warning")
    stop_in_time(daemon)


def test_a_reload_changes_what_becomes_of_unknown_accounts_and_where_prices_come_from(world):
    world.catalog()
    prices = world.folder / "prices.conf"
    prices.write_text('prices = ( { service = "openai"; model = "gpt-99"; metric = "ai_tokens"; currency = "USD"; '
                      'per = "1000000"; price = "3"; effective_from = "2025-01-01"; } );\n')
    daemon = world.start()
    first = world.usage("early", service="openai", model="gpt-4o", quantities={"input": 1000})
    world.flush()
    world.wait(lambda: world.sql("SELECT 1 FROM api.parked WHERE event_id = %s", [first]), "the parked event")
    daemon.configure(merge(daemon.config, {"accounts": {"unknown": "open"}, "prices": {"file": str(prices)}}))
    daemon.reload()
    world.wait(lambda: daemon.heard().count("READY=1") == 2, "the end of the reload")
    late = world.usage("late", service="openai", model="gpt-99", quantities={"input": 100000})
    world.flush()
    world.wait(lambda: world.sql("SELECT 1 FROM api.ledger WHERE event_id = %s", [late]), "the entry")
    (entry,) = world.sql("SELECT cost, amount, plan, price_source FROM api.ledger WHERE event_id = %s", [late])
    # 100,000 tokens at 3 USD a million: 0.3 USD, 30 credits of 0.01 USD
    assert {**entry, "cost": str(entry["cost"]), "amount": str(entry["amount"])} == {
        "cost": "0.3", "amount": "-30", "plan": "assistant-free", "price_source": "file"}
    stop_in_time(daemon)


def test_several_writers_share_the_partitions(world):
    world.catalog()
    for n in range(8):
        world.account("account.opened", f"acct-{n}", plan="assistant-business")
    for n in range(400):
        world.usage(f"acct-{n % 8}", service="openai", model="gpt-4o-mini", quantities={"input": 1000}, partition=n % 4)
    world.flush()
    daemon = world.start(writers={"count": 3}, batch={"max_events": 20})
    world.wait_booked(400)
    sessions = {row["application_name"] for row in world.sql(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")}
    assert {"debitd/writer 0", "debitd/writer 1", "debitd/writer 2", "debitd/accounts"} <= sessions
    world.verify()
    stop_in_time(daemon)


def test_a_bad_configuration_is_refused_at_reload_and_the_old_one_stays(world):
    daemon = world.start()
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(good + "\nbatch = { max_evnts = 1; };\n")
    daemon.reload()
    world.wait(lambda: any("reload refused" in s and "batch.max_evnts" in s for s in statuses(daemon)), "the refusal")
    assert "batch.max_evnts: unknown key; the nearest is batch.max_events" in daemon.text()
    daemon.config_path.write_text(good)
    seen = len(statuses(daemon))
    daemon.reload()
    world.wait(lambda: any("reload refused" not in s for s in statuses(daemon)[seen:]), "a status without it")
    stop_in_time(daemon)


@pytest.mark.unsanitized
@pytest.mark.parametrize("code", [0, 78])
def test_a_stop_that_gets_stuck_is_cut_off_with_words_and_with_the_code_of_what_ended_it(world, code):
    stuck = {"LD_PRELOAD": str(build_folder() / "tests" / "stuck.so")}
    if code:
        world.sql("UPDATE debitd.books SET kafka_cluster_id = 'the-one-that-burned'")
    daemon = world.start(wait=not code, env=stuck)
    assert (daemon.wait_exit() if code else daemon.stop()) == code
    assert "debitd: the stop took too long and is cut off; nothing is lost" in daemon.text()


def test_the_watchdog_is_fed(world):
    daemon = world.start(env={"WATCHDOG_USEC": "2000000"})
    world.wait(lambda: daemon.heard().count("WATCHDOG=1") >= 2, "two signs of life", timeout=10)
    stop_in_time(daemon)


def test_the_dedup_window_of_the_configuration_is_that_of_the_books(world):
    daemon = world.start(accept={"dedup_months": 0})
    assert world.value("SELECT dedup_months FROM debitd.books") == 0
    assert "the dedup window of this database is now 0 months (0: forever); it was 2" in daemon.text()
    stop_in_time(daemon)


def test_an_unreachable_broker_is_waited_for_and_named(world):
    port = process.free_port()
    daemon = world.start(wait=False, kafka={"bootstrap_servers": f"127.0.0.1:{port}"})
    world.wait(lambda: f"127.0.0.1:{port}" in daemon.text(), "the address in the log")
    world.wait(lambda: any("EXTEND_TIMEOUT_USEC=" in line for line in daemon.heard()), "more time to start")
    assert "READY=1" not in daemon.heard()
    stop_in_time(daemon)


def test_a_missing_topic_is_named_with_the_command_that_creates_it(world):
    daemon = world.start(wait=False, topics={"usage": f"{world.name}.nowhere"})
    world.wait(lambda: re.search(rf"--create --topic {re.escape(world.name)}\.nowhere", daemon.text()), "the command")
    stop_in_time(daemon)


def test_a_database_without_the_schema_ends_it_with_78_and_words(world, postgres):
    name = f"{world.name}_empty"
    postgres.create_database(name)
    try:
        daemon = world.start(wait=False, postgres={"conninfo": postgres.conninfo(name)})
        assert daemon.wait_exit() == 78
        assert "debitctl" in daemon.text() and "migrate" in daemon.text()
    finally:
        postgres.drop_database(name)


def test_a_role_without_rights_ends_it_with_77_and_words(world, postgres):
    role = "debitd_tests_nobody"
    with postgres.connect("postgres") as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN")
    daemon = world.start(wait=False, postgres={"conninfo": postgres.conninfo(world.name, role)})
    assert daemon.wait_exit() == 77
    assert "permission denied" in daemon.text()


@pytest.fixture
def own_postgres():
    server = Postgres()
    try:
        yield server
    finally:
        server.close()


def test_a_database_that_is_away_is_waited_for_at_start_and_later(world, own_postgres):
    own_postgres.start()
    own_postgres.create_database("debitd")
    owner = write_config(world.folder / "other.conf", {"postgres": {"conninfo": own_postgres.conninfo("debitd")}})
    debitctl(owner, "migrate", json=False)
    own_postgres.stop()
    daemon = world.start(wait=False, postgres={"conninfo": own_postgres.conninfo("debitd")})
    world.wait(lambda: any("waiting for PostgreSQL" in s for s in statuses(daemon)), "the status")
    assert "READY=1" not in daemon.heard()
    own_postgres.start()
    daemon.wait_ready()
    own_postgres.crash()
    world.account("account.opened", "acme", plan="payg")
    world.flush()
    seen = len(statuses(daemon))
    world.wait(lambda: any("PostgreSQL" in s for s in statuses(daemon)[seen:]), "a status that names it")
    stop_in_time(daemon)


def test_sigterm_ends_it_while_it_waits_for_the_database(world):
    daemon = Debitd(world.folder, merge(world.config, {"postgres": {"conninfo": "host=/nowhere dbname=x"}}), "lonely")
    daemon.start(wait=False)
    world.wait(lambda: any("waiting for PostgreSQL" in s for s in statuses(daemon)), "the status")
    stop_in_time(daemon)


@pytest.fixture
def unit(tmp_path):
    """The shipped unit, pointing at the built binary."""
    text = (TOP / "systemd" / "debitd.service").read_text()
    path = tmp_path / "debitd.service"
    path.write_text(text.replace("/usr/bin/debitd", str(build_folder() / "debitd")))
    return path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_valid(unit):
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if "debitd" in line]) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_exposed_no_more_than_1_5(unit):
    ran = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", unit],
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout.splitlines()[-1]
