"""A real Apache Kafka broker (KRaft, broker and controller in one process) on free ports, in a temporary folder.

The jars come from Maven (`./run deps check`). It starts in about 4 s and needs some 400 MB. Several of them that
make one cluster: cluster.py.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from . import process
from .wait import wait_until

VERSION = "3.9.1"
CLUSTER_ID = "ZGViaXRkLXRlc3RzLTAwMQ"
FIRST, END = -2, -1  # what a broker takes for a time when it is asked for an offset
PASSING = {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError.LEADER_NOT_AVAILABLE,
           KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT}

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 500,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "log.segment.bytes": 134217728,
    "log.index.size.max.bytes": 1048576,
    "log.cleaner.dedupe.buffer.size": 8388608,
    "log.cleaner.backoff.ms": 1000,
}
LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
"""


def _dotted(config):
    return {key.replace("_", "."): str(value) for key, value in config.items()}


def jars_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "debitd" / f"kafka-{VERSION}"


@dataclass
class Listener:
    """A further way into a broker: `protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; clients that come in
    by it are told to go on to the port `advertised`, that of a proxy for example."""

    name: str
    protocol: str
    port: int
    advertised: int

    def at(self, port):
        return f"{self.name}://127.0.0.1:{port}"


class Broker:
    """One process of a cluster, and its folder."""

    def __init__(self, number, folder, jars, memory_mb=512):
        self.number, self.folder, self.jars, self.memory_mb = number, folder, jars, memory_mb
        self.port, self.controller_port = process.free_port(), process.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.child = None
        self.paused = False
        folder.mkdir()

    def configure(self, voters, listeners, settings):
        """Writes its files. `voters` are the brokers of the cluster."""
        listeners = [Listener("PLAINTEXT", "PLAINTEXT", self.port, self.port), *listeners]
        controller = Listener("CONTROLLER", "PLAINTEXT", self.controller_port, self.controller_port)
        lines = {
            "node.id": self.number,
            "log.dirs": self.folder / "data",
            "controller.quorum.voters": ",".join(f"{v.number}@127.0.0.1:{v.controller_port}" for v in voters),
            "listeners": ",".join(each.at(each.port) for each in [*listeners, controller]),
            "advertised.listeners": ",".join(each.at(each.advertised) for each in listeners),
            "listener.security.protocol.map": ",".join(f"{each.name}:{each.protocol}"
                                                       for each in [*listeners, controller]),
            **settings}
        (self.folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        (self.folder / "log4j.properties").write_text(LOGGING)

    def java(self, *arguments):
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true",
                f"-Dlog4j.configuration=file:{self.folder}/log4j.properties", "-cp", f"{self.jars}/*", *arguments]

    def format(self, options):
        return subprocess.Popen(
            self.java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                      f"{self.folder}/server.properties", *options),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start(self):
        """Returns at once."""
        assert self.child is None, f"broker {self.number} runs already"
        self.child = process.start(
            self.java(f"-Xmx{self.memory_mb}m", "kafka.Kafka", f"{self.folder}/server.properties"), self.log)

    def end(self, how):
        """Sends the signal `how` and waits for the end."""
        if self.child:
            self.go_on()  # while it is stopped it hears nothing but kill -9
            process.end(self.child, how, 30, f"broker {self.number}")
            self.child = None

    def pause(self):
        """SIGSTOP: its connections stay open, and nobody answers there."""
        self.child.send_signal(signal.SIGSTOP)
        self.paused = True

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)
        self.paused = False


