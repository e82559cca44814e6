"""A stream of the generator through real servers, phase by phase, and the model's verdict on the books.

The model works out what must be there from the messages alone; it is told only in which order the payers' entries
came about, where partitions and topics leave that open.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone

from tests.model.books import Books
from tests.model.catalogue import shipped
from tests.model.compare import judge
from tests.model.generator import generate

from .wait import wait_until

RELEASABLE = """
    SELECT count(*) FROM debitd.parked p
    WHERE p.released_at IS NULL
      AND CASE WHEN p.reason IN ('unknown_account', 'account_closed')
               THEN EXISTS (SELECT FROM debitd.account a WHERE a.name = p.waits_for AND a.closed_at IS NULL)
               ELSE p.catalogue_version < (SELECT catalogue_version FROM debitd.books) END"""


def published(world):
    """(alerts, dead letters) of these books on their topics.

    A server that has lost commits (a failover to a standby that was behind) is given them again by Kafka, but messages of
    several partitions may now come in another order. An alert or a letter of the past that no other order brings again
    stays on its topic; debitd keeps it apart, and says so. Only what it keeps apart is left out here. An alert that comes
    again is not published again, though it may have other figures now: those of the books are taken for it. Both only
    where the test says that commits were lost.
    """
    if not world.commits_lost:
        return world.topic_messages("alerts"), world.topic_messages("deadletter")
    alerts = {str(row["alert_id"]) for row in world.sql("SELECT alert_id FROM debitd.alert_ahead")}
    letters = {tuple(str(row[name]) for name in ("rejected_id", "topic", "partition", "offset"))
               for row in world.sql("SELECT * FROM debitd.letter_ahead")}
    origin = ("debitd-id", *(f"__connect.errors.{name}" for name in ("topic", "partition", "offset")))
    events = {str(row["alert_id"]): row["event"] for row in world.sql("SELECT alert_id, event::text FROM debitd.alert")}
    return ([replace(alert, value=events.get(alert.json()["id"], "").encode() or alert.value)
             for alert in world.topic_messages("alerts") if alert.json()["id"] not in alerts],
            [letter for letter in world.topic_messages("deadletter") if _last(letter, origin) not in letters])


def _last(message, names):
    """What its headers of these names say; those of the message that was rejected stand before our own."""
    headers = dict(message.headers)
    return tuple(headers[name].decode() for name in names)


class Judged:
    """The messages of one seed, and what has been sent of them."""

    def __init__(self, world, count, **options):
        self.world = world
        self.now = datetime.now(timezone.utc)
        topics = {kind: world.topics[kind] for kind in ("usage", "accounts")}
        self.messages = generate(world.seed, count, partitions=world.partitions["usage"], now=self.now, topics=topics,
                                 **options)
        self._next = Counter()

    def phases(self):
        return sorted({message.phase for message in self.messages})

    def send(self, phase):
        """Produces a phase. The broker gives offsets one after the other, as nobody else writes to the topics."""
        for message in self.messages:
            if message.phase != phase:
                continue
            place = message.topic, message.partition
            message.offset = self._next[place]
            self._next[place] += 1
            self.world.sender.send(message.topic, message.value, message.key, message.headers, message.partition,
                                   message.timestamp_ms)
        self.world.flush()

    def at_rest(self):
        """Nothing is left to consume, to release, to fold, to publish."""
        world = self.world
        return (not world.behind() and world.value(RELEASABLE) == 0
                and world.value("SELECT count(*) FROM debitd.batch WHERE NOT folded") == 0
                and world.unpublished() == 0)

    def settle(self, timeout=120):
        wait_until(self.at_rest, timeout, "everything to be booked, released, folded and published", dump=self.world.dump)

    def run(self, meanwhile=None):
        """All phases, each settled before the next; meanwhile(phase) runs after a phase was sent."""
        for phase in self.phases():
            self.send(phase)
            if meanwhile:
                meanwhile(phase)
            self.settle()

    def differences(self):
        """Every difference between the model's books and the real ones, in words."""
        world = self.world
        with world.postgres.connect(world.name) as connection:
            return judge(Books(shipped(), self.now), self.messages, connection, *published(world))

    def verdict(self):
        """The first of them, as one text."""
        found = self.differences()
        return "\n".join(found[:40]) + (f"\n… {len(found)} differences" if len(found) > 40 else "")
