"""The peers that run on Java: Kafka Connect with the JDBC sink of Debezium."""

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
