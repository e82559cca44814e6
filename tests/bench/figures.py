"""Figures of several rounds: what is in the middle of them, how far they spread, and how they are written."""

from statistics import median


def values(rows, *path):
    """A field of each round, by its names from the outside in; None where one has none."""
    found = rows
    for name in path:
        found = [row.get(name) for row in found]
    return None if None in found else found


def middle(rows, *path):
    """The median; None where a round has none."""
    found = values(rows, *path)
    return found and median(found)


def figure(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def spread(rows, *path, digits=0):
    """Median (least..most)."""
    found = values(rows, *path)
    if not found:
        return "-"
    return f"{figure(median(found), digits)} ({figure(min(found), digits)}..{figure(max(found), digits)})"


def quantiles(seconds):
    """In ms: p50, p90, p99, p99.9 and the most, each the smallest value that so many are not above."""
    ordered = sorted(seconds)

    def at(per_mille):
        return ordered[max(0, -(-len(ordered) * per_mille // 1000) - 1)] * 1000
    return {"n": len(ordered), "p50_ms": at(500), "p90_ms": at(900), "p99_ms": at(990), "p999_ms": at(999),
            "max_ms": ordered[-1] * 1000}
