"""Where files go that are no run's: the user's cache, and writing that is whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

CACHE = "TURNAROUND_CACHE"  # the environment variable that moves the cache
Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 when that is not known)


def user_cache(*parts: str) -> Path:
    """Join `parts` to the user's cache, `$TURNAROUND_CACHE` or `~/.cache/turnaround`; nothing is made."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "turnaround").joinpath(*parts)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: no reader ever sees half of it. Its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(3).hex()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
