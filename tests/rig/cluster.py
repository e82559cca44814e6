"""Three brokers that make one cluster: every topic on all three, a write is taken by two of them at least.

As Kafka (kafka.py), so that World works on it, and with a hand on each broker, numbered from 1. One broker may be away at any
time without a message being lost or refused; with two away nothing is taken until one is back.
"""

import signal

from confluent_kafka.admin import AdminClient

from . import wire
from .kafka import Kafka
from .wait import wait_until


class Cluster(Kafka):
    BROKERS = 3
    MEMORY_MB = 320

    def __init__(self, settings=None, **options):
        super().__init__({
            "min.insync.replicas": 2,
            "default.replication.factor": 3,
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "auto.leader.rebalance.enable": "false",  # leaders stay where a test has moved them
            "replica.fetch.wait.max.ms": 100,
            **(settings or {})}, **options)

    def broker(self, number):
        return self.brokers[number - 1]

    def start(self, number=None):
        """All of them, or one again; returns when as many as run are in the cluster."""
        if number is None:
            return super().start()
        self.broker(number).start()
        self.wait_answers(sum(broker.child is not None for broker in self.brokers))
        return self

    def kill(self, number=None):
        """kill -9, of one or all."""
        self._end(signal.SIGKILL, number)

    def stop(self, number=None):
        """An orderly end, of one or all: it hands its leaders over before."""
        self._end(signal.SIGTERM, number)

    def _end(self, how, number=None):
        for broker in self.brokers if number is None else [self.broker(number)]:
            broker.end(how)

    def pause(self, number):
        self.broker(number).pause()

    def go_on(self, number):
        self.broker(number).go_on()

    def leader(self, topic, partition=0):
        """The number of the broker that leads, or None."""
        found = self.topic(topic).partitions[partition].leader
        return None if found < 0 else found

    def move_leader(self, topic, partition, number):
        """Makes a broker that is in sync the leader, and returns when it is."""
        order = [number, *(broker.number for broker in self.brokers if broker.number != number)]
        via = next(broker for broker in self.brokers if broker.child and not broker.paused)
        said = []

        def moved():
            for done in (lambda: wire.order_replicas(via.port, topic, partition, order),
                         lambda: wire.elect_preferred(via.port, topic, partition)):
                code, words = done()
                said[:] = [code, words]
                if code not in (0, wire.ELECTION_NOT_NEEDED):
                    return False
            return self.leader(topic, partition) == number
        wait_until(moved, 30, f"broker {number} to lead {topic}/{partition}", dump=lambda: f"last answer {said}")

    def create_all(self, wanted):
        super().create_all(wanted)
        self.wait_known({name: partitions for name, partitions, _ in wanted})

    def wait_known(self, topics):
        """Until each broker, asked for itself, knows the topics with so many partitions, and who leads them ({name: partitions}).
        Just after they were made one may still answer that there is none: a producer then refuses messages, and a group whose
        coordinator it is gets no partitions."""
        def known(broker):
            own = AdminClient({"bootstrap.servers": f"127.0.0.1:{broker.port}", "log_level": 0})
            found = own.list_topics(timeout=5).topics
            return all(name in found and found[name].error is None
                       and [p.leader >= 0 for p in found[name].partitions.values()] == [True] * partitions
                       for name, partitions in topics.items())
        wait_until(lambda: all(known(broker) for broker in self.brokers if broker.child and not broker.paused), 60,
                   f"every broker to know {sorted(topics)}")

    def out_of_sync(self, topics=None):
        """{(topic, partition): replicas in sync} where that is not all of them, or nobody leads."""
        return {(name, number): sorted(partition.isrs)
                for name, topic in self.all_topics().items() if topics is None or name in topics
                for number, partition in topic.partitions.items()
                if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)}

    def wait_in_sync(self, topics=None, timeout=60):
        """Until every replica of the topics (of all there are, Kafka's own too) has all messages."""
        wait_until(lambda: not self.out_of_sync(topics), timeout, "all replicas to be in sync",
                   dump=lambda: str(self.out_of_sync(topics)))
