"""A seeded stream of mixed messages: every plan family, pooled accounts, guests, byok, top-ups,
plan changes, voids, resends, reused ids, poison of every reason code, tombstones, both content
modes.

generate(seed, count, partitions, now) -> messages in the order in which they are to be produced,
with topic, partition, key, value, headers and timestamp; `offset` is what a fresh topic would give,
whoever produces them sets what the broker said. Four phases (0 accounts, 1 usage, 2 accounts, 3
usage): produce a phase, wait until it is booked, produce the next. The same arguments give the same
messages.

An account's messages are in one partition of each topic, but for a few resends that go elsewhere
(`cross_resends`). Not generated, because the contract leaves it open: voids of what a moved or
guest account used, and whatever lies in closed periods. Times stay in the month of `now`.
"""
import json
import random
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from .records import as_datetime, as_us
from .wire import HOUR_US, Message

TOPICS = {"usage": "usage.events", "accounts": "usage.accounts"}
FAMILIES = ("assistant-free", "assistant-pro", "assistant-pro-plus", "assistant-business", "studio",
            "payg", "codegen-free", "codegen-pro", "quota-free", "quota-starter",
            "quota-professional", "quota-enterprise")
MODELS = (("xai", "grok-4-fast"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4o"),
          ("openai", "gpt-5"),
          ("google", "gemini-1.5-flash"), ("google", "gemini-2.0-flash"),
          ("anthropic", "claude-3.5-sonnet"), ("anthropic", "claude-3.5-haiku"),
          ("deepseek", "deepseek-chat"))
STUDIO_MODELS = ("gemini-flash", "gpt-4o-mini", "gpt-4o", "claude-sonnet", "claude-opus")
SOURCE = "/services/chat"


@dataclass
class Account:
    id: str
    plan: str                       # of its payer
    payer: str
    parent: str | None = None
    charged: bool = True
    byok: list = field(default_factory=list)
    late: bool = False              # opened only in phase 2

    @property
    def voidable(self):
        return self.charged and not self.byok


@dataclass
class Sent:
    """A usage event that was sent, for resends, reused ids and voids."""

    account: Account
    event_id: str
    data: str
    partition: int
    phase: int
    voided: bool = False


def rfc3339(time_us, style=0):
    moment = as_datetime(time_us)
    if style == 1:
        moment = moment.astimezone(timezone(timedelta(hours=2)))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")
    if style == 2:
        moment = moment.astimezone(timezone(timedelta(hours=-3, minutes=-30)))
        return moment.strftime("%Y-%m-%dt%H:%M:%S.%f-03:30")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Generator:
    def __init__(self, seed, partitions, now, cross_resends=True, topics=None):
        self.random = random.Random(seed)
        self.seed, self.partitions = seed, partitions
        self.topics = topics or TOPICS
        self.now_us = as_us(now)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.first_us = max(as_us(month), self.now_us - 5 * 24 * HOUR_US)
        self.cross_resends = cross_resends and partitions > 1
        self.messages, self.sent, self.counter, self.offsets = [], [], 0, Counter()
        self.accounts, self.phase = [], 0

    # ---- pieces ----

    def next_id(self, prefix):
        """In turn a UUID of version 7, a ULID, and twice what tells no time."""
        self.counter += 1
        plain = f"{prefix}-{self.seed}-{self.counter}"
        made_ms, rest = 1_763_700_000_000 + 300 * self.counter, zlib.crc32(plain.encode()) << 28 | self.counter
        if self.counter % 4 == 0:
            text = f"{made_ms:012x}7abc8def{rest & 0xffffffffffff:012x}"
            return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        if self.counter % 4 == 1:
            number = made_ms << 80 | rest
            return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31] for place in reversed(range(26)))
        return plain

    def partition(self, key):
        return zlib.crc32(key.encode()) % self.partitions

    def time_us(self):
        last = self.now_us - 1000000
        return self.random.randint(min(self.first_us, last), last)

    def sent_ms(self):
        """Kafka timestamps creep up to now, so that no message comes from the future."""
        return self.now_us // 1000 - 1000 + min(len(self.messages) // 100, 900)

    def number(self, value):
        """One of the ways to write a decimal."""
        text = f"{Decimal(value):f}"
        form = self.random.randrange(12)
        if form == 0:
            return json.dumps(text)
        if form == 1:
            return text + ("0000" if "." in text else ".0000000")
        if form == 2 and "." not in text and text != "0":
            digits = text.rstrip("0")
            return f"{digits}e{len(text) - len(digits)}"
        if form == 3 and "." in text:
            whole, fraction = text.split(".")
            return f'"{(whole + fraction).lstrip("0") or "0"}E-{len(fraction)}"'
        return text

    def put(self, kind, key, value, headers=(), note="", partition=None, timestamp_ms=None):
        topic = self.topics[kind]
        partition = self.partition(key or "") if partition is None else partition
        offset = self.offsets[topic, partition]
        self.offsets[topic, partition] += 1
        self.messages.append(Message(
            kind, topic, partition, offset, key.encode() if key is not None else None, value,
            list(headers), self.sent_ms() if timestamp_ms is None else timestamp_ms, self.phase,
            note))

    def event(self, kind, type_, subject, data, event_id=None, source=SOURCE, time="now", note="",
              partition=None, key=None, extra=None, mode=None):
        """`data` is JSON text; extra attributes override; an attribute of None is left out."""
        attributes = {"specversion": "1.0", "type": type_, "subject": subject, "source": source,
                      "id": event_id or self.next_id("e")}
        if time == "now":
            time = rfc3339(self.time_us(), self.random.choice((0, 0, 0, 1, 2)))
        if time is not None:
            attributes["time"] = time
        attributes.update(extra or {})
        attributes = {name: text for name, text in attributes.items() if text is not None}
        mode = mode or self.random.choice(("structured", "structured", "binary"))
        if mode == "binary":
            headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
            headers.append(("content-type", b"application/json"))
            value = data.encode()
        else:
            headers = [("trace", b"\x00\xff")] if self.random.randrange(20) == 0 else []
            members = [f"{json.dumps(n)}:{json.dumps(v)}" for n, v in attributes.items()]
            members.append(f'"data":{data}')
            self.random.shuffle(members)
            blank = self.random.choice(("", "", " ", "\n  "))
            value = ("{" + blank + ("," + blank).join(members) + blank + "}").encode()
        self.put(kind, key or subject, value, headers, note, partition)
        return attributes["id"]

    def account_event(self, type_, subject, members, **more):
        return self.event("accounts", type_, subject, json.dumps(members), **more)

    # ---- accounts ----

    def open(self, account):
        members = {"name": f"Name of {account.id}"}
        if account.parent:
            members["parent"] = account.parent
        else:
            members["plan"] = account.plan
        if not account.charged:
            members["charged"] = False
        if account.byok:
            members["byok"] = account.byok
        self.account_event("account.opened", account.id, members, note="open")

    def make_accounts(self, count):
        for at in range(count):
            plan = FAMILIES[at % len(FAMILIES)]
            payer = Account(f"s{self.seed}-acct-{at}", plan, f"s{self.seed}-acct-{at}",
                            late=at % 11 == 10)
            kind = at // len(FAMILIES) % 4
            if kind == 2:
                payer.charged = False
            if kind == 3:
                payer.byok = ["openai", "signaturit"]
            self.accounts.append(payer)
            if kind == 1:
                for child in range(2):
                    self.accounts.append(Account(
                        f"{payer.id}-child-{child}", plan, payer.id, payer.id,
                        charged=child == 0 or self.random.random() < 0.5, late=payer.late))

    def top_ups(self, accounts):
        for account in accounts:
            draw = self.random.randrange(6)
            plan = account.plan
            amount = f"{self.random.randint(1, 40)}.{self.random.randint(0, 10 ** 12 - 1):012d}"
            if draw == 0 and plan.startswith(("assistant", "studio", "codegen")):
                package = self.random.choice(("starter", "basic", "pro"))
                self.account_event("credits.purchased", account.id,
                                   {"package": package, "reference": "order 1"}, note="package")
            elif draw in (0, 1):
                data = f'{{"amount":{self.number(amount)},"reference":"order 2"}}'
                self.event("accounts", "credits.purchased", account.id, data, note="purchase")
            elif draw == 2:
                self.account_event("credits.granted", account.id,
                                   {"amount": "5", "reason": "a gift"}, note="gift")
            elif draw == 3:
                self.account_event("credits.adjusted", account.id,
                                   {"amount": "-0.000000000001", "reason": "by hand"},
                                   note="adjust")
            elif draw == 4:
                event_id = self.account_event("credits.refunded", account.id,
                                              {"amount": "1e-1", "reference": "r"}, note="refund")
                if self.random.random() < 0.3:
                    self.account_event("credits.refunded", account.id,
                                       {"amount": "1e-1", "reference": "r"}, event_id=event_id,
                                       note="resent refund")

    def thin_balances(self, accounts):
        """Prepaid balances close to low_balance and 0, so that usage crosses them."""
        for account in accounts:
            if account.plan == "payg" and not account.parent:
                amount = self.random.choice(("-8.9", "-8.98", "-9.97", "-9.999"))
                self.account_event("credits.adjusted", account.id, {"amount": amount}, note="thin")

    def change_plans(self):
        steps = {"assistant-free": "assistant-pro", "quota-starter": "quota-professional",
                 "quota-professional": "quota-starter", "codegen-free": "codegen-pro",
                 "quota-enterprise": "quota-free"}
        for account in self.accounts:
            if account.parent or account.plan not in steps or self.random.random() < 0.5:
                continue
            plan = steps[account.plan]
            if self.random.random() < 0.7:
                self.account_event("plan.assigned", account.id, {"plan": plan}, note="new plan")
            else:
                self.account_event("account.opened", account.id, {"plan": plan},
                                   note="opened again")
            for other in self.accounts:
                if other.payer == account.id:
                    other.plan = plan

    # ---- usage ----

    def usage_data(self, account):
        """JSON text of the data of one usage event that suits the account's plan, mostly."""
        draw, plan = self.random, account.plan
        if draw.random() < 0.01:
            return f'{{"metric":"unicorns","quantity":{self.number(3)}}}'
        members = {}
        if plan.startswith("codegen"):
            members.update(metric='"requests"', quantity=self.number(draw.choice((1, 1, 2))))
        elif plan == "studio":
            model = "unheard-of" if draw.random() < 0.03 else draw.choice(STUDIO_MODELS)
            self.tokens(members, "studio", model)
        elif plan.startswith("quota"):
            self.quota_usage(members)
        elif draw.random() < 0.1:
            members.update(metric='"requests"', quantity="1")
        else:
            service, model = draw.choice(MODELS)
            self.tokens(members, service, "gpt-9" if draw.random() < 0.02 else model)
            if draw.random() < 0.05:
                members["cost"] = self.number("0.000123456789")
        if draw.random() < 0.3:
            members.update(user=f'"u-{draw.randrange(50)}"', thread=f'"t-{draw.randrange(500)}"',
                           execution='"e-\\u00e9 \\ud83d\\ude00"', agent='"peter"')
        if draw.random() < 0.1:
            members["metadata"] = '{"a":[1,2.50,{"b":null}],"name":"é"}'
        if draw.random() < 0.05:
            members["unknown_member"] = '{"ignored":true}'
        return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"

    def tokens(self, members, service, model):
        draw = self.random
        members.update(metric='"ai_tokens"', service=f'"{service}"', model=f'"{model}"')
        parts = {"input": draw.randint(0, 9000), "output": draw.randint(1, 3000)}
        if draw.random() < 0.02:
            parts["cached_input"] = draw.randint(1, 500)
        members["quantities"] = "{" + ",".join(
            f'"{name}":{self.number(value)}' for name, value in parts.items()) + "}"

    def quota_usage(self, members):
        draw = self.random
        metric, service = draw.choice((
            ("signatures", "signaturit"), ("storage_gb", "s3"), ("ai_tokens", "claude"),
            ("sms", "twilio"), ("ai_valuations", None), ("ai_tokens", "openai")))
        if service == "openai":
            return self.tokens(members, "openai", "gpt-4o")     # priced in USD only: cost unknown
        quantity = {"signatures": draw.choice((1, 1, 2)), "sms": draw.randint(1, 20),
                    "storage_gb": Decimal(draw.randint(1, 3000000)).scaleb(-6),
                    "ai_tokens": draw.randint(1, 4000), "ai_valuations": 1}[metric]
        members.update(metric=f'"{metric}"', quantity=self.number(quantity))
        if service:
            members["service"] = f'"{service}"'
        return None

    def usage(self):
        account = self.random.choice(self.accounts)
        data, event_id = self.usage_data(account), self.next_id("u")
        time = "now" if self.random.random() > 0.05 else None
        self.event("usage", "usage.recorded", account.id, data, event_id, time=time, note="usage")
        self.sent.append(Sent(account, event_id, data, self.messages[-1].partition, self.phase))

    def earlier(self, fitting):
        """An event sent some time ago for which fitting() holds, or None."""
        for _ in range(8):
            if self.sent:
                found = self.random.choice(self.sent[-400:])
                if fitting(found):
                    return found
        return None

    def resend(self):
        found = self.earlier(lambda sent: True)
        if found:
            partition = found.partition
            if self.cross_resends and self.random.random() < 0.3:
                partition = self.random.randrange(self.partitions)
            self.event("usage", "usage.recorded", found.account.id, found.data, found.event_id,
                       partition=partition, note="resent")

    def reuse(self):
        found = self.earlier(lambda sent: sent.phase == self.phase)
        if found:
            self.event("usage", "usage.recorded", found.account.id,
                       '{"metric":"requests","quantity":77}', found.event_id,
                       partition=found.partition, note="id reused")

    def void(self):
        found = self.earlier(lambda sent: sent.account.voidable and not sent.voided)
        if not found:
            return
        found.voided = True
        members = {"id": found.event_id, "reason": "by mistake"}
        source = SOURCE
        if self.random.random() < 0.5:
            members["source"], source = SOURCE, "/services/correction"
        for note in ("void", "voided already")[:1 + (self.random.random() < 0.2)]:
            self.event("usage", "usage.voided", found.account.id, json.dumps(members),
                       source=source,
                       partition=found.partition, note=note)

    def poison(self, samples, accounts=None):
        """The last message that a sample sends is the bad one."""
        name, build = samples[self.random.randrange(len(samples))]
        build(self, self.random.choice(accounts or self.accounts).id)
        self.messages[-1].note = f"poison {name}"


