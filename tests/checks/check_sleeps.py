#!/usr/bin/python3
"""Tests wait for conditions, never for time: the one place that sleeps is tests/rig/wait.py."""

import re

from sources import files, tell, text, top

ALLOWED = {"tests/rig/wait.py", "tests/demo/demo.py"}  # the demo is a show, not a test: it sets its pace
SLEEP = {
    ".py": r"\b(time|asyncio)\.sleep\b|(?<![\w.])sleep\s*\(|from time import .*\bsleep\b",
    ".c": r"\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\(",
    ".h": r"\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\(",
    ".sh": r"(^|[;&|]|\bdo\b)\s*sleep\s",
    "": r"(^|[;&|]|\bdo\b)\s*sleep\s",
}


def main():
    tree, findings = top(), []
    for path in files(tree, "tests"):
        if str(path) in ALLOWED or path.suffix not in SLEEP or path.parent.name == "checks":
            continue
        for number, line in enumerate(text(tree, path).split("\n"), 1):
            if re.search(SLEEP[path.suffix], line):
                findings.append(f"{path}:{number}: sleeps: use wait_until of tests/rig/wait.py: {line.strip()}")
    tell(findings)


main()
