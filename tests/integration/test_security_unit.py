"""The unit for systemd: exposed no more than is inherent, and its drop-ins work as they stand there (reliability matrix 41)."""

import os
import re
import subprocess

import pytest

from tests.rig.daemon import TOP, build_folder

SHIPPED = (TOP / "systemd" / "debitd.service").read_text()
MANUAL = (TOP / "docs" / "security.md").read_text()


def analyzed(path, *arguments):
    return subprocess.run(["systemd-analyze", *arguments, path], capture_output=True, text=True, timeout=60)


@pytest.fixture
def unit(tmp_path):
    """The shipped unit with the lines of its drop-ins, pointing at the built program."""
    def make(*sections):
        path = tmp_path / "debitd.service"
        path.write_text(SHIPPED.replace("/usr/bin/debitd", str(build_folder() / "debitd")) + "".join(
            "[Service]\n" + "\n".join(lines) + "\n" for lines in sections))
        return path
    return make


def drop_ins():
    """The sections that stand in the unit's comments, as lists of lines."""
    found = []
    for line in SHIPPED.splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("#") and text == "[Service]":
            found.append([])
        elif line.startswith("#") and found and re.match(r"\w+=", text):
            found[-1].append(text)
    return found


def test_the_unit_and_its_drop_ins_are_understood_by_systemd(unit):
    secrets, network = drop_ins()
    assert len(secrets) == 3 and len(network) == 2
    ran = analyzed(unit(secrets, network), "verify")
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if "debitd" in line]) == (0, [])


def test_every_credential_of_the_manual_is_one_of_the_unit(unit):
    secrets, _ = drop_ins()
    loaded = {line.removeprefix("LoadCredential=").split(":")[0] for line in secrets}
    named = set(re.findall(r"password_file[=\", ]+([a-z][a-z-]+)\b", MANUAL)) - {"likewise"}
    assert named == loaded == {"kafka-password", "kafka-key-password", "postgres-password"}


@pytest.mark.parametrize("drop_in, most", [(False, 11), (True, 10)])
def test_the_unit_is_exposed_no_more_than_the_manual_says(unit, drop_in, most):
    path = unit(*(drop_ins() if drop_in else []))
    ran = analyzed(path, "security", "--offline=true", f"--threshold={most}")
    assert ran.returncode == 0, ran.stdout.splitlines()[-1]


def test_what_ends_it_for_good_is_its_own_exit_code_and_a_reload_needs_no_credential():
    """RestartPreventExitStatus= is for ExecStart= alone, and systemd 252 starts no ExecReload= with credentials."""
    commands = [line for line in SHIPPED.splitlines() if line.startswith("Exec") and "=/" in line and "Paths" not in line]
    assert commands == ["ExecStart=/usr/bin/debitd --config /etc/debitd/debitd.conf", "ExecReload=/usr/bin/kill -HUP $MAINPID"]
    assert "RestartPreventExitStatus=64 78" in SHIPPED.splitlines()


def test_all_that_the_unit_and_the_manual_name_is_installed(tmp_path):
    ran = subprocess.run(["cmake", "--install", build_folder(), "--prefix", "/usr"], env={**os.environ, "DESTDIR": str(tmp_path)},
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    named = [path for line in SHIPPED.splitlines() if line.startswith(("Exec", "Documentation")) for path in re.findall("/usr/[^ ]*debitd[^ ]*", line)]
    assert named == ["/usr/share/doc/debitd/README.md", "/usr/bin/debitd", "/usr/bin/debitd"]
    for path in [*named, "/usr/bin/debitctl", "/usr/lib/systemd/system/debitd.service", "/usr/lib/sysusers.d/debitd.conf",
                 "/usr/lib/tmpfiles.d/debitd.conf", "/usr/share/bash-completion/completions/debitctl",
                 "/usr/share/doc/debitd/docs/operations.md", "/usr/share/doc/debitd/etc/catalog.conf"]:
        assert (tmp_path / path[1:]).is_file(), path
    shown = subprocess.run([tmp_path / "usr/bin/debitd", "--version"], capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0


def test_it_writes_no_core_file_and_sees_no_credential_but_its_own():
    lines = SHIPPED.splitlines()
    for wanted in ("LimitCORE=0", "UMask=0077", "NoNewPrivileges=yes", "NoExecPaths=/", "ProtectSystem=strict", "ProtectProc=invisible",
                   "CapabilityBoundingSet=", "WatchdogSec=30s"):
        assert wanted in lines
    assert not re.search("(?i)^Environment.*password", SHIPPED, re.M)
