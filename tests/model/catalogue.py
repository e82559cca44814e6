"""The catalogue as plain objects: `shipped()` is an independent transcription of facts/prices.json
and contract 9; the methods of Catalogue are the small builder for tests.

Amounts are given as text or Decimal, never as float. Times are microseconds since 1970.
"""
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from .wire import read_time

ANY = "*"
START = "2025-01-01T00:00:00Z"


def dec(value):
    assert not isinstance(value, float), "money and quantities are never float"
    return Decimal(value)


def at(text):
    """RFC 3339, or a date, -> microseconds since 1970; None stays None."""
    if text is None or isinstance(text, int):
        return text
    out = read_time(text if "T" in text else text + "T00:00:00Z")
    assert out is not None, text
    return out


@dataclass(frozen=True)
class Price:
    """`amount` in `unit` for `per` of component of metric, in force in [start, until)."""

    service: str
    model: str
    metric: str
    component: str
    amount: Decimal
    per: Decimal
    unit: str
    start: int
    until: int | None = None

    def in_force(self, time_us):
        return self.start <= time_us and (self.until is None or time_us < self.until)


@dataclass
class Quota:
    included: Decimal
    price: Decimal | None = None    # of overage, None: nothing is charged beyond
    per: Decimal = Decimal(1)


@dataclass
class Plan:
    id: str
    unit: str
    kind: str                       # prepaid | postpaid
    markup: Decimal | None = None   # cost_plus, in percent
    fixed: list = field(default_factory=list)
    quotas: dict = field(default_factory=dict)
    day_limits: dict = field(default_factory=dict)
    thresholds: tuple = (80, 100)
    welcome: Decimal = Decimal(0)
    credits_per_period: Decimal = Decimal(0)
    low_balance: Decimal | None = None
    trust_cost: bool = True

    @property
    def prepaid(self):
        return self.kind == "prepaid"


@dataclass
class Package:
    id: str
    amount: Decimal
    bonus: Decimal
    unit: str = "CREDIT"


class Catalogue:
    def __init__(self):
        self.units = {"USD": None, "EUR": None, "CREDIT": (Decimal("0.01"), "USD")}
        self.metrics = set()
        self.plans = {}
        self.packages = {}
        self.prices = []
        self.file_prices = []       # the price file of the configuration, asked last
        self.rates = []             # (from, to, rate, start, until)

    # ---- builder ----

    def add_metric(self, name):
        self.metrics.add(name)

    def add_price(self, service, model, metric, component, amount, per=1, unit="USD",
                  effective_from=START, effective_until=None, file=False):
        price = Price(service, model, metric, component, dec(amount), dec(per), unit,
                      at(effective_from), at(effective_until))
        (self.file_prices if file else self.prices).append(price)
        return price

    def add_fixed(self, plan, service, model, metric, component, amount, per=1,
                  effective_from=START, effective_until=None):
        plan = self.plans[plan]
        plan.fixed.append(Price(service, model, metric, component, dec(amount), dec(per), plan.unit,
                                at(effective_from), at(effective_until)))

    def add_fx(self, source, target, rate, effective_from=START, effective_until=None):
        self.rates.append((source, target, dec(rate), at(effective_from), at(effective_until)))

    def add_plan(self, plan):
        self.plans[plan.id] = plan
        return plan

    def add_package(self, name, amount, bonus=0, unit="CREDIT"):
        self.packages[name] = Package(name, dec(amount), dec(bonus), unit)

    # ---- answers ----

    def currency(self, unit):
        """The currency that costs of a plan in this unit are in."""
        return self.units[unit][1] if self.units[unit] else unit

    def unit_value(self, unit):
        return self.units[unit][0] if self.units[unit] else Decimal(1)

    def fx(self, source, target, time_us):
        """The exact rate in force, or None."""
        if source == target:
            return Fraction(1)
        found = [r for r in self.rates if r[0] == source and r[1] == target and r[3] <= time_us
                 and (r[4] is None or time_us < r[4])]
        return Fraction(max(found, key=lambda r: r[3])[2]) if found else None

    def cost_price(self, service, model, metric, component, currency, time_us):
        """(price, rate, 'catalog' | 'file') by contract 2.2 and 2.7, or None where there is no
        price, or none that can be expressed in the currency."""
        for prices, source in ((self.prices, "catalog"), (self.file_prices, "file")):
            found = look_up(prices, service, model, metric, component, time_us)
            if found:
                found.sort(key=lambda price: price.unit != currency)
                for price in found:
                    rate = self.fx(price.unit, currency, time_us)
                    if rate is not None:
                        return price, rate, source
                return None
        return None


