"""The soles of a body: the points of its skin that can touch the ground, posed without the rest of the
surface."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.kinematics import OPENCV

SIDES = ("left", "right")
_THICK = 0.015  # metres above the lowest point that still counts as sole
_CELL = 0.012  # metres of the grid of which each cell keeps its lowest point


@dataclass(frozen=True)
class Sole:
    """One foot's points in the rest pose (the body's own axes, y up), each carried by ankle and toes."""

    points: Float[Tensor, "n 3"]
    toes: Float[Tensor, " n"]  # share of the toes' joint in moving it; the rest is the ankle's
    ankle: int
    foot: int
    rest: Float[Tensor, "55 3"]  # joints in the rest pose

    def posed(
        self, world: Float[Tensor, "f 55 3 3"], joints: Float[Tensor, "f 55 3"]
    ) -> Float[Tensor, "f n 3"]:
        """Where the points lie, from the rotations of the joints against the world and their places."""
        carried = [
            (self.points - self.rest[joint]) @ world[:, joint].transpose(-1, -2) + joints[:, joint, None]
            for joint in (self.ankle, self.foot)
        ]
        return torch.lerp(carried[0], carried[1], self.toes[:, None])

    @property
    def depth(self) -> float:
        """The lowest point's place in the rest pose: y of the body's own axes."""
        return float(self.points[:, 1].min())


def rest_joints(model: BodyModel, betas: Float[Tensor, "10"]) -> Float[Tensor, "55 3"]:
    """The joints of a shape in the rest pose, the body's own axes, float64."""
    dirs = model.joint_shapedirs[..., :10].double()
    return (model.joint_template.double() + dirs @ betas.double().to(dirs.device)).cpu()


def pelvis_at_rest(model: BodyModel, betas: Float[Tensor, "f 10"]) -> Float[Tensor, "f 3"]:
    """J_0 of shapes, one a frame, float64: what `transl` is relative to."""
    dirs = model.joint_shapedirs[0, :, :10].double().cpu()
    return model.joint_template[0].double().cpu() + betas.double().cpu() @ dirs.T


def soles(model: BodyModel, betas: Float[Tensor, "10"]) -> tuple[Sole, Sole]:
    """The left and the right sole of a shape, float64."""
    shape = model.shapedirs[..., :10].double() @ betas.double().to(model.shapedirs.device)
    vertices = (model.v_template.double() + shape).cpu()
    weights, rest = model.lbs_weights.double().cpu(), rest_joints(model, betas)
    left, right = (_sole(vertices, weights, rest, side) for side in SIDES)
    return left, right


def _sole(vertices: Tensor, weights: Tensor, rest: Tensor, side: str) -> Sole:
    ankle, foot = JOINT_INDEX[f"{side}_ankle"], JOINT_INDEX[f"{side}_foot"]
    share = weights[:, [ankle, foot]]
    own = (share.sum(1) > 0.9).nonzero()[:, 0]
    low = own[vertices[own, 1] < vertices[own, 1].min() + _THICK]
    low = low[vertices[low, 1].argsort(descending=True)]  # the lowest of a cell is written last
    cells = {tuple(cell): int(k) for cell, k in zip(_cells(vertices[low]), low, strict=True)}
    chosen = torch.tensor(sorted(cells.values()))
    return Sole(vertices[chosen], share[chosen, 1] / share[chosen].sum(1), ankle, foot, rest)


def _cells(points: Tensor) -> list[list[int]]:
    return torch.div(points[:, [0, 2]], _CELL).floor().long().tolist()


def standing_height(model: BodyModel, betas: Float[Tensor, "10"]) -> float:
    """Metres from the soles to the pelvis of a shape in the rest pose."""
    lowest = min(sole.depth for sole in soles(model, betas))
    return float(rest_joints(model, betas)[0, 1]) - lowest


def leg_length(rest: Float[Tensor, "55 3"]) -> float:
    """Metres from hip to ankle along thigh and shin, the mean of both legs."""
    bones = [
        (f"{side}_{a}", f"{side}_{b}") for side in SIDES for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    return sum(float((rest[JOINT_INDEX[b]] - rest[JOINT_INDEX[a]]).norm()) for a, b in bones) / 2


def to_opencv(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Points of the body's own axes in those of the world, and back."""
    return points * torch.diagonal(OPENCV).to(points)
