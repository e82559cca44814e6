#!/usr/bin/python3
"""A function of C has at most 70 lines, a file at most 600."""

import re

from sources import code, files, tell, top

FUNCTION_LINES, FILE_LINES = 70, 600


def functions(lines):
    """(name, first line, last line) of every function: its braces stand in the first column."""
    name, began = "", None
    for number, line in enumerate(lines, 1):
        if began is None:
            found = re.match(r"[A-Za-z_].*?(\w+)\s*\(", line)
            name = found[1] if found else name
        if line.startswith("{") and began is None:
            began = number
        elif line.startswith("}") and began is not None:
            yield name, began, number
            began = None


def main():
    tree, findings = top(), []
    for path in files(tree, "daemon", "consumers", endings={".c", ".h"}):
        lines = code(tree, path)
        for name, first, last in functions(lines):
            if last - first - 1 > FUNCTION_LINES:
                findings.append(f"{path}:{first}: {name} has {last - first - 1} lines, at most {FUNCTION_LINES}")
        if len(lines) > FILE_LINES:
            findings.append(f"{path}: {len(lines)} lines, at most {FILE_LINES}")
    tell(findings)


main()
