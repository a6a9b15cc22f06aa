"""Real people for the evaluation: from converted folders, or straight from a dataset (`thuman2:DIR`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from turnaround.data.people import FIELDS
from turnaround.data.scans.convert import LAYOUTS, ConvertOptions, convert
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import replacing
from turnaround.pipeline.values.types import Body

logger = logging.getLogger(__name__)
NEEDED = ("rgb", "mask", "joints", "vertices", "faces", "photo", *(f"body_{name}" for name in FIELDS))


@dataclass(frozen=True)
class ScanPerson:
    """One scanned person with everything that is compared with them; the world is that of
    pipeline/values/camera.py."""

    name: str
    photo: Path  # RGBA, view 0 at the canonical camera
    images: Float[Tensor, "12 h w 3"]  # sRGB over white, at the azimuths of data.sets.AZIMUTHS
    masks: Float[Tensor, "12 h w"]
    vertices: Float[np.ndarray, "v 3"]  # the scan, metres
    faces: Int[np.ndarray, "f 3"]
    joints: Float[Tensor, "55 3"]  # of the fitted body
    body: Body


def is_scan_suite(suite: str) -> bool:
    """Whether a suite names real scans: `LAYOUT:DIR`, or a folder of converted ones."""
    return (suite.split(":", 1)[0] in LAYOUTS and ":" in suite) or Path(suite).is_dir()


def scan_people(
    suite: str, limit: int | None, folder: Path, size: int, options: ConvertOptions | None = None
) -> Iterator[ScanPerson]:
    """The people of a suite.

    Args:
        suite: a folder that `python -m turnaround.data.scans --truth` wrote, or LAYOUT:DIR, which is
        converted into `folder` first. limit: at most so many.
        options: for the conversion; the default is the test split and the free body.

    Raises:
        ValueError: no such folder or layout, or nobody in it that could be read.
    """
    layout, _, root = suite.partition(":")
    if layout not in LAYOUTS or not root:
        return people_from_views(Path(suite), limit)
    options = options or ConvertOptions(split="test", limit=limit, size=size, truth=True)
    out = folder / f"{layout}_{size}"
    try:
        report = convert(layout, Path(root), out, options)
    except ValueError as error:
        raise CallError(
            f"{error}; or convert it as you need with `turnaround data scans --truth` and give that folder"
        ) from error
    if report["made"] + report["kept"] == 0:
        raise CallError(
            f"--suite {suite}: no scan could be converted: "
            f"{next(iter(report['failed'].values()), 'the split is empty')}"
        )
    return people_from_views(out, limit)


def people_from_views(folder: Path, limit: int | None = None) -> Iterator[ScanPerson]:
    """The people of a converted folder, sorted by name; ValueError where it has none, or files without the
    truth."""
    files = sorted(folder.glob("*.npz"))[:limit]
    if not files:
        raise CallError(
            f"{folder}: no .npz of converted scans; expected a folder that `turnaround data scans` wrote"
        )
    return (read_person(file) for file in files)


def read_person(file: Path) -> ScanPerson:
    """One person; the photo is written beside the file where it is not yet, or older."""
    with np.load(file, allow_pickle=False) as data:
        values = {name: data[name] for name in NEEDED if name in data.files}
    missing = [name for name in NEEDED if name not in values]
    if missing:
        raise CallError(
            f"{file}: it has no {', '.join(missing)}; convert the scan again with --truth (the evaluation "
            f"needs its mesh)"
        )
    photo = file.parent / "photos" / f"{file.stem}.png"
    if not photo.is_file() or photo.stat().st_mtime < file.stat().st_mtime:
        with replacing(photo) as beside:
            Image.fromarray(values["photo"]).save(beside, "PNG")
    return ScanPerson(
        name=file.stem,
        photo=photo,
        images=torch.from_numpy(values["rgb"]).float() / 255,
        masks=torch.from_numpy(values["mask"]).float() / 255,
        vertices=values["vertices"],
        faces=values["faces"],
        joints=torch.from_numpy(values["joints"]),
        body=Body(**{name: torch.from_numpy(values[f"body_{name}"]) for name in FIELDS}),
    )