class Kafka:
    """start() … stop(); the data stay from start to start until close() removes the folder.

    `settings` are laid over SETTINGS, `listeners` come in addition to the plain one that `bootstrap` names, and
    `format_options` go to the tool that formats the folder.
    """

    BROKERS = 1
    MEMORY_MB = 512
    # of administration and reading; a broker that does not answer is given up after 3 s for another
    CLIENT = {"log_level": 0, "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 3000}

    def __init__(self, settings=None, listeners=(), format_options=()):
        jars = jars_folder()
        if not (jars / f"kafka_2.13-{VERSION}.jar").exists():
            raise RuntimeError(f"no broker in {jars}: run ./run deps check")
        self.folder = Path(tempfile.mkdtemp(prefix="debitd-kafka-", dir="/var/tmp"))
        self.brokers = [Broker(n, self.folder / str(n), jars, self.MEMORY_MB) for n in range(1, self.BROKERS + 1)]
        self.bootstrap = ",".join(broker.address for broker in self.brokers)
        self._admin = self._reader = None
        for broker in self.brokers:
            broker.configure(self.brokers, listeners, {**SETTINGS, **(settings or {})})
        for broker, formatting in [(broker, broker.format(format_options)) for broker in self.brokers]:
            said, _ = formatting.communicate(timeout=60)
            if formatting.returncode:
                raise RuntimeError(f"the folder of broker {broker.number} could not be formatted:\n{said}")

    def start(self):
        """Returns when all brokers answer."""
        for broker in self.brokers:
            broker.start()
        self.wait_answers()
        return self

    def wait_answers(self, count=None, timeout=60):
        """Until so many brokers (all) are in the cluster; those that were started are looked at."""
        for broker in self.brokers:
            if broker.child:
                process.wait_for(broker.child, lambda: self._answering() == (count or len(self.brokers)), timeout,
                                 "the brokers to answer", broker.log)

    def _answering(self):
        try:
            return len(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return 0

    def stop(self):
        """An orderly end."""
        self._end(signal.SIGTERM)

    def kill(self):
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, how):
        for broker in self.brokers:
            broker.end(how)

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        Kafka.kill(self)
        shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self):
        """The one client for administration; it finds the broker again after a restart."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **self.CLIENT})
        return self._admin

    def create_topics(self, names, partitions=1, **config):
        """`config` is the topics' own: max_message_bytes=4194304 stands for max.message.bytes."""
        self.create_all([(name, partitions, config) for name in names])

    def create_all(self, wanted):
        """Topics that differ, as (name, partitions, config), in one request."""
        made = [NewTopic(name, num_partitions=partitions, replication_factor=min(3, len(self.brokers)), config=_dotted(config))
                for name, partitions, config in wanted]
        for future in self.admin().create_topics(made, operation_timeout=30, request_timeout=40).values():
            future.result(60)

    def create_topic(self, name, partitions=1, **config):
        self.create_topics([name], partitions, **config)

    def configure_topic(self, name, **config):
        """The topic's own configuration from now on; what is not given is the broker's again."""
        for future in self.admin().alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, _dotted(config))]).values():
            future.result(60)

    def delete_topics(self, names):
        """Returns when the broker has agreed to it, not when the files are gone."""
        for future in self.admin().delete_topics(list(names), request_timeout=40).values():
            future.result(60)

    def topic(self, name):
        """What the cluster says of a topic: confluent_kafka's TopicMetadata."""
        found = self._answer(lambda: self.admin().list_topics(name, timeout=5).topics[name], f"metadata of {name}")
        if found.error:
            raise KafkaException(found.error)
        return found

    def all_topics(self):
        return self._answer(lambda: self.admin().list_topics(timeout=5).topics, "metadata of all topics")

    def partitions(self, topic):
        return sorted(self.topic(topic).partitions)

    def ends(self, topic, partitions=None):
        """{partition: (first offset, offset after the last)}; of all partitions unless some are named. Waits for a
        leader where there is none for the moment."""
        wanted = list(self.partitions(topic) if partitions is None else partitions)
        first, end = (self._answer(lambda which=which: self._offsets(topic, wanted, which), f"the offsets of {topic}")
                      for which in (FIRST, END))
        return {p: (first[p], end[p]) for p in wanted}

    def _offsets(self, topic, partitions, which):
        if self._reader is None:
            self._reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "debitd-rig", **self.CLIENT})
        found = self._reader.offsets_for_times([TopicPartition(topic, p, which) for p in partitions], timeout=5)
        for each in found:
            if each.error:
                raise KafkaException(each.error)
        return {each.partition: each.offset for each in found}

    def _answer(self, ask, what):
        """What `ask` returns, asked again while a broker is away or a leader moves."""
        seen = []

        def answered():
            try:
                return ask()
            except KafkaException as error:
                seen[:] = [error]
                if error.args[0].code() not in PASSING and not error.args[0].retriable():
                    raise
                self._admin = self._reader = None  # they may go on asking a broker that has stopped
                return None
        return wait_until(answered, 30, what, dump=lambda: str(seen))
