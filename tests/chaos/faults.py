"""Every kind of fault: how it begins and how it ends. What is away already is not an error: the fault then befalls nobody,
and says so in the run's log.
"""

import os
import signal

import psycopg

from tests.rig.process import tail
from tests.rig.wait import wait_until

from .fleet import Member
from .plan import GUESTS, Instance, Kind

SESSIONS = "datname = current_database() AND application_name LIKE 'debitd/%'"
LOCKS = {
    "the payers": "LOCK TABLE debitd.payer IN EXCLUSIVE MODE",
    "the positions": "LOCK TABLE debitd.position IN EXCLUSIVE MODE",
    "the books": "SELECT pg_advisory_xact_lock(debitd.books_lock())",
    "the relay": "SELECT 1 FROM debitd.relay FOR UPDATE",
    "the keys": "LOCK TABLE debitd.event_key IN EXCLUSIVE MODE",
}

KINDS = (
    Kind("kill -9", "instance", (1, 4000), 12),
    Kind("stop", "instance", (1, 4000), 6),
    Kind("freeze", "instance", (100, 60000), 8),
    Kind("freeze, then kill -9", "instance", (100, 12000), 3),
    Kind("reload", "instance", (0, 0), 3, argument=(1, 7, 100, 20000)),
    Kind("a guest that leaves", "guest", (50, 6000), 8),
    Kind("a guest that is killed", "guest", (50, 6000), 3),
    Kind("PostgreSQL crashes", "postgres", (1, 6000), 4),
    Kind("PostgreSQL restarts", "postgres", (1, 3000), 2),
    Kind("kill -9 of a session", "session", (0, 0), 2, argument=(0.0, 0.25, 0.5, 0.75)),
    Kind("sessions terminated", "session", (0, 0), 5, argument=("all", "writers", "relay", "keeper", "accounts")),
    Kind("statements cancelled", "session", (0, 0), 5, argument=("all", "writers", "relay", "keeper", "accounts")),
    Kind("lock held", "lock", (100, 30000), 6, argument=tuple(LOCKS)),
    Kind("slow commits", "speed", (500, 20000), 4, argument=(0.02, 0.2, 1.5)),
    Kind("broker killed", "broker", (1, 6000), 4),
    Kind("broker restarts", "broker", (1, 3000), 2),
    Kind("clock of a daemon", "instance's clock", (0, 0), 5, argument=(86400, 3600, 30, 5, -1, -5)),
    Kind("clock of the books", "clock", (0, 0), 4, argument=(0.05, 0.2, 0.4, 0.6, 0.8, 0.95)),
)

SLOW = """
    CREATE FUNCTION public.chaos_slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
    CREATE TRIGGER chaos_slow AFTER INSERT ON debitd.batch FOR EACH STATEMENT EXECUTE FUNCTION public.chaos_slow()"""
FAST = "DROP TRIGGER IF EXISTS chaos_slow ON debitd.batch; DROP FUNCTION IF EXISTS public.chaos_slow()"


