#!/usr/bin/python3
"""Calls that have no place here, and binary floating point anywhere near money."""

import re

from sources import code, files, tell, top

# A call -> why not; and the files that may all the same.
CALLS = {
    r"atoi|atol|atoll|atof": ("cannot report a fault: use strtol with checks or decimal_parse", None),
    r"strtod|strtof|strtold": ("binary floating point", None),
    r"strcpy|strcat|sprintf|vsprintf|gets|stpcpy": ("knows no bounds: use snprintf or struct buffer", None),
    r"strtok|gmtime|localtime|asctime|ctime": ("keeps hidden state: use the _r form or base/clock", None),
    r"rand|srand|random|drand48": ("unseeded or shared state", None),
    r"exit|quick_exit": ("who decides to end is main", r"daemon/main\.c$|daemon/ctl/"),
    r"_exit": ("who decides to end is app", r"daemon/(main|app|base/memory)\.c$"),
    r"abort": ("only assertions abort", r"daemon/base/macros\.h$"),
    r"system|popen": ("runs a shell", None),
}
# file -> how many lines of it may name double or float, each with its reason.
FLOATING = {}


def main():
    tree, findings = top(), []
    for path in files(tree, "daemon", "consumers", endings={".c", ".h"}):
        floating = 0
        for number, line in enumerate(code(tree, path), 1):
            for calls, (why, allowed) in CALLS.items():
                found = re.search(rf"(?<![\w.>])({calls})\s*\(", line)
                if found and not (allowed and re.match(allowed, str(path))):
                    findings.append(f"{path}:{number}: {found[1]}: {why}")
            if re.search(r"\b(double|float)\b", line):
                floating += 1
                if floating > FLOATING.get(str(path), 0):
                    findings.append(f"{path}:{number}: binary floating point (FLOATING lists the exceptions)")
    tell(findings)


main()
