"""Batches for training: people at random, and second views with the faults that back views have in use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from turnaround.models.hgm.training.dataset import BACK, VIEWS, Example, PeopleViews
from turnaround.models.hgm.training.losses import Supervised
from turnaround.pipeline.errors import CallError, MissingFile
from turnaround.pipeline.frozen import Frozen
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras

NO_BODY = 0.12  # share of examples without a body, so that the pixels alone learn depth too
INK = 0.03  # a pixel that differs from white by this much belongs to the person


class BackConfig(Frozen):
    """What the two-view model is given as the second view; the true one for the rest."""

    stored: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="share of examples with a back view of `--backs`, where the person has one there",
    )
    degraded: float = Field(
        default=0.6, ge=0, le=1, description="of the others: share with the true one, degraded"
    )


class BackViews:
    """A folder of coarse or refined back views, made by `models.back_view.pairs`.

    One .npy a person, u8 (s, s, 4): RGB over white and mask. Files (s, s, 3), as earlier versions wrote them,
    are taken with the mask that shows in them.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {file.stem: file for file in folder.glob("*.npy")}
        if not self.files:
            raise MissingFile(
                f"no back views in {folder}: make them with `python -m turnaround.models.back_view.pairs "
                f"--out {folder}`"
            )

    def find(self, person: str, size: int) -> Float[Tensor, "s s 4"] | None:
        """The back view of a person by file name, from behind stored view 0; None where there is none."""
        if person not in self.files:
            return None
        pixels = np.load(self.files[person])
        if pixels.shape[:2] != (size, size) or pixels.shape[2] not in (3, 4):
            raise CallError(f"{self.files[person]} has shape {pixels.shape}, expected ({size}, {size}, 4)")
        picture = torch.from_numpy(pixels).float() / 255
        return picture if pixels.shape[2] == 4 else torch.cat([picture, visible_mask(picture)[..., None]], -1)


def visible_mask(picture: Float[Tensor, "s s 3"]) -> Float[Tensor, "s s"]:
    """The person in a picture over white, holes filled."""
    return torch.from_numpy(binary_fill_holes(((1 - picture).amax(-1) > INK).numpy())).float()  # type: ignore[union-attr]


def batches(
    people: PeopleViews,
    views: int,
    batch: int,
    supervised: int,
    noise: float,
    *,
    backs: BackViews | None = None,
    back: BackConfig | None = None,
    geometry: bool = False,
) -> Callable[[int, np.random.Generator], list[Example]]:
    """Draw random people, seen from within 30 degrees of the front; one supervised view is a back view.

    Args:
        people: to draw from.
        views: inputs, 1 or 2.
        batch: people.
        supervised: views that are held against the truth, at most 12.
        noise: largest body error, see `noisy_body`.
        backs, back: stored second views, and how often they are given (two views).
        geometry: whether examples carry normals and depth of their supervised views.
    """
    back = back or BackConfig()

    def make(_step: int, rng: np.random.Generator) -> list[Example]:
        return [one(int(index), rng) for index in rng.integers(len(people), size=batch)]

    def one(index: int, rng: np.random.Generator) -> Example:
        turn = int(rng.choice([0, 0, 1, VIEWS - 1]))
        rear = int(rng.choice([BACK, BACK, 4, 5, 7, 8]))
        others = rng.choice([k for k in range(VIEWS) if k != rear], supervised - 1, replace=False)
        given = None
        if views == 2:
            turn, given = second_view(people, index, turn, rng, backs, back)
        chosen = [rear, *map(int, others)]
        example = people.example(
            index,
            rng,
            turn=turn,
            inputs=views,
            supervised=chosen,
            noise=float(noise * rng.random()),
            with_body=bool(rng.random() > NO_BODY),
            back=given,
        )
        return with_geometry(example, people.files[index], turn, chosen) if geometry else example

    return make


def second_view(
    people: PeopleViews,
    index: int,
    turn: int,
    rng: np.random.Generator,
    backs: BackViews | None,
    config: BackConfig,
) -> tuple[int, Float[Tensor, "s s 4"] | None]:
    """Choose the stored view that is the first one, and the picture that is the second; None: the true one.

    Stored back views belong to view 0.
    """
    draw, share = rng.random(2)
    if backs is not None and draw < config.stored:
        found = backs.find(people.files[index].stem, people.person(index)["rgb"].shape[1])
        if found is not None:
            return 0, found
    return turn, degraded_back(people.person(index), turn, rng) if share < config.degraded else None


def degraded_back(arrays: dict[str, np.ndarray], turn: int, rng: np.random.Generator) -> Tensor:
    """Give the true back view the faults of a refined one: blurred, shifted, tinted, its outline changed."""
    view = (turn + BACK) % VIEWS
    rgb, mask = (torch.from_numpy(arrays[name][view]).float() / 255 for name in ("rgb", "mask"))
    picture = torch.cat([rgb, mask[..., None]], -1).permute(2, 0, 1)[None]
    size = picture.shape[-1]
    small = int(size / rng.uniform(1.5, 6))
    picture = F.interpolate(picture, size=(small, small), mode="area")
    picture = F.interpolate(picture, size=(size, size), mode="bilinear", align_corners=False)
    picture = torch.roll(picture, tuple(int(d) for d in rng.integers(-3, 4, 2)), (2, 3))
    tint = torch.tensor(rng.normal(1, 0.04, 3), dtype=torch.float32)[:, None, None]
    color, grown = picture[0].split((3, 1))
    color = (color - (1 - grown)) * tint + (1 - grown)
    return torch.cat([color, grown]).permute(1, 2, 0).clamp(0, 1)


def with_geometry(example: Example, file: Path, turn: int, supervised: list[int]) -> Supervised:
    """Add normals (in the example's world) and depth of the supervised views, read from the person's file."""
    chosen = [(turn + k) % VIEWS for k in supervised]
    with np.load(file, allow_pickle=False) as person:
        if "normal" not in person.files:
            raise CallError(
                f"{file} has no normals, which loss.normal and loss.view_depth need; leave them at 0"
            )
        normal = torch.from_numpy(person["normal"][chosen]).float() / 127
        depth = torch.from_numpy(person["depth"][chosen].astype(np.float32))
    # both cameras are rigid: x_camera = R_turn x_stored = R_0 x_example
    R_camera_stored = orbit_cameras([30.0 * turn], 2).T_camera_world[0, :3, :3]
    R_example_stored = canonical_camera(2).T_camera_world[:3, :3].T @ R_camera_stored
    values = {f.name: getattr(example, f.name) for f in dataclasses.fields(Example)}
    return Supervised(**values, normal=normal @ R_example_stored.T, view_depth=depth)
