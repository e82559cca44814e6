#!/usr/bin/python3
"""What ./run check counts as a failure has been seen to fail: a sanitizer's or valgrind's report and a leak (of real programs), a crash
in fuzzing (of a real target), a mutant that stays green, that fails for another reason, or whose test is skipped."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.rig import check  # noqa: E402

LEAK = "#include <stdlib.h>\nint main(void)\n{\n    void *volatile p = malloc(77);\n    p = 0;\n    return p != 0;\n}\n"
OVERRUN = "#include <stdlib.h>\nint main(int argc, char **argv)\n{\n    char *p = malloc(argc);\n    p[argc] = argv[0][0];\n" \
          "    free(p);\n    return 0;\n}\n"
OVERFLOW = "int main(int argc, char **argv)\n{\n    (void)argv;\n    return argc + 2147483647 == 5;\n}\n"
RACE = "#include <pthread.h>\nstatic int shared;\nstatic void *run(void *p)\n{\n    shared++;\n    return p;\n}\n" \
       "int main(void)\n{\n    pthread_t t;\n    pthread_create(&t, 0, run, 0);\n    shared++;\n    pthread_join(t, 0);\n    return 0;\n}\n"
CRASH = "#include <stdint.h>\n#include <stdlib.h>\nint LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)\n{\n" \
        "    if (size > 0 && data[0] == 'x')\n        abort();\n    return 0;\n}\n"
UNSET = "#include <stdlib.h>\nint main(void)\n{\n    int *volatile p = malloc(sizeof(*p));\n    int odd = *p & 1;\n    free(p);\n" \
        "    if (odd)\n        exit(3);\n    return 0;\n}\n"
GOOD = "int main(void)\n{\n    return 0;\n}\n"
MUTANT = {"number": "1", "test": "test_a.py::test_b", "verdict": "4 is not 5", "what": "something"}


class Quiet(check.Tally):
    def __init__(self):
        super().__init__(io.StringIO())

    def say(self, text=""):
        self.log.write(text + "\n")


def built(folder, name, source, *options):
    (folder / f"{name}.c").write_text(source)
    subprocess.run(["clang", "-g", "-O1", "-o", folder / name, folder / f"{name}.c", "-pthread", *options], check=True)
    return folder / name


def reported(folder, name, command, env=None):
    """Whether what this program says is counted as a failure when it is run as the daemons are."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, check=False)
    tally = Quiet()
    check.tell_sanitized(tally, "[x]", 0, {"names": [], "passed": 1}, "", check.reports_of(folder, name))
    return tally.failed > 0 and done.returncode != 0


def sanitized(folder, name, source, label):
    program = built(folder, name, source, f"-fsanitize={check.SANITIZERS[label]}", "-fno-sanitize-recover=all")
    return reported(folder, name, [*check.unrandomized(label), program], check.report_options(folder / name))


def under_valgrind(folder, name, source, _):
    return reported(folder, name, [*check.VALGRIND, f"--log-file={folder}/{name}.report.%p", built(folder, name, source)])


def fuzzed(folder, name, source):
    built(folder, name, source, "-fsanitize=fuzzer,address")
    tally = Quiet()
    check.fuzz_one(tally, folder, folder / name, 5)
    return tally.failed > 0


def mutant(failures):
    tally = Quiet()
    check.judge_mutant(tally, MUTANT, failures, "1 passed")
    return tally.failed > 0


def main():
    faults = []
    with tempfile.TemporaryDirectory(prefix="debitd-judges-", dir="/var/tmp") as name:
        folder = Path(name)
        for judge, what, source, label, wanted in (
                (sanitized, "leak", LEAK, "asan", True), (sanitized, "overrun", OVERRUN, "asan", True),
                (sanitized, "overflow", OVERFLOW, "asan", True), (sanitized, "race", RACE, "tsan", True),
                (sanitized, "sound", GOOD, "asan", False), (sanitized, "quiet", GOOD, "tsan", False),
                (under_valgrind, "unset", UNSET, "valgrind", True), (under_valgrind, "lost", LEAK, "valgrind", True),
                (under_valgrind, "fine", GOOD, "valgrind", False)):
            if judge(folder, what, source, label) != wanted:
                faults.append(f"{label}: {what} is {'not ' if wanted else ''}counted as a failure")
        if not fuzzed(folder, "fuzz_crash", CRASH):
            faults.append("fuzzing: a crash is not counted as a failure")
        if fuzzed(folder, "fuzz_sound", CRASH.replace("abort()", "return 0")):
            faults.append("fuzzing: a sound target is counted as a failure")
    for what, failures, wanted in (("stays green or is skipped", [], True), ("fails for another reason", ["not ready"], True),
                                   ("is caught", ["so 4 is not 5"], False)):
        if mutant(failures) != wanted:
            faults.append(f"mutants: one that {what} is {'not ' if wanted else ''}counted as a failure")
    print("\n".join(faults))
    return 1 if faults else 0


sys.exit(main())
