"""What one integration test has for itself: a migrated database, four topics, and as many daemons as it starts.

The two servers are shared by all tests; names are unique per test. Daemons connect as a role that has the rights of
debitd_writer and no others, debitctl as the owner of the database.
"""

import itertools
import os
import re
import shutil
import tempfile
from pathlib import Path

from psycopg.rows import dict_row

from . import events
from .daemon import TOP, Debitd, debitctl, merge, write_config
from .wait import wait_until

WRITER = "debitd_tests_writer"
LARGE = 4 * 1024 * 1024 + 65536  # the input topics take a 4 MiB value

_numbers = itertools.count(1)


def migrate_template(postgres, name):
    """A database that is migrated once and copied for each test; and the role that daemons use."""
    postgres.create_database(name)
    with tempfile.TemporaryDirectory(prefix="debitd-template-", dir="/var/tmp") as folder:
        config = write_config(Path(folder) / "owner.conf", {"postgres": {"conninfo": postgres.conninfo(name)}})
        debitctl(config, "migrate", json=False)
    with postgres.connect("postgres") as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [WRITER]).fetchone():
            connection.execute(f"CREATE ROLE {WRITER} LOGIN IN ROLE debitd_writer")
    return name


class World:
    commits_lost = False  # PostgreSQL has lost some in this test: a standby took over that was behind, see judged.published

    def __init__(self, kafka, postgres, seed, name="test", partitions=4, template="template1", limits=None):
        self.kafka, self.postgres, self.seed = kafka, postgres, seed
        short = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
        self.name = f"{short}_{os.getpid()}_{next(_numbers)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"debitd-{short}-", dir="/var/tmp"))
        self.partitions = {"usage": partitions, "accounts": partitions, "alerts": 1, "deadletter": 1}
        self.topics = {kind: f"{self.name}.{kind}" for kind in self.partitions}
        self.daemons, self._sender, self._sql, self._ids = [], None, None, itertools.count(1)
        postgres.create_database(self.name, template)
        kafka.create_all([(topic, self.partitions[kind], {"max_message_bytes": (limits or {}).get(kind, LARGE)})
                          for kind, topic in self.topics.items()])
        self.config = {
            "kafka": {"bootstrap_servers": kafka.bootstrap, "group_id": self.name,
                      "properties": [["session.timeout.ms", "6000"]]},
            "topics": {"usage": self.topics["usage"], "accounts": self.topics["accounts"],
                       "alerts": self.topics["alerts"], "dead_letter": self.topics["deadletter"]},
            "postgres": {"conninfo": postgres.conninfo(self.name, WRITER)},
        }
        self.owner_config = self.folder / "owner.conf"
        write_config(self.owner_config,
                     merge(self.config, {"postgres": {"conninfo": postgres.conninfo(self.name)}}))

    # ---------------------------------------------------------------- programs

    def start(self, n=1, wait=True, env=None, fault=None, program="debitd", **config):
        """Starts `n` more daemons, the configuration changed by groups (batch={"max_events": 1}). One or a list.
        `fault`: with fault points, see Debitd.start; `program`: another one of the build folder."""
        started = []
        for _ in range(n):
            daemon = Debitd(self.folder, merge(self.config, config), f"debitd-{len(self.daemons) + 1}")
            self.daemons.append(daemon)
            started.append(daemon.start(wait=False, env=env, fault=fault, program=program))
        if wait:
            for daemon in started:
                daemon.wait_ready()
        return started[0] if n == 1 else started

    def debitctl(self, *arguments, **options):
        """debitctl as the owner of the database; see daemon.debitctl."""
        return debitctl(self.owner_config, *arguments, **options)

    def catalog(self, source=TOP / "etc" / "catalog.conf"):
        """Applies a catalogue: a file, or the text of one."""
        if isinstance(source, str):
            text, source = source, self.folder / "catalog.conf"
            source.write_text(text)
        return self.debitctl("catalog", "apply", source, json=False)

    def verify(self):
        """debitctl verify finds no difference."""
        return self.debitctl("verify", json=False)

    def close(self):
        """Ends everything of this test and removes it from the shared servers."""
        for daemon in self.daemons:
            if daemon.running:
                daemon.kill()
        if self._sql is not None:
            self._sql.close()
        self.postgres.drop_database(self.name)
        self.kafka.delete_topics(self.topics.values())
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---------------------------------------------------------------- into Kafka

    @property
    def sender(self):
        if self._sender is None:
            self._sender = events.Sender(self.kafka.bootstrap)
        return self._sender

    def sender_anew(self):
        """For a topic that was made anew: a producer may have learned that it is gone, and refuse messages for a while."""
        self._sender = None

    def produce(self, kind, value, key=None, headers=None, partition=None, timestamp_ms=None):
        """One message to the topic `kind` (usage, accounts, alerts, deadletter). flush() sends what is left."""
        self.sender.send(self.topics[kind], value, key, headers, partition, timestamp_ms)

    def flush(self):
        self.sender.flush()

    def event(self, kind, type, subject, data, id=None, source="/tests", time=None, mode="structured", key=None,
              headers=None, partition=None, timestamp_ms=None, **attributes):
        """A CloudEvent to the topic `kind`, keyed by its subject unless told otherwise. Returns its id."""
        id = id or f"e-{next(self._ids)}"
        attributes.update(id=id, source=source, type=type, subject=subject, time=time)
        if mode == "binary":
            more, value = events.binary(data, **attributes)
            headers = more + list(headers or [])
        else:
            value = events.structured(**attributes, data=data)
        self.produce(kind, value, subject if key is None else key, headers, partition, timestamp_ms)
        return id

    EVENT_OPTIONS = ("id", "source", "time", "mode", "key", "headers", "partition", "timestamp_ms")

    def _split(self, given):
        return ({k: v for k, v in given.items() if k in self.EVENT_OPTIONS},
                {k: v for k, v in given.items() if k not in self.EVENT_OPTIONS})

    def usage(self, account, metric="ai_tokens", **given):
        """usage.recorded; event options (id, source, time, mode …) apart, everything given goes into data."""
        options, data = self._split(given)
        return self.event("usage", "usage.recorded", account, {"metric": metric, **data}, **options)

    def void(self, account, voided, **given):
        options, data = self._split(given)
        return self.event("usage", "usage.voided", account, {"id": voided, **data}, **options)

    def account(self, type, account, **given):
        """An event of usage.accounts: world.account("account.opened", "acct-1", plan="payg")."""
        options, data = self._split(given)
        return self.event("accounts", type, account, data, **options)

    # ---------------------------------------------------------------- out of Kafka and PostgreSQL

    def topic_messages(self, kind, isolation="read_committed"):
        return events.read_topic(self.kafka.bootstrap, self.topics[kind], range(self.partitions[kind]), isolation)

    def alerts(self, type=None):
        """The alerts published so far, as dictionaries, in the topic's order."""
        found = [message.json() for message in self.topic_messages("alerts")]
        return [alert for alert in found if type in (None, alert["type"])]

    def sql(self, statement, parameters=None):
        """Rows as dictionaries (an empty list where the statement has none), as the owner, committed at once."""
        if self._sql is None or self._sql.closed:
            self._sql = self.postgres.connect(self.name, row_factory=dict_row)
        cursor = self._sql.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def disconnect(self):
        """Forgets the connection of sql(), before its server goes; the next statement makes a new one."""
        if self._sql is not None:
            self._sql.close()

    def value(self, statement, parameters=None):
        """The one value of the one row."""
        (row,) = self.sql(statement, parameters)
        (value,) = row.values()
        return value

    # ---------------------------------------------------------------- waiting

    def wait(self, predicate, what, timeout=30):
        return wait_until(predicate, timeout, what, dump=self.dump)

    def behind(self):
        """{(topic, partition): (next offset in the books, end of the log)} of what is not consumed to its end."""
        rows = self.sql("SELECT topic, partition, next_offset FROM api.position")
        have = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        late = {}
        for kind in ("usage", "accounts"):
            for partition, (low, high) in self._ends(kind).items():
                reached = have.get((self.topics[kind], partition))
                if high > low and (reached is None or reached < high):
                    late[self.topics[kind], partition] = (reached, high)
        return late

    def _ends(self, kind):
        return self.kafka.ends(self.topics[kind], range(self.partitions[kind]))

    def unpublished(self):
        """How many alerts and dead letters wait for the relay."""
        return self.value("SELECT (SELECT count(*) FROM api.alert WHERE published_at IS NULL)"
                          " + (SELECT count(*) FROM api.rejected WHERE published_at IS NULL)")

    def wait_booked(self, total=None, timeout=60):
        """Until both input topics are consumed to their ends, every alert and dead letter is published and, where
        `total` is given, the ledger holds that many entries of type usage. More than that fails at once."""
        self.flush()
        seen = {}

        def settled():
            seen["behind"] = self.behind()
            if seen["behind"]:
                return False
            seen["usage"] = self.value("SELECT count(*) FROM api.ledger WHERE type = 'usage'")
            assert total is None or seen["usage"] <= total, f"{seen['usage']} usage entries, wanted {total}"
            seen["unpublished"] = self.unpublished()
            return total in (None, seen["usage"]) and seen["unpublished"] == 0
        wait_until(settled, timeout, "everything to be booked and published",
                   dump=lambda: f"last seen {seen}, wanted {total} usage entries\n{self.dump()}")

    def dump(self):
        """Evidence for a person: positions, offsets, sessions, the daemons' logs."""
        parts = []
        for title, statement in (
                ("positions", "SELECT * FROM api.position ORDER BY topic, partition"),
                ("sessions", "SELECT pid, usename, state, wait_event_type, wait_event, left(query, 120) AS query"
                             " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"),
                ("rejected", "SELECT reason, count(*), min(detail) AS detail FROM api.rejected GROUP BY reason"),
                ("parked", "SELECT reason, count(*) FROM api.parked WHERE released_at IS NULL GROUP BY reason"),
                ("waiting", "SELECT type, count(*) FROM api.alert WHERE published_at IS NULL GROUP BY type")):
            try:
                parts.append(f"--- {title}\n" + "\n".join(str(tuple(row.values())) for row in self.sql(statement)))
            except Exception as error:  # one missing piece must not hide the others
                parts.append(f"--- {title}: {error}")
        for kind in self.topics:
            try:
                parts.append(f"--- {self.topics[kind]}: {self._ends(kind)}")
            except Exception as error:
                parts.append(f"--- {self.topics[kind]}: {error!r}")
        return "\n".join(parts + [daemon.tail() for daemon in self.daemons])
