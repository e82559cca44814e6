"""How the rate holds where something is large: each case is one round like those of the throughput, with one thing changed.

Sizes are those of the names from 1,000,000 EVENTS on, and in proportion below. Every case is measured against `base`,
right before and right after it. Where entries are present, what api promises about them is asked as well: a page of an account's
history, a thread's usage, a balance, a check, of accounts drawn as the stream draws them.
"""

import json
import random
import time
from dataclasses import dataclass
from itertools import islice
from statistics import mean

from tests.bench import present
from tests.bench.figures import quantiles
from tests.bench.ground import PARTITIONS, fresh_world, prepare
from tests.bench.stream import ACCOUNTS, MODELS, RESENT_PERCENT, AlertingStream, Stream, alerting, send
from tests.bench.throughput import consume

WHOLE = 1_000_000  # EVENTS from which on the sizes are those of the names
PATTERN = 100_000  # entries that the daemon has booked before they are copied
QUESTIONS = 500    # of each kind, and at most one for ten events


@dataclass(frozen=True)
class Case:
    entries: int = 0            # present
    accounts: int = ACCOUNTS
    models: int = MODELS
    partitions: int = PARTITIONS
    daemons: int = 1
    resent_percent: int = RESENT_PERCENT
    events: int = 0             # 0: EVENTS
    hot: bool = False
    alerting: bool = False
    uuid7: bool = False         # ids, of what is present as well


CASES = {
    "base": Case(),
    "entries-10m": Case(entries=10_000_000),
    "entries-30m": Case(entries=30_000_000),
    "uuid7-30m": Case(entries=30_000_000, uuid7=True),
    "accounts-1m": Case(accounts=1_000_000),
    "hot": Case(hot=True),
    "duplicates": Case(resent_percent=5),
    "alerts": Case(alerting=True),
    "daemons-2": Case(daemons=2),
    "daemons-3": Case(daemons=3),
    "partitions-64": Case(partitions=64),
    "models-2000": Case(models=2_000),
    "backlog-10m": Case(events=10_000_000),
}


def sized(case, count, accounts=ACCOUNTS, entries=None):
    """The case as it is measured with so many EVENTS; `accounts` of those that do not change it, `entries` instead of its own."""
    def scaled(size):
        return size * min(count, WHOLE) // WHOLE
    return Case(entries=scaled(case.entries) if entries is None else entries,
                accounts=accounts if case.accounts == ACCOUNTS else max(accounts, scaled(case.accounts)),
                models=case.models if case.models == MODELS else max(MODELS, scaled(case.models)),
                partitions=case.partitions, daemons=case.daemons, resent_percent=case.resent_percent,
                events=scaled(case.events) or count, hot=case.hot, alerting=case.alerting, uuid7=case.uuid7)


def stream_of(case, seed):
    if case.alerting:
        return AlertingStream(seed, case.events)
    return Stream(seed, case.events, case.accounts, case.models, case.resent_percent, case.hot, case.uuid7)


# -------------------------------------------------------------------- what api promises

def questions(stream, dice):
    """{what: (statement, [parameters of each])}, of accounts and threads of the stream."""
    events = list(islice(stream, 50 * QUESTIONS))
    drawn = [(key.decode(), json.loads(value)["data"])
             for key, value in dice.sample(events, min(QUESTIONS, len(events) // 10))]
    accounts = [[account] for account, _ in drawn]
    return {
        "history page": ("SELECT * FROM api.ledger_page(%s)", accounts),
        "thread usage": ("SELECT * FROM api.thread_usage WHERE account_id = %s AND thread_id = %s",
                         [[account, data["thread"]] for account, data in drawn]),
        "balance": ("SELECT * FROM api.balance WHERE account_id = %s", accounts),
        "check_usage": ("SELECT * FROM api.check_usage(%s, %s, 1)", [[account, data["metric"]] for account, data in drawn]),
    }


def ask(world, stream, seed):
    """{what: quantiles} of the answers' times, one session, prepared statements."""
    found = {}
    with world.postgres.connect(world.name, application_name="bench") as connection:
        for what, (statement, each) in questions(stream, random.Random(seed)).items():
            took = []
            for parameters in each:
                began = time.monotonic()
                rows = connection.execute(statement, parameters, prepare=True).fetchall()
                took.append(time.monotonic() - began)
                if not rows:
                    raise RuntimeError(f"{what} of {parameters} is empty")
            found[what] = quantiles(took)
    return found


# -------------------------------------------------------------------- the cases

def fill(world, case, seed):
    """Entries of the stream's kind and accounts: some booked by the daemon, the others their copies. Returns how many were sent for it."""
    stream = Stream(seed, min(PATTERN, case.entries), case.accounts, case.models, resent_percent=0, hot=case.hot,
                    uuid7=case.uuid7, part="before")
    send(world.kafka, world.topics["usage"], stream)
    consume(world, stream)
    with world.postgres.connect(world.name, application_name="bench") as connection:
        present.add_entries(connection, case.entries - len(stream), case.uuid7)
    return len(stream)


def run(kafka, postgres, prepared, name, case, seed):
    stream = stream_of(case, seed)
    with fresh_world(kafka, postgres, prepared, seed, f"bench {name}", case.partitions) as world:
        before = fill(world, case, seed) if case.entries else 0
        send(kafka, world.topics["usage"], stream, before)
        found = {"case": name, **vars(case), **consume(world, stream, daemons=case.daemons, booked=before)}
        found["answers"] = ask(world, stream, seed)
    return found


def growth(kafka, postgres, migrated, count, seed, names=(), entries=None, accounts=ACCOUNTS):
    """[one a round]: base, then each case and base again; `names` (all), `entries` present in each of them instead of the case's
    own. A case is held against the mean of the two beside it, as a machine with neighbours is not the same for long; a base
    against the first."""
    found, made = [], {}

    def measure(name):
        case = sized(CASES[name], count, accounts, entries if name in names else None)
        key = (case.accounts, case.models, case.alerting and case.events)
        if key not in made:
            made[key] = prepare(postgres, migrated, case.accounts, f"growth_{len(made)}", case.models,
                                alerting(case.events) if case.alerting else ())
        found.append(run(kafka, postgres, made[key], name, case, seed))
        return found[-1]

    def hold(row, *bases):
        rates = [base["events_per_s"] for base in bases]
        row["of_base"] = row["events_per_s"] / mean(rates) if row["events_per_s"] and all(rates) else None

    first = before = measure("base")
    hold(first, first)
    for name in [name for name in names or CASES if name != "base"]:
        row, after = measure(name), measure("base")
        hold(row, before, after)
        hold(after, first)
        before = after
    for name in made.values():
        postgres.drop_database(name)
    return found
