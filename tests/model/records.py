"""The nouns of the model's books: accounts, sums, entries, alerts, and what an identity stands
for."""
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from .rating import ZERO

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def as_datetime(time_us):
    return EPOCH + timedelta(microseconds=time_us)


def as_us(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def month_of(time_us):
    return as_datetime(time_us).date().replace(day=1)


@dataclass
class Account:
    id: str
    plan: str | None = None
    parent: str | None = None
    charged: bool = True
    name: str | None = None
    byok: list = field(default_factory=list)

    @property
    def payer(self):
        return self.parent or self.id


@dataclass
class Month:
    """Sums of a payer's metric in a month."""

    used: Decimal = ZERO
    cost: Decimal = ZERO
    charge: Decimal = ZERO
    overage_charge: Decimal = ZERO


@dataclass
class Payer:
    id: str
    unit: str
    balance: Decimal = ZERO
    columns: dict = field(default_factory=lambda: dict.fromkeys(
        ("purchased", "granted", "refunded", "adjusted", "settled", "spent", "expired"), ZERO))
    months: dict = field(default_factory=lambda: defaultdict(Month))       # (metric, month)
    days: dict = field(default_factory=lambda: defaultdict(Decimal))       # (metric, day) -> used
    limited_days: set = field(default_factory=set)  # (metric, day) booked under a day limit
    granted_in: dict = field(default_factory=lambda: defaultdict(Decimal)) # by plans, by month
    has_charged: bool = False       # a usage entry with an amount other than 0
    only_grants: bool = True


@dataclass
class Entry:
    account: str
    payer: str
    type: str
    source: str | None
    id: str | None
    occurred_us: int
    amount: Decimal
    unit: str
    plan: str | None
    balance_after: Decimal = ZERO
    usage: object = None            # wire.Usage of usage and voids
    sign: int = 1                   # -1 for voids: quantities are negated
    cost: object = None             # rating.Cost, of the original for voids
    charges: dict | None = None     # usage_daily's charges by component, None: not determined
    free: bool = False              # guest or byok
    quota: bool = False             # charged by a quota
    period: object = None           # first day of the month it counts in
    late: bool = False
    corrects: object = None
    reference: str | None = None
    reason: str | None = None

    @property
    def quantity(self):
        return self.usage.quantity * self.sign if self.usage else None

    @property
    def total_cost(self):
        return None if not self.cost or self.cost.total is None else self.cost.total * self.sign


@dataclass
class Alert:
    type: str
    key: str                        # payer or "platform"
    data: dict
    event: tuple | None             # (source, id)
    metric: str | None = None
    period_start: object = None
    threshold: str | None = None


@dataclass
class Parked:
    message: object
    event: object
    reason: str
    released: bool = False
    voided: bool = False


@dataclass
class Known:
    """What an identity stands for."""

    digest: bytes
    account: str
    entry: Entry | None = None      # of usage
    parked: Parked | None = None
    voided: bool = False


@dataclass
class Decision:
    outcome: str                    # booked | duplicates | rejected | parked
    reason: str | None = None
    act: object = None              # books it (booked), or what parking brings along (parked)


@dataclass
class Daily:
    """A row of usage_daily; cost_known and charge_known are false where the contract does not say
    how a figure of the whole event falls to its components: then only their sum can be judged."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    charge: Decimal = ZERO
    events: int = 0
    has_voids: bool = False
    cost_known: bool = True
    charge_known: bool = True
