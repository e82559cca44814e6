"""The servers of a run and its worlds: where the plan is played."""

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.rig.kafka import Kafka
from tests.rig.postgres import Postgres
from tests.rig.world import WRITER, World, migrate_template

from .verdict import SECRET

SESSION_MS = "3000"    # a killed instance stops its partitions for so long
HEARTBEAT_MS = "500"


class Stage:
    """Servers that faults befall: nobody else's."""

    def __init__(self):
        self.kafka = self.postgres = None

    def start(self):
        self.kafka = Kafka().start()
        self.postgres = Postgres().start()
        self.template = migrate_template(self.postgres, "migrated")

    def logs(self):
        return {"kafka.log": getattr(self.kafka, "log", None), "postgres.log": getattr(self.postgres, "log", None)}

    def close(self):
        for server in (self.kafka, self.postgres):
            if server:
                server.close()


class ChaosWorld(World):
    """A world on the stage whose books are at noon of one day, however long it lasts; see Faults.clock."""

    def __init__(self, stage, plan):
        super().__init__(stage.kafka, stage.postgres, plan.number, f"chaos_{plan.number}", plan.partitions, stage.template)
        self.catalog()
        self.config["kafka"]["properties"] = [["session.timeout.ms", SESSION_MS], ["heartbeat.interval.ms", HEARTBEAT_MS],
                                              ["reconnect.backoff.max.ms", "1000"]]
        self.config["postgres"] = {"conninfo": f"{stage.postgres.conninfo(self.name, WRITER)} password={SECRET}"}
        self.now = datetime.now(timezone.utc)
        self.day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        noon = self.day + timedelta(hours=12)
        self.sql("UPDATE debitd.books SET clock_offset = %s::timestamptz - clock_timestamp()", [noon])

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


def copy_logs(paths, folder: Path):
    for name, path in paths.items():
        if path and Path(path).exists():
            shutil.copy(path, folder / name)
