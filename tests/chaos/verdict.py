"""What must hold when the faults are over: at the end of every phase, of every round, of a world."""

import re

import psycopg

from tests.rig.wait import wait_until

from .fleet import Failure, ready

SETTLE_S = 180         # a session that PostgreSQL holds for dead, an owner that stood still, a group without its leader …
QUIET_S = 30
SECRET = "hush-9f1c"   # the password in the daemons' connection string; the server does not ask for it

COUNTED = "booked + duplicates + rejected + parked + skipped"
SESSIONS = {
    "prepared transactions": "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()",
    "sessions idle in a transaction":
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    "advisory locks (but the relay's)":
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database()"
        " AND l.locktype = 'advisory' AND l.classid <> 1684365929",
    "temporary files": "SELECT count(*) FROM pg_ls_tmpdir()",
}
LEDGER = "SELECT count(*), coalesce(sum(hashtextextended(l::text, 0)), 0), coalesce(max(entry_id), 0) FROM debitd.ledger l"
OUR_SESSIONS = ("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE 'debitd/%' GROUP BY 1 ORDER BY 1")


class Verdict:
    """Of one world."""

    def __init__(self, world, stream, members):
        self.world, self.stream, self.members = world, stream, members
        self._ledger = (0, 0, 0)
        self._deadlocks = world.stage.deadlocks()

    # ---------------------------------------------------------------- after a phase

    def settled(self):
        """Lag is back to zero, and nothing is unpublished, unfolded or releasable."""
        def rests():
            for member in self.members:
                member.look()
            try:
                return self.stream.at_rest()
            except psycopg.OperationalError as error:  # a session of ours that the last fault ended
                return not error
        wait_until(rests, SETTLE_S, "everything to be booked, released, folded and published", dump=self.world.dump,
                   interval=0.1)
        young = [member for member in self.members if member.first_cost is None and member.lives]
        ready(young, self.world.dump)  # the others may have done all the work
        for member in young:
            member.first_cost = member.cost()

    def conserved(self):
        """Each offset of both topics was counted once. (The model says as what; it is asked after the round.)"""
        there = {}
        for message in self.stream.messages:
            there[message.topic, message.partition] = there.get((message.topic, message.partition), 0) + 1
        rows = self.world.sql(f"SELECT topic, partition, {COUNTED} AS counted FROM api.position")
        counted = {(row["topic"], row["partition"]): row["counted"] for row in rows if row["counted"]}
        if counted != there:
            raise Failure(f"messages counted {counted}, messages on the topics {there}")

    # ---------------------------------------------------------------- after a round

    def whole(self):
        """Raises with everything that is not as it should be."""
        found = [*self._books(), *self._unchanged(), *self._quiet(), *self._costs(), *self._logs()]
        if found:
            raise Failure("\n".join(found[:60]) + f"\n{len(found)} differences")

    def _books(self):
        found = self.stream.differences()
        verify = self.world.debitctl("verify", json=False, expect=None)
        if verify.code:
            found.append(f"debitctl verify exits with {verify.code}: {verify.out}{verify.err}")
        return found

    def _unchanged(self):
        """Entries of earlier rounds are as they were."""
        count, checksum, last = self._ledger
        (now,) = self._rows(LEDGER + " WHERE entry_id <= %s", [last])
        (self._ledger,) = self._rows(LEDGER)
        if now != self._ledger and now[:2] != (count, checksum):
            return [f"ledger: the {count} entries of earlier rounds have changed, or are {now[0]} now"]
        return []

    def _rows(self, statement, parameters=None):
        with self.world.postgres.connect(self.world.name) as connection:
            return connection.execute(statement, parameters).fetchall()

    def _quiet(self):
        """Nothing is held in PostgreSQL by anybody. A keeper's own moments are waited out."""
        found = []
        for what, statement in SESSIONS.items():
            seen = {}

            def none(what=what, statement=statement, seen=seen):
                ((seen["count"],),) = self._rows(statement)
                return seen["count"] == 0
            try:
                wait_until(none, QUIET_S, what, dump=self.world.dump)
            except AssertionError as error:
                found.append(f"left over: {what}: {seen['count']}\n{error}")
        return found

    def _costs(self):
        """Threads, descriptors and memory of each that lives, against what they were at its first rest."""
        found = []
        for member in self.members:
            member.look()
            if not member.lives:
                continue
            if excess := member.cost().excess(member.first_cost):
                found.append(f"leak: {member.name}: {excess}")
        return found

    def _logs(self):
        """No secret, no control byte, no assertion in any log; no deadlock in the server's."""
        found = []
        for daemon in self.world.daemons:
            text = daemon.log.read_bytes() if daemon.log.exists() else b""
            if SECRET.encode() in text:
                found.append(f"log: {daemon.log.name} has the password in it")
            control = re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", text)
            if control:
                found.append(f"log: {daemon.log.name} has byte {control[0]!r} at {control.start()}")
            for bad in re.findall(rb".*(?:Assertion .* failed|Sanitizer|SUMMARY: ).*", text)[:3]:
                found.append(f"log: {daemon.log.name}: {bad.decode(errors='replace')}")
        deadlocks = self.world.stage.deadlocks() - self._deadlocks
        if deadlocks:
            found.append(f"deadlocks: {deadlocks}, see PostgreSQL's log")
        return found
