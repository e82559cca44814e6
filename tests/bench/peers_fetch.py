"""What the peers are made of, in the versions pinned in peers/: fetched by the first ./run bench --peers that needs it, once,
into the cache; a check needs none of it."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"


def fetched(name, command):
    """The folder of what HERE/`name` pins. `command(file, folder)` is what fills a folder, where there is none yet."""
    pinned = HERE / name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "debitd"
    folder = cache / f"peers-{name.partition('.')[0]}-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        print(f"fetching what {pinned.name} names into {folder}", flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache))
        done = subprocess.run(command(pinned, new), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            shutil.rmtree(new)
            raise RuntimeError(f"what {pinned} names could not be fetched; is the registry reachable?\n{done.stdout}")
        new.chmod(0o755)
        new.rename(folder)
    return folder


def python_packages():
    """Wheels, for PYTHONPATH."""
    return fetched("requirements.txt", lambda pinned, folder: [
        "/usr/bin/python3", "-m", "pip", "install", "-q", "--only-binary", ":all:", "--no-deps", "--target", folder,
        "--root-user-action", "ignore", "-r", pinned])


def jars(name):
    """The jars of HERE/`name`.pom.xml."""
    return fetched(f"{name}.pom.xml", lambda pinned, folder: [
        "mvn", "-q", "-B", "-f", pinned, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"])
