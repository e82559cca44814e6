"""What comparing needs: the list of differences, rows of the `api` views, messages of any
client."""
import json
from collections import defaultdict
from decimal import Decimal

from .rating import plain

MAX_SHOWN = 20                      # differences of one kind


class Differences:
    def __init__(self):
        self.found = defaultdict(list)

    def add(self, kind, text):
        self.found[kind].append(text)

    def same(self, kind, what, expected, actual):
        if expected != actual:
            self.add(kind, f"{what}: expected {show(expected)}, found {show(actual)}")

    def lines(self):
        out = []
        for kind, texts in self.found.items():
            out += [f"{kind}: {text}" for text in texts[:MAX_SHOWN]]
            if len(texts) > MAX_SHOWN:
                out.append(f"{kind}: and {len(texts) - MAX_SHOWN} more differences")
        return out


class Database:
    def __init__(self, connection):
        self.connection = connection

    def rows(self, columns, view):
        """Rows as dicts; `column!` is read as text (jsonb, whose numbers would become floats)."""
        names = [c.rstrip("!") for c in columns.split()]
        picked = ", ".join(f'"{c[:-1]}"::text' if c.endswith("!") else f'"{c}"'
                           for c in columns.split())
        return [dict(zip(names, row))
                for row in self.connection.execute(f"SELECT {picked} FROM {view}").fetchall()]


def read_json(text):
    """JSON with exact numbers."""
    if text is None or isinstance(text, (dict, list)):
        return text
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def show(value):
    return plain(value) if isinstance(value, Decimal) else repr(value)


def as_message(m):
    if isinstance(m, tuple):
        key, value, headers = m
    else:
        key, value, headers = ((x() if callable(x) else x) for x in (m.key, m.value, m.headers))
    return key, value, list(headers or [])


def as_bytes(value):
    return None if value is None else bytes(value)
