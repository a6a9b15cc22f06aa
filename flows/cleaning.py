"""`gc`: what no subject points at goes; what a subject points at stays."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

from flows import subjects
from pipeline import links
from pipeline.store import Store

_YOUNG = 3600.0  # seconds; younger half-written runs may still be at work


def collect(root: Path, *, dry_run: bool) -> str:
    """Delete and say what; ValueError where the work folder does not exist."""
    if not (root / "cache").is_dir():
        raise ValueError(f"{root} is no work folder (it has no cache/)")
    folders = unreferenced(root) + abandoned(root / "tmp")
    size = sum(_size(folder) for folder in folders)
    if not dry_run:
        for folder in folders:
            _delete(root, folder)
        _drop_locks(root / "locks")
    lines = [f"{'would delete' if dry_run else 'deleted'} {folder.relative_to(root)}" for folder in folders]
    return "\n".join([*lines, f"{len(folders)} folders, {size / 2**20:.1f} MiB"])


def unreferenced(root: Path) -> list[Path]:
    """Runs of the cache that no subject's link points at, damaged ones among them."""
    held = set()
    for name in subjects.names(root):
        held |= {links.target(link) for link in Store(root).subject(name).iterdir()}
    return [path for path in sorted((root / "cache").glob("*/*/")) if Path(os.path.normpath(path)) not in held]


def abandoned(tmp: Path) -> list[Path]:
    """Half-written runs that nobody has touched for an hour."""
    if not tmp.is_dir():
        return []
    return [path for path in sorted(tmp.iterdir()) if path.is_dir() and time.time() - path.stat().st_mtime > _YOUNG]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _delete(root: Path, folder: Path) -> None:
    """Out of the cache in one rename first, so that nobody finds a half-deleted run."""
    doomed = root / "tmp" / f"gc-{folder.name}-{time.time_ns()}"
    doomed.parent.mkdir(exist_ok=True)
    os.rename(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _drop_locks(folder: Path) -> None:
    """Delete lock files that nobody holds."""
    for file in folder.iterdir() if folder.is_dir() else ():
        with file.open("r+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            file.unlink()
