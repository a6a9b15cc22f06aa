"""The bones of a rig: SMPL-X's 55 joints and six twist bones, which keep arms from wrapping like candy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_to_matrix
from turnaround.pipeline.values.types import Body


@dataclass(frozen=True)
class Twist:
    """A bone that takes a share of a joint's rotation about its limb, and what bends the limb whole."""

    name: str
    parent: str  # the bone that it hangs on
    joint: str  # whose rotation it shares
    start: str  # the limb goes from this joint
    end: str  # to this one
    place: float  # where the bone lies on the limb, 0 at its start
    share: float  # of the rotation about the limb


def _twists(side: str) -> tuple[Twist, ...]:
    collar, shoulder, elbow, wrist = (f"{side}_{joint}" for joint in ("collar", "shoulder", "elbow", "wrist"))
    return (
        Twist(f"{side}_upper_arm_twist", collar, shoulder, shoulder, elbow, 0.0, 0.5),
        Twist(f"{side}_forearm_twist1", elbow, wrist, elbow, wrist, 0.5, 0.5),
        Twist(f"{side}_forearm_twist2", elbow, wrist, elbow, wrist, 1.0, 1.0),
    )


TWISTS: Final = (*_twists("left"), *_twists("right"))

BONE_NAMES: Final[tuple[str, ...]] = (*JOINT_NAMES, *(twist.name for twist in TWISTS))
"""SMPL-X's joints in their order, then the twist bones."""

BONE_PARENTS: Final[tuple[int, ...]] = (*PARENTS, *(JOINT_INDEX[twist.parent] for twist in TWISTS))
"""Index of each bone's parent, -1 for the pelvis."""


UPRIGHT: Final = torch.tensor([1.0, -1.0, -1.0])
"""Axes of the rest pose in the world, as a diagonal: the body model's own frame, y up, turned into
OpenCV's."""


@dataclass(frozen=True)
class Bones(TensorRecord):
    """Where bones are: what takes points of the rest pose to the world."""

    rotations: Float[Tensor, "*b j 3 3"]  # of T_world_rest
    positions: Float[Tensor, "*b j 3"]  # of the bones' joints in the world, metres
    shifts: Float[Tensor, "*b j 3"]  # of T_world_rest, metres


def rest_bones(model: BodyModel, body: Body) -> Float[Tensor, "j 3"]:
    """Positions of all bones of a person's shape in the rest pose: T pose, pelvis at the origin, world
    frame."""
    joints = model.rest_joints(body)
    return UPRIGHT * (_with_twists(joints) - joints[..., :1, :])


def pose_bones(model: BodyModel, body: Body, rest: Float[Tensor, "j 3"]) -> Bones:
    """The bones of a body of batch shape `*b` in its pose.

    Args:
        model: the body model, for where the body's joints lie.
        body: pose and place.
        rest: positions of all bones in the rest pose; see `rest_bones`.
    """
    rotations, joints = model.frames(body)
    turned = [rotations]
    for twist in TWISTS:
        joint, parent = JOINT_INDEX[twist.joint], JOINT_INDEX[twist.parent]
        start, end = JOINT_INDEX[twist.start], JOINT_INDEX[twist.end]
        local = rotations[..., PARENTS[joint], :, :].mT @ rotations[..., joint, :, :]
        axis = F.normalize(UPRIGHT * (rest[end] - rest[start]), dim=0)
        if joint == start:  # the limb's own first joint: the bone turns as it does, but less about the limb
            world = rotations[..., joint, :, :] @ part_twist(local, axis, twist.share - 1)
        else:  # the joint at the limb's end: the bone is the limb, turned a part as far about itself
            world = rotations[..., parent, :, :] @ part_twist(local, axis, twist.share)
        turned.append(world[..., None, :, :])
    turns, positions = torch.cat(turned, -3) * UPRIGHT, _with_twists(joints)
    return Bones(turns, positions, positions - (turns @ rest[..., None])[..., 0])


def _with_twists(joints: Float[Tensor, "*b 55 3"]) -> Float[Tensor, "*b j 3"]:
    between = [
        torch.lerp(joints[..., JOINT_INDEX[t.start], :], joints[..., JOINT_INDEX[t.end], :], t.place)
        for t in TWISTS
    ]
    return torch.cat([joints, torch.stack(between, -2)], -2)


def part_twist(
    rotation: Float[Tensor, "*b 3 3"], axis: Float[Tensor, "3"], share: float
) -> Float[Tensor, "*b 3 3"]:
    """A share of a rotation's part about a unit axis (swing-twist decomposition).

    No twist where the rotation turns the axis by half a turn, and none is defined.
    """
    quat = matrix_to_quat(rotation)
    along = (quat[..., 1:] * axis).sum(-1)
    length = (quat[..., 0] ** 2 + along**2).sqrt()
    angle = torch.where(length < 1e-4, torch.zeros_like(along), torch.atan2(along, quat[..., 0])) * share
    return quat_to_matrix(torch.cat([torch.cos(angle)[..., None], torch.sin(angle)[..., None] * axis], -1))
