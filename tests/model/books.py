"""The judge: the books that the contract demands for a given order of messages.

Written from the contract alone, with exact decimals and no regard for speed; it shares no code and
no idea with the daemon. Outside of it: account.closed, invoice.paid,
until, expires, refunds that name an event, closing of periods, `max`, and the weekly, platform and
spend alerts.

Decided here, where the contract leaves room, for what a user would expect (wire.py lists its own):
- A void of an original that was free for who used it (guest, byok) gives back nothing, also on a
  quota metric: nothing had been paid. Every other void on a metric that has a quota then and now is
  worth C(used) - C(used - quantity) by the plan of now, also where the original itself cost
  nothing.
- A void counts as `booked`, also the void of a parked event; voiding that again is
  `already_voided`.
- A void goes to the payer of its original, and counts in the days and months of its original.
- Only `grant` entries are grants where "nothing but grants is booked" is asked; a bonus is not.
- Grants that are taken back when the unit changes are one `grant` entry below zero in the old unit;
  it raises no balance alert. `unit_mismatch` concerns payers only: a child's own plan has no
  effect.
- `account.updated` with a plan acts as plan.assigned. Opening again gives no welcome credits.
- A plan change compares the current month. Its thresholds come before the balance alerts of its
  grants.
- A guest is who uses: the payer's `charged` does not make its children free.
- A fixed tariff needs a price for every component; `price.missing` names each component without
  one.
- A converted price is not rounded before the product. An fx rate is used in its own direction only.
- With a fixed tariff and no price for the metric, a day limit makes it free; with cost_plus it does
  not.
- An event parked for one reason that then lacks another stays parked with the reason of now. One
  that turns out to be impossible at its release is rejected then, and still counts as parked.
- Where usage opens an account (`unknown: open`) its grants are of no event.
"""
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

from . import rating
from .rating import ZERO, plain
from .records import (Account, Alert, Daily, Decision, Entry, Known, Parked, Payer,
                      as_datetime, as_us, month_of)
from .wire import AMOUNT_LIMIT, DAY_US, Refused, decode

COLUMNS = {"usage": "spent", "void": "spent", "purchase": "purchased", "bonus": "granted",
           "grant": "granted", "refund": "refunded", "adjustment": "adjusted"}
COUNTS = ("booked", "duplicates", "rejected", "parked", "skipped")
CLOSED_AFTER = timedelta(days=5)


