"""What the checks share: the files of a tree, C without comments and strings, and how findings are told."""

import re
import sys
from pathlib import Path

LEFT_OUT = {".git", ".cache", "__pycache__", ".hypothesis", ".pytest_cache"}


def top():
    """The tree to look at: the argument, else the one this file is in."""
    return Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()


def files(tree, *folders, endings=None):
    """Paths relative to the tree, sorted, of what is a person's work (no build folders)."""
    for folder in folders or (".",):
        for path in sorted((tree / folder).rglob("*")):
            relative = path.relative_to(tree)
            if not path.is_file() or LEFT_OUT & set(relative.parts) or relative.parts[0].startswith("build"):
                continue
            if endings is None or path.suffix in endings:
                yield relative


def text(tree, path):
    return (tree / path).read_text(encoding="utf-8", errors="replace")


_PARTS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def _blank(match):
    part = match[0]
    keep = part[0] if part[0] in "\"'" else ""
    return keep + re.sub(r"[^\n]", " ", part[len(keep):len(part) - len(keep)]) + keep


def code(tree, path):
    """C with comments and the insides of strings blanked, lines kept. Included names stay readable."""
    lines = text(tree, path).split("\n")
    blanked = _PARTS.sub(_blank, "\n".join(lines)).split("\n")
    return [old if old.lstrip().startswith("#include") else new for old, new in zip(lines, blanked)]


def tell(findings):
    """Prints the findings and ends: 1 where there are any."""
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
