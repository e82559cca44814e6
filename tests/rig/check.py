"""./run check [TEST] [--repeat N] [--seed S]: everything that must hold, in one go, counted.

Stages: tests/checks; unit tests (gcc); integration tests; mutants; the short form of ./run chaos, on two seeds; unit tests
and some integration tests built by clang with address and undefined-behaviour sanitizers, and with the thread sanitizer;
unit tests under valgrind; fuzz targets. With TEST only what has TEST in its name is run, by the gcc build alone. With
--sanitized all integration tests are run with sanitized daemons and under valgrind, and nothing else. A skipped test
counts as failed, and so does a run without any test. The last line is "N passed, N failed"; everything is also in
build/check.log.
"""

import argparse
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
FUZZ_SECONDS = 60            # all targets together
# What is run with sanitized daemons in every check: a crash, an unanswered COMMIT, the relay, an orderly stop (leaks).
SANITIZED_TESTS = (
    "test_books.py::test_kill_9_of_one_instance", "test_books.py::test_the_books_are_the_models_at_any_batch_size[7]",
    "test_ownership.py::test_an_unanswered_commit", "test_relay.py::test_what_was_committed",
    "test_process.py::test_what_it_has_taken",
)
PROGRAMS = ("debitd", "debitctl")
# Sees memory that is read before it was written, in libraries too; what becomes of the fibers of the simulation it does not.
VALGRIND = ("valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite")
NOT_UNDER_VALGRIND = ("test_simulation",)
SIDE_BY_SIDE = 3             # tests wait more than they work
UNIT_TIMEOUT_S = 180         # of one test program
INTEGRATION_TIMEOUT_S = 2400
CHAOS_SEED = 1
CHAOS_TIMEOUT_S = 600        # of one seed, where it hangs
SANITIZERS = {"asan": "address,undefined", "tsan": "thread"}
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1",
                     "LSAN_OPTIONS": f"print_suppressions=0:suppressions={TOP}/tests/rig/lsan.supp",
                     "TSAN_OPTIONS": f"halt_on_error=1:allocator_may_return_null=1:suppressions={TOP}/tests/rig/tsan.supp"}


