"""Those that run against each other: debitd, and what a user would pick instead. Each is started on a full topic and an empty
database, and says what it has made visible there. What the peers are told is in their favour: the docs and the report say it."""

import json
import os
import signal
from datetime import datetime

from confluent_kafka import Consumer, TopicPartition

from tests.bench import usage
from tests.bench.ground import Watch, check_books, settled
from tests.bench.peers_fetch import HERE
from tests.rig import process

LAST = 20  # of the stream's events: while one of them is not there, nobody counts


class Contender:
    """title, settings and LACKS are for the report; children() are its processes; TABLE is what it writes to."""

    def pids(self):
        return [child.pid for child in self.children()]

    def check_running(self):
        for child in self.children():
            if child.poll() is not None:
                raise RuntimeError(f"{self.title} ended with {child.returncode}\n{self.tail()}")

    def cpu_s(self):
        return sum(usage.family_s(pid) for pid in self.pids())

    def rss_peak_mib(self):
        return sum(usage.memory_kib(pid)[1] for pid in self.pids()) / 1024


class Debitd(Contender):
    """The whole product; nothing is left out."""

    TABLE = "debitd.ledger"
    LACKS = "none of what the others lack"

    def __init__(self, writers):
        self.title = f"debitd, {writers} writer" + ("s" if writers > 1 else "")
        self.settings = f"batch as shipped, writers.count = {writers}"
        self.writers = writers

    def prepare(self, world, stream):
        self.world, self.stream, self.watch = world, stream, Watch(world, len(stream.events))

    def start(self):
        self.daemon = self.world.start(wait=False, writers={"count": self.writers})

    def children(self):
        return [self.daemon.child]

    def first_visible(self):
        """How many events are visible, where any is."""
        return self.watch.consumed()

    def all_visible(self):
        return self.watch.consumed() >= len(self.stream.events)

    def settled(self):
        """Nothing is left that it will do later by itself."""
        return settled(self.world)

    def caught_up(self):
        """It works, has all that the topic holds, and would go on from there if it were started again."""
        return "READY=1" in self.daemon.heard() and self.all_visible()

    def surplus(self):
        """Events more than the topic holds."""
        return self.world.value("SELECT count(*) FROM debitd.ledger WHERE type = 'usage'") - self.stream.unique

    def judge(self):
        """Raises unless it did what it is said to do; returns what is worth knowing of its rows."""
        check_books(self.world, self.stream)
        self.world.sql((HERE / "tables.sql").read_text())
        inexact = self.world.value(
            "SELECT count(*) FROM api.ledger l JOIN peer.price p ON p.service = l.service AND p.model = coalesce(l.model, '')"
            " WHERE l.type = 'usage' AND l.cost <> coalesce("
            "(l.components->'input'->>'quantity')::numeric * p.input::numeric"
            " + (l.components->'output'->>'quantity')::numeric * p.output::numeric, l.quantity * p.each::numeric)")
        return {"rows": self.stream.unique, "booked_twice": 0, "inexact_costs": inexact}

    def tail(self):
        return self.daemon.tail()

    def kill(self):
        self.daemon.kill()

    def stop(self):
        self.daemon.stop()
        self.watch.sql.close()


