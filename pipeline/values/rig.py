"""A rig: what moves a person's surface and Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.types import Body

INFLUENCES = 4  # bones a point, the most that glTF readers take without a second set


@dataclass(frozen=True)
class SkinWeights(TensorRecord):
    """The bones that move each of n points; weights fall along a row and sum to 1, bones of weight 0 are
    0."""

    bones: Int[Tensor, "n 4"]  # index into `models.avatar.bones.BONE_NAMES`
    weights: Float[Tensor, "n 4"]

    def __len__(self) -> int:
        return self.bones.shape[0]


@dataclass(frozen=True)
class Rig(TensorRecord):
    """A person's skeleton and the weights of their mesh and Gaussians, all in the rest pose: a T pose in the
    world frame, upright, facing the canonical camera, the pelvis at the origin."""

    rest: Body  # the person's shape in the T pose
    photo: Body  # how they stand in the photo
    joints: Float[Tensor, "j 3"]  # of the rest pose, metres; one a bone
    mesh: SkinWeights  # of the vertices of the mesh in the rest pose
    gaussians: SkinWeights  # of the Gaussians in the rest pose
    about: Int[Tensor, "m 4"] = field(default_factory=lambda: torch.zeros(0, INFLUENCES, dtype=torch.int64))
    """Bones about each of the last m Gaussians, which the photo does not show: they show as far as these have
    moved apart (`models.avatar.fading`), in the photo's pose not at all."""
