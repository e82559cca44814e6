"""The stream that the benchmark measures with: seeded, of events of one size, made and sent in a few seconds.

Accounts of all plan families, drawn by Zipf's law (a few use most); the models and providers of the shipped catalogue, so
that nothing is parked; one event in a hundred is sent twice.
"""

import random
from bisect import bisect
from datetime import datetime, timedelta, timezone
from itertools import accumulate

from confluent_kafka import Producer

EVENT_BYTES = 340
ACCOUNTS = 10_000
ZIPF = 0.9
RESENT_AFTER = 5_000  # a duplicate comes at most so many events after the first: clients resend soon

# What accounts are on, in turn: of twenty, so many.
PLANS = (["assistant-free"] * 3 + ["assistant-pro"] * 3 + ["assistant-pro-plus"] * 2 + ["assistant-business"] * 2
         + ["studio"] * 2 + ["payg"] * 3 + ["codegen-free", "codegen-pro"]
         + ["quota-starter", "quota-professional", "quota-enterprise"])

MODELS = [("xai", "grok-4-fast"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("openai", "gpt-5"),
          ("google", "gemini-1.5-flash"), ("google", "gemini-2.0-flash"), ("anthropic", "claude-3.5-sonnet"),
          ("anthropic", "claude-3.5-haiku"), ("deepseek", "deepseek-chat")]


def tokens(models):
    return [f'"metric":"ai_tokens","service":"{service}","model":"{model}","quantities":{{"input":%d,"output":%d}}'
            for service, model in models]


# data by family: %d are filled with numbers of tokens.
DATA = {
    "assistant": tokens(MODELS),
    "payg": tokens(MODELS),
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


class Stream:
    """`events`: [(key, value)]; `unique` of them are to be booked, the others are resent."""

    def __init__(self, seed, count, accounts=ACCOUNTS):
        dice = random.Random(seed)
        ranked = plans(accounts)
        dice.shuffle(ranked)
        ranked = [(name.encode(), name, DATA[plan.partition("-")[0]]) for name, plan in ranked]
        weights = list(accumulate((rank + 1) ** -ZIPF for rank in range(accounts)))
        # In the past, as far as an event's time may be judged: a few seconds before it is sent.
        start = datetime.now(timezone.utc) - timedelta(seconds=60)
        resent = set(dice.sample(range(1, count), count // 100))
        self.events, self.unique = [], count - len(resent)
        for number in range(count):
            if number in resent:
                self.events.append(self.events[dice.randrange(max(0, number - RESENT_AFTER), number)])
                continue
            if number % 1000 == 0:
                time = (start + timedelta(milliseconds=number // 1000)).isoformat(timespec="milliseconds")[:23] + "Z"
            key, name, data = ranked[bisect(weights, dice.random() * weights[-1])]
            self.events.append((key, render(dice, name, time, data)))


def render(dice, account, time, data):
    """One event of EVENT_BYTES bytes; its execution's id fills it up."""
    text = data[int(dice.random() * len(data))]
    if "%d" in text:
        text = text % (50 + dice.random() * 2000, 10 + dice.random() * 800)
    bits = dice.getrandbits(512)
    head = (f'{{"specversion":"1.0","type":"usage.recorded","source":"/services/chat","id":"{bits >> 384:032x}",'
            f'"subject":"{account}","time":"{time}","data":{{{text},"user":"u-{bits & 1023}","execution":"')
    fill = EVENT_BYTES - len(head) - 3
    return f'{head}{bits:0128x}'[:len(head) + fill].encode() + b'"}}'


def send(kafka, topic, events):
    """Produces all of it and fails unless the topic then holds as many messages."""
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
    held = sum(high - low for low, high in kafka.ends(topic).values())
    if left or held != len(events):
        raise RuntimeError(f"{topic} holds {held} of {len(events)} events, {left} were not sent")
