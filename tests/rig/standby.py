"""A streaming standby of a Postgres of the rig, to be promoted when that one is dead, or thought to be.

It is made by pg_basebackup over the socket and streams through a physical slot of its own, so that the primary keeps
what it has not received. The primary needs no settings for it: those of PostgreSQL 15 allow it.
"""

import itertools
from contextlib import closing, contextmanager

from .postgres import Postgres
from .wait import wait_until

_numbers = itertools.count(1)


class Standby(Postgres):
    """`primary` must be running. start() returns when it has caught up and, where it is `sync`, COMMIT waits for it."""

    def __init__(self, primary, sync=False, settings=None, env=None):
        self.primary, self.sync, self.name = primary, sync, f"standby_{next(_numbers)}"
        super().__init__(settings, env)

    def _make(self, initdb):
        self._run("pg_basebackup", "-D", self.data, "-h", self.primary.folder / "socket", "-p", self.primary.port,
                  "-U", "postgres", "-X", "stream", "-c", "fast", "-N", "-R", "-C", "-S", self.name)
        with open(self.data / "postgresql.auto.conf", "a") as conf:
            conf.write(f"primary_conninfo = '{self._conninfo()}'\n")

    def _conninfo(self):
        return f"{self.primary.conninfo('postgres')} application_name={self.name}"

    def start(self):
        super().start()
        if not self.is_standby():
            return self
        if self.sync:
            self.primary.configure(synchronous_standby_names=self.name)
        wait_until(self.follows, 60, f"{self.name} to follow", dump=lambda: self.log.read_text()[-4000:])
        return self

    def follows(self):
        """It has shown everything that the primary has written."""
        return self.primary.sql("SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
                                " AND sync_state = %s AND replay_lsn >= pg_current_wal_flush_lsn()",
                                [self.name, "sync" if self.sync else "async"])

    def is_standby(self):
        return self.sql("SELECT pg_is_in_recovery()") == [(True,)]

    def stop_receiving(self):
        """From now on it hears nothing of its primary, which goes on: promoted now, it has lost what is committed since.
        Where it is sync, COMMIT of the primary waits."""
        self.configure(primary_conninfo="")
        wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)], 30, "the receiver to end")

    def receive_again(self):
        self.configure(primary_conninfo=self._conninfo())
        wait_until(self.follows, 60, f"{self.name} to follow again")

    def pause_replay(self):
        """It receives, but shows nothing newer than now."""
        self.sql("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.sql("SELECT pg_get_wal_replay_pause_state()") == [("paused",)], 30, "the replay to pause")

    def resume_replay(self):
        self.sql("SELECT pg_wal_replay_resume()")

    def promote(self):
        """Makes it a primary, on a timeline of its own, that waits for nobody. The old one is crashed before, by
        whoever wants a clean failover; left running, or started again, it is a second primary."""
        assert self.sql("SELECT pg_promote(true, 60)") == [(True,)], "the promotion was not over in 60 s"
        self.configure(synchronous_standby_names=None)
        return self


@contextmanager
def standby_of(primary, **options):
    """A Standby that runs until the end of the block."""
    with closing(Standby(primary, **options)) as made:
        yield made.start()
