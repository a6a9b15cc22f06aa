"""Feet that stay where they stand, on the ground: small corrections of both legs, blended in and out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import minimum_filter1d
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.contact import Touch, slipping
from turnaround.models.motion.kinematics import positions, to_local, to_world
from turnaround.models.motion.legs import bones, reach
from turnaround.models.motion.smoothing import smooth_values
from turnaround.models.motion.soles import SIDES, Sole

_FAR = 0.12  # metres above the ground from which a foot's height is its own
_REACH = 0.998  # of a leg's length, that the pelvis comes down for
_BLEND = 0.06  # seconds (standard deviation) in which the pelvis gives way


@dataclass(frozen=True)
class Posed:
    """A movement of one shape, as rotations against the world, and places."""

    world: Float[Tensor, "f 55 3 3"]
    pelvis: Float[Tensor, "f 3"]
    rest: Float[Tensor, "55 3"]

    @property
    def joints(self) -> Float[Tensor, "f 55 3"]:
        """Where the joints lie."""
        return positions(self.world, self.rest, self.pelvis)


def planted(
    local: Float[Tensor, "f 55 3 3"], pelvis: Float[Tensor, "f 3"], soles: tuple[Sole, Sole],
    touches: tuple[Touch, Touch], fps: float,
) -> tuple[Float[Tensor, "f 55 3 3"], Float[Tensor, "f 3"]]:  # fmt: skip
    """Rotations (the pelvis' against the world) and places of the pelvis, with both feet as high above the
    ground as they were and at rest where they stood.

    Args:
        local, pelvis: of the new shape; the ground is y = 0.
        soles: of the new shape.
        touches: what the feet did in the movement as it was given, left and right.
    """
    posed = Posed(to_world(local), pelvis, soles[0].rest)
    goals = [_goal(posed, sole, was, fps) for sole, was in zip(soles, touches, strict=True)]
    sunk = _sunk(posed, goals, fps)
    posed = Posed(posed.world, torch.stack([pelvis[:, 0], pelvis[:, 1] + sunk, pelvis[:, 2]], -1), posed.rest)
    joints, world = posed.joints, posed.world.clone()
    for side, goal in zip(SIDES, goals, strict=True):
        hip, knee = JOINT_INDEX[f"{side}_hip"], JOINT_INDEX[f"{side}_knee"]
        world[:, hip], world[:, knee] = reach(
            joints[:, hip], world[:, hip], world[:, knee], bones(posed.rest, side), goal
        )  # ankle and toes keep their rotations against the world
    return to_local(world), posed.pelvis


def _goal(posed: Posed, sole: Sole, was: Touch, fps: float) -> Float[Tensor, "f 3"]:
    """Where the ankle should be: its foot as high as it was, and not slipping where it stood still."""
    joints = posed.joints
    points = sole.posed(posed.world, joints)
    heights = -points[..., 1]
    lift = (was.height - heights.amin(1)) * _nearness(was.height)
    moved = _still(slipping(points, heights, fps), was.held, fps)
    goal = joints[:, sole.ankle]
    return goal + torch.stack([moved[:, 0], -lift, moved[:, 1]], -1)


def _nearness(height: Float[Tensor, " f"]) -> Float[Tensor, " f"]:
    """1 on the ground, 0 from `_FAR` up."""
    x = (height / _FAR).clamp(0, 1)
    return 1 - x * x * (3 - 2 * x)


def _still(slip: Float[Tensor, "f 2"], held: Bool[Tensor, " f"], fps: float) -> Float[Tensor, "f 2"]:
    """Ways along the ground that undo the slipping while `held`; between contacts from one to the next.

    Each contact is moved as little as can be: on the whole by nothing.
    """
    moved = torch.zeros_like(slip)
    edges = torch.diff(held.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    starts, ends = (edges > 0).nonzero()[:, 0].tolist(), (edges < 0).nonzero()[:, 0].tolist()
    for start, end in zip(starts, ends, strict=True):
        way = -torch.cumsum(slip[start:end], 0) / fps
        way = way - way[:1]
        moved[start:end] = way - way.mean(0)
    for gap, (left, right) in enumerate(zip([0, *ends], [*starts, len(held)], strict=True)):
        if left == right:
            continue
        before = moved[left - 1] if gap else torch.zeros(2).to(slip)
        after = moved[right] if right < len(held) else torch.zeros(2).to(slip)
        x = torch.linspace(0, 1, right - left + 2, dtype=slip.dtype)[1:-1, None]
        moved[left:right] = torch.lerp(before, after, x * x * (3 - 2 * x))
    return moved


def _sunk(posed: Posed, goals: list[Float[Tensor, "f 3"]], fps: float) -> Float[Tensor, " f"]:
    """How far the pelvis must come down (y, metres) so that both legs reach."""
    joints, need = posed.joints, torch.zeros(len(posed.pelvis), dtype=posed.pelvis.dtype)
    for side, goal in zip(SIDES, goals, strict=True):
        thigh, shin = bones(posed.rest, side)
        length = _REACH * (thigh.norm() + shin.norm())
        away = goal - joints[:, JOINT_INDEX[f"{side}_hip"]]
        across = (away[:, [0, 2]] ** 2).sum(-1)
        height = (length**2 - across).clamp(min=0).sqrt()  # of the hip above the ankle, at most
        need = torch.maximum(need, away[:, 1] - height)
    if not bool((need > 0).any()):
        return need
    width = _BLEND * fps
    wide = minimum_filter1d(-need.numpy(), 2 * round(2 * width) + 1, mode="nearest")
    return -smooth_values(torch.from_numpy(wide), width, "nearest")
