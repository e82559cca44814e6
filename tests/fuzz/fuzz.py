"""./run fuzz [SECONDS] [TARGET]: every fuzz target, or those with TARGET in the name, each for so long (default: 600 s).

What an input grows to is kept in build/fuzz/*.corpus from run to run; one that fails is kept in build/fuzz/*.found. To
take what was learnt into the repository: build/fuzz/tests/fuzz_NAME -set_cover_merge=1 -use_counters=0 NEW build/fuzz/
fuzz_NAME.corpus tests/fuzz/corpus/NAME, then copy NEW to tests/fuzz/corpus/NAME, which ./run check replays.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.rig import check  # noqa: E402


def main():
    given = sys.argv[1:]
    seconds = int(given.pop(0)) if given and given[0].isdigit() else 600
    target = given.pop(0) if given else ""
    if given or seconds < 1 or target.startswith("-"):
        print(f"run: fuzz: not [SECONDS] [TARGET]: {' '.join(sys.argv[1:])}", file=sys.stderr)
        return 64
    check.BUILD.mkdir(exist_ok=True)
    with open(check.BUILD / "fuzz.log", "w", encoding="utf-8") as log:
        tally = check.Tally(log)
        check.fuzz(tally, seconds, target)
        if tally.passed + tally.failed == 0:
            tally.not_ok(f"no fuzz target has {target!r} in its name")
        return tally.end()


if __name__ == "__main__":
    sys.exit(main())