def keys(service, model, component):
    """The eight keys of contract 2.7, in order; an absent service or model matches only `*`."""
    out = []
    for s, m in ((service, model), (service, ANY), (ANY, model), (ANY, ANY)):
        if s is not None and m is not None:
            out += [(s, m, component), (s, m, ANY)]
    return out


def look_up(prices, service, model, metric, component, time_us):
    """The prices in force at the first key that has any: the latest of each unit."""
    for key in keys(service, model, component):
        found = {}
        for price in prices:
            if (price.metric == metric and (price.service, price.model, price.component) == key
                    and price.in_force(time_us)):
                if price.unit not in found or found[price.unit].start < price.start:
                    found[price.unit] = price
        if found:
            return list(found.values())
    return []


# ---- the shipped catalogue ----

_MODELS = (
    ("xai", "grok-4-fast", "0.02", "0.08"),
    ("openai", "gpt-4o-mini", "0.15", "0.60"),
    ("openai", "gpt-4o", "2.50", "10.00"),
    ("openai", "gpt-5", "1.25", "10.00"),
    ("google", "gemini-1.5-flash", "0.35", "1.40"),
    ("google", "gemini-2.0-flash", "0.075", "0.30"),
    ("anthropic", "claude-3.5-sonnet", "3.00", "15.00"),
    ("anthropic", "claude-3.5-haiku", "0.80", "4.00"),
    ("deepseek", "deepseek-chat", "0.14", "0.28"),
)
_STUDIO = (("gemini-flash", "1"), ("gpt-4o-mini", "2"), ("gpt-4o", "25"), ("claude-sonnet", "30"),
           ("claude-opus", "150"))
_PACKAGES = (("starter", 1000, 0), ("basic", 5000, 500), ("pro", 12000, 1500),
             ("business", 30000, 5000), ("enterprise", 100000, 20000))
# included and overage of signatures, storage_gb, ai_tokens (overage per 1,000), sms
_QUOTA_METRICS = ("signatures", "storage_gb", "ai_tokens", "sms")
_QUOTAS = (
    ("quota-free", ("0", "0.5", "100", "0"), (None, None, None, None)),
    ("quota-starter", ("3", "5", "5000", "0"), ("2.00", "0.05", "0.01", None)),
    ("quota-professional", ("10", "20", "50000", "50"), ("1.80", "0.04", "0.008", "0.09")),
    ("quota-enterprise", ("50", "100", "200000", "200"), ("1.50", "0.03", "0.006", "0.08")),
)


def shipped():
    out = Catalogue()
    for metric in _QUOTA_METRICS + ("requests", "ai_valuations"):
        out.add_metric(metric)
    for service, model, given, taken in _MODELS:
        out.add_price(service, model, "ai_tokens", "input", given, 1000000)
        out.add_price(service, model, "ai_tokens", "output", taken, 1000000)
    out.add_price("signaturit", ANY, "signatures", ANY, "1.00", unit="EUR")
    out.add_price("s3", ANY, "storage_gb", ANY, "0.023", unit="EUR")
    out.add_price("claude", ANY, "ai_tokens", ANY, "4.7", 1000000, unit="EUR")
    out.add_price("twilio", ANY, "sms", ANY, "0.075", unit="EUR")
    out.add_price(ANY, ANY, "requests", ANY, "0")
    for name, amount, bonus in _PACKAGES:
        out.add_package(name, amount, bonus)
    for name, credits in (("free", 100), ("pro", 2500), ("pro-plus", 7500)):
        out.add_plan(Plan(f"assistant-{name}", "CREDIT", "prepaid", markup=Decimal(0),
                          credits_per_period=Decimal(credits)))
    out.add_plan(Plan("assistant-business", "CREDIT", "postpaid", markup=Decimal(0)))
    out.add_plan(Plan("studio", "CREDIT", "prepaid"))
    for model, credits in _STUDIO:
        out.add_fixed("studio", ANY, model, "ai_tokens", ANY, credits, 1000)
    out.add_plan(Plan("payg", "USD", "prepaid", markup=Decimal(0), welcome=Decimal(10),
                      low_balance=Decimal(1)))
    for name, credits in (("free", 5), ("pro", 100)):
        out.add_plan(Plan(f"codegen-{name}", "CREDIT", "prepaid",
                          credits_per_period=Decimal(credits)))
        out.add_fixed(f"codegen-{name}", ANY, ANY, "requests", ANY, 1)
    for name, included, overage in _QUOTAS:
        plan = out.add_plan(Plan(name, "EUR", "postpaid",
                                 day_limits={"signatures": Decimal(20),
                                             "ai_valuations": Decimal(50)}))
        for metric, inside, price in zip(_QUOTA_METRICS, included, overage):
            plan.quotas[metric] = Quota(Decimal(inside), Decimal(price) if price else None,
                                        Decimal(1000 if metric == "ai_tokens" else 1))
    return out
