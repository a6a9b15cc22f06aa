"""The suites: synthetic people, made on the fly and kept in a folder, and real scans through data/scans."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image

from turnaround.data.clothes.closet import Closet
from turnaround.data.clothes.wardrobe import Split
from turnaround.data.people import FIELDS, TEST_SEED, Figure
from turnaround.data.scans.subjects import ScanPerson, is_scan_suite, scan_people
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.folders import AZIMUTHS, figure_for_views
from turnaround.flows.evaluation.measures.fine import SIZE as FINE_SIZE
from turnaround.flows.evaluation.measures.fine import FineTruth
from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import replacing
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras, project
from turnaround.pipeline.values.types import Body

PHOTO_SIZE = 512  # pixels of the input picture


@dataclass(frozen=True)
class Synthetic:
    """A suite of generated people: one for each seed from the first."""

    first: int
    split: Split
    prefix: str  # of their names
    varied: bool  # with all clothes, shapes and poses of the generator


# `NAME:SEED` begins at another seed, for instance at training people that were held out
SYNTHETIC = {
    "people-test": Synthetic(
        TEST_SEED, "test", "", False
    ),  # never trained on: clothes, skins and seeds; published figures are theirs
    "people-varied": Synthetic(TEST_SEED, "test", "varied-", True),  # never trained on either
    "people-train": Synthetic(0, "train", "train-", True),  # what settings may be chosen by
}


@dataclass(frozen=True)
class TestPerson(ScanPerson):
    """One person, generated or scanned, with everything that is compared with them."""

    __test__ = False  # not a test, whatever its name
    fine: FineTruth | None = None  # where detail is measured

    @property
    def size(self) -> int:
        """Pixels of the pictures."""
        return self.images.shape[1]

    def digest(self) -> str:
        """Of everything that a reconstruction is compared with."""
        arrays = (self.images.numpy(), self.masks.numpy(), self.vertices, self.faces, self.joints.numpy())
        total = hashlib.sha256()
        for array in arrays:
            total.update(f"{array.shape}{array.dtype}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()[:24]


def people(suite: str, limit: int, folder: Path, size: int, fine: bool = False) -> Iterator[TestPerson]:
    """The first `limit` people of a suite, from `folder` where they have been made before.

    Args:
        suite: a name of SYNTHETIC, or what `data.scans.people` reads: LAYOUT:FOLDER, or a folder of converted
        scans. size: pixels of the pictures of synthetic people; scans converted before have their own.
        fine: with a photo and a truth of FINE_SIZE pixels, beside those that are there without.

    Raises:
        ValueError: an unknown suite, or no wardrobe in the user's cache: people in other clothes are another
        suite,
            or a fine truth of scans.
    """
    if limit < 1:
        raise CallError(f"--limit {limit}: expected at least 1 person")
    name, _, first = suite.partition(":")
    if name in SYNTHETIC:
        if first and not first.isdigit():
            raise CallError(f"--suite {suite}: expected {name}, or {name}:SEED with the first person's seed")
        chosen = SYNTHETIC[name]
        start = int(first) if first else chosen.first
        return _synthetic(chosen, range(start, start + limit), folder, size, fine)
    if not is_scan_suite(suite):
        raise CallError(
            f"--suite {suite}: expected one of {', '.join(SYNTHETIC)}, a folder of converted scans, or "
            f"LAYOUT:FOLDER"
        )
    if fine:
        raise CallError(
            f"--detail: its truth is rendered, so the suite is one of {', '.join(SYNTHETIC)}, not {suite}"
        )
    return (TestPerson(**vars(person)) for person in scan_people(suite, limit, folder, size))


def _synthetic(suite: Synthetic, seeds: range, folder: Path, size: int, fine: bool) -> Iterator[TestPerson]:
    if Closet.open(suite.split).wardrobe is None:
        raise CallError(
            "the suite dresses its people from the wardrobe, which is not in the cache: run `turnaround data "
            "wardrobe`"
        )
    for seed in seeds:
        yield synthetic_person(suite, seed, folder, size, fine)


def synthetic_person(suite: Synthetic, seed: int, folder: Path, size: int, fine: bool = False) -> TestPerson:
    """The person of a seed, made where `folder` does not have them."""
    name = f"{suite.prefix}{seed}"
    photo_size = FINE_SIZE if fine else PHOTO_SIZE
    file, truth = folder / f"views_{size}" / f"{name}.npz", folder / f"views_fine_{FINE_SIZE}" / f"{name}.npz"
    photo = folder / (f"photos_{photo_size}" if fine else "photos") / f"{name}.png"
    makers: dict[Path, Callable[[Figure], None]] = {
        file: lambda figure: _make_views(figure, file, size),
        photo: lambda figure: _make_photo(figure, photo, photo_size),
        **({truth: lambda figure: FineTruth.make(figure, truth)} if fine else {}),
    }
    missing = [path for path in makers if not path.is_file()]
    if missing:
        varied: dict[str, Any] = {"variety": "full"} if suite.varied else {}
        figure = figure_for_views(seed, suite.split, **varied)
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            makers[path](figure)
    with np.load(file, allow_pickle=False) as data:
        values = {name: data[name] for name in data.files}
    return TestPerson(
        name=name,
        photo=photo,
        images=torch.from_numpy(values["rgb"]).float() / 255,
        masks=torch.from_numpy(values["mask"]).float() / 255,
        vertices=values["vertices"],
        faces=values["faces"],
        joints=torch.from_numpy(values["joints"]),
        body=Body(**{name: torch.from_numpy(values[f"body_{name}"]) for name in FIELDS}),
        fine=FineTruth(truth) if fine else None,
    )


def _make_photo(figure: Figure, photo: Path, size: int) -> None:
    """What the canonical camera sees, with its alpha."""
    front = canonical_camera(size)
    picture = figure.seen_from(front.K.numpy(), front.T_camera_world.numpy(), size)
    with replacing(photo) as beside:
        Image.fromarray(np.concatenate([picture.color, picture.alpha[..., None]], -1)).save(beside, "PNG")


def _make_views(figure: Figure, file: Path, size: int) -> None:
    cameras = orbit_cameras(AZIMUTHS, size)
    views = [
        figure.seen_from(K, T, size)
        for K, T in zip(cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True)
    ]
    arrays = {
        "rgb": np.stack([view.over_white() for view in views]),
        "mask": np.stack([view.alpha for view in views]),
        "vertices": figure.vertices,
        "faces": seen_faces(figure),
        "joints": figure.joints,
        **{f"body_{name}": figure.body[name] for name in FIELDS},
    }
    save_npz(file, arrays, level=1)


def seen_faces(figure: Figure, size: int = 512) -> Int[np.ndarray, "f 3"]:
    """The faces of the dressed surface that some camera around it sees, and their neighbours.

    What lies under the clothes and inside the mouth is no surface that a reconstruction could have.
    """
    cameras = orbit_cameras([*AZIMUTHS] * 3, size, elevation=[0.0] * 12 + [45.0] * 12 + [-45.0] * 12)
    pixels, depth = project(torch.from_numpy(figure.vertices)[None], cameras)
    faces = figure.person.dressed.surface.faces
    face_id, _, _ = rasterize_views(torch.cat([pixels, depth[..., None]], -1).numpy(), faces, size, size)
    # a face smaller than a pixel may be missed by every centre: one that shares a corner with a seen one
    # counts
    corner_seen = np.zeros(len(figure.vertices), bool)
    corner_seen[faces[np.unique(face_id[face_id >= 0])]] = True
    return faces[corner_seen[faces].any(1)]
