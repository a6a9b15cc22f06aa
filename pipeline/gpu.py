"""One stage at a time on each GPU: a lock file per GPU, across threads and processes, freed by the kernel on
a crash."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

_POLL = 0.05  # seconds between tries


@contextmanager
def gpu_slot(
    folder: Path, indices: Sequence[int] = (0,), *, timeout: float | None = None
) -> Generator[int, None, None]:
    """Hold one of the GPUs `indices`; yields its index. TimeoutError after `timeout` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, index = _acquire(folder, indices, None if timeout is None else time.monotonic() + timeout)
    try:
        yield index
    finally:
        os.close(descriptor)


def _acquire(folder: Path, indices: Sequence[int], deadline: float | None) -> tuple[int, int]:
    """File descriptor and index of the first GPU that is free."""
    while True:
        for index in indices:
            descriptor = os.open(folder / f"gpu{_physical(index)}", os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            return descriptor, index
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"no GPU of {list(indices)} became free; another run holds {folder}")
        time.sleep(_POLL)


def _physical(index: int) -> str:
    """What the machine calls GPU `index` of this process: schedulers show each worker its own share, counted
    from 0."""
    shown = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return shown[index] if index < len(shown) else str(index)
