"""The model's books in the shape of the `api` views: what a faultless daemon would show, so that
the comparison itself can be tested, and be seen to find each kind of fault."""
import json
import re
from datetime import datetime, timezone

from .books import COUNTS
from .records import as_datetime
from .rating import Fraction, ZERO, plain, round_places


class Mirror:
    """Stands in for a connection: execute() knows `SELECT columns FROM view`, and nothing more."""

    def __init__(self, books):
        self.views = {f"api.{name[1:]}": getattr(self, name)(books) for name in (
            "_ledger", "_balance", "_usage", "_usage_daily", "_account", "_position", "_rejected",
            "_parked", "_alert")}
        self.rows = []

    def execute(self, sql):
        columns, view = re.match(r"SELECT (.*?) FROM (\S+)", sql, re.S).groups()
        self.rows = []
        for row in self.views[view]:
            self.rows.append(tuple(row[column.replace("::text", "").replace('"', "").strip()]
                                   for column in columns.split(",")))
        return self

    def fetchall(self):
        return self.rows

    def _ledger(self, books):
        def cost(entry, name):
            found = entry.cost.components[name]
            return None if found is None else plain(found * entry.sign)

        rows, ids = [], {}
        for at, e in enumerate(books.entries):
            ids[id(e)] = at + 1
            u = e.usage
            components = u and json.dumps({n: {
                "quantity": plain(q * e.sign),
                "cost": cost(e, n)}
                for n, q in u.components.items()})
            rows.append({
                "entry_id": at + 1, "account_id": e.account, "payer_id": e.payer, "type": e.type,
                "event_source": e.source, "event_id": e.id,
                "occurred_at": as_datetime(e.occurred_us),
                "service": u and u.service, "model": u and u.model, "metric": u and u.metric,
                "quantity": e.quantity, "components": components, "cost": e.total_cost,
                "currency": e.cost and e.cost.currency, "amount": e.amount, "unit": e.unit,
                "balance_after": e.balance_after, "plan": e.plan,
                "price_source": e.cost and e.cost.source, "late": e.late,
                "corrects": e.corrects and ids[id(e.corrects)], "reference": e.reference,
                "reason": e.reason, "user_id": u and u.user, "thread_id": u and u.thread,
                "execution_id": u and u.execution, "agent_id": u and u.agent,
                "metadata": u and u.metadata})
        return rows

    def _balance(self, books):
        return [{"account_id": p.id, "unit": p.unit, "balance": p.balance, **p.columns}
                for p in books.payers.values()]

    def _usage(self, books):
        rows = []
        for p in books.payers.values():
            plan = books.catalogue.plans[books.accounts[p.id].plan]
            for (metric, period), month in p.months.items():
                quota = plan.quotas.get(metric)
                rows.append(self._usage_row(p, metric, "month", period, month.used,
                                            quota and quota.included, month))
            for (metric, day), used in p.days.items():
                if metric in plan.day_limits:
                    rows.append(self._usage_row(p, metric, "day", day, used,
                                                plan.day_limits[metric]))
        return rows

    @staticmethod
    def _usage_row(p, metric, period, start, used, included, month=None):
        return {"account_id": p.id, "metric": metric, "period": period, "period_start": start,
                "used": used, "included": included, "currency": None, "unit": p.unit,
                "percent": round_places(Fraction(used) * 100 / Fraction(included),
                                        6) if included else None,
                "cost": month and month.cost, "charge": month and month.charge,
                "overage_quantity": None if included is None else max(ZERO, used - included),
                "overage_charge": month and month.overage_charge}

    def _usage_daily(self, books):
        rows = []
        for group, sums in books.daily_sums.items():
            rest = list(sums)
            mine = []
            for key, row in books.daily.items():
                if key[:5] == group:
                    mine.append(dict(zip(("account_id", "day", "metric", "service", "model",
                                          "component"),
                                         key), quantity=row.quantity, cost=row.cost,
                                         charge=row.charge,
                                     events=row.events))
                    rest[1] -= row.cost
                    rest[2] -= row.charge
            mine[-1]["cost"] += rest[1]         # where the contract does not say which component
            mine[-1]["charge"] += rest[2]
            rows += mine
        return rows

    def _account(self, books):
        return [{"account_id": a.id, "payer_id": a.payer, "name": a.name, "plan": a.plan,
                 "unit": books.payers[a.payer].unit, "charged": a.charged, "byok": a.byok}
                for a in books.accounts.values()]

    def _position(self, books):
        return [{"topic": topic, "partition": partition, "next_offset": counts["next_offset"],
                 **{name: counts[name] for name in COUNTS}}
                for (topic, partition), counts in books.positions.items()]

    def _rejected(self, books):
        return [{"topic": m.topic, "partition": m.partition, "offset": m.offset, "reason": reason,
                 "key": m.key, "value": m.value} for m, reason in books.rejected]

    def _parked(self, books):
        now = datetime.now(timezone.utc)
        return [{"topic": r.message.topic, "partition": r.message.partition,
                 "offset": r.message.offset,
                 "reason": r.reason, "account_id": r.event.subject, "event_source": r.event.source,
                 "event_id": r.event.id, "released_at": now if r.released or r.voided else None}
                for r in books.parked]

    def _alert(self, books):
        return [{"alert_id": f"alert-{at}", "type": a.type, "account_id": a.key, "metric": a.metric,
                 "period_start": a.period_start, "threshold": a.threshold, "event": json.dumps({
                     "specversion": "1.0", "id": f"alert-{at}", "source": "/debitd", "type": a.type,
                     "subject": a.key, "time": "2026-11-20T12:00:00Z",
                     "datacontenttype": "application/json", "data": a.data})}
                for at, a in enumerate(books.alerts)]

    def alerts(self):
        return [(json.loads(row["event"])["subject"].encode(), row["event"].encode(),
                 [("content-type", b"application/cloudevents+json")])
                for row in self.views["api.alert"]]


def dead_letters(books):
    return [(m.key, m.value, list(m.headers) + [
        ("debitd-reason", reason.encode()), ("debitd-detail", b"why"),
        ("__connect.errors.topic", m.topic.encode()),
        ("__connect.errors.partition", str(m.partition).encode()),
        ("__connect.errors.offset", str(m.offset).encode()),
        ("__connect.errors.exception.message", b"why")]) for m, reason in books.rejected]
