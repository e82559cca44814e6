#!/usr/bin/python3
"""The deliberate faults in the code (`#if MUTANT == n`) and those in tests/checks/mutants.txt are the same, and each is there once."""

import re

from sources import code, files, tell, text, top


def main():
    tree, findings = top(), []
    built = {}
    for path in files(tree, "daemon", "consumers", endings={".c", ".h"}):
        for number, line in enumerate(code(tree, path), 1):
            for mutant in re.findall(r"\bMUTANT\s*==\s*(\d+)", line):
                if mutant in built:
                    findings.append(f"{path}:{number}: mutant {mutant} stands at {built[mutant]} already")
                built[mutant] = f"{path}:{number}"
            if re.search(r"\bMUTANT\s*[!<>]", line):
                findings.append(f"{path}:{number}: write it as MUTANT == n, so that it is found")
    listed, tests = {}, set()
    for number, line in enumerate(text(tree, "tests/checks/mutants.txt").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r'(\d+) (\S+) "[^"]+" \S.*', line)
        if not found:
            findings.append(f'tests/checks/mutants.txt:{number}: not NUMBER TEST "VERDICT" WORDS: {line}')
        else:
            if found[2] in tests:
                findings.append(f"tests/checks/mutants.txt:{number}: {found[2]} stands against another already: "
                                "a test each, so that its verdict is about one fault")
            listed[found[1]] = number
            tests.add(found[2])
    findings += [f"{built[mutant]}: mutant {mutant} is not in tests/checks/mutants.txt: no test is held against it"
                 for mutant in sorted(built.keys() - listed.keys())]
    findings += [f"tests/checks/mutants.txt:{listed[mutant]}: there is no mutant {mutant} in the code"
                 for mutant in sorted(listed.keys() - built.keys())]
    tell(findings)


main()
