"""`gc`: what no subject points at goes; what a subject points at stays."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

from turnaround.flows.report.work import orphans
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store import links, locks
from turnaround.pipeline.store.store import Store

_YOUNG = 3600.0  # seconds; younger half-written runs may still be at work on another machine
_RETIRED = (
    "damaged-",
    "old-",
    "gc-",
)  # how the names of runs begin that were taken out of the cache: nobody writes in them


def collect(root: Path, *, dry_run: bool) -> str:
    """Delete and say what; ValueError where the work folder does not exist, StoreError while a run is at work
    in it."""
    store = Store(root)
    if not (root / "cache").is_dir():
        raise CallError(f"{root} is no work folder (it has no cache/)")
    with nullcontext() if dry_run else store.alone():
        runs, halves = unreferenced(store), abandoned(root / "tmp")
        folders = runs + halves
        size = sum(_size(folder) for folder in folders)
        if not dry_run:
            for folder in runs:
                store.discard(folder)
            for folder in halves:
                shutil.rmtree(folder, ignore_errors=True)
            for file in [*leftovers(root / "subjects"), *orphans(store)]:
                file.unlink(missing_ok=True)
            locks.drop_unheld(root / "locks")
    lines = [f"{'would delete' if dry_run else 'deleted'} {folder.relative_to(root)}" for folder in folders]
    return "\n".join([*lines, f"{len(folders)} folders, {size / 2**20:.1f} MiB"])


def unreferenced(store: Store) -> list[Path]:
    """Runs of the cache that no subject's link points at, damaged ones among them."""
    folders = [
        folder for folder in (store.root / "subjects").glob("*/") if not folder.is_symlink()
    ]  # those without a subject.json too
    held = {links.target(link) for folder in folders for link in folder.iterdir()}
    return [path for path in store.runs() if Path(os.path.normpath(path)) not in held]


def abandoned(tmp: Path) -> list[Path]:
    """Damaged runs, and half-written ones that nobody has touched for an hour. A tmp/ that is a link is left
    alone: it may be anybody's."""
    if tmp.is_symlink() or not tmp.is_dir():
        return []
    young = time.time() - _YOUNG
    found = [path for path in sorted(tmp.iterdir()) if path.is_dir() and not path.is_symlink()]
    return [path for path in found if path.name.startswith(_RETIRED) or path.stat().st_mtime < young]


def leftovers(folder: Path) -> list[Path]:
    """Links and files of killed runs that never got their names: those that begin with a dot."""
    inside = (path for subject in folder.glob("*/") if not subject.is_symlink() for path in subject.iterdir())
    return [path for path in inside if path.name.startswith(".") and (path.is_symlink() or path.is_file())]


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
