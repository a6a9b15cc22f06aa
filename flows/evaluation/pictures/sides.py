"""The suite people-sides: test people from all sides in varied poses, as photos over held-out backgrounds.

A picture's square is the canonical camera's, in which its labels are (data/sets/singles.py). Where the photo
cuts the person off, the square is white beyond the photo's border, as it is in a prepared view.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from PIL import Image
from torch import Tensor

from turnaround.data.clothes.closet import Closet
from turnaround.data.people import FIELDS, TEST_SEED, Person, sample_person
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.singles import single
from turnaround.flows.evaluation.composites import KINDS, as_jpeg, backdrop, exposed
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body

SEED = 9_271_900  # first word of every seed here
SIZE = 768  # pixels
A_PERSON = 2  # pictures of each person
COUNT = 40 * A_PERSON  # pictures of the whole suite
FRONT, BACK = 60, 120  # degrees of yaw: seen from the front below, from behind from there on
SIDES = ("front", "side", "back")


@dataclass(frozen=True)
class SidePicture:
    """One photo and its truth, in the canonical camera's world."""

    name: str
    photo: Path  # a square JPEG
    mask: Float[Tensor, "s s"]  # of what is seen of the person
    joints: Float[Tensor, "55 3"]
    body: Body
    kind: str  # of the pose, without its variant
    background: str

    @property
    def yaw(self) -> float:
        """Degrees by which the pelvis faces away from the camera, positive to the picture's right."""
        facing = axis_angle_to_matrix(self.body.global_orient)[:, 2]
        return math.degrees(math.atan2(float(facing[0]), -float(facing[2])))

    @property
    def side(self) -> str:
        """Of SIDES: from where the pelvis is seen."""
        turned = abs(self.yaw)
        return "front" if turned < FRONT else "side" if turned < BACK else "back"

    def digest(self) -> str:
        """Of what a body is compared with."""
        total = hashlib.sha256(self.photo.read_bytes())
        for tensor in (self.joints, *vars(self.body).values()):
            total.update(np.ascontiguousarray(tensor.numpy()).data)
        return total.hexdigest()[:24]


def side_pictures(limit: int, folder: Path) -> Iterator[SidePicture]:
    """The first `limit` pictures, from `folder` where it has them; ValueError without a wardrobe."""
    if Closet.open("test").wardrobe is None:
        raise CallError("the people's clothes are not in the cache: run `turnaround data wardrobe`")
    for number in range(limit):
        yield side_picture(TEST_SEED + number // A_PERSON, number % A_PERSON, folder)


def side_picture(seed: int, index: int, folder: Path, size: int = SIZE) -> SidePicture:
    """One picture of the person of a seed, made where `folder` does not have it."""
    name = f"sides-{seed}-{index}"
    file, photo = folder / "sides" / f"{name}.npz", folder / "photos" / f"{name}.jpg"
    if not (file.is_file() and photo.is_file()):
        _make(seed, index, file, photo, size)
    with np.load(file, allow_pickle=False) as data:
        values = {key: data[key] for key in data.files}
    return SidePicture(
        name=name,
        photo=photo,
        mask=torch.from_numpy(values["mask"]).float() / 255,
        joints=torch.from_numpy(values["joints"]),
        body=Body(**{field: torch.from_numpy(values[f"body_{field}"]) for field in FIELDS}),
        kind=values["kind"].item().partition("/")[0],
        background=values["background"].item(),
    )


def _make(seed: int, index: int, file: Path, photo: Path, size: int) -> None:
    shot = single(_person(seed), index, size)
    rng = np.random.default_rng([SEED, seed, index])
    background = KINDS[rng.integers(len(KINDS))]
    image, mask = _composed(shot, backdrop(rng, background, (size, size)))
    pixels = np.asarray(exposed(rng, image)).copy()
    pixels[~_inside(shot["photo"], size)] = 255
    for path in (file, photo):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(photo, as_jpeg(rng, Image.fromarray(pixels)))
    labels = {key: shot[key] for key in ("joints", "kind", *(f"body_{field}" for field in FIELDS))}
    seen = {"mask": (mask * 255).round().astype(np.uint8), "background": np.array(background)}
    save_npz(file, labels | seen, level=4)


@lru_cache(maxsize=1)
def _person(seed: int) -> Person:
    return sample_person(seed, "test")


def _composed(
    shot: dict[str, np.ndarray], behind: Float32[np.ndarray, "s s 3"]
) -> tuple[Float32[np.ndarray, "s s 3"], Float32[np.ndarray, "s s"]]:
    """The person before the background, with what they hold, and the mask of what is seen of them."""
    image, mask = behind, np.zeros(behind.shape[:2], np.float32)
    for layer, of_person in ((shot["rgba"], 1.0), (shot["object_rgba"], 0.0)):
        if layer.size:
            values = layer.astype(np.float32) / 255
            alpha = values[..., 3:]
            image = values[..., :3] * alpha + image * (1 - alpha)
            mask = of_person * alpha[..., 0] + mask * (1 - alpha[..., 0])
    return image, mask


def _inside(window: Float32[np.ndarray, "4"], size: int) -> Bool[np.ndarray, "s s"]:
    """Pixels whose centres lie within the photo's borders (left, top, right, bottom; [0, 1] of the
    square)."""
    left, top, right, bottom = window
    at = (np.arange(size) + 0.5) / size
    return ((at > top) & (at < bottom))[:, None] & ((at > left) & (at < right))
