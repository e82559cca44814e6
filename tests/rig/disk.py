"""A disk of a PostgreSQL server that is full when a test says so: see enospc.c. Needs no rights on this machine."""

import shutil
import tempfile
from pathlib import Path

from .daemon import build_folder

TABLES, WAL = "tables", "wal"


class Disk:
    """Start the server with `env`; from then on fill() and free() hold for it at once."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="debitd-disk-", dir="/var/tmp"))
        self.folder.chmod(0o755)  # the server may run as another user
        library = shutil.copy(build_folder() / "tests" / "enospc.so", self.folder)
        self.env = {"LD_PRELOAD": str(library), "ENOSPC_TABLES": str(self.folder / TABLES),
                    "ENOSPC_WAL": str(self.folder / WAL)}

    def fill(self, what):
        """TABLES or WAL: what would make a file of it longer fails with ENOSPC."""
        (self.folder / what).touch()

    def free(self, what):
        (self.folder / what).unlink()

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
