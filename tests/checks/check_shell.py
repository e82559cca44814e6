#!/usr/bin/python3
"""Shell scripts are clean by shellcheck."""

import subprocess

from sources import files, tell, text, top


def main():
    tree = top()
    scripts = [str(path) for path in files(tree) if path.suffix in ("", ".sh")
               and text(tree, path)[:40].startswith(("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash"))]
    if not scripts:
        tell([])
    done = subprocess.run(["shellcheck", "--format=gcc", *scripts], cwd=tree, capture_output=True, text=True,
                          check=False)
    tell((done.stdout + done.stderr).splitlines() or (["shellcheck failed"] if done.returncode else []))


main()
