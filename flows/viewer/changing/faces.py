"""The face of the page's person: how Gaussians and vertices follow it, and the faces that can be chosen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import body_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.face.presets import PRESETS, knows_presets
from turnaround.models.avatar.interchange.expression import LEAST, jaw_direction
from turnaround.models.body.model import BodyModel

STEPS = 127  # of the largest movement: a fiftieth of a millimetre of those of eyes and lips


class Moving(NamedTuple):
    """Points that follow the face, and how they move by a unit of each expression and of the jaw's
    opening."""

    points: Int[Tensor, " m"]  # their numbers
    moves: Float[Tensor, "m 3 11"]  # metres

    def among(self, count: int) -> Bool[Tensor, " n"]:
        """Which of all points they are."""
        return torch.zeros(count, dtype=torch.bool).index_fill(0, self.points, True)

    def of(self, points: Int[Tensor, " m"]) -> Float[Tensor, "m 3 11"]:
        """The moves of the same points in another order."""
        return self.moves[torch.searchsorted(self.points, points)]


def moving(avatar: Avatar, points: Float[Tensor, "n 3"]) -> Moving:
    """Those of some points of the person at rest that follow the face by a tenth of a millimetre or more."""
    model = avatar.model
    jaw = jaw_direction(model, avatar.rig.rest)[..., None]
    moves = face_directions(avatar, points, torch.cat([body_directions(model).expression, jaw], -1))
    found = (moves.norm(dim=1).amax(-1) > LEAST).nonzero()[:, 0]
    return Moving(found, moves[found])


def choices(model: BodyModel) -> list[dict[str, Any]]:
    """Names of the faces to choose, and how much of each expression and of the jaw makes them; a body whose
    expressions are not those of `PRESETS` opens its mouth alone."""
    known = PRESETS if knows_presets(model) else {"aa": PRESETS["aa"]}
    return [{"name": name, "shares": [*preset.expression, preset.jaw]} for name, preset in known.items()]


def pack_faces(vertices: Moving, gaussians: Float[Tensor, "f 3 11"]) -> tuple[list[float], bytes]:
    """Metres a step of each of the eleven movements, and the movements in steps.

    Bytes: numbers of the vertices that move (uint32), then their steps (int8), then those of the Gaussians:
    x of the first movement of all, then y, z, then x of the second and so on.
    """
    both = torch.cat([vertices.moves, gaussians]).double()
    step = both.abs().amax((0, 1)).clamp(min=1e-9) / STEPS
    whole = [(moves.double() / step).round().numpy().astype(np.int8) for moves in (vertices.moves, gaussians)]
    packed = [moves.transpose(2, 1, 0).tobytes() for moves in whole]
    return step.tolist(), vertices.points.numpy().astype("<u4").tobytes() + b"".join(packed)
