"""The suite people-poses: test people of `people-test`, each in eight poses that their photo does not
show."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.data.clothes.closet import Closet
from turnaround.data.people import FIELDS, TEST_SEED, Figure, pose_person, upright
from turnaround.data.poses.everyday import sample_pose
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.folders import figure_for_views
from turnaround.flows.evaluation.suite import SYNTHETIC, synthetic_person
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, Camera

POSES = 8  # of a person
AZIMUTHS = tuple(range(0, 360, 360 // POSES))  # one camera a pose, all about the person
SEED = 13  # last word of the seeds of these poses


@dataclass(frozen=True)
class PosedPerson:
    """A photo, the true body in it, and the same person in other poses."""

    name: str
    photo: Path
    body: Body  # in the photo
    bodies: Body  # (POSES,)
    images: Float[Tensor, "p s s 3"]  # over white
    masks: Float[Tensor, "p s s"]
    seed: int

    @property
    def cameras(self) -> Camera:
        """One a pose."""
        return orbit_cameras(AZIMUTHS, self.images.shape[1])

    def digest(self) -> str:
        """Of what a reconstruction is compared with."""
        total = hashlib.sha256(self.photo.read_bytes())
        for tensor in (self.images, self.masks, *vars(self.bodies).values()):
            total.update(np.ascontiguousarray(tensor.numpy()).data)
        return total.hexdigest()[:24]


def posed_people(limit: int, folder: Path, size: int) -> Iterator[PosedPerson]:
    """The first `limit` people, from `folder` where it has them; CallError without a wardrobe."""
    if Closet.open("test").wardrobe is None:
        raise CallError("the people's clothes are not in the cache: run `turnaround data wardrobe`")
    for seed in range(TEST_SEED, TEST_SEED + limit):
        yield posed_person(seed, folder, size)


def posed_person(seed: int, folder: Path, size: int) -> PosedPerson:
    """The person of a seed and their pictures of `size` pixels, made where `folder` does not have them."""
    person = synthetic_person(SYNTHETIC["people-test"], seed, folder, size)
    file = folder / f"poses_{size}" / f"{seed}.npz"
    if not file.is_file():
        _make(seed, file, size)
    with np.load(file, allow_pickle=False) as data:
        values = {name: data[name] for name in data.files}
    return PosedPerson(
        name=person.name,
        photo=person.photo,
        body=person.body,
        bodies=Body(**{field: torch.from_numpy(values[f"body_{field}"]) for field in FIELDS}),
        images=torch.from_numpy(values["rgb"]).float() / 255,
        masks=torch.from_numpy(values["mask"]).float() / 255,
        seed=seed,
    )


def true_figure(seed: int) -> Figure:
    """The person as the photo shows them."""
    return figure_for_views(seed, "test")


def _make(seed: int, file: Path, size: int) -> None:
    figure = true_figure(seed)
    cameras = orbit_cameras(AZIMUTHS, size)
    posed = [_posed(figure, seed, number) for number in range(POSES)]
    pictures = [
        one.seen_from(K, T, size)
        for one, K, T in zip(posed, cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True)
    ]
    arrays = {
        "rgb": np.stack([picture.over_white() for picture in pictures]),
        "mask": np.stack([picture.alpha for picture in pictures]),
        **{f"body_{field}": np.stack([one.body[field] for one in posed]) for field in FIELDS},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    save_npz(file, arrays, level=1)


def _posed(figure: Figure, seed: int, number: int) -> Figure:
    """The person in another pose, under the photo's lights."""
    rng = np.random.default_rng([seed, number, SEED])
    yaw = float(rng.uniform(-0.5, 0.5))
    return pose_person(figure.person, sample_pose(rng), upright(yaw), np.zeros(3), figure.lamps)
