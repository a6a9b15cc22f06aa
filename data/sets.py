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
from data.people import TEST_SEED, Figure, Person, pose_person, sample_person, upright
from data.poses import sample_pose
from data.wardrobe import Split
from models.skeleton import JOINT_NAMES
from pipeline.camera import DISTANCE, canonical_camera, orbit_cameras

AZIMUTHS = tuple(range(0, 360, 30))
VIEW_SIZE, SINGLE_SIZE = 256, 192
CHUNK = 500  # pictures in one folder of a singles set
POSES_A_PERSON = 5  # pictures of one dressed person in a singles set
TORSO = ("pelvis", "spine", "hip", "collar", "neck", "head", "shoulder")


def generate(
    count: int,
    seed: int,
    out: Path,
    split: Split,
    *,
    workers: int = 2,
    size: int | None = None,
    kind: Literal["views", "singles"] = "views",
    progress: bool | None = None,
) -> dict[str, Any]:
    """Make a data set or what is missing of it.

    Args:
        count: people (views) or pictures (singles, rounded up to whole chunks).
        seed: of the first person.
        workers: processes; 0 works in this one.
        size: pixels of a picture.
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
        jobs = [partial(write_views, out / f"{number:07d}.npz", number, split, size) for number in range(seed, seed + count)]
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


def figure_for_views(seed: int, split: Split, closet: Closet | None = None) -> Figure:
    """The person of `seed`, posed and lit as in a views set; people for testing stand exactly at the origin."""
    person = sample_person(seed, split, closet)
    rng = np.random.default_rng([seed, 2])
    pose = sample_pose(rng)
    yaw = np.clip(rng.normal(0, np.radians(13)), -np.radians(45), np.radians(45))
    lean = rng.normal(0, np.radians(3), 3)
    pelvis = np.zeros(3) if split == "test" else rng.normal(0, (0.015, 0.015, 0.03))
    return pose_person(person, pose, upright(yaw, lean), pelvis, sample_lights(rng))


def write_views(path: Path, seed: int, split: Split, size: int) -> None:
    """One person from 12 level cameras around them, 30 degrees apart (measuring.md's protocol)."""
    figure = figure_for_views(seed, split)
    cameras = orbit_cameras(AZIMUTHS, size)
    pictures = [figure.seen_from(K, T, size) for K, T in zip(cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True)]
    meta = {"seed": seed, "split": split, "items": figure.person.items, "size": size}
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
    """CHUNK pictures, each of one person in one pose before the canonical camera, as memory-mappable arrays."""
    rows: list[dict[str, np.ndarray]] = []
    for first in range(start, start + CHUNK, POSES_A_PERSON):
        person = sample_person(seed + first // POSES_A_PERSON, split)
        rows += [single(person, index, size) for index in range(first, first + POSES_A_PERSON)]
    work = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in rows[0]:
        np.save(work / f"{name}.npy", np.stack([row[name] for row in rows]))
    try:
        work.rename(folder)
    except OSError:  # another process was faster; its chunk is the same
        if not folder.exists():
            raise
        shutil.rmtree(work)


def single(person: Person, index: int, size: int) -> dict[str, np.ndarray]:
    """One picture and its truth; the camera's height, pitch and roll are part of the body's placement."""
    rng = np.random.default_rng([person.seed, 3, index])
    camera = canonical_camera(size)
    K, T = camera.K.numpy(), camera.T_camera_world.numpy()
    figure = _framed(rng, person, K, size)
    picture = figure.seen_from(K, T, size, samples=2)
    uv, visible = _joint_visibility(figure, picture, K, T, size)
    return {
        "rgba": np.concatenate([picture.color, picture.alpha[..., None]], -1),
        "joints": figure.joints,
        "joints_uv": uv.astype(np.float32),
        "joint_visible": visible,
        **{f"body_{name}": value for name, value in figure.body.items()},
    }


def _framed(rng: np.random.Generator, person: Person, K: np.ndarray, size: int) -> Figure:
    """A figure 1.7 to 2.5 m away: its pelvis (as in views sets) or its outline (as a crop) about in the middle."""
    pose, light = sample_pose(rng), sample_lights(rng)
    yaw = np.radians(rng.uniform(-60, 60) if rng.random() < 0.75 else rng.uniform(-180, 180))
    tilt = np.radians(np.clip(rng.normal(0, (6, 2, 3)), -15, 15))  # pitch, yaw and roll of the camera
    R = rotation_matrices(tilt[None])[0] @ upright(float(yaw), np.radians(rng.normal(0, 3, 3)))
    depth = rng.uniform(1.7, 2.5)
    figure = pose_person(person, pose, R, np.array([0, 0, depth - DISTANCE]), light, rays=6)
    shift = rng.normal(0, (0.05, 0.04)) if rng.random() < 0.4 else rng.normal(0, 0.05, 2) - _outline_centre(figure, K, size, depth)
    if rng.random() < 0.05:  # cut off at the frame
        shift[rng.integers(2)] += rng.choice([-1, 1]) * rng.uniform(0.15, 0.5)
    return _moved(figure, np.array([*shift, 0.0], np.float32))


def _outline_centre(figure: Figure, K: np.ndarray, size: int, depth: float) -> np.ndarray:
    """Where the middle of the projected outline is, in metres at the person's depth."""
    p = figure.vertices + np.array([0, 0, DISTANCE], np.float32)
    uv = p[:, :2] / p[:, 2:]
    return (uv.min(0) + uv.max(0)) / 2 * depth


def _moved(figure: Figure, shift: np.ndarray) -> Figure:
    body = {**figure.body, "transl": (figure.body["transl"] + shift).astype(np.float32)}
    return Figure(figure.person, figure.vertices + shift, figure.normals, figure.light, figure.joints + shift, body)


def _joint_visibility(figure: Figure, picture, K: np.ndarray, T: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints in [0,1] of the picture, and whether the surface in front of each is its own (not another limb)."""
    p = figure.joints @ T[:3, :3].T + T[:3, 3]
    uv = (p @ K.T)[:, :2] / p[:, 2:] / size
    inside = ((uv > 0) & (uv < 1)).all(1)
    x, y = np.clip((uv * size).astype(int), 0, size - 1).T
    thick = np.array([0.26 if any(word in name for word in TORSO) else 0.1 for name in JOINT_NAMES])
    surface = picture.depth[y, x]
    return uv, inside & ((surface == 0) | (p[:, 2] - surface < thick))
