"""Where files go that are no run's: the user's cache, temporary files, and writing that is whole or not at
all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from turnaround.pipeline.errors import TurnaroundError

CACHE = "TURNAROUND_CACHE"  # the environment variable that moves the cache
Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 when that is not known)
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk has no room, or a person may have no more of it
_LITTLE = 64 * 2**10  # bytes; a disk with less is full


class TemporaryFault(TurnaroundError, OSError):
    """The folder of temporary files is full, cannot be written, or is not there."""

    fault = "disk"


@contextmanager
def temporary_folder() -> Generator[Path, None, None]:
    """A folder of one's own among the temporary files, gone afterwards.

    TemporaryFault names TMPDIR where that, and not what happens in it, is at fault.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="turnaround-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _fault(error.strerror or str(error)) from error
    with folder as path:
        try:
            yield Path(path)
        except OSError as error:
            if error.errno in FULL and is_full(Path(path)):
                raise _fault(error.strerror or str(error)) from error
            raise


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room for more than a few letters."""
    try:
        return shutil.disk_usage(folder).free < _LITTLE
    except OSError:
        return False


def check_room(folder: Path, said: str) -> None:
    """TemporaryFault where a program that wrote to a temporary folder failed since there was no room.

    said: its last words, which tell of a quota that the disk itself does not show.
    """
    if is_full(folder) or any(os.strerror(code) in said for code in FULL):
        raise _fault("no space is left")


def told_full(error: OSError) -> str:
    """What to say of a disk that has no room: which, as far as the error or the temporary files tell."""
    temporary = Path(tempfile.gettempdir())
    place = error.filename or (temporary if is_full(temporary) else "a disk")
    remedy = "free some space there" + (", or set TMPDIR to another folder" if place == temporary else "")
    return f"{place}: {error.strerror}; {remedy}"


def _fault(why: str) -> TemporaryFault:
    place = tempfile.tempdir or os.environ.get("TMPDIR") or "there is none that can be written"
    return TemporaryFault(
        f"the folder of temporary files ({place}) cannot be used: {why}; free some space there, or set "
        "TMPDIR to a folder on another disk"
    )


def user_cache(*parts: str) -> Path:
    """Join `parts` to the user's cache, `$TURNAROUND_CACHE` or `~/.cache/turnaround`; nothing is made."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "turnaround").joinpath(*parts)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its folder is made."""
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Generator[Path, None, None]:
    """Lend a path beside `path` to write to, and rename it at the end: no reader ever sees half a file.

    The folder of `path` is made. Where the block fails, what it wrote goes and `path` stays as it was.
    `durable` waits until the disk has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem[:60]}.{os.getpid()}.{os.urandom(3).hex()}{path.suffix}")
    try:
        yield beside
        if durable:
            with open(beside, "rb") as stream:
                os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Generator[Path, None, None]:
    """Lend a new folder beside `path`, which takes its place at the end; what was there goes.

    Where the block fails, what it wrote goes and `path` stays as it was.
    """
    beside = path.with_name(f".{path.name[:60]}.{os.getpid()}.{os.urandom(3).hex()}")
    beside.mkdir(parents=True)
    try:
        yield beside
        if path.exists():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
