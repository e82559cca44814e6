"""The command line of debitd that explains a configuration: offline, everything at once, never a secret."""

import os
import subprocess

import pytest

from tests.rig.daemon import TOP, build_folder


def debitd(*arguments):
    return subprocess.run([build_folder() / "debitd", *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL)


@pytest.fixture
def conf(tmp_path):
    def write(text):
        path = tmp_path / "debitd.conf"
        path.write_text(text)
        return path
    return write


@pytest.mark.unsanitized
def test_a_usual_configuration_that_may_not_be_read_is_not_taken_for_none():
    """The defaults might lead to another database."""
    closed = {**os.environ, "LD_PRELOAD": str(build_folder() / "tests" / "closed.so")}
    for program, *command in (("debitd", "--dump-config"), ("debitctl", "credit", "grant", "acct", "5")):
        ran = subprocess.run([build_folder() / program, *command], env={k: v for k, v in closed.items() if not k.startswith("PG")},
                             capture_output=True, text=True, timeout=20)
        assert (ran.returncode, ran.stdout) == (78, "")
        assert "/etc/debitd/debitd.conf: cannot be read: Permission denied" in ran.stderr


@pytest.mark.parametrize("properties", [
    '("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.username", "debitd"), ("sasl.password_file", "kafka-password")',
    '("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "debitd"), ("sasl.password_file", "kafka-password")',
    '("security.protocol", "SSL"), ("ssl.key.location", "/nowhere/kafka.key"), ("ssl.key.password_file", "kafka-key-password")',
])
def test_secrets_that_only_the_service_has_are_not_asked_for_by_the_check(conf, properties):
    ran = debitd("--check-config", "--config", conf(f"kafka = {{ properties = ( {properties} ); }};"))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ok\n", "")


def test_no_other_program_is_run_for_kerberos(conf, tmp_path):
    kinit = tmp_path / "kinit"
    kinit.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    kinit.chmod(0o755)
    path = conf('kafka = { properties = ( ("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "GSSAPI") ); };')
    ran = subprocess.run([build_folder() / "debitd", "--check-config", "--config", path], capture_output=True, text=True, timeout=20,
                         env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()
    ran = debitd("--check-config", "--config", conf('kafka = { properties = ( ("sasl.kerberos.kinit.cmd", "true") ); };'))
    assert ran.returncode == 78 and "debitd runs no other program" in ran.stderr


def test_an_empty_file_and_the_shipped_one_are_fine(conf):
    for path in (conf(""), TOP / "etc" / "debitd.conf"):
        ran = debitd("--check-config", "--config", path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ok\n", "")


def test_findings_name_file_line_key_and_nearest_name_all_at_once(conf):
    path = conf('batch = { max_evnts = 1; };\nwriters = { count = 100; };\nlog = { level = "loud"; };\n')
    ran = debitd("--check-config", "--config", path)
    assert ran.returncode == 78
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        f"{path}:1: batch.max_evnts: unknown key; the nearest is batch.max_events",
        f"{path}:2: writers.count: 100 is not between 1 and 64 threads",
        f'{path}:3: log.level: "loud" is none of error|warning|notice|info|debug',
    ]


@pytest.mark.parametrize("key", ["enable.auto.commit", "auto.offset.reset", "isolation.level", "enable.idempotence",
                                 "transactional.id", "group.id", "bootstrap.servers"])
def test_a_property_that_the_guarantees_rest_on_is_refused(conf, key):
    ran = debitd("--check-config", "--config", conf(f'kafka = {{ properties = ( ("{key}", "true") ); }};'))
    assert ran.returncode == 78
    assert key in ran.stderr


def test_a_property_unknown_to_librdkafka_is_refused_with_its_name(conf):
    ran = debitd("--check-config", "--config", conf('kafka = { properties = ( ("sesion.timeout.ms", "6000") ); };'))
    assert ran.returncode == 78
    assert "sesion.timeout.ms" in ran.stderr


def test_a_connection_string_that_libpq_cannot_read_is_refused(conf):
    ran = debitd("--check-config", "--config", conf('postgres = { conninfo = "hots=/run"; };'))
    assert ran.returncode == 78
    assert "hots" in ran.stderr


def test_a_price_file_that_is_not_there_is_refused_with_its_name(conf):
    ran = debitd("--check-config", "--config", conf('prices = { file = "/nowhere/prices.conf"; };'))
    assert ran.returncode == 78
    assert "/nowhere/prices.conf" in ran.stderr


def test_running_with_a_bad_configuration_exits_78_and_says_why(conf):
    ran = debitd("--config", conf("kafka = 1;"))
    assert ran.returncode == 78
    assert "kafka: a whole number stands where a group is wanted" in ran.stderr


def test_the_dump_shows_what_is_in_effect_and_no_password(conf):
    path = conf('postgres = { conninfo = "host=h password=geheim"; };\n'
                'kafka = { properties = ( ("sasl.password", "geheim") ); };')
    ran = debitd("--dump-config", "--config", path)
    assert ran.returncode == 0
    assert f'conninfo = "host=h password=***"; # {path}:1' in ran.stdout
    assert 'max_events = 20000; # default' in ran.stdout
    assert "geheim" not in ran.stdout + ran.stderr


def test_wrong_use_exits_64_and_help_and_version_exit_0():
    assert debitd("--frobnicate").returncode == 64
    assert debitd("file.conf").returncode == 64
    assert debitd("--config").returncode == 64
    assert "--check-config" in debitd("--help").stdout
    assert debitd("--version").stdout.startswith("debitd ")
