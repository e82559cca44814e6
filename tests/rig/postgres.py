"""A private PostgreSQL 15 in a temporary folder: unix socket and a free port of 127.0.0.1, every local user trusted.

Everything that makes COMMIT durable stays on: the tests kill it. Where the tests run as root it runs as user postgres,
as the server demands.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from . import process

PROGRAMS = Path("/usr/lib/postgresql/15/bin")

CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}/socket'
max_connections = 200
shared_buffers = 128MB
max_wal_size = 1GB
fsync = on
synchronous_commit = on
full_page_writes = on
jit = off
timezone = 'UTC'
log_line_prefix = '%m [%p] %a %d '
"""


class Postgres:
    """start() … stop(); the data stay from start to start until close() removes the folder."""

    def __init__(self):
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="debitd-postgres-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"  # written by us on its behalf: opened before it changes user
        self.port = process.free_port()
        self.child = None
        for made, mode in ((self.data, 0o700), (self.folder / "socket", 0o755)):
            made.mkdir()
            made.chmod(mode)
            if self.user:
                shutil.chown(made, self.user, pwd.getpwnam(self.user).pw_gid)
        done = subprocess.run(
            [PROGRAMS / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            **self._as_user())
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(CONFIGURATION.format(port=self.port, folder=self.folder))

    def _as_user(self):
        if not self.user:
            return {"cwd": "/"}
        entry = pwd.getpwnam(self.user)
        return {"cwd": "/", "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def start(self):
        """Returns when it answers, recovered if it had crashed."""
        assert self.child is None, "it runs already"
        self.child = process.start([PROGRAMS / "postgres", "-D", self.data], self.log,
                                   death_signal=signal.SIGQUIT, **self._as_user())
        process.wait_for(self.child, self._answers, 60, "PostgreSQL to answer", self.log)
        return self

    def _answers(self):
        try:
            self.connect("postgres").close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self):
        """Fast shutdown: open transactions are rolled back, a checkpoint is written."""
        self._end(signal.SIGINT)

    def crash(self):
        """Immediate shutdown: as if the power had failed; the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def _end(self, how):
        if self.child:
            process.end(self.child, how, 30, "postgres")
            self.child = None

    def restart(self, crash=False):
        if crash:
            self.crash()
        else:
            self.stop()
        return self.start()

    def close(self):
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def conninfo(self, database, user="postgres"):
        """For the unix socket."""
        return f"host={self.folder}/socket port={self.port} user={user} dbname={database}"

    def conninfo_tcp(self, database, user="postgres"):
        return f"host=127.0.0.1 port={self.port} user={user} dbname={database}"

    def connect(self, database, user="postgres", **options):
        """psycopg connection, autocommit unless told otherwise."""
        options.setdefault("autocommit", True)
        return psycopg.connect(self.conninfo(database, user), connect_timeout=10, **options)

    def create_database(self, name, template="template1"):
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop_database(self, name):
        with self.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
