"""Every kind of fault: how it begins and how it ends. What is away already is not an error: the fault then befalls nobody,
and says so in the run's log.
"""

import os
import re
import signal

import psycopg

from tests.rig.daemon import TOP
from tests.rig.disk import TABLES, WAL
from tests.rig.process import tail
from tests.rig.proxy import WAYS
from tests.rig.wait import GaveUp, wait_until

from .fleet import Member
from .plan import GUESTS, Instance, Kind

SESSIONS = ("writer", "accounts", "claims", "keeper", "relay")  # as daemons name them: debitd/writer 0
LOCKS = {
    "the payers": "LOCK TABLE debitd.payer IN EXCLUSIVE MODE",
    "the positions": "LOCK TABLE debitd.position IN EXCLUSIVE MODE",
    "the books": "SELECT pg_advisory_xact_lock(debitd.books_lock())",
    "the relay": "SELECT 1 FROM debitd.relay FOR UPDATE",
    "the keys": "LOCK TABLE debitd.event_key IN EXCLUSIVE MODE",
}

POINTS = sorted({point for folder in ("daemon", "consumers") for path in (TOP / folder).rglob("*.c")
                 for point in re.findall(r'\bFAULT_POINT\("([^"]+)"\)', path.read_text())})

KINDS = (
    Kind("kill -9", "instance", (1, 4000), 12),
    Kind("stop", "instance", (1, 4000), 6),
    Kind("freeze", "instance", (100, 9000), 8),
    Kind("freeze for long", "instance", (15000, 60000), 1),
    Kind("freeze, then kill -9", "instance", (100, 9000), 3),
    Kind("dies at", "instance", (200, 5000), 12, argument=tuple((point, n) for point in POINTS for n in (1, 2, 5))),
    Kind("stands still at", "instance", (300, 9000), 8, argument=tuple((point, n) for point in POINTS for n in (1, 2, 5))),
    Kind("zombie", "instance", (3500, 5000), 4,  # with a batch in hand that another one books meanwhile
         argument=tuple(("ingest.begin", n) for n in (1, 2, 5))),
    Kind("reload", "instance", (0, 0), 3, argument=(1, 7, 100, 20000)),
    Kind("a guest that leaves", "guest", (50, 6000), 8),
    Kind("a guest that is killed", "guest", (50, 6000), 3),
    Kind("PostgreSQL crashes", "postgres", (1, 5000), 4),
    Kind("PostgreSQL restarts", "postgres", (1, 3000), 2),
    Kind("PostgreSQL fails over", "postgres", (500, 4000), 4, argument=("sync", "with loss", "the old one lives on")),
    Kind("disk full", "postgres", (500, 6000), 3, argument=(TABLES, TABLES, WAL)),
    Kind("kill -9 of a session", "session", (0, 0), 2, argument=(0.0, 0.25, 0.5, 0.75)),
    Kind("sessions terminated", "session", (0, 0), 5, argument=("all", *SESSIONS)),
    Kind("statements cancelled", "session", (0, 0), 5, argument=("all", *SESSIONS)),
    Kind("lock held", "lock", (100, 8000), 6, argument=tuple(LOCKS)),
    Kind("lock held for long", "lock", (16000, 20000), 1, argument=tuple(LOCKS)),
    Kind("slow commits", "speed", (500, 15000), 4, argument=(0.02, 0.2, 1.5)),
    Kind("lines cut", "line", (0, 0), 5, argument=("all", *SESSIONS)),
    Kind("writers' lines cut in a while", "line", (0, 0), 5,
         argument=tuple((way, after) for way in WAYS for after in (1, 30, 400, 3000, 20000))),
    Kind("lines held", "line", (100, 12000), 4, argument=WAYS),
    Kind("slow lines", "line", (500, 8000), 3, argument=(0.002, 0.02, 0.2)),
    Kind("nobody listens", "line", (100, 6000), 2),
    Kind("broker killed", "broker", (1, 6000), 4),
    Kind("broker restarts", "broker", (1, 3000), 2),
    Kind("broker frozen", "broker", (100, 8000), 2),
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
        self._holder = self._standby = None
        self._line, self._old = world.stage.line, []
        self._calls = {
            "kill -9": (self._kill, self._start), "stop": (self._leave, self._gone_and_start),
            "freeze": (self._freeze, self._thaw), "freeze for long": (self._freeze, self._thaw),
            "freeze, then kill -9": (self._freeze, self._kill_and_start),
            "dies at": (self._arm, self._disarm), "stands still at": (self._arm, self._disarm),
            "zombie": (self._arm, self._zombie_wakes),
            "reload": (self._reload, None),
            "a guest that leaves": (self._guest, self._guest_leaves),
            "a guest that is killed": (self._guest, self._guest_killed),
            "PostgreSQL crashes": (self._postgres_crash, self._postgres_start),
            "PostgreSQL restarts": (self._postgres_stop, self._postgres_start),
            "PostgreSQL fails over": (self._standby_made, self._failed_over), "disk full": (self._fill, self._free),
            "kill -9 of a session": (self._kill_session, None),
            "sessions terminated": (self._terminate, None), "statements cancelled": (self._cancel, None),
            "lock held": (self._lock, self._unlock), "lock held for long": (self._lock, self._unlock),
            "slow commits": (self._slow, self._fast),
            "lines cut": (self._cut, None), "writers' lines cut in a while": (self._cut_later, None),
            "lines held": (self._hold, self._let_go), "slow lines": (self._slow_lines, self._fast_lines),
            "nobody listens": (self._refuse, self._listen),
            "broker killed": (self._broker_kill, self._broker_start),
            "broker restarts": (self._broker_stop, self._broker_start),
            "broker frozen": (self._broker_freeze, self._broker_thaw),
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

    def _arm(self, step):
        point, passage = step.argument
        self.members[step.target].arm(point, "KILL" if step.kind == "dies at" else "STOP", passage)

    def _disarm(self, step):
        self.members[step.target].disarm()

    def _zombie_wakes(self, step):
        """Not before others have taken over what it had: then what it has in hand is not its to book any more."""
        daemon = self.members[step.target].daemon
        if daemon.running and daemon.stands_still():
            mine, own = "SELECT count(*) FROM debitd.position WHERE owner LIKE %s", [f"%:{daemon.child.pid}"]
            had = self._asked(mine, own)
            try:
                wait_until(lambda: self._asked(mine, own) in (None, [(0,)]), 15, "others to take over from a zombie",
                           interval=0.2)
                self.say(f"  it had {had[0][0] if had else 'unknown'} partitions, and has none")
            except GaveUp:  # the others are away themselves
                self.say("  nobody took over")
        else:
            self.say("  it never stood still")
        self._disarm(step)

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
        return ("FROM pg_stat_activity WHERE datname = current_database()"
                f" AND application_name LIKE 'debitd/{'' if which == 'all' else which}%%'")

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

    # ---------------------------------------------------------------- another PostgreSQL, a full disk

    def _standby_made(self, step):
        """From here on COMMIT waits for the standby, or is lost to it, or is sent to it as it comes."""
        self._answering()
        self._standby = self.world.stage.standby(sync=step.argument == "sync")
        if step.argument == "with loss":
            self._standby.stop_receiving()

    def _failed_over(self, step):
        self._unlock(step)
        self.world.commits_lost |= step.argument != "sync"
        if step.argument != "the old one lives on":
            self.world.postgres.crash()
        self._old.append(self.world.fail_over(self._standby))

    def _fill(self, step):
        self.world.stage.disk.fill(step.argument)

    def _free(self, step):
        self.world.stage.disk.free(step.argument)

    # ---------------------------------------------------------------- lines to PostgreSQL

    def _cut(self, step):
        self.say(f"  {self._line.cut(b'debitd/' if step.argument == 'all' else f'debitd/{step.argument}'.encode())} of them")

    def _cut_later(self, step):
        """When so many bytes more have gone that way: in the middle of a batch, of its answer, of a COMMIT."""
        way, after = step.argument
        for connection in self._line.find(b"debitd/writer"):
            with self._line.changed:
                connection.cut_after(way, connection.passed[way] + after)

    def _hold(self, step):
        self._line.hold(step.argument)

    def _let_go(self, step):
        self._line.let_go()

    def _slow_lines(self, step):
        self._line.slow(delay_s=step.argument)

    def _fast_lines(self, step):
        self._line.slow()

    def _refuse(self, step):
        self._line.refuse()
        self._line.cut()

    def _listen(self, step):
        self._line.start()

    # ---------------------------------------------------------------- Kafka

    def _broker(self, step):
        return self.world.kafka.brokers[step.target]

    def _broker_kill(self, step):
        self._broker(step).end(signal.SIGKILL)

    def _broker_stop(self, step):
        self._broker(step).end(signal.SIGTERM)

    def _broker_start(self, step):
        self._broker(step).start()

    def _broker_freeze(self, step):
        self._broker(step).pause()

    def _broker_thaw(self, step):
        self._broker(step).go_on()

    # ---------------------------------------------------------------- after a phase

    def heal(self):
        """What must be over before anything is judged; every fault has ended by now."""
        self._unlock(None)
        for member in self.members:
            if member.armed:
                member.look()
                member.disarm()
                member.armed = False
        for old in self._old:
            self.world.stage.retire(old)
        self._old.clear()
        for guest in self.guests:
            if guest.leaving:
                guest.gone()
        self._answering()
        self._asked(FAST)
        self.world.kafka.wait_answers()

    def _answering(self):
        """PostgreSQL may have to recover first, or has ended because there was no room for its log."""
        wait_until(self._answers, 60, "PostgreSQL to answer", dump=lambda: tail(self.world.postgres.log))

    def _answers(self):
        postgres = self.world.postgres
        if postgres.child.poll() is not None:
            self.say("  PostgreSQL has ended, and is started again")
            postgres.crash()
            postgres.start()
        try:
            postgres.connect(self.world.name).close()
            return True
        except psycopg.OperationalError:
            return False
