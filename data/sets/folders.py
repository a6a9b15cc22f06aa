"""Data sets on disk: many views of each person for reconstruction, single pictures for estimation and
matting.

Both are deterministic by seed, written in parallel by processes, and resumed where they stopped: a file or
chunk is complete or absent.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from turnaround.data.clothes.closet import Closet
from turnaround.data.clothes.wardrobe import Split
from turnaround.data.people import TEST_SEED, sample_person
from turnaround.data.sets.singles import single
from turnaround.data.sets.views import AZIMUTHS, ViewOptions, figure_for_views, write_views
from turnaround.pipeline.errors import CallError

__all__ = ["AZIMUTHS", "ViewOptions", "figure_for_views", "generate", "write_singles", "write_views"]
SINGLE_SIZE = 192
CHUNK = 500  # pictures in one folder of a singles set
POSES_A_PERSON = 5  # pictures of one dressed person in a singles set


def generate(
    count: int,
    seed: int,
    out: Path,
    split: Split,
    *,
    workers: int = 2,
    size: int | None = None,
    kind: Literal["views", "singles"] = "views",
    views: ViewOptions | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Make a data set or what is missing of it.

    Args:
        count: people (views) or pictures (singles, rounded up to whole chunks).
        seed: of the first person.
        workers: processes; 0 works in this one.
        size: pixels of a picture (default: of `views`, or 192 for singles).
        views: how the people of a views set are seen, and with how much variety; a singles set takes its
            `people` and `variety` (default: full).
        progress: show a bar (default: on a terminal).

    Returns:
        what was done: counts, seconds, and whether the wardrobe was there.

    Raises:
        ValueError: seeds that belong to the other split.
    """
    last = seed + (count if kind == "views" else -(-count // POSES_A_PERSON)) - 1
    for number in (seed, last):
        if (number >= TEST_SEED) != (split == "test"):
            raise CallError(
                f"seed {number} is not one of split {split!r}: test people have seeds from {TEST_SEED}, the "
                f"others below"
            )
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    views = views or ViewOptions()
    views = replace(views, size=size or views.size)
    if kind == "views":
        jobs = [
            partial(write_views, out / f"{number:07d}.npz", number, split, views)
            for number in range(seed, seed + count)
        ]
    else:
        starts = range(0, count, CHUNK)
        jobs = [
            partial(write_singles, out / f"chunk_{k:03d}", seed, start, split, size or SINGLE_SIZE, views)
            for k, start in enumerate(starts)
        ]
    todo = [job for job in jobs if not job.args[0].exists()]
    for _ in _with_progress(_run(todo, workers), len(todo), progress):
        pass
    wardrobe = Closet.open(split).wardrobe is not None
    seconds = round(time.perf_counter() - started, 1)
    return {
        "out": str(out),
        "made": len(todo),
        "kept": len(jobs) - len(todo),
        "seconds": seconds,
        "wardrobe": wardrobe,
    }


def _run(jobs: list[Callable[[], None]], workers: int) -> Iterator[None]:
    if workers == 0:
        for job in jobs:
            yield job()
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the processes, each of which uses one core
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _with_progress(steps: Iterator[None], total: int, show: bool | None) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if show or (show is None and console.is_terminal):
        return iter(track(steps, "people", total=total, console=console))
    return steps


# ---------------------------------------------------------------- singles


def write_singles(
    folder: Path, seed: int, start: int, split: Split, size: int, views: ViewOptions | None = None
) -> None:
    """CHUNK pictures, each of one person in one pose, as memory-mappable arrays.

    `object_rgba.npy` holds the layers of things in the hands of some of them: row `object_index[i]` belongs
    to picture i, -1 is none. Laid over picture i it covers a part of the person, and is not the person.
    """
    views = views or ViewOptions()
    people, variety = views.people, views.variety or "full"
    rows: list[dict[str, np.ndarray]] = []
    for first in range(start, start + CHUNK, POSES_A_PERSON):
        number = seed + first // POSES_A_PERSON
        person = sample_person(number, split, people.closet(split), variety)
        rows += [single(person, index, size, people) for index in range(first, first + POSES_A_PERSON)]
    things = [row.pop("object_rgba") for row in rows]
    work = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in rows[0]:
        np.save(work / f"{name}.npy", np.stack([row[name] for row in rows]))
    held = [thing for thing in things if thing.size]
    order = np.cumsum([thing.size > 0 for thing in things]) - 1
    np.save(
        work / "object_index.npy", np.where([thing.size > 0 for thing in things], order, -1).astype(np.int32)
    )
    np.save(work / "object_rgba.npy", np.stack(held) if held else np.zeros((0, size, size, 4), np.uint8))
    try:
        work.rename(folder)
    except OSError:  # another process was faster; its chunk is the same
        if not folder.exists():
            raise
        shutil.rmtree(work)
