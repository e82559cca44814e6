#!/usr/bin/python3
"""Every check has been seen red: each is run over small trees that it must refuse, naming the file, and one it must accept."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONG = "int f(void)\n{\n" + "    g();\n" * 71 + "}\n"
NO_MUTANTS = {"tests/checks/mutants.txt": "# none\n"}

# check -> trees ({path: content}) in which it must find the first file at fault.
BAD = {
    "includes": [
        {"daemon/base/a.c": '#include "model/event.h"\n'},
        {"daemon/rating/a.c": '#include "pg/session.h"\n'},
        {"daemon/model/a.h": "#include <jansson.h>\n"},
        {"daemon/ledger/a.c": "#include <libpq-fe.h>\n"},
        {"daemon/ledger/a.c": "#include <librdkafka/rdkafka.h>\n"},
        {"daemon/ledger/a.c": '#include "consumers/source.h"\n'},
        {"daemon/ledger/a.c": '#include "config.h"\n'},
        {"consumers/usage.c": "#include <jansson.h>\n"},
        {"consumers/usage.c": '#include "ledger/batch.h"\n'},
        {"daemon/outbox/a.c": "#include <libconfig.h>\n"},
        {"daemon/new/a.c": '#include "base/error.h"\n'},
    ],
    "banned": [
        {"daemon/a.c": "int x = atoi(text);\n"},
        {"daemon/base/a.c": "    strcpy(to, from);\n"},
        {"daemon/ledger/a.c": "    exit(1);\n"},
        {"daemon/ctl/a.c": "    abort();\n"},
        {"consumers/a.c": "struct tm *t = gmtime(&now);\n"},
        {"daemon/rating/a.h": "double charge(void);\n"},
    ],
    "sleeps": [
        {"tests/integration/test_a.py": "import time\ntime.sleep(1)\n"},
        {"tests/unit/test_a.c": "    usleep(1000);\n"},
        {"tests/bench/go.sh": "for i in 1 2; do sleep 1; done\n"},
    ],
    "lengths": [
        {"daemon/base/a.c": LONG},
        {"daemon/base/a.c": "\n" * 700},
    ],
    "paths": [
        {"docs/a.md": "see /" + "work/shared\n"},
        {"tests/rig/a.py": 'open("/tmp' + '/w/x")\n'},
        {"etc/a.conf": "https" + "://mirror.some-registry.dev/x\n"},
    ],
    "manuals": [
        {"docs/a.md": "| kept | `test_that_is_not` |\n"},
        {"docs/a.md": "`test_the_other`\n", "tests/integration/test_a.py": "def test_the_one(world):\n"},
    ],
    "shell": [
        {"run": "#!/bin/bash\ncd $1\nrm -rf $x/*\n"},
    ],
    "mutants": [
        {"daemon/base/a.c": "#if MUTANT == 7\n", **NO_MUTANTS},
        {"tests/checks/mutants.txt": '3 test_decimal "4 is not 5" rounds half up\n'},
        {"daemon/base/a.c": "#if MUTANT == 3\n#elif MUTANT == 3\n",
         "tests/checks/mutants.txt": '3 test_decimal "4 is not 5" rounds half up\n'},
        {"tests/checks/mutants.txt": '1 test_decimal "4 is not 5" rounds half up\n2 test_decimal "4 is not 5" rounds down\n',
         "daemon/base/a.c": "#if MUTANT == 1\n#elif MUTANT == 2\n"},
        {"tests/checks/mutants.txt": "3 test_decimal rounds half up\n", "daemon/base/a.c": "#if MUTANT == 3\n"},
        {"tests/checks/mutants.txt": "three test_decimal\n"},
    ],
}
GOOD = {
    "run": '#!/bin/bash\ncd "$1" || exit\n',
    "daemon/main.c": '#include "ledger/batch.h"\nint main(void)\n{\n    exit(0); /* atoi(x), a double */\n}\n',
    "daemon/base/a.c": '#include <stdio.h>\n#include "base/error.h"\nint f(void)\n{\n    return puts("exit(1) double");\n}\n',
    "daemon/ledger/a.c": '#include "consumers/usage.h"\n#include "rating/rate.h"\n#if MUTANT == 1\n#endif\n',
    "consumers/source.c": "#include <librdkafka/rdkafka.h>\n",
    "tests/unit/test_a.c": '#include "daemon/base/a.h"\n',
    "docs/a.md": "`test_a`, `test_b`, `test_it_is_so`\n",
    "tests/integration/test_b.py": "def test_it_is_so(world):\n",
    "tests/rig/wait.py": "import time\ntime.sleep(1)\n",
    "tests/checks/mutants.txt": '# none but\n1 test_a "it is not" something\n',
}


def verdict(check, tree_files):
    with tempfile.TemporaryDirectory() as folder:
        for path, content in tree_files.items():
            where = Path(folder) / path
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_text(content)
        done = subprocess.run([HERE / f"check_{check}.py", folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def main():
    faults = []
    present = {path.stem[len("check_"):] for path in HERE.glob("check_*.py")} - {"selftest", "judges"}
    faults += [f"check {name} has no tree here that it must refuse" for name in sorted(present - BAD.keys())]
    for check, trees in BAD.items():
        code, output = verdict(check, GOOD)
        if code != 0:
            faults.append(f"check {check} refuses a good tree ({code}):\n{output}")
        for tree in trees:
            code, output = verdict(check, tree)
            if code != 1 or next(iter(tree)) not in output:
                faults.append(f"check {check} lets this through ({code}): {str(tree)[:120]}\n{output}")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