class Books:
    def __init__(self, catalogue, now, window=timedelta(days=35), unknown="park",
                 default_plan="assistant-free"):
        self.catalogue = catalogue
        self.now_us = as_us(now)
        self.window_us = window // timedelta(microseconds=1)
        self.unknown = unknown
        self.default_plan = default_plan
        self.auto_release = True
        self.accounts, self.payers, self.known = {}, {}, {}
        self.entries, self.alerts, self.rejected, self.parked = [], [], [], []
        self.positions = defaultdict(Counter)
        self.daily = {}             # (account, day, metric, service, model, component) -> Daily
        self.daily_sums = defaultdict(lambda: [ZERO, ZERO, ZERO])   # the same without component
        self._missing = set()
        self._decodings = {}

    # ---- messages ----

    def run(self, messages):
        """Books all messages in the order given, parked ones as soon as nothing is missing."""
        for message in messages:
            self.apply(message)
        return self

    def peek_event(self, message):
        """(what apply() would decide now, the event or None), changing nothing."""
        if message.value is None:
            return Decision("skipped"), None
        event = None
        try:
            event = self._decoded(message)
            return self._decide(event), event
        except Refused as refused:
            return Decision("rejected", refused.code), event

    def _decoded(self, message):
        """The event, or Refused again: a replay looks at a message more than once."""
        kept = self._decodings.get(id(message))
        if kept is None:
            try:
                kept = (message, decode(message, self.window_us))
            except Refused as refused:
                kept = (message, refused)
            self._decodings[id(message)] = kept     # with the message, so that its id stays its own
        if isinstance(kept[1], Refused):
            raise kept[1]
        return kept[1]

    def apply(self, message, park=None):
        """Books one message; `park` is the reason for which it is known to have been parked even if
        nothing is missing by now. Returns `booked`, `rejected:code`, `parked:reason` and so on."""
        counts = self.positions[message.topic, message.partition]
        counts["next_offset"] = max(counts["next_offset"], message.offset + 1)
        decision, event = self.peek_event(message)
        if park and decision.outcome == "booked":
            decision = Decision("parked", park)
        counts[decision.outcome] += 1
        if decision.outcome == "rejected":
            self.rejected.append((message, decision.reason))
        elif decision.outcome == "parked":
            row = Parked(message, event, decision.reason)
            self.parked.append(row)
            self.known[event.source, event.id] = Known(event.digest, event.subject, parked=row)
            if decision.act:
                decision.act()
        elif decision.outcome == "booked":
            self.known[event.source, event.id] = Known(event.digest, event.subject)
            decision.act()
            # only accounts and plans can bring what parked events lack
            if self.auto_release and event.type.startswith(("account.", "plan.")):
                self.release()
        return decision.outcome + (f":{decision.reason}" if decision.reason else "")

    def release(self, only=None):
        """Books what is parked and lacks nothing any more, in order; `only` one (source, id).
        Returns how many left parking."""
        count, again = 0, True
        while again:
            again = False
            for row in self.parked:
                identity = row.event.source, row.event.id
                if row.released or row.voided or (only and identity != only):
                    continue
                try:
                    decision = self._decide(row.event, released=True)
                except Refused as refused:
                    row.released = True
                    del self.known[identity]
                    self.rejected.append((row.message, refused.code))
                    continue
                if decision.outcome == "parked":
                    self._park_again(row, decision)
                    continue
                row.released = again = True
                count += 1
                self.known[identity].parked = None
                decision.act()
        return count

    @staticmethod
    def _park_again(row, decision):
        """It lacks something else now; for want of a price that is told like the first time."""
        if decision.reason != row.reason and decision.act:
            decision.act()
        row.reason = decision.reason

    def park_again(self):
        """What lacks something else now, without releasing what could be."""
        for row in self.parked:
            if row.released or row.voided:
                continue
            try:
                decision = self._decide(row.event, released=True)
            except Refused:
                continue
            if decision.outcome == "parked":
                self._park_again(row, decision)

    def change_catalogue(self, catalogue):
        self.catalogue = catalogue
        if self.auto_release:
            self.release()

    # ---- decisions: these change nothing ----

    def _decide(self, event, released=False):
        known = self.known.get((event.source, event.id))
        if known and not released:
            if known.digest != event.digest:
                raise Refused("id_reused")
            return Decision("duplicates")
        if event.type == "usage.recorded":
            return self._decide_usage(event)
        if event.type == "usage.voided":
            return self._decide_void(event)
        if event.type in ("account.opened", "account.updated", "plan.assigned"):
            return self._decide_account(event)
        return self._decide_credit(event)

    def _decide_usage(self, event):
        usage, account = event.body, self.accounts.get(event.subject)
        opening = account is None
        if opening:
            if self.unknown == "park":
                return Decision("parked", "unknown_account")
            account = Account(event.subject, self.default_plan)
            payer = Payer(account.id, self.catalogue.plans[self.default_plan].unit)
        else:
            payer = self.payers[account.payer]
        plan = self._plan(payer.id) or self.catalogue.plans[self.default_plan]

        def opened():
            if opening:
                self._open_by_usage(event)

        if usage.metric not in self.catalogue.metrics:
            return Decision("parked", "unknown_metric", opened)
        cost = rating.cost_of(self.catalogue, plan, usage, event.time_us)
        if usage.service in account.byok:
            cost = rating.Cost(ZERO, cost.currency, dict.fromkeys(usage.components, ZERO))
        period, late = self._period(event.time_us)
        charge, missing, by_quota, free = self._charge(account, payer, plan, usage, cost, period,
                                                       event.time_us)
        if charge is None:
            names = [n for n in usage.components if n in missing or n in cost.missing]

            def parked():
                opened()
                self._price_missing(usage, names)
            return Decision("parked", "unpriced", parked)
        self._check_range(payer, -charge.amount)
        if cost.total is not None and cost.total >= AMOUNT_LIMIT:
            raise Refused("out_of_range", "cost")

        def act():
            opened()
            charges = charge.components or rating.split(charge.amount, cost)
            self._book_usage(event, Entry(
                account.id, payer.id, "usage", event.source, event.id, event.time_us,
                -charge.amount, plan.unit, plan.id, usage=usage, cost=cost, charges=charges,
                free=free, quota=by_quota, period=period, late=late))
        return Decision("booked", act=act)

    def _charge(self, account, payer, plan, usage, cost, period, time_us):
        """(rating.Charge or None, components without price, by quota, free): contract 2.3."""
        quota = plan.quotas.get(usage.metric)
        if not account.charged or usage.service in account.byok:
            return rating.Charge(ZERO), [], False, True
        if quota:
            before = payer.months[usage.metric, period].used
            amount = rating.overage(quota, before + usage.quantity) - rating.overage(quota, before)
            return rating.Charge(amount), [], True, False
        charge, missing = rating.tariff_charge(self.catalogue, plan, usage, cost, time_us)
        if charge is None and plan.markup is None and usage.metric in plan.day_limits:
            return rating.Charge(ZERO), [], False, False
        return charge, missing, False, False

    def _decide_void(self, event):
        target = self.known.get((event.body["source"], event.body["id"]))
        if not target or target.account != event.subject:
            raise Refused("unknown_event")
        if target.parked:
            if target.parked.event.type != "usage.recorded":
                raise Refused("unknown_event")
            if target.voided:
                raise Refused("already_voided")

            def remove():
                target.voided = target.parked.voided = True
            return Decision("booked", act=remove)
        original = target.entry
        if not original:
            raise Refused("unknown_event")
        if target.voided:
            raise Refused("already_voided")
        amount = self._void_amount(original)
        self._check_range(self.payers[original.payer], amount)

        def act():
            target.voided = True
            self._book_void(event, original, amount)
        return Decision("booked", act=act)

    def _void_amount(self, original):
        metric, payer = original.usage.metric, self.payers[original.payer]
        quota = self._plan(payer.id).quotas.get(metric)
        if original.free:
            return ZERO
        if quota and metric in self.catalogue.plans[original.plan].quotas:
            used = payer.months[metric, original.period].used
            return rating.overage(quota, used) - rating.overage(quota, used - original.quantity)
        return -original.amount

    def _decide_account(self, event):
        body, account = event.body, self.accounts.get(event.subject)
        if not account and event.type != "account.opened":
            return Decision("parked", "unknown_account")
        if "parent" in body:
            parent = self.accounts.get(body["parent"])
            if not parent:
                return Decision("parked", "unknown_account")
            if parent.parent:
                raise Refused("bad_data", "the parent has a parent")
            if any(other.parent == event.subject for other in self.accounts.values()):
                raise Refused("bad_data", "the account has children")
        plan = self.catalogue.plans.get(body["plan"]) if "plan" in body else None
        if "plan" in body and not plan:
            raise Refused("unknown_plan", body["plan"])
        payer = self.payers.get(event.subject)
        is_child = "parent" in body or (account and account.parent)
        if plan and account and not is_child and payer.unit != plan.unit and not payer.only_grants:
            raise Refused("unit_mismatch", plan.id)
        return Decision("booked", act=lambda: self._book_account(event, account, plan))

    def _decide_credit(self, event):
        body, account = event.body, self.accounts.get(event.subject)
        if not account:
            return Decision("parked", "unknown_account")
        payer = self.payers[account.payer]
        kind = {"credits.purchased": "purchase", "credits.granted": "bonus",
                "credits.refunded": "refund", "credits.adjusted": "adjustment"}[event.type]
        parts = [(kind, body["amount"])]
        if body.get("package"):
            package = self.catalogue.packages.get(body["package"])
            if not package:
                raise Refused("unknown_package", body["package"])
            if package.unit != payer.unit:
                raise Refused("unit_mismatch", package.unit)
            parts = [("purchase", package.amount), ("bonus", package.bonus)]
        self._check_range(payer, sum((amount for _, amount in parts), ZERO))

        def act():
            for part, amount in parts:
                if amount:
                    self._post(payer, self._entry(event, account, part, amount))
        return Decision("booked", act=act)

    def _check_range(self, payer, amount):
        if abs(amount) >= AMOUNT_LIMIT or abs(payer.balance + amount) >= AMOUNT_LIMIT:
            raise Refused("out_of_range", f"balance {payer.balance + amount}")

    def _plan(self, account_id):
        account = self.accounts.get(account_id)
        return self.catalogue.plans[account.plan] if account and account.plan else None

    def _period(self, time_us):
        """(first day of the month that an event of this time counts in, late)."""
        first = month_of(time_us)
        following = (first + timedelta(days=32)).replace(day=1)
        end = datetime(following.year, following.month, 1, tzinfo=timezone.utc)
        if as_datetime(self.now_us) >= end + CLOSED_AFTER:
            return month_of(self.now_us), True
        return first, False

    # ---- bookings ----

    def _entry(self, event, account, kind, amount):
        payer = self.payers[account.payer]
        body = event.body if event and isinstance(event.body, dict) else {}
        return Entry(account.id, payer.id, kind, event.source if event else None,
                     event.id if event else None, event.time_us if event else self.now_us, amount,
                     payer.unit, self.accounts[payer.id].plan, reference=body.get("reference"),
                     reason=body.get("reason"))

    def _post(self, payer, entry, silent=False):
        before = payer.balance
        payer.balance = entry.balance_after = before + entry.amount
        column = COLUMNS[entry.type]
        payer.columns[column] += -entry.amount if column == "spent" else entry.amount
        payer.only_grants = payer.only_grants and entry.type == "grant"
        self.entries.append(entry)
        if not silent:
            self._balance_alerts(payer, entry, before)
        if entry.type == "usage" and entry.amount:
            payer.has_charged = True

    def _balance_alerts(self, payer, entry, before):
        plan, after = self.catalogue.plans[entry.plan], entry.balance_after
        low = plan.low_balance
        found = []
        if plan.prepaid and low is not None and before >= low > after:
            found.append(("balance.low", low))
        if plan.prepaid and before > 0 >= after:
            found.append(("balance.exhausted", ZERO))
        if plan.prepaid and low is not None and payer.has_charged and before < low <= after:
            found.append(("balance.recovered", low))
        for kind, threshold in found:
            self.alerts.append(Alert(kind, payer.id, {
                "unit": payer.unit, "balance": plain(after), "threshold": plain(threshold),
                "event_source": entry.source, "event_id": entry.id},
                (entry.source, entry.id), threshold=plain(threshold)))

    def _book_usage(self, event, entry):
        payer, usage, plan = self.payers[entry.payer], entry.usage, self.catalogue.plans[entry.plan]
        month = payer.months[usage.metric, entry.period]
        before = month.used
        self._add_up(payer, entry)
        self.known[event.source, event.id].entry = entry
        quota = plan.quotas.get(usage.metric)
        if quota:
            for threshold in sorted(plan.thresholds):
                if rating.crossed(threshold, quota.included, before, month.used):
                    self._threshold(payer, usage.metric, entry.period, threshold, month.used,
                                    quota.included, event)
        if entry.cost.total is None:
            self._price_missing(usage, entry.cost.missing)
        self._post(payer, entry)

    def _add_up(self, payer, entry):
        usage = entry.usage
        month = payer.months[usage.metric, entry.period]
        day = as_datetime((entry.corrects or entry).occurred_us).date()
        month.used += entry.quantity
        month.cost += entry.total_cost or ZERO
        month.charge -= entry.amount
        if entry.quota:
            month.overage_charge -= entry.amount
        payer.days[usage.metric, day] += entry.quantity
        if usage.metric in self.catalogue.plans[entry.plan].day_limits:
            payer.limited_days.add((usage.metric, day))
        group = (entry.account, day, usage.metric, usage.service, usage.model)
        for at, figure in enumerate((entry.quantity, entry.total_cost or ZERO, -entry.amount)):
            self.daily_sums[group][at] += figure
        for name, quantity in usage.components.items():
            row = self.daily.setdefault(group + (name,), Daily())
            row.quantity += quantity * entry.sign
            row.events += 1
            row.has_voids |= entry.sign < 0
            share = entry.cost.components[name]
            row.cost_known &= share is not None or entry.cost.total is None
            if entry.cost.total is not None:
                row.cost += (share or ZERO) * entry.sign
            row.charge_known &= entry.charges is not None
            row.charge += (entry.charges or {}).get(name, ZERO)

    def _book_void(self, event, original, amount):
        payer = self.payers[original.payer]
        plan = self._plan(payer.id)
        # what is given back is split as a charge of the original's cost would be
        charges = rating.split(-amount, original.cost)
        if original.charges is not None and amount == -original.amount:
            charges = {name: -charge for name, charge in original.charges.items()}
        start = datetime(original.period.year, original.period.month, 1, tzinfo=timezone.utc)
        period, late = self._period(as_us(start))
        entry = Entry(original.account, payer.id, "void", event.source, event.id, event.time_us,
                      amount, payer.unit, plan.id, usage=original.usage, sign=-1,
                      cost=original.cost,
                      charges=charges, free=original.free, quota=original.quota,
                      period=period, late=late, corrects=original,
                      reason=event.body["reason"])
        self._add_up(payer, entry)
        self._post(payer, entry)

    def _book_account(self, event, account, plan):
        body, opening = event.body, account is None
        if opening:
            account = self.accounts[event.subject] = Account(event.subject)
        for name in ("parent", "charged", "name", "byok"):
            if name in body:
                setattr(account, name, body[name])
        if plan:
            self._assign(event, account, plan, opening)

    def _open_by_usage(self, event):
        account = self.accounts[event.subject] = Account(event.subject)
        self._assign(None, account, self.catalogue.plans[self.default_plan], True)

    def _assign(self, event, account, plan, opening):
        old = self.catalogue.plans.get(account.plan)
        account.plan = plan.id
        if account.parent:
            return
        payer = self.payers.setdefault(account.id, Payer(account.id, plan.unit))
        month = month_of(self.now_us)
        if payer.unit != plan.unit:
            if payer.balance:
                taken = self._entry(event, account, "grant", -payer.balance)
                taken.plan = old.id     # in the old unit, so of the old plan
                self._post(payer, taken, silent=True)
            payer.granted_in.clear()
            payer.unit = plan.unit
        self._plan_thresholds(event, payer, old, plan, month)
        if opening and plan.welcome:
            self._grant(event, account, payer, plan.welcome)   # none of the period's credits
        rest = plan.credits_per_period - payer.granted_in[month]
        if plan.credits_per_period and rest > 0:
            payer.granted_in[month] += rest
            self._grant(event, account, payer, rest)

    def _grant(self, event, account, payer, amount):
        self._post(payer, self._entry(event, account, "grant", amount))

    def _plan_thresholds(self, event, payer, old, plan, month):
        for metric in sorted(plan.quotas):
            used, included = payer.months[metric, month].used, plan.quotas[metric].included
            quota = old.quotas.get(metric) if old else None
            for threshold in sorted(plan.thresholds):
                reached = rating.crossed(threshold, included, ZERO, used)
                was = quota and rating.crossed(threshold, quota.included, ZERO, used)
                if reached and not was:
                    self._threshold(payer, metric, month, threshold, used, included, event)

    # ---- alerts ----

    def _threshold(self, payer, metric, period, threshold, used, included, event):
        percent = None
        if included:
            percent = plain(rating.round_places(rating.Fraction(used) * 100
                                                / rating.Fraction(included), 6))
        data = {"metric": metric, "period": "month", "period_start": period.isoformat(),
                "threshold": threshold, "used": plain(used), "included": plain(included),
                "percent": percent, "event_source": event.source if event else None,
                "event_id": event.id if event else None}
        self.alerts.append(Alert("usage.threshold.reached", payer.id, data,
                                 (data["event_source"], data["event_id"]), metric, period,
                                 str(threshold)))

    def _price_missing(self, usage, components):
        day = self.now_us // DAY_US
        for name in components:
            key = (day, usage.service, usage.model, usage.metric, name)
            if key not in self._missing:
                self._missing.add(key)
                self.alerts.append(Alert("price.missing", "platform", {
                    "service": usage.service, "model": usage.model, "metric": usage.metric,
                    "component": name}, None, usage.metric))
