"""Child processes of the tests: free ports, and children that cannot outlive the tests."""

import atexit
import ctypes
import signal
import socket
import subprocess

from .wait import wait_until

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_children = []


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, log, death_signal=signal.SIGKILL, **options):
    """Starts `command` with standard output and error appended to the file `log`.

    It is stopped when this process ends, also when this process is killed: then the kernel sends `death_signal`.
    """
    with open(log, "ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0), **options)
    _children.append(child)
    return child


def end(child, how, timeout, name):
    """Sends the signal `how`, waits, kills if need be. Returns (exit code, whether it ended by itself in time)."""
    in_time = True
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            in_time = False
            child.kill()
            child.wait(30)
    if child in _children:
        _children.remove(child)
    return child.returncode, in_time


def tail(path, lines=60):
    """The last lines of a file, for a dump."""
    try:
        with open(path, "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 65536))
            return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError as error:
        return f"({error})"


def wait_for(child, predicate, timeout, what, log):
    """wait_until, but gives up at once when the child has ended."""
    def poll():
        if child.poll() is not None:
            raise AssertionError(f"ended with {child.returncode} while waiting for {what}:\n{tail(log)}")
        return predicate()
    return wait_until(poll, timeout, what, dump=lambda: tail(log))


@atexit.register
def _end_all():
    for child in list(_children):
        if child.poll() is None:
            child.kill()
            child.wait(30)
