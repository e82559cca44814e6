"""./run demo, from outside: it ends by itself without a terminal, shows figures worked out by hand, leaves nothing behind."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.rig.daemon import TOP


def left_over():
    """Folders of demos, and processes that run in one."""
    found = {str(path) for path in Path(tempfile.gettempdir()).glob("debitd-demo-*")}
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "debitd-demo-" in text or "demo_broker" in text:
            found.add(text)
    return found


@pytest.fixture(scope="module")
def shown():
    before = left_over()
    ran = subprocess.run([sys.executable, TOP / "tests" / "demo" / "demo.py"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=90, env=os.environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert left_over() <= before
    return ran.stdout


def has_row(shown, *cells):
    """A line with these words in this order."""
    pattern = r"\b.*".join(re.escape(cell) for cell in cells)
    return any(re.search(pattern, line) for line in shown.splitlines())


def test_the_demo_says_that_its_broker_is_a_mock(shown):
    assert "mock, not Kafka" in shown


def test_the_demo_books_every_plan_family_to_the_cent(shown):
    # 500 tokens in at 2.50, 500 out at 10.00 a million: 0.00625 USD; at 0.01 USD a credit 0.625 of 2,500
    assert has_row(shown, "ann", "usage", "0.00625 USD", "-0.625", "CREDIT", "2499.375")
    # 12,000 at 3.00 and 3,000 at 15.00: 0.081 USD
    assert has_row(shown, "ann", "usage", "0.081 USD", "-8.1", "CREDIT", "2491.275")
    # 2,000 tokens at 25 credits a thousand, of a package of 1,000
    assert has_row(shown, "dario", "usage", "-50", "CREDIT", "950")
    # 200,000 at 3.00 and 560,000 at 15.00: 9 of 10 dollars
    assert has_row(shown, "cleo", "usage", "9 USD", "-9", "USD", "1")
    # the third signature is free, the fourth costs 2.00
    assert has_row(shown, "elm-lee", "signatures", "1", "1 EUR", "-2", "EUR", "-2")


def test_the_demo_shows_alerts_as_they_arrive(shown):
    for cells in (("bob", "balance.exhausted", "balance 0 CREDIT"),
                  ("cleo", "balance.low", "balance 0.999625 USD"),
                  ("cleo", "balance.exhausted", "balance -0.125375 USD"),
                  ("cleo", "balance.recovered", "balance 19.874625 USD"),
                  ("elm", "usage.threshold.reached", "80 % of signatures: 3 of 3 used (100 %)"),
                  ("elm", "usage.threshold.reached", "100 % of signatures: 3 of 3 used (100 %)"),
                  ("elm", "usage.threshold.reached", "80 % of storage_gb: 4.5 of 5 used (90 %)"),
                  ("elm", "usage.threshold.reached", "80 % of ai_tokens: 4000 of 5000 used (80 %)"),
                  ("platform", "price.missing", "openai gpt-99")):
        assert any(re.match(r"  alert    " + r"\s+".join(map(re.escape, cells)), line)
                   for line in shown.splitlines()), cells


def test_the_demo_tells_what_was_not_booked_and_how_to_send_more(shown):
    assert has_row(shown, "rejected", "malformed_json")
    assert has_row(shown, "rejected", "bad_quantity")
    assert has_row(shown, "parked", "unpriced")
    assert has_row(shown, "parked, then released", "unknown_account")
    assert re.search(r"kcat -P -b 127\.0\.0\.1:\d+ -t usage\.events -k cleo", shown)


def test_the_readme_shows_what_the_demo_shows(shown):
    lines = {line.rstrip() for line in shown.splitlines()}
    (block,) = re.findall(r"```\n(Ready after.*?)```", (TOP / "README.md").read_text(), re.S)
    assert [line for line in block.splitlines()[1:] if line not in lines and line != "…"] == []
