"""The stream that the benchmark measures with: seeded, of events of one size, made and sent in a few seconds.

Accounts of all plan families, drawn by Zipf's law (a few use most); 22 models and the providers of the shipped catalogue,
so that nothing is parked; one event in a hundred is sent twice.
"""

import random
from bisect import bisect
from collections import deque
from datetime import datetime, timedelta, timezone
from functools import cached_property
from itertools import accumulate

from confluent_kafka import Producer

EVENT_BYTES = 340
ACCOUNTS = 10_000
MODELS = 22
ZIPF = 0.9
RESENT_PERCENT = 1
RESENT_AFTER = 5_000  # a duplicate comes at most so many events after the first: clients resend soon
THREADS = 64  # of an account
EVENTS_A_MS = 50  # as the ids that tell their time have it

# What accounts are on, in turn: of twenty, so many.
PLANS = (["assistant-free"] * 3 + ["assistant-pro"] * 3 + ["assistant-pro-plus"] * 2 + ["assistant-business"] * 2
         + ["studio"] * 2 + ["payg"] * 3 + ["codegen-free", "codegen-pro"]
         + ["quota-starter", "quota-professional", "quota-enterprise"])

SHIPPED = [("xai", "grok-4-fast"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("openai", "gpt-5"),
           ("google", "gemini-1.5-flash"), ("google", "gemini-2.0-flash"), ("anthropic", "claude-3.5-sonnet"),
           ("anthropic", "claude-3.5-haiku"), ("deepseek", "deepseek-chat")]

# Of an account of ALERTING, whose quotas have 16 thresholds, 6 % apart, each such event crosses one.
ALERTING, STEPS, STEP = "bench-alerts", 16, 6
ALERTING_METRICS = [("signatures", "signaturit"), ("storage_gb", "s3"), ("sms", "twilio"), ("ai_tokens", "claude")]
ALERTS_AN_ACCOUNT = STEPS * len(ALERTING_METRICS)


def models(count=MODELS):
    """[(service, model)]: those that are shipped, and more of the same kind."""
    return (SHIPPED + [("openai", f"model-{number:04d}") for number in range(len(SHIPPED), count)])[:count]


def tokens(pairs):
    return [f'"metric":"ai_tokens","service":"{service}","model":"{model}","quantities":{{"input":%d,"output":%d}}'
            for service, model in pairs]


def data_of(count=MODELS):
    """`data` by family of plans: %d are filled with numbers of tokens."""
    return {
        "assistant": tokens(models(count)),
        "payg": tokens(models(count)),
        "studio": tokens([("openai", "gpt-4o-mini"), ("openai", "gpt-4o")]),
        "codegen": ['"metric":"requests","service":"codegen","quantity":1'],
        "quota": ['"metric":"signatures","service":"signaturit","quantity":1',
                  '"metric":"storage_gb","service":"s3","quantity":0.125',
                  '"metric":"sms","service":"twilio","quantity":1',
                  '"metric":"ai_tokens","service":"claude","quantities":{"input":%d,"output":%d}'],
    }


def plans(count=ACCOUNTS):
    """[(account, plan)], the same every time."""
    return [(f"acct-{number:05d}", PLANS[number % len(PLANS)]) for number in range(count)]


def alerting(events):
    """[(account, plan)] for as many events of AlertingStream."""
    return [(f"alert-{number:05d}", ALERTING) for number in range(-(-events // ALERTS_AN_ACCOUNT))]


class Stream:
    """(key, value) of `count` events, made anew by each iteration; `unique` of them are to be booked, the others are
    resent. `hot`: all of them are of the one account that would use most. `uuid7`: their ids tell when they were made.
    `part`: other events, for one seed of the same accounts, of which the same use most."""

    def __init__(self, seed, count, accounts=ACCOUNTS, models=MODELS, resent_percent=RESENT_PERCENT, hot=False, uuid7=False,
                 part="events"):
        self.seed, self.count, self.models, self.hot, self.uuid7, self.part = seed, count, models, hot, uuid7, part
        dice = random.Random(seed)
        self.ranked = plans(accounts)
        dice.shuffle(self.ranked)
        self.resent = set(dice.sample(range(1, count), count * resent_percent // 100))
        self.unique = count - len(self.resent)
        # In the past, as far as an event's time may be judged: a few seconds before it is sent.
        self.start = datetime.now(timezone.utc) - timedelta(seconds=60)

    @cached_property
    def events(self):
        return list(self)

    def __len__(self):
        return self.count

    def __iter__(self):
        dice = random.Random(f"{self.seed} {self.part}")
        data = data_of(self.models)
        ranked = [(name.encode(), name, data[plan.partition("-")[0]])
                  for name, plan in (self.ranked[:1] if self.hot else self.ranked)]
        weights = list(accumulate((rank + 1) ** -ZIPF for rank in range(len(ranked))))
        lately = deque(maxlen=RESENT_AFTER)
        for number in range(self.count):
            if number in self.resent:
                yield lately[dice.randrange(len(lately))]
                continue
            if number % 1000 == 0 or not lately:
                time = moment(self.start, number)
            key, name, kinds = ranked[bisect(weights, dice.random() * weights[-1])]
            text = kinds[int(dice.random() * len(kinds))]
            if "%d" in text:
                text = text % (50 + dice.random() * 2000, 10 + dice.random() * 800)
            made_ms = int(self.start.timestamp() * 1000) + number // EVENTS_A_MS if self.uuid7 else None
            lately.append((key, render(dice, name, time, text, made_ms)))
            yield lately[-1]


class AlertingStream(Stream):
    """Each event crosses one threshold of one account of alerting(count)."""

    def __init__(self, seed, count):
        super().__init__(seed, count, accounts=0, resent_percent=0)
        self.ranked = alerting(count)

    def __iter__(self):
        dice = random.Random(f"{self.seed} events")
        for number in range(self.count):
            if number % 1000 == 0:
                time = moment(self.start, number)
            turn, account = divmod(number, len(self.ranked))
            metric, service = ALERTING_METRICS[turn // STEPS]
            name = self.ranked[account][0]
            yield name.encode(), render(dice, name, time, f'"metric":"{metric}","service":"{service}","quantity":{STEP}')


def moment(start, number):
    return (start + timedelta(milliseconds=number // 1000)).isoformat(timespec="milliseconds")[:23] + "Z"


def render(dice, account, time, data, made_ms=None):
    """One event of EVENT_BYTES bytes; its execution's id fills it up. `made_ms`: what its id tells."""
    bits = dice.getrandbits(512)
    source, number = "/services/chat", f"{bits >> 384:032x}"
    if made_ms is not None:  # longer, by less than this source is shorter
        source, number = "/chat", f"{made_ms >> 16:08x}-{made_ms & 0xffff:04x}-7{number[:3]}-8{number[3:6]}-{number[6:18]}"
    head = (f'{{"specversion":"1.0","type":"usage.recorded","source":"{source}","id":"{number}",'
            f'"subject":"{account}","time":"{time}","data":{{{data},"user":"u-{bits & 1023}",'
            f'"thread":"t-{(bits >> 10) % THREADS}","execution":"')
    fill = EVENT_BYTES - len(head) - 3
    return f'{head}{bits:0128x}'[:len(head) + fill].encode() + b'"}}'


def catalogue(shipped, count=MODELS):
    """The shipped catalogue's text with `count` models in all, and the plan of AlertingStream."""
    more = "".join(f'    {{ service = "{service}"; model = "{model}"; metric = "ai_tokens"; currency = "USD";\n'
                   f'      per = "1000000"; price = {{ input = "0.15"; output = "0.60"; }}; }},\n'
                   for service, model in models(count)[len(SHIPPED):])
    thresholds = ", ".join(str(STEP * (step + 1)) for step in range(STEPS))
    quotas = ",\n".join(f'          {{ metric = "{metric}"; included = "100"; thresholds = [ {thresholds} ]; }}'
                        for metric, _ in ALERTING_METRICS)
    plan = f'    {{ name = "{ALERTING}"; unit = "EUR"; kind = "postpaid"; enforce = false;\n      quotas = (\n{quotas}\n      ); }},\n'
    for opening, lines in (("\nprices = (\n", more), ("\nplans = (\n", plan)):
        if shipped.count(opening) != 1:
            raise RuntimeError(f"the shipped catalogue has no single {opening.strip()}")
        shipped = shipped.replace(opening, opening + lines)
    return shipped


def send(kafka, topic, events, before=0):
    """Produces all of it and fails unless the topic then holds as many messages, beside `before`."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50, "enable.idempotence": True, "log_level": 0,
                         "partitioner": "murmur2_random", "queue.buffering.max.messages": 1_000_000,
                         "batch.size": 1_000_000})
    for number, (key, value) in enumerate(events):
        if number % 10_000 == 0:
            producer.poll(0)
        while True:
            try:
                producer.produce(topic, value=value, key=key)
                break
            except BufferError:
                producer.poll(1)
    left = producer.flush(120)
    got = sum(high for _, high in kafka.ends(topic).values()) - before
    if left or got != len(events):
        raise RuntimeError(f"{topic} took {got} of {len(events)} events, {left} were not sent")
