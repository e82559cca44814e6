"""./run chaos [MINUTES] [SEED]: usage is booked while everything around fails, and the books are judged by the model.

A seed determines a plan (tests/chaos/plan.py): worlds of a few rounds, the messages of each, and every fault with its
moment. The same seed gives the same faults in the same order; what the machine makes of them is its own. Each step is
printed as it is taken; with the daemons' and the servers' logs that is also in build/chaos/SEED.

When all faults of a phase are over, lag must come back to zero; after a round the books must be the model's to the last
digit and the topics hold each alert and dead letter once; see tests/chaos/verdict.py. At the end come the scenes of
scenes.py. The last line is "0 differences" (exit code 0); any failure is exit code 1, with where the evidence lies and
the command that repeats it.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chaos import plan as plans  # noqa: E402
from tests.chaos.faults import KINDS, Faults  # noqa: E402
from tests.chaos.fleet import Member, ready  # noqa: E402
from tests.chaos.scenes import SCENES, Scene  # noqa: E402
from tests.chaos.stage import ChaosWorld, Stage  # noqa: E402
from tests.chaos.stream import Stream  # noqa: E402
from tests.chaos.verdict import Verdict  # noqa: E402
from tests.rig.daemon import TOP, build_folder  # noqa: E402
from tests.rig.wait import wait_until  # noqa: E402

MINUTES = 10
WORDS = {"fenced batches": "dropped topic=", "unknown commits that had landed": "an unanswered COMMIT had landed"}


class Run:
    """One seed."""

    def __init__(self, seed, short, minutes):
        self.seed, self.short, self.size = seed, short, plans.SHORT if short else plans.Size()
        self.began = time.monotonic()
        self.until = self.began + 60 * minutes
        self.folder = TOP / "build" / "chaos" / str(seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._log = open(self.folder / "run.log", "w", encoding="utf-8")
        self.faults, self.figures = Counter(), Counter()
        self.where = "before the first world"

    def say(self, text=""):
        stamped = f"{time.monotonic() - self.began:8.3f} {text}"
        print(stamped, flush=True)
        print(stamped, file=self._log, flush=True)

    # ---------------------------------------------------------------- playing

    def play(self, stage):
        """All worlds, then the scenes. Raises at the first thing that does not hold."""
        number = 0
        while number == 0 or not (self.short or self._late()):
            number += 1
            self._world(stage, plans.draw_world(self.seed, number, self.size, KINDS))
        for name, scene in {} if self.short else SCENES.items():
            number += 1
            self._scene(stage, plans.draw_world(self.seed, number, self.size, KINDS), name, scene)

    def _scene(self, stage, plan, name, scene):
        self.where = name
        self.say(name)
        made = Scene(stage, plan, self.say)
        with self._kept(made.world, plan):
            scene(made, plan.rounds[0])
            self._count(made.world, made.members, made.stream)
        self.figures["scenes"] += 1

    @contextmanager
    def _kept(self, world, plan):
        """Keeps the evidence of a world, which ends here."""
        try:
            yield
        except BaseException:
            (self.folder / "dump.txt").write_text(self._dump(world))
            for daemon in world.daemons:
                if daemon.running:
                    daemon.kill()
            raise
        finally:
            world.keep_logs(self.folder / f"world-{plan.number}")
        world.close()

    def _world(self, stage, plan):
        self.where = f"world {plan.number}"
        self.say(f"world {plan.number}: {plan.partitions} partitions, " + ", ".join(
            f"debitd-{at + 1} with {one.writers} writers and batches of {one.max_events}"
            + (f", {one.skew_s:+d} s off" if one.skew_s else "") + (", a static member" if one.static else "")
            for at, one in enumerate(plan.instances)))
        world = ChaosWorld(stage, plan)
        with self._kept(world, plan):
            members = [Member(world, "debitd", at, one) for at, one in enumerate(plan.instances)]
            faults, stream = Faults(world, members, self.say), Stream(world, world.now)
            verdict = Verdict(world, stream, members)
            for member in members:
                member.start()
            ready(members, world.dump)
            for at, one in enumerate(plan.rounds):
                self.where = f"world {plan.number} round {at + 1}"
                stream.draw(one)
                self._round(one, faults, stream, verdict)
                if self._late():
                    break
            for member in members:
                member.end()
            self._count(world, members + faults.guests, stream)

    def _late(self):
        return not self.short and time.monotonic() >= self.until

    @staticmethod
    def _dump(world):
        try:
            return world.dump()
        except Exception as error:  # the first failure is the one to report
            return f"no dump: {error!r}"

    def _round(self, plan, faults, stream, verdict):
        where = self.where
        for number, phase in enumerate(plan.phases):
            self.where = f"{where} phase {number}"
            stream.sending(number, phase.sends_ms)
            self._steps(phase, faults)
            faults.heal()
            stream.sent()
            verdict.settled()
            verdict.conserved()
            self.say(f"{self.where}: at rest with {len(stream.messages)} messages")
        verdict.whole()
        self.figures["rounds"] += 1
        self.say(f"{where}: 0 differences")

    def _steps(self, phase, faults):
        began = time.monotonic()
        for step in phase.steps:
            due = began + step.at_ms / 1000
            wait_until(lambda: time.monotonic() >= due, 3600, "the next step's time", interval=0.005)
            for member in faults.members:
                member.look()
            self.say(f"{self.where} +{step.at_ms} ms: {step}")
            if not step.end:
                self.faults[step.kind] += 1
            faults.apply(step)

    # ---------------------------------------------------------------- telling

    def _count(self, world, members, stream):
        self.figures["worlds"] += 1  # those of the scenes too
        self.figures["messages"] += len(stream.messages)
        self.figures["daemons that died"] += sum(member.deaths for member in members)
        self.figures.update(world.counts())
        for what, words in WORDS.items():
            self.figures[what] += sum(daemon.text().count(words) for daemon in world.daemons)

    def table(self):
        names = ("worlds", "rounds", "scenes", "messages", "entries", "duplicates", "rejected", "parked", "alerts",
                 "daemons that died", *WORDS)
        rows = [(name, self.figures[name]) for name in names] + [("faults", sum(self.faults.values()))]
        rows += [(f"  {kind}", count) for kind, count in sorted(self.faults.items())]
        width = max(len(name) for name, _ in rows)
        for name, count in rows:
            self.say(f"{name:<{width}} {count:>9,}")

    def failed(self, error, again):
        text = "".join(traceback.format_exception(error))
        (self.folder / "failure.txt").write_text(text)
        self.say(text if not isinstance(error, AssertionError) else str(error)[:20000])
        self.say(f"FAILED: seed {self.seed}, {self.where}")
        self.say(f"the evidence is in {self.folder.relative_to(TOP)}: run.log, failure.txt, dump.txt and all logs")
        self.say(f"the same faults in the same order: {again}")


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        print(f"run: chaos: {message}\n\n{self.format_help()}", file=sys.stderr, end="")
        sys.exit(64)


def arguments():
    parser = Arguments(prog="./run chaos", description="Books usage while everything around fails, and judges the books.")
    parser.add_argument("minutes", nargs="?", type=float, default=MINUTES, metavar="MINUTES",
                        help=f"so long new rounds begin (default: {MINUTES})")
    parser.add_argument("seed", nargs="?", type=int, metavar="SEED", help="of the plan (default: a new one)")
    parser.add_argument("--short", action="store_true", help="one small world, whatever MINUTES says, as ./run check does")
    given = parser.parse_args()
    if not 0 < given.minutes <= 7 * 24 * 60:
        parser.error("MINUTES: more than 0, at most a week")
    if given.seed is not None and not 0 < given.seed < 2**31:
        parser.error("SEED: from 1 to 2147483647")
    return given


def build():
    """As ./run build, unless DEBITD_BUILD says what to take."""
    if "DEBITD_BUILD" in os.environ:
        return
    print("building", flush=True)
    done = subprocess.run([TOP / "run", "build"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        print(f"{done.stdout}\nrun: chaos: the build failed: see above", file=sys.stderr)
        sys.exit(69)


def main():
    given = arguments()
    build()
    seed = given.seed or random.SystemRandom().randrange(1, 2**31)
    run = Run(seed, given.short, given.minutes)
    again = f"./run chaos {given.minutes:g} {seed}" + (" --short" if given.short else "")
    run.say(f"seed {seed}; {build_folder()}; {again}")
    stage = Stage(run.folder, run.size.brokers)
    try:
        stage.start()
        run.play(stage)
    except KeyboardInterrupt:
        run.say(f"interrupted: seed {seed}, {run.where}")
        return 130
    except Exception as error:
        run.failed(error, again)
        return 1
    finally:
        stage.close()
    run.table()
    run.say("0 differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
