"""The daemons of a world: what is done to each of them, how each of them ended, and what it costs while it lives."""

import os
import re
import signal
import struct
from dataclasses import dataclass

from tests.rig.daemon import Debitd, build_folder, merge
from tests.rig.wait import wait_until

# A static member that lost its session and joins again: Kafka may answer a commit that was on its way so, which
# librdkafka 2.0.2 takes for the end of the client.
FENCED = "Static consumer fenced by other consumer"
STOP_S = 40            # of a daemon that was told to stop while servers may be away
# A daemon that becomes the relay gets two more clients of Kafka, each with threads and descriptors for every broker
# that it has spoken to.
MORE_DESCRIPTORS = 48  # than after its first round
MORE_THREADS = 16
MORE_RSS = 1.5         # times what it was after its first round, and
MORE_RSS_KIB = 48 * 1024


class Failure(AssertionError):
    """Something that must hold does not: the run has found what it is there for."""


@dataclass
class Cost:
    threads: int
    descriptors: int
    rss_kib: int

    def excess(self, first):
        """What is beyond the bounds, in words, against `first`; empty where nothing is."""
        found = []
        if self.threads > first.threads + MORE_THREADS:
            found.append(f"{self.threads} threads, {first.threads} at first")
        if self.descriptors > first.descriptors + MORE_DESCRIPTORS:
            found.append(f"{self.descriptors} descriptors, {first.descriptors} at first")
        if self.rss_kib > first.rss_kib * MORE_RSS + MORE_RSS_KIB:
            found.append(f"{self.rss_kib} KiB resident, {first.rss_kib} at first")
        return "; ".join(found)


class Member:
    """One instance of debitd through all its lives; its log goes on from life to life."""

    def __init__(self, world, name, number, plan):
        self.plan, self.name = plan, f"{name}-{number + 1}"
        properties = list(world.config["kafka"]["properties"])
        if plan.static:
            properties.append(["group.instance.id", f"{world.name}-{self.name}"])
        own = {"kafka": {"properties": properties}, "writers": {"count": plan.writers},
               "batch": {"max_events": plan.max_events}}
        self.daemon = Debitd(world.folder, merge(world.config, own), self.name)
        world.daemons.append(self.daemon)
        self.frozen = self.leaving = self.armed = False
        self.clock = world.folder / f"{self.name}.clock"  # see skew.c
        self.set_clock(plan.skew_s)
        self.env = {"LD_PRELOAD": str(build_folder() / "tests" / "skew.so"), "SKEW_FILE": str(self.clock)}
        self.first_cost = None
        self.deaths = 0

    @property
    def lives(self):
        return self.daemon.child is not None and not self.leaving

    def start(self):
        self.first_cost = None
        self.leaving = False
        self.daemon.start(wait=False, env=self.env, fault="")

    def kill(self):
        self.daemon.kill()
        self.deaths += 1
        self.frozen = self.leaving = False

    def freeze(self):
        self.daemon.child.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.daemon.child.send_signal(signal.SIGCONT)
        self.frozen = False

    def arm(self, point, how, passage):
        """It will die, or stand still, where it passes that point."""
        self.armed = True
        self.daemon.fault(point, how, passage)

    def disarm(self):
        """Nothing more happens there; where it stands still it goes on."""
        self.daemon.fault_path.unlink(missing_ok=True)
        if self.daemon.running:
            self.thaw()

    def leave(self):
        """SIGTERM; gone() waits for the end."""
        self.daemon.child.send_signal(signal.SIGTERM)
        self.leaving = True

    def gone(self):
        code = self.daemon.wait_exit(STOP_S)
        self.leaving = False
        # one that was told before it could listen ends by the signal itself
        if code and not (code == -signal.SIGTERM and not self.daemon.heard()):
            raise Failure(f"{self.name} exited with {code} after SIGTERM:\n{self.daemon.tail()}")

    def set_clock(self, by_s):
        """Its clock goes forward or back by so much, and is that much off from then on."""
        self.skew_s = getattr(self, "skew_s", 0) + by_s
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("=q", self.skew_s))

    def reload(self, max_events):
        self.daemon.configure(merge(self.daemon.config, {"batch": {"max_events": max_events}}))
        self.daemon.reload()

    def look(self):
        """Starts it again where it died at a point, as it was to, and as systemd would where its group threw a static member
        out for good; fails where it has ended by itself otherwise."""
        child = self.daemon.child
        if child is None or self.leaving or child.poll() is None:
            return
        code = child.returncode
        life = self.daemon.text().rpartition(" starts with ")[2]
        if self.armed and code == -signal.SIGKILL or self.plan.static and code == os.EX_TEMPFAIL and FENCED in life:
            self.daemon.wait_exit()
            self.deaths += 1
            self.start()
            return
        how = f"was ended by signal {-code}, which was not ours" if code < 0 else f"exited by itself with {code}"
        raise Failure(f"{self.name} {how}:\n{self.daemon.tail(120)}")

    def cost(self):
        folder = f"/proc/{self.daemon.child.pid}"
        with open(f"{folder}/status", encoding="ascii", errors="replace") as file:
            status = file.read()
        threads, rss = (int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1]) for name in ("Threads", "VmRSS"))
        return Cost(threads, len(os.listdir(f"{folder}/fd")), rss)

    def end(self):
        """An orderly end of whatever is left of it."""
        if self.daemon.child is None:
            return
        if self.frozen:
            self.thaw()
        if not self.leaving:
            self.look()
            self.leave()
        self.gone()


def ready(members, dump):
    """Waits until all that live are ready."""
    def all_ready():
        for member in members:
            member.look()
        return all("READY=1" in member.daemon.heard() for member in members if member.lives)
    wait_until(all_ready, 60, "the daemons to be ready", dump=dump)
