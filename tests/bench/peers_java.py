"""The peers that run on Java: Kafka Connect with the JDBC sink of Debezium, and a Flink SQL job."""

import subprocess

from tests.bench.peers_contenders import Peer
from tests.bench.peers_fetch import HERE
from tests.rig.process import free_port

LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
"""


def write_properties(path, settings):
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return path


class JavaPeer(Peer):
    """A program of one Java file of peers/ and the jars it needs."""

    MEMORY_MB = 1024

    def compiled(self, name):
        """The folder of the classes of HERE/`name`.java."""
        folder = self.world.folder / "classes"
        done = subprocess.run(["javac", "-cp", f"{self.jars}/*", "-d", folder, HERE / f"{name}.java"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}.java could not be compiled:\n{done.stderr}")
        return folder

    def jdbc(self):
        """Text of no type may be a time; the rows of a batch are one INSERT."""
        return (f"jdbc:postgresql://127.0.0.1:{self.world.postgres.port}/{self.world.name}"
                "?user=postgres&stringtype=unspecified&reWriteBatchedInserts=true")

    def java(self, classes, *arguments, options=()):
        (self.world.folder / "log4j.properties").write_text(LOGGING)
        self.run(["java", f"-Xmx{self.MEMORY_MB}m", f"-Xms{self.MEMORY_MB}m", "-XX:+UseParallelGC", *options,
                  f"-Dlog4j.configuration=file:{self.world.folder}/log4j.properties", "-cp", f"{classes}:{self.jars}/*",
                  *arguments])


class Connect(JavaPeer):
    """Kafka Connect, standalone, inserting flat rows by the JDBC sink of Debezium."""

    LACKS = "costs, charges, quotas, balances, alerts, corrections; an event that is sent again is booked again"
    BATCH = 5000
    OFFSETS_S = 10

    def __init__(self, jars, tasks=1):
        self.title = f"Connect, {tasks} task" + ("s" if tasks > 1 else "")
        self.settings = (f"batches of {self.BATCH:,} rows, reWriteBatchedInserts, offsets every {self.OFFSETS_S} s, a converter of "
                         f"its own in place of schemas in each message, {self.MEMORY_MB} MiB of heap; one index (account, time), "
                         "no unique key")
        self.jars, self.tasks = jars, tasks

    def prepare(self, world, stream):
        super().prepare(world, stream)
        self.classes = self.compiled("UsageConverter")
        self.worker = write_properties(world.folder / "worker.properties", {
            "bootstrap.servers": world.kafka.bootstrap,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "UsageConverter",
            "offset.storage.file.filename": world.folder / "offsets", "offset.flush.interval.ms": self.OFFSETS_S * 1000,
            "listeners": f"http://127.0.0.1:{free_port()}", "plugin.discovery": "service_load"})
        self.sink = write_properties(world.folder / "sink.properties", {
            "name": world.name, "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": self.tasks, "topics": world.topics["usage"],
            "connection.url": self.jdbc(), "connection.username": "postgres", "connection.password": "none",
            "insert.mode": "insert", "primary.key.mode": "none", "schema.evolution": "none",
            "collection.name.format": "peer.usage", "batch.size": self.BATCH,
            "consumer.override.max.poll.records": self.BATCH, "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.session.timeout.ms": 6000, "consumer.override.fetch.min.bytes": 65536,
            "consumer.override.max.partition.fetch.bytes": 4194304})

    def group(self):
        return f"connect-{self.world.name}"

    def start(self):
        self.java(self.classes, "org.apache.kafka.connect.cli.ConnectStandalone", self.worker, self.sink)


class Flink(JavaPeer):
    """A Flink SQL job on a cluster inside one process: entries with a price looked up, sums of months, both upserted."""

    LACKS = ("exact costs (they are floats), charges, quotas, balances, alerts, corrections; an event that is sent again counts "
             "again in the sums, which are not of one transaction with the entries")
    MEMORY_MB = 2048
    SETTINGS = {
        "execution.checkpointing.interval": "10 s", "execution.checkpointing.mode": "EXACTLY_ONCE",
        "parallelism.default": 2, "taskmanager.numberOfTaskSlots": 2, "rest.port": 0,
        "taskmanager.memory.network.min": "64mb", "taskmanager.memory.network.max": "64mb",
        "pipeline.object-reuse": "true", "table.exec.mini-batch.enabled": "true",
        "table.exec.mini-batch.allow-latency": "500 ms", "table.exec.mini-batch.size": 20000,
        "table.exec.sink.keyed-shuffle": "NONE", "table.exec.sink.upsert-materialize": "NONE",
    }
    SINK = {"batch": 5000, "flush": "500 ms"}
    OPENED = ("java.util", "java.lang", "java.nio", "java.time", "java.util.concurrent", "java.net", "java.lang.reflect",
              "java.text")  # as Flink's own start script does

    def __init__(self, jars):
        self.title = "Flink SQL"
        self.settings = (f"parallelism 2, checkpoints every {self.SETTINGS['execution.checkpointing.interval']}, aggregation in "
                         f"batches of 20,000, prices cached, upserts of {self.SINK['batch']:,} rows, reWriteBatchedInserts, objects "
                         f"reused, DOUBLE, {self.MEMORY_MB} MiB of heap; one key (event), one index (account, time)")
        self.jars = jars

    def prepare(self, world, stream):
        super().prepare(world, stream)
        self.sql.execute((HERE / "flink_tables.sql").read_text())
        self.classes = self.compiled("FlinkJob")
        self.job_settings = write_properties(world.folder / "flink.properties", {
            **self.SETTINGS, "execution.checkpointing.dir": f"file://{world.folder}/checkpoints"})
        text = (HERE / "flink_job.sql").read_text()
        for name, value in {"bootstrap": world.kafka.bootstrap, "topic": world.topics["usage"],
                            "group": self.group(), "jdbc": self.jdbc(), **self.SINK}.items():
            text = text.replace(f"{{{name}}}", str(value))
        self.job = world.folder / "job.sql"
        self.job.write_text(text)

    def start(self):
        self.java(self.classes, "FlinkJob", self.job_settings, self.job,
                  options=[f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in self.OPENED])

    def wanted(self):
        return self.stream.unique

    def all_visible(self):
        return super().all_visible() and self.summed() == len(self.stream.events)

    def surplus(self):
        return super().surplus() + self.summed() - len(self.stream.events)

    def judge(self):
        found = super().judge()
        return found | {"booked_twice": self.summed() - found["rows"]}
