#!/usr/bin/python3
"""Every test that a manual names is there: a function of the integration tests, a file of tests, or a C program of tests."""

import re

from sources import files, tell, text, top


def main():
    tree, known, findings = top(), set(), []
    for path in files(tree, "tests"):
        known.add(path.stem)
        if path.suffix == ".py":
            known.update(re.findall(r"^def (test_\w+)", text(tree, path), re.MULTILINE))
    for path in files(tree, "docs"):
        for number, line in enumerate(text(tree, path).split("\n"), 1):
            for name in re.findall(r"`(test_\w+)`", line):
                if name not in known:
                    findings.append(f"{path}:{number}: there is no test {name}")
    tell(findings)


main()
