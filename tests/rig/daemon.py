"""debitd and debitctl as child processes, with configuration files written from Python dictionaries."""

import json
import os
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from . import process

TOP = Path(__file__).resolve().parents[2]


def build_folder():
    """Where the programs are: DEBITD_BUILD, or build/."""
    return (TOP / os.environ.get("DEBITD_BUILD", "build")).resolve()


def libconfig(value, indent=""):
    """A dictionary as libconfig text. A list or tuple becomes a list ( … )."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -2**31 <= value < 2**31 else f"{value}L"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, dict):
        lines = [f"{indent}  {key} = {libconfig(member, indent + '  ')};" for key, member in value.items()]
        return "{\n" + "\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(libconfig(member, indent) for member in value) + " )"
    raise TypeError(f"no libconfig value: {value!r}")


def write_config(path, config):
    text = "".join(f"{key} = {libconfig(value)};\n" for key, value in config.items())
    Path(path).write_text(text)
    return path


def merge(base, changes):
    """A copy of the dictionary `base` with `changes` laid over it, groups merged."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


@dataclass
class Done:
    """How a command ended. `data` is its JSON, where it was asked for any and wrote any."""

    code: int
    out: str
    err: str
    data: object = None


def _read_json(text):
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def debitctl(config, *arguments, json=True, expect=0, stdin=None, timeout=60, env=None):
    """Runs debitctl and returns Done; fails unless it exits with `expect` (None: any code will do)."""
    command = [str(build_folder() / "debitctl"), "--config", str(config), *(["--json"] if json else []),
               *map(str, arguments)]
    ran = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=timeout, cwd=TOP,
                         env={**os.environ, **(env or {})})
    done = Done(ran.returncode, ran.stdout, ran.stderr)
    if expect is not None and done.code != expect:
        raise AssertionError(f"{' '.join(command)} exited with {done.code}, not {expect}\n{done.out}{done.err}")
    if json:
        try:
            done.data = _read_json(done.out)
        except ValueError:
            if done.code == 0:
                raise AssertionError(f"{' '.join(command)} wrote no JSON:\n{done.out}") from None
    return done


class Debitd:
    """One daemon. Its log is the file `log`; it is ready when it says so by sd_notify(3)."""

    def __init__(self, folder, config, name="debitd"):
        self.folder, self.name = Path(folder), name
        self.config_path = self.folder / f"{name}.conf"
        self.log = self.folder / f"{name}.log"
        self.fault_path = self.folder / f"{name}.fault"
        self.configure(config)
        self.child, self.said = None, []

    def configure(self, config):
        """Writes the configuration file; a running daemon reads it on reload()."""
        self.config = config
        write_config(self.config_path, config)

    def start(self, wait=True, timeout=30, env=None, fault=None, program="debitd"):
        """`fault`: starts the one with fault points (daemon/base/fault.h), this one laid on, or "" for none yet."""
        assert self.child is None, "it runs already"
        self.said = []
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"\0debitd-tests-{os.getpid()}-{id(self)}-{process.free_port()}"
        self.notify.bind(address)
        # read all the time, as a service manager does: a daemon whose messages nobody takes would wait
        self.listener = threading.Thread(target=self._listen, args=(self.notify, self.said), daemon=True)
        self.listener.start()
        environment = {**os.environ, "NOTIFY_SOCKET": "@" + address[1:], **(env or {})}
        if fault is not None:
            program, environment["DEBITD_FAULT"] = "tests/debitd_faults", str(self.fault_path)
            if fault:
                self.fault(fault)
        self.child = process.start([str(build_folder() / program), "--config", str(self.config_path)], self.log,
                                   cwd=TOP, env=environment)
        if wait:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=30):
        process.wait_for(self.child, lambda: "READY=1" in self.heard(), timeout, f"{self.name} to be ready", self.log)

    @staticmethod
    def _listen(notify, said):
        while message := notify.recv(65536):  # empty: shut down, as the daemon has ended
            said += message.decode("utf-8", "replace").splitlines()

    def heard(self):
        """Every line that the daemon told its service manager since its start."""
        return self.said

    def fault(self, point, how="KILL", passage=1):
        """SIGKILL or SIGSTOP ("STOP") at the so-manieth passage of a fault point from now on, of a daemon that was started
        with `fault`. Takes the place of one that was laid on before."""
        new = self.fault_path.with_suffix(".new")
        new.write_text(f"{point} {passage} {how}")
        new.rename(self.fault_path)

    def stands_still(self):
        """Has it been stopped by SIGSTOP, all its threads?"""
        states = [Path(f"/proc/{self.child.pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
                  for thread in os.listdir(f"/proc/{self.child.pid}/task")]
        return set(states) == {"T"}

    def go_on(self):
        """SIGCONT."""
        self.child.send_signal(signal.SIGCONT)

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def reload(self):
        self.child.send_signal(signal.SIGHUP)

    def stop(self, timeout=15, expect=0):
        """SIGTERM. Returns the exit code; fails when it takes longer or is not `expect` (None: any)."""
        code, in_time = process.end(self.child, signal.SIGTERM, timeout, self.name)
        self._gone()
        if not in_time:
            raise AssertionError(f"{self.name} did not stop within {timeout} s of SIGTERM:\n{self.tail()}")
        if expect is not None and code != expect:
            raise AssertionError(f"{self.name} exited with {code}, not {expect}:\n{self.tail()}")
        return code

    def kill(self):
        """kill -9."""
        process.end(self.child, signal.SIGKILL, 30, self.name)
        self._gone()

    def wait_exit(self, timeout=30):
        """For a daemon that is to end by itself: its exit code."""
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout} s:\n{self.tail()}") from None
        self._gone()
        return code

    def _gone(self):
        self.child = None
        self.notify.shutdown(socket.SHUT_RD)
        self.listener.join()
        self.notify.close()

    def tail(self, lines=60):
        return f"--- {self.log}\n{process.tail(self.log, lines)}"

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def debitctl(self, *arguments, **options):
        """debitctl with this daemon's own configuration."""
        return debitctl(self.config_path, *arguments, **options)