class Peer(Contender):
    """What all have in common that write rows into peer.usage and are consumers of a group."""

    TABLE = "peer.usage"

    def prepare(self, world, stream):
        self.world, self.stream, self.processes = world, stream, []
        self.log = world.folder / "peer.log"
        self.sql = world.postgres.connect(world.name)
        self.sql.execute((HERE / "tables.sql").read_text())
        self.last = [[], [], []]
        for _, value in stream.events[-LAST:]:
            event = json.loads(value)
            for column, field in zip(self.last, (event["subject"], datetime.fromisoformat(event["time"]), event["id"])):
                column.append(field)

    def run(self, command, **options):
        self.processes.append(process.start(command, self.log, cwd=self.world.folder, **options))

    def children(self):
        return self.processes

    def wanted(self):
        """Rows in the end."""
        return len(self.stream.events)

    def rows(self):
        return self.sql.execute("SELECT count(*) FROM peer.usage").fetchone()[0]

    def first_visible(self):
        return self.sql.execute("SELECT EXISTS (SELECT FROM peer.usage)").fetchone()[0] and self.rows()

    def summed(self):
        """Events in the sums of months, of those who have them."""
        return int(self.sql.execute("SELECT coalesce(sum(events), 0) FROM peer.month").fetchone()[0])

    def all_visible(self):
        """Looks for the last events by the index; only when those are there does it count, which takes a while."""
        found = self.sql.execute(
            "SELECT count(*) FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) AS w (account, at, id), LATERAL"
            " (SELECT FROM peer.usage u WHERE u.account_id = w.account AND u.occurred_at = w.at AND u.event_id = w.id"
            " LIMIT 1) AS f", self.last, prepare=True).fetchone()[0]
        return found == LAST and self.rows() == self.wanted()

    def settled(self):
        return True

    def group(self):
        return f"{self.world.name}.peer"

    def positions(self, partitions):
        """{partition: offset} from which it would go on."""
        consumer = Consumer({"bootstrap.servers": self.world.kafka.bootstrap, "group.id": self.group()})
        try:
            found = consumer.committed([TopicPartition(self.world.topics["usage"], each) for each in partitions], timeout=10)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found}

    def caught_up(self):
        ends = self.world.kafka.ends(self.world.topics["usage"]).items()
        wanted = {partition: end for partition, (_, end) in ends if end}
        return self.positions(wanted) == wanted

    def surplus(self):
        return self.rows() - self.wanted()

    def judge(self):
        rows, ids, inexact = self.sql.execute(
            "SELECT count(*), count(DISTINCT event_id), sum((u.cost::text::numeric <>"
            " coalesce(u.input::numeric * p.input::numeric + u.output::numeric * p.output::numeric,"
            " u.quantity::numeric * p.each::numeric))::int)"
            " FROM peer.usage u JOIN peer.price p ON p.service = u.service AND p.model = coalesce(u.model, '')").fetchone()
        if rows != self.wanted() or ids != self.stream.unique:
            raise RuntimeError(f"{self.title} has {rows} rows of {ids} events, wanted {self.wanted()} of"
                               f" {self.stream.unique}\n{self.tail()}")
        return {"rows": rows, "booked_twice": rows - ids, "inexact_costs": inexact}

    def tail(self):
        return f"--- {self.log}\n{process.tail(self.log)}"

    def kill(self):
        while self.processes:
            process.end(self.processes.pop(), signal.SIGKILL, 30, self.title)

    def stop(self):
        while self.processes:
            process.end(self.processes.pop(), signal.SIGTERM, 30, self.title)
        self.sql.close()


class Script(Peer):
    """peers/script.py, as one process or as several of one group."""

    KIND, FILE = "script", "script.py"
    SETTINGS = ("COPY of 20,000 rows, commits of offsets not waited for, prefetch of 200,000 events, floats; one index "
                "(account, time), no unique key")
    LACKS = ("exact costs (they are floats), charges, quotas, balances, alerts, corrections; an event that is sent again is "
             "booked again")

    def __init__(self, packages, processes=1):
        self.title = self.KIND + (f" x {processes}" if processes > 1 else "")
        self.settings = self.SETTINGS
        self.packages, self.count = packages, processes

    def start(self):
        for _ in range(self.count):
            self.run(["/usr/bin/python3", HERE / self.FILE, self.world.kafka.bootstrap, self.world.topics["usage"],
                      self.group(), self.world.postgres.conninfo(self.world.name)],
                     env={**os.environ, "PYTHONPATH": str(self.packages)})



class CarefulScript(Script):
    """peers/careful.py: what of debitd's work a script can do without rules of its own, exact and once."""

    KIND, FILE = "careful script", "careful.py"
    SETTINGS = ("20,000 rows by COPY to a temporary table, booked and summed by month in one statement, offsets in the same "
                "transaction, prefetch of 200,000 events, Decimal; one key (event), one index (account, time)")
    LACKS = "charges, quotas, balances, alerts, corrections, the components of a price, limits of a day"

    def prepare(self, world, stream):
        super().prepare(world, stream)
        self.sql.execute((HERE / "careful_tables.sql").read_text())

    def wanted(self):
        return self.stream.unique

    def positions(self, partitions):
        return dict(self.sql.execute("SELECT partition, next_offset FROM peer.position").fetchall())

    def surplus(self):
        return super().surplus() + self.summed() - self.wanted()

    def judge(self):
        different = self.sql.execute(
            "SELECT count(*) FROM peer.month m FULL JOIN (SELECT account_id, metric, date_trunc('month', occurred_at, 'UTC') AS"
            " month, count(*) AS events, sum(quantity) AS quantity, sum(cost) AS cost FROM peer.usage GROUP BY 1, 2, 3) u"
            " USING (account_id, metric, month)"
            " WHERE (m.events, m.quantity, m.cost) IS DISTINCT FROM (u.events, u.quantity, u.cost)").fetchone()[0]
        if different:
            raise RuntimeError(f"{self.title} has {different} sums of months that are not those of its rows\n{self.tail()}")
        return super().judge()
