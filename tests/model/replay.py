"""Replaying messages in the order in which the daemon booked them.

The order between partitions and topics is the daemon's to choose, so the judge takes it from the
books: per payer the entries of `api.ledger` by entry_id, per partition the offsets, and which
positions were parked. Given that order, every figure of every entry is determined.

A message that makes no entry is taken as soon as its partition reaches it, but for what the model
would park and the daemon did not: that waits until what was missing has come. Messages of one phase
are all booked before the next phase begins (whoever produced them waited for that).
"""
from collections import defaultdict, deque
from dataclasses import dataclass, field

from .records import as_us


@dataclass
class Observed:
    """`entries`: (payer, source, id, occurred_us, type) in order of entry_id; `parked`: position ->
    (reason, identity)."""

    entries: list = field(default_factory=list)
    parked: dict = field(default_factory=dict)

    @classmethod
    def read(cls, connection):
        rows = connection.execute(
            "SELECT payer_id, event_source, event_id, occurred_at, type FROM api.ledger"
            " ORDER BY entry_id").fetchall()
        parked = connection.execute(
            'SELECT topic, "partition", "offset", reason, event_source, event_id'
            ' FROM api.parked').fetchall()
        return cls([(p, s, i, as_us(t), k) for p, s, i, t, k in rows],
                   {(t, p, o): (reason, (s, i)) for t, p, o, reason, s, i in parked})

    @classmethod
    def of(cls, books):
        """What a run of the model itself would show: for the model's own tests."""
        return cls([(e.payer, e.source, e.id, e.occurred_us, e.type) for e in books.entries],
                   {row.message.position: (row.reason, (row.event.source, row.event.id))
                    for row in books.parked})


class _Order:
    """Per payer, the identities whose entries are still to come; and all that were parked."""

    def __init__(self, observed):
        self.parked = {identity for _, identity in observed.parked.values()}
        self.queues = defaultdict(deque)
        self.payers = {}            # identity -> payer
        self.times = defaultdict(set)   # identity -> occurred_us of its entries
        for payer, source, event_id, occurred_us, _ in observed.entries:
            identity = (source, event_id)
            self.times[identity].add(occurred_us)
            if source is None or identity in self.payers:
                continue            # grants of no event, and the second entry of one event
            self.payers[identity] = payer
            self.queues[payer].append(identity)

    def expects(self, identity):
        return identity in self.payers

    def is_next(self, identity):
        return self.queues[self.payers[identity]][0] == identity

    def done(self, identity):
        queue = self.queues[self.payers.pop(identity)]
        if queue and queue[0] == identity:
            queue.popleft()
        elif identity in queue:
            queue.remove(identity)


def replay(books, messages, observed):
    """Books all messages in the observed order; returns what no order can explain."""
    faults = []
    order = _Order(observed)
    books.auto_release = False
    for phase in sorted({message.phase for message in messages}):
        queues = defaultdict(deque)
        for message in sorted((m for m in messages if m.phase == phase), key=lambda m: m.position):
            # accounts first: what has no entries of its own is then in force as early as possible
            queues[message.kind != "accounts", message.topic, message.partition].append(message)
        _phase(books, [queues[key] for key in sorted(queues)], order, observed, faults)
        books.park_again()
    _releases(books, order)
    for payer, queue in sorted(order.queues.items()):
        if queue:
            faults.append(f"order: payer {payer} has {len(queue)} entries that no message explains,"
                          f" or that break the order of a partition; the first: {queue[0]}")
    # whatever could be released by now should have been, long ago
    left = books.release()
    if left:
        faults.append(f"parked: {left} events are still parked though nothing is missing")
    return faults


def _phase(books, queues, order, observed, faults):
    while any(queues):
        moved = False
        for queue in queues:
            while queue and _ready(books, queue[0], order, observed):
                _take(books, queue.popleft(), order, observed)
                moved = True
        moved |= _releases(books, order) > 0
        if not moved:
            queue = next(queue for queue in queues if queue)
            message = queue.popleft()
            faults.append(f"order: {_name(message)} cannot be booked where the books have it;"
                          f" {_hint(books, message, order)}")
            _take(books, message, order, observed)


def _name(message):
    return f"{message.topic}/{message.partition}@{message.offset} {message.note}".strip()


def _hint(books, message, order):
    decision, event = books.peek_event(message)
    hint = f"the model says {decision.outcome} {decision.reason or ''}".strip()
    if event and order.expects((event.source, event.id)):
        payer = order.payers[event.source, event.id]
        hint += f"; next of its payer {payer} is {order.queues[payer][0]}"
    return hint


def _ready(books, message, order, observed):
    if message.position in observed.parked:
        return True
    decision, event = books.peek_event(message)
    if event is None or decision.outcome in ("duplicates", "rejected") and not (
            order.expects((event.source, event.id))):
        return True
    identity = event.source, event.id
    if order.expects(identity):
        if decision.outcome == "duplicates" or decision.reason == "id_reused":
            return True             # of an event that is parked and will be released
        # of copies with different times, the one that was booked; a parked one cannot be booked yet
        return (decision.outcome == "booked" and order.is_next(identity)
                and (event.type == "usage.voided" or event.time_us in order.times[identity]))
    if identity in order.parked:
        return False                # not this copy of it: that one comes first
    # usage that never makes an entry stays parked, or is voided there; accounts wait for parents
    return decision.outcome == "booked" or event.type.startswith(("usage.", "credits."))


def _take(books, message, order, observed):
    reason = observed.parked.get(message.position, (None, None))[0]
    before = len(books.entries)
    books.apply(message, park=reason)
    _check_off(books, before, order)


def _check_off(books, before, order):
    for entry in books.entries[before:]:
        if order.expects((entry.source, entry.id)):
            order.done((entry.source, entry.id))


def _releases(books, order):
    """Releases what the books show as the next entry of its payer; parked events that make no entry
    (an account opened under a parent) as soon as they can be."""
    count, again = 0, True
    while again:
        again = False
        for row in books.parked:
            if row.released or row.voided:
                continue
            identity = row.event.source, row.event.id
            if order.expects(identity) and not order.is_next(identity):
                continue
            if not order.expects(identity) and row.event.type.split(".")[0] in ("usage", "credits"):
                continue
            before = len(books.entries)
            if books.release(only=identity):
                _check_off(books, before, order)
                again = True
                count += 1
    return count
