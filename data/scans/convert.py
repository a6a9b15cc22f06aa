"""Real scans to the views sets that training and evaluation read: one .npz a scan; one broken scan does not
stop the rest."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from turnaround.data.scans.custom_humans import CustomHumans
from turnaround.data.scans.fitting import fitted_body
from turnaround.data.scans.humman import HuMMan
from turnaround.data.scans.parameters import HandSpace, SourceBody
from turnaround.data.scans.renders import GPSRenders
from turnaround.data.scans.scan import ScanError, ScanReader
from turnaround.data.scans.splits import chosen
from turnaround.data.scans.thuman2 import THuman2
from turnaround.data.scans.views import scan_arrays
from turnaround.data.sets.archive import save_npz
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.pipeline.errors import CallError

logger = logging.getLogger(__name__)
Layout = Literal["thuman2", "custom-humans", "humman", "gps-gaussian"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}


@dataclass(frozen=True)
class ConvertOptions:
    """How a dataset is converted."""

    split: str = "train"
    listed: Path | None = None  # names that replace the built-in split
    limit: int | None = None  # at most so many scans
    size: int = 256  # pixels of a view
    body: Path | None = None  # the SMPL-X file that is trained with; None is the free body
    source_body: Path | None = None  # the SMPL-X file that the dataset's parameters belong to
    fits: Path | None = None  # folder of the fits, where it is not beside the scans
    unit: str = "m"  # of scans that are in metric units
    every: int = 1  # of a sequence, take every so-manieth frame
    truth: bool | None = (
        None  # keep the mesh and a photo for the evaluation; None: where the split is not "train"
    )
    workers: int = 1  # processes; 1 works in this one


def convert(layout: str, root: Path, out: Path, options: ConvertOptions) -> dict[str, Any]:
    """Write `out/NAME.npz` for every scan of the split that is not there yet.

    Returns:
        counts, seconds, and `failed`: name -> what was wrong and what to do.

    Raises:
        ValueError: a wrong call: folder, layout, split, unit or body files.
    """
    started = time.perf_counter()
    names = split_names(layout, root, options)
    todo = [name for name in names if not (out / f"{name}.npz").exists()]
    out.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    for name, message in _run(layout, root, out, options, todo):
        if message is not None:
            failed[name] = message
            logger.warning("%s: %s", name, message)
    seconds = round(time.perf_counter() - started, 1)
    return {
        "out": str(out),
        "made": len(todo) - len(failed),
        "kept": len(names) - len(todo),
        "failed": failed,
        "seconds": seconds,
    }


def split_names(layout: str, root: Path, options: ConvertOptions) -> list[str]:
    """The scans that a call is about; ValueError as in `convert`."""
    if not root.is_dir():
        raise CallError(f"--root {root}: no such folder; expected the unpacked dataset")
    if options.unit not in UNITS:
        raise CallError(f"--unit {options.unit}: expected one of {', '.join(UNITS)}")
    open_dataset.cache_clear()  # the folder may have changed since
    reader = open_dataset(layout, root, options)
    return chosen(layout, reader.names(), options.split, root, options.listed)[: options.limit]


@lru_cache(maxsize=2)
def open_dataset(layout: str, root: Path, options: ConvertOptions) -> ScanReader | GPSRenders:
    """The reader of a layout; ValueError where the folder or a body file is not what it should be."""
    source = _source(options.source_body)
    texture = 4 * options.size
    unit = UNITS[options.unit]
    if layout == "thuman2":
        return THuman2(root, source, fits=options.fits, texture_size=texture)
    if layout == "custom-humans":
        return CustomHumans(root, source, fits=options.fits, unit=unit, texture_size=texture)
    if layout == "humman":
        return HuMMan(root, unit=unit, every=options.every, texture_size=texture)
    if layout == "gps-gaussian":
        return GPSRenders(root, source, fits=options.fits)
    raise CallError(f"--layout {layout}: expected one of {', '.join(LAYOUTS)}")


@lru_cache(maxsize=2)
def _body(file: Path | None) -> BodyModel:
    try:
        return BodyModel.load(file)
    except FileNotFoundError as error:
        raise CallError(str(error)) from error


def _source(file: Path | None) -> SourceBody | None:
    if file is None:
        return None
    model = _body(None if str(file) == "free" else file)
    return SourceBody(model, HandSpace.of(FREE_BODY if str(file) == "free" else file))


def arrays_of(layout: str, root: Path, name: str, options: ConvertOptions) -> dict[str, np.ndarray]:
    """The arrays of one scan's file; ScanError where it cannot be used."""
    reader, model = open_dataset(layout, root, options), _body(options.body)
    truth = options.split != "train" if options.truth is None else options.truth
    meta = {"id": name, "dataset": layout, "split": options.split, "size": options.size}
    if isinstance(reader, GPSRenders):
        return reader.arrays(name, model, meta, options.size, truth=truth)
    scan = reader.read(name)
    source = reader.source if isinstance(reader, THuman2 | CustomHumans) else None
    return scan_arrays(
        scan, fitted_body(scan.fit, scan.mesh.vertices, model, source), model, meta, options.size, truth=truth
    )


def _convert_one(layout: str, root: Path, out: Path, options: ConvertOptions, name: str) -> str | None:
    try:
        arrays = arrays_of(layout, root, name, options)
    except ScanError as error:
        return str(error)
    except Exception as error:  # whatever one scan holds, the others are wanted
        logger.debug("%s", name, exc_info=True)
        return f"{root}, {name}: {type(error).__name__}: {error}"
    save_npz(out / f"{name}.npz", arrays, level=1)
    return None


def _run(
    layout: str, root: Path, out: Path, options: ConvertOptions, names: list[str]
) -> Iterator[tuple[str, str | None]]:
    if options.workers <= 1:
        for name in names:
            yield name, _convert_one(layout, root, out, options, name)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the processes, each of which uses one core
    with ProcessPoolExecutor(options.workers) as pool:
        futures = {name: pool.submit(_convert_one, layout, root, out, options, name) for name in names}
        try:
            for name, future in futures.items():
                yield name, future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