class Tally:
    def __init__(self, log):
        self.passed, self.failed, self.log = 0, 0, log
        self.failures = []

    def say(self, text=""):
        print(text, flush=True)
        self.log.write(text + "\n")
        self.log.flush()

    def ok(self, name, count=1):
        self.passed += count
        self.say(f"ok - {name}")

    def end(self):
        """Says the last line; the exit code."""
        if self.failures:
            self.say("failed:\n" + "\n".join(f"  {name}" for name in self.failures))
        self.say(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0

    def not_ok(self, name, output="", count=1):
        self.failed += count
        self.failures.append(name)
        self.say(f"not ok - {name}" + ("\n" + output.rstrip() if output.strip() else ""))


def run(command, timeout, env=None):
    """(exit code, output); a command that takes too long is ended and has code 124."""
    try:
        done = subprocess.run(list(map(str, command)), cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                              env={**os.environ, **(env or {})})
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode("utf-8", "replace") + f"\nended after {timeout} s"


# -------------------------------------------------------------------- stages

def build(tally, folder=BUILD, compiler="gcc", target=(), **options):
    """Configures (again, so that options are what they should be) and builds. True when it succeeded."""
    settings = [f"-D{key}={value}" for key, value in options.items()]
    code, output = run(["cmake", "-G", "Ninja", "-S", TOP, "-B", folder, f"-DCMAKE_C_COMPILER={compiler}", *settings],
                       120)
    if code == 0:
        code, output = run(["ninja", "--quiet", "-C", folder, *target], 900)
    name = f"build with {compiler} in {folder.relative_to(TOP)}"
    if code:
        tally.not_ok(name, "\n".join(output.splitlines()[-80:]))
    return code == 0


def checks(tally, only):
    for script in sorted((TOP / "tests/checks").glob("check_*")):
        name = f"check {script.stem[len('check_'):]}"
        if only and only not in name and only not in script.stem:
            continue
        code, output = run([sys.executable, script, TOP], 300)
        if code:
            tally.not_ok(name, output)
        else:
            tally.ok(name)


def unit(tally, only="", folder=BUILD, label="", wrap=(), without=()):
    """Every test program of a build folder. `only` is looked for in the program's name, else in its tests' sentences."""
    # A test whose source is gone leaves its program behind in an old build folder.
    programs = [program for program in sorted((folder / "tests").glob("test_*"))
                if program.name not in without
                and any((TOP / "tests" / kind / f"{program.name}.c").exists() for kind in ("unit", "sim"))]
    sentences = [[only] if only and only not in program.name else [] for program in programs]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        answers = pool.map(lambda program, sentence: run([*wrap, program, *sentence], UNIT_TIMEOUT_S, SANITIZER_OPTIONS),
                           programs, sentences)
        for program, sentence, (code, output) in zip(programs, sentences, answers):
            _count(tally, f"{program.name}{label}", code, output, bool(sentence), quiet=bool(label))


def _count(tally, name, code, output, filtered, quiet):
    last = re.search(r"^(\d+) passed, (\d+) failed\n?\Z", output, re.MULTILINE)
    if not last:
        tally.not_ok(f"{name} (exit code {code}, no last line)", output)
        return
    passed, failed = map(int, last.groups())
    text = output[:last.start()].rstrip()
    if text and (failed or code or not quiet) and (passed or failed):
        tally.say(text)
    tally.passed += passed
    if failed or (code and not filtered):
        tally.failed += max(failed, 1)
        tally.failures += [f"{name}: {line[9:]}" for line in text.splitlines() if line.startswith("not ok - ")] or [name]
    elif quiet and passed:
        tally.say(f"ok - {name}: {passed} tests")


def replay(tally, only="", folder=BUILD, label=""):
    """The fuzz targets' corpora as ordinary tests."""
    for program in sorted((folder / "tests").glob("replay_*")):
        corpus = TOP / "tests/fuzz/corpus" / program.name[len("replay_"):]
        name = f"{program.name}{label}"
        if (only and only not in name) or not (TOP / "tests/fuzz" / f"fuzz_{corpus.name}.c").exists():
            continue
        code, output = run([program, corpus], UNIT_TIMEOUT_S, SANITIZER_OPTIONS)
        if code:
            tally.not_ok(name, "\n".join(output.splitlines()[-60:]))
        else:
            tally.ok(f"{name}: {output.splitlines()[-1]}")


def sanitized(tally):
    for label, sanitizer in SANITIZERS.items():
        folder = BUILD / label
        if build(tally, folder, "clang", SANITIZE=sanitizer):
            unit(tally, folder=folder, label=f" [clang, {sanitizer}]", wrap=unrandomized(label))
            if label == "asan":
                replay(tally, folder=folder, label=f" [clang, {sanitizer}]")
            sanitized_daemons(tally, label, SANITIZED_TESTS)
    unit(tally, label=" [valgrind]", wrap=VALGRIND, without=NOT_UNDER_VALGRIND)


def unrandomized(label):
    """Old run-times of the thread sanitizer cannot live with much address randomness."""
    return ["setarch", os.uname().machine, "-R"] if label == "tsan" else []


def sanitized_daemons(tally, label, tests):
    folder = BUILD / label
    watched_daemons(tally, folder, SANITIZERS[label], tests, report_options(folder / label), unrandomized(label))


def watched_daemons(tally, folder, name, tests, env=None, wrap=(), marks="not unsanitized"):
    """Integration tests with the daemon and debitctl of that folder; every report is a failure, whatever the tests say."""
    for old in folder.glob("*.report.*"):
        old.unlink()
    options = [f"--build-for={test}={folder}" for test in tests] + ["-m", marks]
    code, counts, output = pytest(options, folder / "integration.xml", quiet=True, wrap=wrap,
                                  env={**(env or {}), "DEBITD_BUILD": str(folder)})
    tell_sanitized(tally, f"[{name}]", code, counts, output, reports_of(folder))


def reports_of(folder, of="*"):
    """Valgrind leaves an empty one of each process that it has nothing to say about."""
    return sorted(path for path in folder.glob(f"{of}.report.*") if path.stat().st_size > 0)


def report_options(path):
    """The sanitizers' options; what they report goes to files beside `path`, as daemons come and go."""
    return {name: f"{value}:log_path={path}.report" if name != "LSAN_OPTIONS" else value
            for name, value in SANITIZER_OPTIONS.items()}


def tell_sanitized(tally, label, code, counts, output, reports):
    for report in reports:
        lines = report.read_text(errors="replace").splitlines()
        tally.not_ok(f"sanitizer report {report.name} {label}", "\n".join(lines[:60]))
    for name in counts["names"]:
        tally.not_ok(f"{name} {label}")
    if code or not counts["passed"]:
        tally.not_ok(f"integration tests {label} (pytest ended with {code})", "\n".join(output.splitlines()[-80:]))
    elif not reports:
        tally.ok(f"integration tests {label}: {counts['passed']} tests, no report", counts["passed"])


def valgrind_programs():
    """A folder with programs of the same names that run those of the build under valgrind."""
    folder = BUILD / "valgrind"
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS:
        command = shlex.join([*VALGRIND, f"--log-file={folder}/{name}.report.%p", str(BUILD / name)])
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    for name in ("tests", "CMakeCache.txt"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(BUILD / name)
    return folder


def valgrind_daemons(tally, tests):
    watched_daemons(tally, valgrind_programs(), "valgrind", tests, marks="not unsanitized and not unwrapped")


def sanitized_whole(tally):
    """./run check --sanitized: all integration tests with each sanitizer, and under valgrind."""
    for label, sanitizer in SANITIZERS.items():
        if build(tally, BUILD / label, "clang", SANITIZE=sanitizer):
            timed(tally, f"all integration tests [{sanitizer}]", sanitized_daemons, label, ["tests/integration"])
    if build(tally):
        timed(tally, "all integration tests [valgrind]", valgrind_daemons, ["tests/integration"])


def fuzz(tally, seconds=0, only=""):
    """Each target for that many seconds; 0: together FUZZ_SECONDS."""
    targets = sorted(path.stem for path in (TOP / "tests/fuzz").glob("fuzz_*.c") if only in path.stem)
    folder = BUILD / "fuzz"
    if not targets or not build(tally, folder, "clang", targets, FUZZ="ON", SANITIZE=SANITIZERS["asan"]):
        return
    seconds = seconds or max(5, FUZZ_SECONDS // len(targets))
    for target in targets:
        fuzz_one(tally, folder, folder / "tests" / target, seconds)


def fuzz_one(tally, folder, program, seconds):
    target, seed = program.name, os.environ.get("DEBITD_SEED", "0")
    found, grown = folder / f"{target}.found", folder / f"{target}.corpus"
    grown.mkdir(exist_ok=True)
    found.mkdir(exist_ok=True)
    corpus = TOP / "tests/fuzz/corpus" / target[len("fuzz_"):]
    code, output = run(
        [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", f"-seed={int(seed) % 2**32}",
         f"-artifact_prefix={found}/", "-verbosity=0", "-print_final_stats=1", grown,
         *([corpus] if corpus.is_dir() else [])], seconds + 120, SANITIZER_OPTIONS)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    if code or not runs or int(runs[1]) == 0:
        tally.not_ok(f"{target} (inputs that fail are kept in {found})", "\n".join(output.splitlines()[-60:]))
    else:
        tally.ok(f"{target}: {runs[1]} inputs in {seconds} s")


MUTANT = re.compile(r'(?P<number>\d+) (?P<test>\S+) "(?P<verdict>[^"]+)" (?P<what>.+)')


def mutants(tally):
    """Each deliberate fault of tests/checks/mutants.txt must turn its test red, by that test's own verdict."""
    folder, waiting = BUILD / "mutant", []
    lines = (TOP / "tests/checks/mutants.txt").read_text().splitlines()
    for mutant in map(re.Match.groupdict, filter(None, map(MUTANT.fullmatch, lines))):
        in_c = (TOP / f"tests/unit/{mutant['test']}.c").exists()
        if not build(tally, folder, target=[mutant["test"]] if in_c else PROGRAMS, MUTANT=mutant["number"]):
            continue
        if in_c:
            code, output = run([folder / "tests" / mutant["test"]], UNIT_TIMEOUT_S)
            judge_mutant(tally, mutant, [output] if code == 1 else [], output)
        else:
            kept = folder / mutant["number"]
            kept.mkdir(exist_ok=True)
            for program in PROGRAMS:
                shutil.copy2(folder / program, kept / program)
            waiting.append((mutant, kept))
    if waiting:  # all in one go, as the servers take longer than the tests
        options = [f"--build-for={mutant['test']}={kept}" for mutant, kept in waiting]
        _, counts, output = pytest(options, folder / "integration.xml", quiet=True)
        for mutant, _ in waiting:
            judge_mutant(tally, mutant, [text for name, text in counts["red"] if mutant["test"] in name], output)


def judge_mutant(tally, mutant, failures, output):
    name = f"mutant {mutant['number']} is caught by {mutant['test']}: {mutant['what']}"
    if any(mutant["verdict"] in text for text in failures):
        tally.ok(name)
    elif failures:
        tally.not_ok(name, f"it fails, but not for what it is to find, {mutant['verdict']!r}:\n" + failures[0])
    else:
        tally.not_ok(name, "it stays green:\n" + "\n".join(output.splitlines()[-30:]))


def chaos(tally):
    """The seed that is always the same, and one of this run's own."""
    for seed in (CHAOS_SEED, int(os.environ.get("DEBITD_SEED") or random.SystemRandom().randrange(1, 2**31))):
        code, output = run(["/usr/bin/python3", TOP / "tests/chaos/chaos.py", "--short", "1", seed], CHAOS_TIMEOUT_S,
                           {"DEBITD_BUILD": str(BUILD)})
        name = f"chaos, seed {seed}"
        if code:
            tally.not_ok(name, "\n".join(output.splitlines()[-120:]))
        else:
            tally.ok(f"{name}: {re.search(r'faults +([0-9,]+)', output)[1]} faults")


def pytest(arguments, report, env=None, quiet=False, tally=None, wrap=()):
    """(exit code, {passed, failed, names, red}, output): what did not pass, of it what failed by its own verdict, with what it says."""
    report.unlink(missing_ok=True)
    command = [*wrap, "/usr/bin/python3", "-m", "pytest", "tests/integration", "-p", "no:cacheprovider", "-q", "--tb=short",
               f"--numprocesses={SIDE_BY_SIDE}", "--dist=loadfile", "-ra", "--durations=5", f"--junitxml={report}", *arguments]
    child = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, **(env or {})})
    signal.signal(signal.SIGALRM, lambda *_: child.send_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, INTEGRATION_TIMEOUT_S, 60)  # a second SIGINT where the first did not do
    lines = []
    for line in child.stdout:
        lines.append(line)
        if not quiet:
            tally.say(line.rstrip("\n"))
    code = child.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    counts = {"passed": 0, "failed": 0, "names": [], "red": []}
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            counts["failed" if bad else "passed"] += 1
            if bad:
                counts["names"].append(f"{case.get('classname')}::{case.get('name')}")
            for failure in case.findall("failure"):
                name = f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
                counts["red"].append((name, failure.get("message") + "\n" + (failure.text or "")))
    return code, counts, "".join(lines)


def integration(tally, only=""):
    code, counts, _ = pytest(["--only", only] if only else [], BUILD / "integration.xml", tally=tally)
    tally.passed += counts["passed"]
    tally.failed += counts["failed"]
    tally.failures += counts["names"]
    if code not in (0, 5) and not counts["failed"] or (code == 5 and not only):
        tally.not_ok(f"integration tests (pytest ended with {code})")


# -------------------------------------------------------------------- the whole

def timed(tally, title, stage, *arguments):
    began = time.monotonic()
    tally.say(f"== {title}")
    stage(tally, *arguments)
    tally.say(f"== {title}: {time.monotonic() - began:.0f} s")


def everything(tally):
    timed(tally, "checks", checks, "")
    if build(tally):
        timed(tally, "unit tests", unit)
        replay(tally)
        timed(tally, "integration tests", integration)
        timed(tally, "mutants", mutants)
        timed(tally, "chaos", chaos)
    timed(tally, "sanitizers", sanitized)
    timed(tally, "fuzzing", fuzz)


def some(tally, only):
    checks(tally, only)
    if build(tally):
        unit(tally, only)
        replay(tally, only)
        integration(tally, only)


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        print(f"run: check: {message}\n\n{self.format_help()}", file=sys.stderr, end="")
        sys.exit(64)


def main():
    parser = Arguments(prog="./run check", description="Runs all tests, or those with TEST in the name.")
    parser.add_argument("test", nargs="?", default="", metavar="TEST")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="N times, until the first failure")
    parser.add_argument("--seed", type=int, metavar="S", help="for every random choice (default: a new one)")
    parser.add_argument("--sanitized", action="store_true", help="all integration tests with each sanitizer and under valgrind, nothing else")
    given = parser.parse_args()
    if given.repeat < 1:
        parser.error("--repeat: at least 1")
    if given.seed is not None:
        os.environ["DEBITD_SEED"] = str(given.seed)
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "check.log", "w", encoding="utf-8") as log:
        tally = Tally(log)
        try:
            for turn in range(1, given.repeat + 1):
                if given.repeat > 1:
                    tally.say(f"== turn {turn} of {given.repeat}")
                if given.sanitized:
                    sanitized_whole(tally)
                elif given.test:
                    some(tally, given.test)
                else:
                    everything(tally)
                if tally.failed:
                    break
        except KeyboardInterrupt:
            tally.not_ok("interrupted")
        if tally.passed + tally.failed == 0:
            tally.not_ok(f"no test has {given.test!r} in its name" if given.test else "there are no tests")
        return tally.end()


if __name__ == "__main__":
    sys.exit(main())
