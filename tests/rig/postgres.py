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
from .wait import wait_until

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
    """start() … stop(); the data stay from start to start until close() removes the folder.

    `settings` are lines of postgresql.conf ({"wal_level": "replica"}), `env` is laid over the server's environment,
    `initdb` are further arguments of initdb.
    """

    def __init__(self, settings=None, env=None, initdb=()):
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="debitd-postgres-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"  # written by us on its behalf: opened before it changes user
        self.port = process.free_port()
        self.env = {**os.environ, **(env or {})}
        self.child = None
        for made, mode in ((self.data, 0o700), (self.folder / "socket", 0o755)):
            made.mkdir()
            made.chmod(mode)
            if self.user:
                shutil.chown(made, self.user, pwd.getpwnam(self.user).pw_gid)
        self._make(initdb)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(CONFIGURATION.format(port=self.port, folder=self.folder))
            conf.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())

    def _make(self, initdb):
        """Fills the data folder."""
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", *initdb)

    def _run(self, program, *arguments):
        """Runs one of the server's programs to its end."""
        done = subprocess.run([PROGRAMS / program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **self._as_user())
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}")

    def _as_user(self):
        if not self.user:
            return {"cwd": "/"}
        entry = pwd.getpwnam(self.user)
        return {"cwd": "/", "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def start(self):
        """Returns when it answers, recovered if it had crashed."""
        assert self.child is None, "it runs already"
        self.child = process.start([PROGRAMS / "postgres", "-D", self.data], self.log, env=self.env,
                                   death_signal=signal.SIGQUIT, **self._as_user())
        process.wait_for(self.child, self.answers, 60, "PostgreSQL to answer", self.log)
        return self

    def answers(self):
        """It takes sessions."""
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

    def kill(self):
        """kill -9 of the postmaster; its children notice and end themselves before it can be started again."""
        children = self.backends()
        self._end(signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 30, "its processes to end",
                   dump=lambda: process.tail(self.log))

    def backends(self):
        """The process ids of the postmaster's children."""
        return [int(pid) for pid in Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()]

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

    def sql(self, statement, parameters=None, database="postgres"):
        """The rows of one statement as tuples (an empty list where it has none), as the superuser, committed at once."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def configure(self, **settings):
        """Changes settings while it runs (None: back to the file); returns when the server has taken them up."""
        with self.connect("postgres") as connection:
            connection.execute("SET synchronous_commit = local")
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'")
            loaded, = connection.execute("SELECT pg_conf_load_time()").fetchone()
            connection.execute("SELECT pg_reload_conf()")
        # a new session has what the postmaster has read
        wait_until(lambda: self.sql("SELECT pg_conf_load_time() > %s", [loaded]) == [(True,)], 30, "the settings to be read")

    def create_database(self, name, template="template1"):
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop_database(self, name):
        with self.connect("postgres") as connection:
            connection.execute("SET synchronous_commit = local")  # a standby that it waits for may be gone
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
