"""A folder of pictures of several cameras to one .npz a moment; one bad moment does not stop the others."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turnaround.data.rigs.consistency import person_extent
from turnaround.data.rigs.labels import label_arrays
from turnaround.data.rigs.masks import see
from turnaround.data.rigs.moment import Moment, RigError
from turnaround.data.rigs.readers import LAYOUTS, people_in
from turnaround.data.rigs.virtual import VirtualView, virtual_view
from turnaround.data.sets.archive import save_npz
from turnaround.pipeline.errors import CallError, TurnaroundError
from turnaround.pipeline.formats.untrusted import read_npz

logger = logging.getLogger(__name__)
SIZES = (32, 1024)  # pixels of a view


@dataclass(frozen=True)
class RigOptions:
    """How a folder is converted."""

    layout: str = "auto"
    every: int = 1  # take every so-manieth moment of a person
    size: int = 256  # pixels of a view
    limit: int | None = None  # at most so many moments of all
    body: Path | None = None  # the SMPL-X file that labels are meant in; None is the free body
    workers: int = 1  # processes; 1 works in this one

    def __post_init__(self) -> None:
        if self.every < 1 or self.workers < 1 or (self.limit is not None and self.limit < 1):
            raise CallError("--every, --workers and --limit: expected 1 or more")
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise CallError(f"--size {self.size}: expected {SIZES[0]} to {SIZES[1]} pixels")


def convert(root: Path, out: Path, options: RigOptions) -> dict[str, Any]:
    """Write `out/PERSON_FRAME.npz` for every moment that is not there yet.

    Returns:
        the layout, counts, seconds, and `failed`: name -> what was wrong and what to do.

    Raises:
        CallError: a wrong call: no rig in the folder, or a set of another size in `out`.
    """
    started = time.perf_counter()
    layout, folders = people_in(root.resolve(), options.layout)
    logger.info("%s: layout %s (%s), %d people", root, layout, LAYOUTS[layout].asks, len(folders))
    failed: dict[str, str] = {}
    moments: list[Moment] = []
    for folder in folders:
        try:
            moments += LAYOUTS[layout].read(folder)[:: options.every]
        except RigError as error:
            _fail(failed, folder.name, str(error))
        except Exception as error:  # whatever one person's files hold, the others are wanted
            logger.debug("%s", folder, exc_info=True)
            _fail(failed, folder.name, f"{folder}: {type(error).__name__}: {error}")
    moments = _apart(out, moments, failed)[: options.limit]
    out.mkdir(parents=True, exist_ok=True)
    _check_size(out, options.size)
    todo = [moment for moment in moments if not file_of(out, moment).exists()]
    unmasked = sum(view.mask is None for moment in todo for view in moment.views)
    if unmasked:
        logger.info(
            "%d pictures have no mask file: their alpha is taken, or our networks find the person", unmasked
        )
    made = 0
    for name, message in _run(layout, out, options, todo):
        if message is None:
            made += 1
        else:
            _fail(failed, name, message)
    counts = {"made": made, "kept": len(moments) - len(todo), "failed": failed}
    return {"out": str(out), "layout": layout, **counts, "seconds": round(time.perf_counter() - started, 1)}


def arrays_of(layout: str, moment: Moment, options: RigOptions) -> dict[str, np.ndarray]:
    """The arrays of one moment's file: rgb (v,s,s,3) over white and mask (v,s,s) u8, K (v,3,3) for s pixels,
    T_camera_world (v,4,4), meta (JSON); joints and body_* where they are known. RigError where it cannot be
    used."""
    if moment.fault is not None:
        raise RigError(moment.fault)
    views: list[VirtualView] = []
    mask_from = set()
    for view in moment.views:
        seen = see(view)
        mask_from.add(seen.mask_from)
        try:
            views.append(virtual_view(seen, view.camera, options.size, moment.up))
        except RigError as error:
            raise RigError(f"{view.picture}: {error}") from error
    cameras = [view.camera for view in moment.views]
    extent = person_extent(f"{moment.person}, frame {moment.frame}", cameras, views)
    meta = {
        "kind": "rig",
        "source": layout,
        "person": moment.person,
        "frame": moment.frame,
        "cameras": [camera.name for camera in cameras],
        "size": options.size,
        "extent": round(extent, 2),
        "masks": sorted(mask_from),
        "cut_off": [view.cut_off for view in views],
    }
    return {
        "rgb": np.stack([view.rgb for view in views]),
        "mask": np.stack([view.mask for view in views]),
        "K": np.stack([view.K for view in views]).astype(np.float32),
        "T_camera_world": np.stack([view.T_camera_world for view in views]).astype(np.float32),
        "meta": np.array(json.dumps(meta)),
        **label_arrays(moment.body, options.body),
    }


def _apart(out: Path, moments: Sequence[Moment], failed: dict[str, str]) -> list[Moment]:
    """Those whose files have names of their own."""
    found: dict[Path, Moment] = {}
    for moment in moments:
        other = found.setdefault(file_of(out, moment), moment)
        if other is not moment:
            told = f"person {other.person!r}, frame {other.frame!r}"
            _fail(failed, moment.name, f"its file would be that of {told}; rename the person or the frame")
    return list(found.values())


def file_of(out: Path, moment: Moment) -> Path:
    """Where a moment is written; letters that file systems dislike become `_`."""
    return out / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', moment.name)}.npz"


def _convert_one(layout: str, out: Path, options: RigOptions, moment: Moment) -> str | None:
    try:
        arrays = arrays_of(layout, moment, options)
    except TurnaroundError as error:
        return str(error)
    except Exception as error:  # whatever one moment holds, the others are wanted
        logger.debug("%s", moment.name, exc_info=True)
        return f"{moment.name}: {type(error).__name__}: {error}"
    save_npz(file_of(out, moment), arrays, level=1)
    return None


def _run(
    layout: str, out: Path, options: RigOptions, moments: Sequence[Moment]
) -> Iterator[tuple[str, str | None]]:
    if options.workers == 1:
        for moment in moments:
            yield moment.name, _convert_one(layout, out, options, moment)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the processes, each of which uses one core
    with ProcessPoolExecutor(options.workers) as pool:
        futures = [pool.submit(_convert_one, layout, out, options, moment) for moment in moments]
        try:
            for moment, future in zip(moments, futures, strict=True):
                yield moment.name, future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check_size(out: Path, size: int) -> None:
    """CallError where the folder has a set of another size: trainings read one."""
    file = next(iter(sorted(out.glob("*.npz"))), None)
    if file is None:
        return
    try:
        shape = read_npz(file.read_bytes(), only=("mask",))["mask"].shape
    except (ValueError, KeyError) as error:
        raise CallError(f"{file}: no file of a set ({error}); give another --out") from error
    if shape[-1] != size:
        raise CallError(f"{out}: its pictures have {shape[-1]} px, not --size {size}; give another --out")


def _fail(failed: dict[str, str], name: str, message: str) -> None:
    failed[name] = message
    logger.warning("%s: %s", name, message)