class Faults:
    """Begins and ends the faults of a plan in one world; `say(text)` is told what came of them."""

    def __init__(self, world, members, say):
        self.world, self.members, self.say = world, members, say
        self.guests = [Member(world, "guest", at, Instance(writers=1 + at % 2, max_events=50, skew_s=0, static=False))
                       for at in range(GUESTS)]
        self._holder = None
        self._calls = {
            "kill -9": (self._kill, self._start), "stop": (self._leave, self._gone_and_start),
            "freeze": (self._freeze, self._thaw), "freeze, then kill -9": (self._freeze, self._kill_and_start),
            "reload": (self._reload, None),
            "a guest that leaves": (self._guest, self._guest_leaves),
            "a guest that is killed": (self._guest, self._guest_killed),
            "PostgreSQL crashes": (self._postgres_crash, self._postgres_start),
            "PostgreSQL restarts": (self._postgres_stop, self._postgres_start),
            "kill -9 of a session": (self._kill_session, None),
            "sessions terminated": (self._terminate, None), "statements cancelled": (self._cancel, None),
            "lock held": (self._lock, self._unlock), "slow commits": (self._slow, self._fast),
            "broker killed": (self._broker_kill, self._broker_start),
            "broker restarts": (self._broker_stop, self._broker_start),
            "clock of a daemon": (self._daemon_clock, None), "clock of the books": (self._clock, None),
        }

    def apply(self, step):
        begin, end = self._calls[step.kind]
        (end if step.end else begin)(step)

    # ---------------------------------------------------------------- instances

    def _kill(self, step):
        self.members[step.target].kill()

    def _start(self, step):
        self.members[step.target].start()

    def _kill_and_start(self, step):
        self._kill(step)
        self._start(step)

    def _leave(self, step):
        self.members[step.target].leave()

    def _gone_and_start(self, step):
        self.members[step.target].gone()
        self._start(step)

    def _freeze(self, step):
        self.members[step.target].freeze()

    def _thaw(self, step):
        self.members[step.target].thaw()

    def _reload(self, step):
        self.members[step.target].reload(step.argument)

    def _guest(self, step):
        """One more instance, for a while: partitions move to it and back."""
        guest = self.guests[step.target]
        if guest.leaving:
            guest.gone()
        guest.start()

    def _guest_leaves(self, step):
        self.guests[step.target].leave()

    def _guest_killed(self, step):
        self.guests[step.target].kill()

    # ---------------------------------------------------------------- PostgreSQL

    def _postgres_crash(self, step):
        self._unlock(step)
        self.world.postgres.crash()

    def _postgres_stop(self, step):
        self._unlock(step)
        self.world.postgres.stop()

    def _postgres_start(self, step):
        self.world.postgres.start()

    def _asked(self, statement, parameters=None):
        """Rows of a statement of ours, or None where PostgreSQL is away."""
        try:
            with self.world.postgres.connect(self.world.name) as connection:
                cursor = connection.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError as error:
            self.say(f"  befell nobody: {str(error).splitlines()[0]}")
            return None

    def _sessions(self, which):
        pattern = {"all": "%", "writers": "writer%"}.get(which, which + "%")
        return f"FROM pg_stat_activity WHERE {SESSIONS} AND application_name LIKE 'debitd/{pattern}'".replace("%", "%%")

    def _told(self, rows, what):
        if rows is not None:
            self.say(f"  {what}: {', '.join(sorted(name for name, _ in rows)) or 'none'}")

    def _terminate(self, step):
        self._told(self._asked("SELECT application_name, pg_terminate_backend(pid) " + self._sessions(step.argument), ()),
                   "ended")

    def _cancel(self, step):
        self._told(self._asked("SELECT application_name, pg_cancel_backend(pid) " + self._sessions(step.argument), ()),
                   "cancelled")

    def _kill_session(self, step):
        """The postmaster then ends all sessions and recovers: shared memory may be damaged."""
        rows = self._asked("SELECT pid, application_name " + self._sessions("all") + " ORDER BY 2, 1", ())
        if rows:
            pid, name = rows[int(step.argument * len(rows))]
            self.say(f"  of {name}")
            self._unlock(step)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                self.say("  it had ended already")

    def _lock(self, step):
        """Taken by an open transaction of a stranger, who waits for it no longer than a second."""
        try:
            holder = self.world.postgres.connect(self.world.name, autocommit=False)
            holder.execute("SET lock_timeout = '1s'")
            holder.execute(LOCKS[step.argument])
            self._holder = holder
        except psycopg.Error as error:
            self.say(f"  befell nobody: {str(error).splitlines()[0]}")

    def _unlock(self, step):
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def _slow(self, step):
        self._asked(FAST + ";" + SLOW.format(seconds=step.argument))

    def _fast(self, step):
        """At the latest when all is healed it must be gone."""
        self._asked(FAST)

    def _daemon_clock(self, step):
        """In seconds. (Back by little only: a wait of librdkafka until a moment of the clock gets longer by as much.)"""
        self.members[step.target].set_clock(step.argument)

    def _clock(self, step):
        """Within the day of the world, back and forth: the model knows of one day."""
        self._asked("UPDATE debitd.books SET clock_offset = %s::timestamptz + make_interval(secs => %s) - clock_timestamp()",
                    [self.world.day, 86400 * step.argument])

    # ---------------------------------------------------------------- Kafka

    def _broker_kill(self, step):
        self.world.kafka.kill()

    def _broker_stop(self, step):
        self.world.kafka.stop()

    def _broker_start(self, step):
        self.world.kafka.start()

    # ---------------------------------------------------------------- after a phase

    def heal(self):
        """What must be over before anything is judged; every fault has ended by now."""
        self._unlock(None)
        for guest in self.guests:
            if guest.leaving:
                guest.gone()
        wait_until(self._fastened, 60, "PostgreSQL to answer", dump=lambda: tail(self.world.postgres.log))

    def _fastened(self):
        try:
            with self.world.postgres.connect(self.world.name) as connection:
                connection.execute(FAST)
            return True
        except psycopg.OperationalError:  # it recovers
            return False
