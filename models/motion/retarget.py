"""A movement becomes another person's: of other proportions, on the ground, within what joints allow."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.motion.contact import Touch, touch
from turnaround.models.motion.feet import planted
from turnaround.models.motion.kinematics import (
    full_pose,
    matrices,
    positions,
    to_world,
    with_matrices,
    with_pose,
)
from turnaround.models.motion.limits import limited
from turnaround.models.motion.smoothing import smooth_rotations, smooth_values
from turnaround.models.motion.soles import leg_length, rest_joints, soles, standing_height
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.types import Body

SMOOTH = 0.02  # seconds
AROUND = 2.0  # seconds before and after a clip that repeats, that are looked at


def retarget(
    motion: Motion,
    betas: Float[Tensor, "10"],
    model: BodyModel,
    *,
    floor: float | None = None,
    smooth: float = SMOOTH,
    limits: bool = True,
    feet: bool = True,
) -> Motion:
    """The movement of a person of the shape `betas`.

    The pelvis' height goes by how high it stands, the way that is gone by the length of the legs, from where
    the first frame is. With everything off and the same betas, the motion itself. On the CPU, whatever the
    motion is on.

    Args:
        floor: y of the ground in the world of the result, metres; None leaves it at 0.
        smooth: standard deviation in time of a Gaussian on all rotations, seconds; 0 is off.
        limits: keep joints within `limits.ANGLES` and knees and elbows from bending backwards.
        feet: keep feet as high above the ground as they were, and at rest where they stood still.
    """
    motion = motion.to("cpu")
    if motion.loops and (smooth > 0 or feet):
        shown, before = _around(motion)
    else:
        shown, before = motion, 0
    body = _fitted(shown, betas, model, smooth, limits, feet)[before : before + len(motion)]
    if floor:
        body = dataclasses.replace(body, transl=body.transl + torch.tensor([0.0, floor, 0.0]))
    return dataclasses.replace(motion, body=body)


def _fitted(
    motion: Motion, betas: Float[Tensor, "10"], model: BodyModel, smooth: float, limits: bool, feet: bool
) -> Body:
    """What `retarget` says, of a clip that does not repeat."""
    own = motion.body
    was = own.betas.mean(0)
    body = dataclasses.replace(own, betas=betas.detach().cpu().float().expand(len(motion), 10).clone())
    if not torch.equal(was, body.betas[0]):
        body = dataclasses.replace(body, transl=_scaled(own, was, body.betas[0], model))
    if smooth > 0 and len(motion) > 1:
        body = _smoothed(body, smooth * motion.fps)
    if limits:
        body = with_pose(body, limited(full_pose(body)))
    if feet:
        seen = _smoothed(own, smooth * motion.fps) if smooth > 0 and len(motion) > 1 else own
        body = _on_ground(body, model, _touches(seen, was, model, motion.fps), motion.fps, limits)
    return body


def _around(motion: Motion) -> tuple[Motion, int]:
    """A clip that repeats, with what comes before and after it, and how many frames before."""
    count = min(len(motion) - 1, round(AROUND * motion.fps))
    before, after = motion[-1 - count : -1].body, motion[1 : 1 + count].body
    way = motion.body.transl[-1] - motion.body.transl[0]
    before = dataclasses.replace(before, transl=before.transl - way)
    after = dataclasses.replace(after, transl=after.transl + way)
    parts = [vars(part) for part in (before, motion.body, after)]
    body = Body(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    return dataclasses.replace(motion, body=body), count


def _scaled(
    body: Body, was: Float[Tensor, "10"], betas: Float[Tensor, "10"], model: BodyModel
) -> Float[Tensor, "f 3"]:
    """`transl` of the new shape."""
    before, after = rest_joints(model, was), rest_joints(model, betas)
    pelvis = body.transl.double() + before[0]
    way = leg_length(after) / leg_length(before)
    height = standing_height(model, betas) / standing_height(model, was)
    start = pelvis[:1] * torch.tensor([1.0, 0.0, 1.0])
    scale = torch.tensor([way, height, way], dtype=torch.float64)
    return (start + scale * (pelvis - start) - after[0]).float()


def _smoothed(body: Body, frames: float) -> Body:
    """Rotations and places, their jitter taken off; both ends stay."""
    moved = with_pose(body, smooth_rotations(full_pose(body), frames, "nearest"))
    return dataclasses.replace(moved, transl=smooth_values(body.transl, frames, "nearest"))


def _touches(body: Body, betas: Float[Tensor, "10"], model: BodyModel, fps: float) -> tuple[Touch, Touch]:
    """What both feet do in the movement as it was given."""
    rest, world = rest_joints(model, betas), to_world(matrices(body).double())
    joints = positions(world, rest, rest[0] + body.transl.double())
    left, right = (touch(sole.posed(world, joints), fps) for sole in soles(model, betas))
    return left, right


def _on_ground(body: Body, model: BodyModel, touches: tuple[Touch, Touch], fps: float, limits: bool) -> Body:
    betas = body.betas[0]
    rest = rest_joints(model, betas)
    pelvis = rest[0] + body.transl.double()
    local, pelvis = planted(matrices(body).double(), pelvis, soles(model, betas), touches, fps)
    moved = dataclasses.replace(with_matrices(body, local), transl=(pelvis - rest[0]).float())
    return with_pose(moved, limited(full_pose(moved))) if limits else moved
