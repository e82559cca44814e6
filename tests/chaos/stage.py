"""The servers of a run and its worlds: where the plan is played."""

import shutil
from datetime import datetime, timedelta, timezone

from tests.rig.cluster import Cluster
from tests.rig.daemon import merge, write_config
from tests.rig.disk import Disk
from tests.rig.kafka import Kafka
from tests.rig.postgres import Postgres
from tests.rig.proxy import Proxy
from tests.rig.standby import Standby
from tests.rig.world import WRITER, World, migrate_template

from .verdict import SECRET

SESSION_MS = "2000"    # a killed instance stops its partitions for so long
HEARTBEAT_MS = "300"


class Stage:
    """Servers that faults befall: nobody else's. Daemons reach PostgreSQL through `line`, which can be cut."""

    def __init__(self, folder, brokers):
        self.folder = folder
        self.kafka = Cluster() if brokers > 1 else Kafka()
        self.disk = Disk()
        self.postgres = Postgres(env=self.disk.env)
        self.line = Proxy(self.postgres.port)
        self._retired = 0

    def start(self):
        self.kafka.start()
        self.postgres.start()
        self.line.start()
        self.template = migrate_template(self.postgres, "migrated")

    def standby(self, sync):
        """A standby that follows."""
        return Standby(self.postgres, sync, env=self.disk.env).start()

    def fail_over(self, standby):
        """The standby is the primary from now on. Returns the old one, as it is."""
        old, self.postgres = self.postgres, standby.promote()
        self.line.target = standby.port
        self.line.cut()
        return old

    def retire(self, postgres):
        """Ends a server that is nobody's any more; its log stays."""
        self._retired += 1
        postgres.crash()
        self._keep(f"postgres-{self._retired}.log", postgres.log)
        postgres.close()

    def deadlocks(self):
        """How many PostgreSQL has found so far."""
        logs = [self.postgres.log, *self.folder.glob("postgres-*.log")]
        return sum(log.read_text(errors="replace").count("deadlock detected") for log in logs)

    def _keep(self, name, log):
        if log.exists():
            shutil.copy(log, self.folder / name)

    def close(self):
        self.retire(self.postgres)
        for broker in self.kafka.brokers:
            self._keep(f"broker-{broker.number}.log", broker.log)
        self.line.close()
        self.kafka.close()
        self.disk.close()


class ChaosWorld(World):
    """A world on the stage whose books are at noon of one day, however long it lasts; see Faults.clock."""

    def __init__(self, stage, plan):
        super().__init__(stage.kafka, stage.postgres, plan.number, f"chaos_{plan.number}", plan.partitions, stage.template)
        self.stage = stage
        self.catalog()
        self.config["kafka"]["properties"] = [["session.timeout.ms", SESSION_MS], ["heartbeat.interval.ms", HEARTBEAT_MS],
                                              ["reconnect.backoff.max.ms", "1000"]]
        self.config["postgres"] = {"conninfo": f"host=127.0.0.1 port={stage.line.port} dbname={self.name} user={WRITER}"
                                               f" password={SECRET}"}
        self.now = datetime.now(timezone.utc)
        self.day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        noon = self.day + timedelta(hours=12)
        self.sql("UPDATE debitd.books SET clock_offset = %s::timestamptz - clock_timestamp()", [noon])

    def fail_over(self, standby):
        """Daemons find the new primary at the end of the same line; we ask it, too. Returns the old one."""
        old = self.stage.fail_over(standby)
        self.postgres = self.stage.postgres
        if self._sql is not None:
            self._sql.close()
        write_config(self.owner_config, merge(self.config, {"postgres": {"conninfo": self.postgres.conninfo(self.name)}}))
        return old

    def leader(self, topic, partition):
        """Where the broker is that leads the partition."""
        number = self.kafka.topic(topic).partitions[partition].leader
        return self.kafka.brokers[number - 1].address

    def keep_logs(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in (*self.folder.glob("*.log"), *self.folder.glob("*.conf")):
            shutil.copy(path, folder)

    def counts(self):
        """Figures for the table."""
        (row,) = self.sql(
            "SELECT (SELECT coalesce(sum(duplicates), 0) FROM api.position) AS duplicates,"
            " (SELECT coalesce(sum(rejected), 0) FROM api.position) AS rejected,"
            " (SELECT coalesce(sum(parked), 0) FROM api.position) AS parked,"
            " (SELECT count(*) FROM api.ledger) AS entries, (SELECT count(*) FROM api.alert) AS alerts")
        return {name: int(value) for name, value in row.items()}

