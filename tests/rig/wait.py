"""The one place where tests wait: for a condition, with a deadline, and with evidence when it does not come."""

import time


class GaveUp(AssertionError):
    """The condition did not come in time; the message holds what was seen instead."""


def wait_until(predicate, timeout, what, dump=None, interval=0.05):
    """Polls until `predicate()` is true and returns its value.

    `timeout` in seconds; `what` says in words what is waited for; `dump()` gives text that helps to see why it did
    not come (logs, positions, offsets). Exceptions of the predicate are not swallowed.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            break
        time.sleep(interval)
    text = f"gave up after {timeout} s waiting for: {what}; last seen: {value!r}"
    if dump is not None:
        try:
            text += "\n" + dump()
        except Exception as error:  # the first failure is the one to report
            text += f"\n(no further evidence: {error!r})"
    raise GaveUp(text)
