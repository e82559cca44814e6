"""A real Apache Kafka broker (KRaft, broker and controller in one process) on free ports, in a temporary folder.

The jars come from Maven (`./run deps check`). It starts in about 4 s and needs some 400 MB.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from . import process

VERSION = "3.9.1"
CLUSTER_ID = "ZGViaXRkLXRlc3RzLTAwMQ"

CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
num.network.threads=2
num.io.threads=4
background.threads=2
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
"""
LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
"""


def jars_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "debitd" / f"kafka-{VERSION}"


class Kafka:
    """start() … stop(); the data stay from start to start until close() removes the folder."""

    def __init__(self):
        self.jars = jars_folder()
        if not (self.jars / f"kafka_2.13-{VERSION}.jar").exists():
            raise RuntimeError(f"no broker in {self.jars}: run ./run deps check")
        self.folder = Path(tempfile.mkdtemp(prefix="debitd-kafka-", dir="/var/tmp"))
        self.port, self.controller_port = process.free_port(), process.free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log = self.folder / "server.log"
        self.child = self._admin = self._reader = None
        (self.folder / "server.properties").write_text(
            CONFIGURATION.format(folder=self.folder, port=self.port, controller_port=self.controller_port))
        (self.folder / "log4j.properties").write_text(LOGGING)
        self._format()

    def _java(self, *arguments):
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true",
                f"-Dlog4j.configuration=file:{self.folder}/log4j.properties", "-cp", f"{self.jars}/*", *arguments]

    def _format(self):
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                       f"{self.folder}/server.properties"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"the broker's folder could not be formatted:\n{done.stdout}")

    def start(self):
        """Returns when the broker answers."""
        assert self.child is None, "it runs already"
        self.child = process.start(
            self._java("-Xmx512m", "kafka.Kafka", f"{self.folder}/server.properties"), self.log)
        process.wait_for(self.child, self._answers, 60, "the broker to answer", self.log)
        return self

    def _answers(self):
        try:
            return len(self.admin().list_topics(timeout=1).brokers) == 1
        except KafkaException:
            return False

    def stop(self):
        """An orderly end."""
        if self.child:
            process.end(self.child, signal.SIGTERM, 30, "kafka")
            self.child = None

    def kill(self):
        """kill -9."""
        if self.child:
            process.end(self.child, signal.SIGKILL, 30, "kafka")
            self.child = None

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self):
        """The one client for administration; it finds the broker again after a restart."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0,
                                       "socket.timeout.ms": 10000, "reconnect.backoff.max.ms": 500})
        return self._admin

    def create_topics(self, names, partitions=1, **config):
        """`config` is the topics' own: max_message_bytes=4194304 stands for max.message.bytes."""
        self.create_all([(name, partitions, config) for name in names])

    def create_all(self, wanted):
        """Topics that differ, as (name, partitions, config), in one request."""
        made = [NewTopic(name, num_partitions=partitions, replication_factor=1,
                         config={key.replace("_", "."): str(value) for key, value in config.items()})
                for name, partitions, config in wanted]
        for future in self.admin().create_topics(made, operation_timeout=30).values():
            future.result(60)

    def create_topic(self, name, partitions=1, **config):
        self.create_topics([name], partitions, **config)

    def delete_topics(self, names):
        """Returns when the broker has agreed to it, not when the files are gone."""
        for future in self.admin().delete_topics(list(names)).values():
            future.result(60)

    def partitions(self, topic):
        found = self.admin().list_topics(topic, timeout=10).topics[topic]
        if found.error:
            raise KafkaException(found.error)
        return sorted(found.partitions)

    def ends(self, topic, partitions=None):
        """{partition: (first offset, offset after the last)}; of all partitions unless some are named."""
        if self._reader is None:
            self._reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "debitd-rig", "log_level": 0,
                                     "reconnect.backoff.max.ms": 500})
        return {p: self._reader.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in (self.partitions(topic) if partitions is None else partitions)}
