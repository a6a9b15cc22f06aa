"""What the command line costs before and beside the work: `--help`, `status`, and a second run of finished
subjects.

The subjects are copies of one photo under many names, so that one reconstruction fills the store for all of
them; each has its own photo file, links and memory, and all read the same artifacts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

PHOTO = Path(__file__).resolve().parent.parent / "docs" / "demo"


def measure(quick: bool) -> dict[str, Any]:
    """Medians of wall milliseconds, every command in a fresh process."""
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        results = {"startup_help": _entry([_seconds("--help") for _ in range(rounds)])}
        for count in (10, 100) if quick else (10, 30, 100, 300):
            photos = grow(root / "photos", count)
            _seconds("run", str(photos), "--work", str(root / "work"), "--config", "tiny", "--direct")
            times = [_seconds("status", "--work", str(root / "work")) for _ in range(rounds)]
            results[f"startup_status_{count}"] = _entry(times)
            times = [
                _seconds("run", str(photos), "--work", str(root / "work"), "--config", "tiny", "--direct")
                for _ in range(rounds)
            ]
            results[f"startup_second_run_{count}"] = _entry(times)
    return results


def grow(folder: Path, count: int) -> Path:
    """`count` copies of one photo."""
    photo = sorted(path for path in PHOTO.iterdir() if path.suffix in (".jpg", ".png"))[0]
    folder.mkdir(exist_ok=True)
    for index in range(count):
        target = folder / f"person{index:04d}{photo.suffix}"
        if not target.exists():
            shutil.copyfile(photo, target)
    return folder


def _entry(seconds: list[float]) -> dict[str, Any]:
    return {"median_ms": 1e3 * median(seconds), "n": len(seconds)}


def _seconds(*arguments: str) -> float:
    """Wall seconds of one command; RuntimeError with what it said where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "turnaround.flows.cli.app", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(
            f"turnaround {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
    return seconds
