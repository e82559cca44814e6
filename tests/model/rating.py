"""Money of the judge: cost and charge of one event, as pure functions over exact fractions.

Every product is exact until the one place where the contract rounds.
"""
from dataclasses import dataclass, field
from decimal import Context, Decimal, DefaultContext, setcontext
from fractions import Fraction

from .catalogue import look_up

# wide enough that no sum below is ever inexact (balances have 18 digits before the point, 12 after)
DefaultContext.prec = 120
setcontext(Context(prec=120))

ZERO = Decimal(0)


def round_places(value, places):
    """Half-even to `places` decimals: round() of a Fraction is exact and half-even."""
    return Decimal(round(Fraction(value) * 10 ** places)).scaleb(-places)


def round12(value):
    return round_places(value, 12)


def plain(value):
    """Shortest plain form: no exponent, no trailing zeros."""
    if value == 0:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass
class Cost:
    total: Decimal | None           # None: unknown
    currency: str
    components: dict                # name -> Decimal, None where unknown or not split
    source: str | None = None       # catalog | file | event
    missing: list = field(default_factory=list)


@dataclass
class Charge:
    amount: Decimal                 # >= 0, in the plan's unit
    components: dict | None = None  # name -> Decimal where the tariff charges each by itself


def cost_of(catalogue, plan, usage, time_us):
    currency = catalogue.currency(plan.unit)
    if usage.cost is not None and plan.trust_cost:
        only = usage.cost if len(usage.components) == 1 else None
        return Cost(usage.cost, currency, {name: only for name in usage.components}, "event")
    out = Cost(ZERO, currency, {})
    for name, quantity in usage.components.items():
        found = catalogue.cost_price(usage.service, usage.model, usage.metric, name, currency,
                                     time_us)
        if not found:
            out.components[name] = None
            out.missing.append(name)
            continue
        price, rate, source = found
        out.components[name] = round12(Fraction(quantity) * Fraction(price.amount) * rate
                                       / Fraction(price.per))
        out.source = "file" if "file" in (source, out.source) else source
    out.total = None if out.missing else sum(out.components.values(), ZERO)
    return out


def overage(quota, used):
    """C(used) of contract 2.3."""
    if quota.price is None:
        return ZERO
    beyond = max(Fraction(0), Fraction(used) - Fraction(quota.included))
    return round12(beyond * Fraction(quota.price) / Fraction(quota.per))


def tariff_charge(catalogue, plan, usage, cost, time_us):
    """(Charge, []) or (None, components without a price)."""
    if plan.fixed:
        out, missing = {}, []
        for name, quantity in usage.components.items():
            found = look_up(plan.fixed, usage.service, usage.model, usage.metric, name, time_us)
            if found:
                out[name] = round12(Fraction(quantity) * Fraction(found[0].amount)
                                    / Fraction(found[0].per))
            else:
                missing.append(name)
        return (None, missing) if missing else (Charge(sum(out.values(), ZERO), out), [])
    if plan.markup is None:
        return None, list(usage.components)
    if cost.total is None:
        return None, list(cost.missing)
    value = Fraction(catalogue.unit_value(plan.unit))
    return Charge(round12(Fraction(cost.total) * (100 + Fraction(plan.markup)) / 100 / value)), []


def split(amount, cost):
    """A charge once an event over its components, in proportion to cost, the last taking the rest.
    None where nothing says the proportion."""
    names = list(cost.components)
    if len(names) == 1:
        return {names[0]: amount}
    if amount == 0:
        return dict.fromkeys(names, ZERO)
    if not cost.total or None in cost.components.values():
        return None
    out = {name: round12(Fraction(amount) * Fraction(cost.components[name]) / Fraction(cost.total))
           for name in names[:-1]}
    out[names[-1]] = amount - sum(out.values(), ZERO)
    return out


def crossed(threshold, included, before, after):
    """used < T% of included <= used after; with nothing included, the first quantity above 0."""
    if included == 0:
        return before <= 0 < after
    return before * 100 < threshold * included <= after * 100
