"""What becomes of programs whose n-th allocation fails, for every n: python3 tests/sweep/programs.py [NAME].

Each of them is pure: it reads files and says what it thinks of them. It may end as it does without a fault, refuse with
words, or end with 75 and words (xmalloc); librdkafka aborts with words of its own; libconfig 1.5, and libsasl2 where
librdkafka sets it up, do not look and read the NULL that they were given, at start and before anything is booked. Nothing
else may crash, and nothing may say that a thing is good which it was kept from reading.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
STUCK_S = 10
ENDED = {
    75: r"no memory for \d+ bytes more",  # xmalloc
    -6: r"assertion failed at",           # on what a library gave
    78: r".", 65: r".", 66: r".", 1: r".",  # refused, with words
}


def programs(build):
    corpus = TOP / "tests/fuzz/corpus"
    return {"configuration": [build / "debitd", "--check-config", "--config", TOP / "etc/debitd.conf"],
            "catalogue": [build / "debitctl", "catalog", "check", TOP / "etc/catalog.conf"],
            "usage": [build / "tests/replay_usage", corpus / "usage"],
            "accounts": [build / "tests/replay_accounts", corpus / "accounts"]}


def run(command, build, log, faults):
    """(exit code or None where it is stuck, what it said, what failed)."""
    log.unlink(missing_ok=True)
    env = {**os.environ, "LD_PRELOAD": str(build / "tests/faults.so"), "FAULTS_LOG": str(log), "FAULTS": faults,
           "MALLOC_PERTURB_": "165"}  # what was freed, and what was never written, looks like neither
    try:
        done = subprocess.run(list(map(str, command)), env=env, cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=STUCK_S)
        return done.returncode, done.stdout, done.stderr, log.read_text()
    except subprocess.TimeoutExpired:
        return None, "", "", log.read_text()


def judge(good, ended):
    """What is wrong with how it ended, or None."""
    code, out, words, failed = ended
    if code is None:
        # a thread that gets no memory for its own variables: rd_kafka_new of 2.0.2 then waits for one that goes on
        return None if "for ld-linux" in failed else "it is stuck"
    if code == 0 and out.endswith(good[1]):  # libsasl2 writes before it
        return None
    if code in (-11, 2) and re.search(r"for lib(config|sasl2)\.so", failed) or code == -6 and "for librdkafka.so" in failed:
        return None
    if code not in ENDED or not re.search(ENDED[code], words + out):
        return f"it ended with {code}"
    return None


def sweep(name, command, build, folder, step=1):
    """(allocations, Counter of exit codes, findings)."""
    log = folder / f"{name}.log"
    good = run(command, build, log, "memory 0")
    assert good[0] == 0, good
    total = int(re.search(r"in all (\d+) allocations", good[3])[1])

    def one(faults):
        ended = run(command, build, folder / f"{name}-{faults.replace(' ', '-')}.log", faults)
        wrong = judge(good, ended)
        return ended[0], wrong and f"{name}: {faults}: {wrong}: {ended[2].strip()[-300:]} ({ended[3].splitlines()[:1]})"

    wanted = [f"memory {n}{rest}" for n in range(1, total + 1, step) for rest in ("", "+")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(one, wanted))
    return total, Counter(code for code, _ in results), [wrong for _, wrong in results if wrong]


def main():
    build = Path(os.environ.get("DEBITD_BUILD", TOP / "build")).resolve()
    only, bad = sys.argv[1] if len(sys.argv) > 1 else "", []
    with tempfile.TemporaryDirectory(prefix="debitd-sweep-", dir="/var/tmp") as folder:
        for name, command in programs(build).items():
            if only in name:
                total, codes, findings = sweep(name, command, build, Path(folder))
                print(f"{name}: {total} allocations, ended with {dict(codes)}", flush=True)
                bad += findings
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