def _finish(messages):
    offsets = Counter()
    for message in messages:
        message.offset = offsets[message.topic, message.partition]
        offsets[message.topic, message.partition] += 1
    return messages


def generate(seed, count, partitions=1, now=None, cross_resends=True, accounts=None, big=True,
             topics=None):
    """About `count` messages; `big` also sends two values of over 1 MiB."""
    from .poison import ACCOUNT_POISON, IN_ORDER_POISON, USAGE_POISON, bounds, too_large
    now = now or datetime.now(timezone.utc)
    out = Generator(seed, partitions, now, cross_resends, topics)
    out.make_accounts(accounts or max(2 * len(FAMILIES), min(count // 50, 240)))
    early = [account for account in out.accounts if not account.late]
    late = [account for account in out.accounts if account.late]
    for account in early:
        out.open(account)
    out.top_ups([account for account in early if account.plan != "payg"])
    out.thin_balances(early)
    bounds(out)
    for name, build in ACCOUNT_POISON:
        out.poison([(name, build)], [account for account in early if not account.parent])

    used = max(0, count - len(out.messages)) * 9 // 10
    out.phase = 1
    _usage_phase(out, used * 2 // 3, USAGE_POISON, big and too_large)
    out.phase = 2
    for name, build in IN_ORDER_POISON:
        out.poison([(name, build)])
    for account in late:
        out.open(account)
    out.top_ups(out.accounts)
    # a plan change may leave no entry: what is released by an opening must be booked before it
    out.phase = 3
    out.change_plans()
    out.phase = 4
    _usage_phase(out, count - len(out.messages), USAGE_POISON, big and too_large)
    return _finish(out.messages)


def _usage_phase(out, count, samples, big):
    end = len(out.messages) + count
    for name, build in samples if count > 3 * len(samples) else ():
        out.usage()
        out.poison([(name, build)])
    if big and count > 100:
        out.poison([("too_large", big)])
    while len(out.messages) < end:
        draw = out.random.random()
        if draw < 0.88:
            out.usage()
        elif draw < 0.92:
            out.resend()
        elif draw < 0.93:
            out.reuse()
        elif draw < 0.96:
            out.void()
        elif draw < 0.965:
            out.put("usage", out.random.choice(out.accounts).id, None, note="tombstone")
        else:
            out.poison(samples)
