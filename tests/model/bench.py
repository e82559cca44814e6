"""What the model's own tests share: a set of books that is fed event by event."""
import json
from datetime import datetime, timezone
from decimal import Decimal

from .books import Books
from .catalogue import shipped
from .wire import Message

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
NOW_MS = 1795176000000


class Bench:
    """Events are CloudEvents in structured mode; results are what Books.apply() returns."""

    def __init__(self, catalogue=None, **config):
        self.books = Books(catalogue or shipped(), NOW, **config)
        self.messages, self.count = [], 0

    def send(self, kind, value, headers=(), key=b"k", timestamp_ms=NOW_MS):
        topic = {"usage": "usage.events", "accounts": "usage.accounts"}[kind]
        offset = sum(m.kind == kind for m in self.messages)
        message = Message(kind, topic, 0, offset, key, value, list(headers), timestamp_ms)
        self.messages.append(message)
        return self.books.apply(message)

    def event(self, kind, type_, subject, data, event_id=None, source="/s", time=None, **extra):
        self.count += 1
        event = {"specversion": "1.0", "type": type_, "source": source, "subject": subject,
                 "id": event_id or f"e{self.count}", **extra}
        if time:
            event["time"] = time
        head = json.dumps(event)[:-1]
        text = data if isinstance(data, str) else json.dumps(data)
        return self.send(kind, f'{head}, "data": {text}}}'.encode())

    def open(self, account, plan=None, **members):
        return self.event("accounts", "account.opened", account,
                          {**({"plan": plan} if plan else {}), **members})

    def account(self, type_, account, event_id=None, **members):
        return self.event("accounts", type_, account, members, event_id)

    def use(self, account, metric, quantity, event_id=None, time=None, **members):
        name = "quantities" if isinstance(quantity, dict) else "quantity"
        return self.event("usage", "usage.recorded", account,
                          {"metric": metric, name: quantity, **members}, event_id, time=time)

    def void(self, account, event_id, own_id=None, **members):
        return self.event("usage", "usage.voided", account, {"id": event_id, **members}, own_id)

    @property
    def last(self):
        return self.books.entries[-1]

    def balance(self, account):
        return self.books.payers[account].balance

    def alerts(self, *types):
        """(type, threshold, event id) of the alerts, in order."""
        return [(a.type, a.data.get("threshold"), a.data.get("event_id")) for a in self.books.alerts
                if not types or a.type in types]

    def month(self, account, metric):
        return self.books.payers[account].months[metric, NOW.date().replace(day=1)]


def D(text):
    return Decimal(text)
