"""An empty data base of Prefect's as a file of ours: its 150 migrations take six seconds, this a moment.

`python -m turnaround.flows.prefect.empty_database` makes it anew after another Prefect was pinned; until then
Prefect's server only does the migrations that came since.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

FILE = Path(__file__).with_name("empty_database.gz")
NAME = "prefect.db"


def place(folder: Path) -> None:
    """Put the empty data base into a folder that has none, whole or not at all; OSError where that fails."""
    database = folder / NAME
    if database.exists():
        return
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as half:
        half.write(gzip.decompress(FILE.read_bytes()))
    os.replace(half.name, database)


def make() -> None:
    """Let the installed Prefect make a data base, and keep it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        subprocess.run(command, env=environment | {"PREFECT_HOME": folder}, cwd=folder, check=True)
        with closing(sqlite3.connect(Path(folder, NAME))) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("VACUUM")
        FILE.write_bytes(gzip.compress(Path(folder, NAME).read_bytes(), mtime=0))


if __name__ == "__main__":
    make()
