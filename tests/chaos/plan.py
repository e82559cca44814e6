"""What a run does, as a pure function of its seed: worlds, rounds, phases, and in each phase the faults in their order.

A world is a fresh database with fresh topics and its own daemons, so that a long run stays small. A round is one stream
of tests/model's generator, whose five phases are sent one after the other, each settled before the next; while a phase
is being sent its faults begin and end at the moments written here. Faults of one resource (an instance, PostgreSQL, the
broker …) never overlap, those of different resources do as they fall.
"""

import random
from dataclasses import dataclass, field

PHASES = 5            # of tests/model's generator
USAGE_PHASES = (1, 4)  # which of them are long: the others are accounts and plans
GUESTS = 3            # instances that only come and go
TRIES = 12            # to find a free place for a fault


@dataclass(frozen=True)
class Kind:
    """One kind of fault: what it befalls, how long it lasts, and how often it is drawn against the others."""

    name: str
    resource: str                 # "instance", "broker" …: one of them; else the one resource of that name
    lasts_ms: tuple               # (0, 0): over at once, there is no end to plan
    weight: int
    argument: tuple = ()          # one of them is drawn


@dataclass(frozen=True)
class Step:
    """At `at_ms` after the phase began to be sent; `end` tells the end of a fault from its beginning."""

    at_ms: int
    kind: str
    end: bool = False
    target: int | None = None     # which instance, or guest
    argument: object = None

    def __str__(self):
        words = [f"end of {self.kind}" if self.end else self.kind]
        if self.target is not None:
            words.append(f"of number {self.target + 1}")
        if self.argument is not None:
            argument = self.argument if isinstance(self.argument, tuple) else (self.argument,)
            words.append(f"({' '.join(map(str, argument))})")
        return " ".join(words)


@dataclass(frozen=True)
class Phase:
    sends_ms: int                 # how long its messages take to be sent: at once, or while the faults go on
    steps: tuple


@dataclass(frozen=True)
class Round:
    seed: int                     # of the generator
    messages: int
    phases: tuple


@dataclass(frozen=True)
class Instance:
    writers: int
    max_events: int
    skew_s: int                   # its own clock is that much off
    static: bool                  # it has a group.instance.id


@dataclass(frozen=True)
class World:
    number: int
    partitions: int
    instances: tuple
    rounds: tuple


@dataclass(frozen=True)
class Size:
    """How much of everything: the short form counts, the long one runs until its clock has run out."""

    rounds: tuple = (2, 3)
    messages: tuple = (1800, 3200)
    usage_ms: tuple = (4000, 9000)
    other_ms: tuple = (500, 2000)
    faults: tuple = (5, 14)       # in a phase of usage
    others: tuple = (0, 3)        # in another
    most_ms: int = 60000          # no fault lasts longer
    instances: tuple = (1, 4)
    brokers: int = 3
    must: tuple = ("zombie",)     # befalls every phase of usage, from its first third on


SHORT = Size(rounds=(1, 1), messages=(2000, 2400), usage_ms=(3500, 4500), other_ms=(200, 500), faults=(7, 10),
             others=(0, 2), most_ms=5000, instances=(2, 3), brokers=1)


@dataclass
class _Agenda:
    """The steps of one phase while it is drawn; nothing that is busy is drawn again."""

    steps: list = field(default_factory=list)
    busy: dict = field(default_factory=dict)

    def add(self, resource, kind, begin, end, target, argument):
        """False where the resource is busy in that time."""
        taken = self.busy.setdefault((resource, target), [])
        if any(begin <= other_end and other_begin <= end for other_begin, other_end in taken):
            return False
        taken.append((begin, end))
        self.steps.append(Step(begin, kind, False, target, argument))
        if end > begin:
            self.steps.append(Step(end, kind, True, target, argument))
        return True


def _span(dice, bounds):
    return dice.randint(*bounds)


def _duration(dice, kind, most):
    """Half of them are drawn evenly; of the other half the logarithm, so that there are very short ones."""
    low, high = kind.lasts_ms
    high = min(high, most)
    if not high:
        return 0
    return dice.randint(low, high) if dice.random() < 0.5 else round(low * (high / low) ** dice.random())


def _phase(dice, size, number, kinds, instances):
    usage = number in USAGE_PHASES
    lasts = _span(dice, size.usage_ms if usage else size.other_ms)
    agenda = _Agenda()
    must = [kind for kind in kinds if usage and kind.name in size.must]
    for at in range(len(must) + _span(dice, size.faults if usage else size.others)):
        for _ in range(TRIES):
            kind = must[at] if at < len(must) else dice.choices(kinds, [kind.weight for kind in kinds])[0]
            targets = {"instance": instances, "instance's clock": instances, "guest": GUESTS,
                       "broker": size.brokers}.get(kind.resource)
            target = dice.randrange(targets) if targets else None
            argument = dice.choice(kind.argument) if kind.argument else None
            begin = dice.randrange(lasts // 3 if at < len(must) else lasts)
            if agenda.add(kind.resource, kind.name, begin, begin + _duration(dice, kind, size.most_ms), target,
                          argument):
                break
    sends = round(lasts * dice.choice((0.1, 0.4, 1)))
    return Phase(sends, tuple(sorted(agenda.steps, key=lambda step: step.at_ms)))


def draw_world(seed, number, size, kinds):
    """The plan of one world."""
    kinds = [kind for kind in kinds if kind.lasts_ms[0] <= size.most_ms]
    dice = random.Random(f"{seed}/{number}")
    instances = tuple(
        Instance(writers=dice.randint(1, 3), max_events=dice.choice((1, 7, 50, 300, 20000)),
                 skew_s=dice.choice((0, 0, -86400, -3600, 7, 86400)), static=dice.random() < 0.25)
        for _ in range(_span(dice, size.instances)))
    rounds = tuple(
        Round(seed=dice.randrange(1, 2**31), messages=_span(dice, size.messages),
              phases=tuple(_phase(dice, size, phase, kinds, len(instances)) for phase in range(PHASES)))
        for _ in range(_span(dice, size.rounds)))
    return World(number, dice.randint(2, 6), instances, rounds)
