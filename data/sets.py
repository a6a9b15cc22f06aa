"""Data sets on disk: many views of each person for reconstruction, single pictures for estimation and matting.

Both are deterministic by seed, written in parallel by processes, and resumed where they stopped: a file or chunk is
complete or absent.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data.archive import save_npz
from data.base_mesh import rotation_matrices
from data.closet import Closet
from data.lights import sample_lights
from data.people import TEST_SEED, Figure, Variety, default_variety, pose_person, sample_person, upright
from data.pose_variety import sample_varied_pose
from data.poses import sample_pose
from data.singles import single
from data.wardrobe import Split
from pipeline.camera import orbit_cameras

AZIMUTHS = tuple(range(0, 360, 30))
VIEW_SIZE, SINGLE_SIZE = 256, 192
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
    variety: Variety | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Make a data set or what is missing of it.

    Args:
        count: people (views) or pictures (singles, rounded up to whole chunks).
        seed: of the first person.
        workers: processes; 0 works in this one.
        size: pixels of a picture.
        variety: of a views set, see `figure_for_views`; singles sets always have all of it.
        progress: show a bar (default: on a terminal).

    Returns:
        what was done: counts, seconds, and whether the wardrobe was there.

    Raises:
        ValueError: seeds that belong to the other split.
    """
    last = seed + (count if kind == "views" else -(-count // POSES_A_PERSON)) - 1
    for number in (seed, last):
        if (number >= TEST_SEED) != (split == "test"):
            raise ValueError(f"seed {number} is not one of split {split!r}: test people have seeds from {TEST_SEED}, the others below")
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    size = size or (VIEW_SIZE if kind == "views" else SINGLE_SIZE)
    if kind == "views":
        jobs = [partial(write_views, out / f"{number:07d}.npz", number, split, size, variety) for number in range(seed, seed + count)]
    else:
        starts = range(0, count, CHUNK)
        jobs = [partial(write_singles, out / f"chunk_{k:03d}", seed, start, split, size) for k, start in enumerate(starts)]
    todo = [job for job in jobs if not job.args[0].exists()]
    for _ in _with_progress(_run(todo, workers), len(todo), progress):
        pass
    wardrobe = Closet.open(split).wardrobe is not None
    seconds = round(time.perf_counter() - started, 1)
    return {"out": str(out), "made": len(todo), "kept": len(jobs) - len(todo), "seconds": seconds, "wardrobe": wardrobe}


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


# ---------------------------------------------------------------- views


def figure_for_views(seed: int, split: Split, closet: Closet | None = None, variety: Variety | None = None) -> Figure:
    """The person of `seed`, posed and lit as in a views set; people for testing stand exactly at the origin.

    Args:
        variety: see `sample_person`; "full" also draws from all the poses of data/pose_variety.py.
    """
    full = (variety or default_variety(split)) == "full"
    person = sample_person(seed, split, closet, variety)
    rng = np.random.default_rng([seed, 2])
    pose, root = sample_pose(rng), np.zeros(3, np.float32)
    yaw = np.clip(rng.normal(0, np.radians(13)), -np.radians(45), np.radians(45))
    lean = rng.normal(0, np.radians(3), 3)
    pelvis = np.zeros(3) if split == "test" else rng.normal(0, (0.015, 0.015, 0.03))
    light = sample_lights(rng)
    if full:
        varied = sample_varied_pose(np.random.default_rng([seed, 12]))
        pose, root = varied.parameters, varied.root
    return pose_person(person, pose, upright(yaw, lean) @ rotation_matrices(root[None])[0], pelvis, light)


def write_views(path: Path, seed: int, split: Split, size: int, variety: Variety | None = None) -> None:
    """One person from 12 level cameras around them, 30 degrees apart (measuring.md's protocol)."""
    figure = figure_for_views(seed, split, variety=variety)
    cameras = orbit_cameras(AZIMUTHS, size)
    pictures = [figure.seen_from(K, T, size) for K, T in zip(cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True)]
    meta = {"seed": seed, "split": split, "variety": variety or default_variety(split), "items": figure.person.items, "size": size}
    arrays = {
        "rgb": np.stack([picture.over_white() for picture in pictures]),
        "mask": np.stack([picture.alpha for picture in pictures]),
        "depth": np.stack([picture.depth for picture in pictures]).astype(np.float16),
        "normal": np.stack([np.rint(picture.normal * 127) for picture in pictures]).astype(np.int8),
        "azimuths": np.array(AZIMUTHS, np.float32),
        "joints": figure.joints,
        "meta": np.array(json.dumps(meta)),
        **{f"body_{name}": value for name, value in figure.body.items()},
    }
    save_npz(path, arrays, level=1)


# ---------------------------------------------------------------- singles


def write_singles(folder: Path, seed: int, start: int, split: Split, size: int) -> None:
    """CHUNK pictures, each of one person in one pose, as memory-mappable arrays.

    `object_rgba.npy` holds the layers of things in the hands of some of them: row `object_index[i]` belongs to picture i,
    -1 is none. Laid over picture i it covers a part of the person, and is not the person.
    """
    rows: list[dict[str, np.ndarray]] = []
    for first in range(start, start + CHUNK, POSES_A_PERSON):
        person = sample_person(seed + first // POSES_A_PERSON, split, variety="full")
        rows += [single(person, index, size) for index in range(first, first + POSES_A_PERSON)]
    things = [row.pop("object_rgba") for row in rows]
    work = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in rows[0]:
        np.save(work / f"{name}.npy", np.stack([row[name] for row in rows]))
    held = [thing for thing in things if thing.size]
    order = np.cumsum([thing.size > 0 for thing in things]) - 1
    np.save(work / "object_index.npy", np.where([thing.size > 0 for thing in things], order, -1).astype(np.int32))
    np.save(work / "object_rgba.npy", np.stack(held) if held else np.zeros((0, size, size, 4), np.uint8))
    try:
        work.rename(folder)
    except OSError:  # another process was faster; its chunk is the same
        if not folder.exists():
            raise
        shutil.rmtree(work)
