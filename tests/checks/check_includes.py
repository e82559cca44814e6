#!/usr/bin/python3
"""Includes point one way, and foreign headers stay in their rooms.

base <- model <- rating <- consumers, ledger, outbox, catalogue <- the files right in daemon/ <- ctl.
"""

import re

from sources import code, files, tell, top

# Which rooms a room may include from, besides itself. "app" is what lies right in daemon/.
MAY = {
    "base": set(),
    "model": {"base"},
    "rating": {"base", "model"},
    "pg": {"base"},
    "kafka": {"base"},
    "catalogue": {"base", "model", "rating", "pg"},
    "consumers": {"base", "model", "rating", "kafka"},
    # What was parked is decoded again, and a batch holds on to the catalogue it was priced with.
    "ledger": {"base", "model", "rating", "pg", "catalogue", "consumers"},
    "outbox": {"base", "model", "pg", "kafka"},
    "app": {"base", "model", "rating", "pg", "kafka", "catalogue", "consumers", "ledger", "outbox"},
    "ctl": {"base", "model", "rating", "pg", "kafka", "catalogue", "consumers", "ledger", "outbox", "app"},
}
# Only app may see the source: the others need of it nothing but messages.
ONLY_APP = {"consumers/source.h": {"app", "consumers"}}

# A foreign header -> the files that may include it.
FOREIGN = {
    r"librdkafka/": r"daemon/kafka/|daemon/outbox/|consumers/source\w*\.[ch]$|tests/",
    r"libpq-fe\.h|libpq/": r"daemon/pg/|tests/",
    r"jansson\.h": r"daemon/ctl/|daemon/catalogue/|daemon/outbox/|consumers/accounts\w*\.c$|tests/",
    r"libconfig\.h": r"daemon/config\w*\.[ch]$|daemon/catalogue/|tests/",
    r"libsmartcols": r"daemon/ctl/",
    r"systemd/": r"daemon/[^/]+\.c$",
    r"uthash\.h": r"daemon/base/table\.h$",
}


def room(path):
    """Of a path as it is included, or of a file in the tree."""
    parts = path.split("/")
    if parts[0] == "daemon":
        parts = parts[1:]
    return "app" if len(parts) == 1 else parts[0]


def main():
    tree, findings = top(), []
    for path in files(tree, "daemon", "consumers", "tests", endings={".c", ".h"}):
        here, name = room(str(path)), str(path)
        for number, line in enumerate(code(tree, path), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not found:
                continue
            what = found[2]
            if found[1] == "<":
                findings += [f"{name}:{number}: <{what}> stays in {allowed}" for header, allowed in FOREIGN.items()
                             if re.match(header, what) and not re.match(allowed, name)]
                continue
            there = room(what)
            if here == "tests" or there == here:
                continue
            if here not in MAY:
                findings.append(f"{name}: a folder that this check does not know: give it a line in MAY")
            elif there not in MAY[here]:
                findings.append(f"{name}:{number}: {here} must not include {what}")
            elif here not in ONLY_APP.get(what, {here}):
                findings.append(f"{name}:{number}: {what} is for {', '.join(sorted(ONLY_APP[what]))} only")
    tell(findings)


main()
