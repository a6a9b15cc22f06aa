"""Lock files between threads and processes; the kernel frees them when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

EXCLUSIVE, SHARED = fcntl.LOCK_EX, fcntl.LOCK_SH
AT_ONCE = fcntl.LOCK_NB  # BlockingIOError instead of waiting


@contextmanager
def held(file: Path, how: int = EXCLUSIVE) -> Generator[None, None, None]:
    """Hold the lock of a file, which is made where it is missing; OSError where it cannot be made."""
    descriptor = _acquire(file, how)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(file: Path, how: int) -> int:
    """A descriptor that holds the lock of the file that is there now: the one waited for may have been
    deleted meanwhile."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, how)
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextmanager
def held_briefly(file: Path) -> Generator[None, None, None]:
    """Hold the lock of a file and delete it at the end: for a folder in which nothing else should lie."""
    with held(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def drop_unheld(folder: Path) -> None:
    """Delete the lock files of a folder that nobody holds. A folder that is a link is left alone: it may be
    anybody's."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for file in folder.iterdir():
        if file.is_symlink() or not file.is_file():
            continue
        with file.open("r+") as stream:
            try:
                fcntl.flock(stream, EXCLUSIVE | AT_ONCE)
            except BlockingIOError:
                continue
            file.unlink()
