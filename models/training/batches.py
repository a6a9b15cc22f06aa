"""Batches made ahead of the training loop by threads or processes, in order, the same as without them."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from turnaround.pipeline.values.record import TensorRecord

AHEAD = 2  # batches a worker


def stream(make: Callable[[int], Any], start: int, workers: int, kind: str) -> Generator[Any]:
    """make(start), make(start + 1), ... without end; `make` must not depend on what it was called with
    before.

    Args:
        make: the item of an index. Workers call it beside each other: it may draw from its own generator
        only. start: first index.
        workers: how many; 0 = in the caller's own time.
        kind: "threads", or "processes" (forked: the first item must be asked for before CUDA or OpenMP are
        busy).
    """
    if workers == 0:
        return _one_by_one(make, start)
    return _threads(make, start, workers) if kind == "threads" else _processes(make, start, workers)


def _one_by_one(make: Callable[[int], Any], start: int) -> Generator[Any]:
    while True:
        yield make(start)
        start += 1


def _threads(make: Callable[[int], Any], start: int, workers: int) -> Generator[Any]:
    pool = ThreadPoolExecutor(workers, "batches")
    waiting = deque(pool.submit(make, start + k) for k in range(workers * AHEAD))
    start += len(waiting)
    try:
        while True:
            item = waiting.popleft().result()
            waiting.append(pool.submit(make, start))
            start += 1
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Items(torch.utils.data.Dataset):
    def __init__(self, make: Callable[[int], Any], start: int) -> None:
        self.make, self.start = make, start

    def __getitem__(self, index: int) -> Any:
        return self.make(self.start + index)

    def __len__(self) -> int:
        return 2**40


def _begin(_worker: int) -> None:
    torch.set_num_threads(1)
    # what the parent's threads want done at its end is not this process's: Prefect's calls fail in it, and it
    # would end with an exit code of 1, which the loader takes for a crash
    threading._threading_atexits.clear()  # type: ignore[attr-defined]


def _processes(make: Callable[[int], Any], start: int, workers: int) -> Generator[Any]:
    items = _Items(make, start)
    loader = torch.utils.data.DataLoader(
        items,
        batch_size=None,
        sampler=range(len(items)),
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",
        worker_init_fn=_begin,
    )
    yield from loader


def moved(value: Any, device: torch.device | str) -> Any:
    """`value` with every tensor in it on `device`: tensors, records, dataclasses, lists, tuples and dicts of
    such."""
    if isinstance(value, Tensor | TensorRecord):
        return value.to(device)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: moved(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        )
    if isinstance(value, list | tuple):
        return type(value)(moved(part, device) for part in value)
    if isinstance(value, dict):
        return {key: moved(part, device) for key, part in value.items()}
    return value


def device_of(model: torch.nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device
