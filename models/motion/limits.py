"""How far joints turn: soft limits, which leave what is well within as it is."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.models.motion.turns import about
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, axis_angle_to_quat, matrix_to_axis_angle

# the largest plain angle of each joint, radians; knees and elbows are hinges beside
ANGLES = {
    "hip": 2.4, "ankle": 0.95, "foot": 1.0, "spine1": 0.8, "spine2": 0.7, "spine3": 0.6, "neck": 0.8,
    "head": 0.8, "collar": 0.6, "shoulder": 2.7, "wrist": 1.4, "jaw": 0.6, "eye": 0.7, "index": 1.9,
    "middle": 1.9, "pinky": 1.9, "ring": 1.9, "thumb": 1.5,
}  # fmt: skip
HINGES = {  # joint -> the axis it bends about, least and largest bend, and how far it turns otherwise
    "left_knee": ((1.0, 0.0, 0.0), -0.12, 2.6, 0.6),
    "right_knee": ((1.0, 0.0, 0.0), -0.12, 2.6, 0.6),
    "left_elbow": ((0.0, -1.0, 0.0), -0.15, 2.7, 1.7),
    "right_elbow": ((0.0, 1.0, 0.0), -0.15, 2.7, 1.7),
}
_SOFT = 0.15  # radians before a limit where it begins to be felt
_SOFT_HINGE = 0.05  # the same where a knee or elbow would bend backwards


def limited(pose: Float[Tensor, "f 55 3"]) -> Float[Tensor, "f 55 3"]:
    """Axis-angle rotations of which none turns beyond its limit; the pelvis turns as it likes."""
    result = pose.clone()
    for index, name in enumerate(JOINT_NAMES):
        if name in HINGES:
            result[:, index] = _hinged(pose[:, index], *HINGES[name])
        elif (limit := angle_limit(name)) < math.inf:
            angle = pose[:, index].norm(dim=-1, keepdim=True)
            kept = _below(angle, limit, _SOFT)
            result[:, index] = pose[:, index] * torch.where(angle > limit - _SOFT, kept / angle, 1.0)
    return result


def angle_limit(name: str) -> float:
    """The largest plain angle of a joint, radians; infinite where there is none."""
    plain = name.removeprefix("left_").removeprefix("right_")
    return ANGLES.get(plain, ANGLES.get(plain.rstrip("123"), math.inf))


def _below(value: Float[Tensor, "*b"], limit: float, soft: float) -> Float[Tensor, "*b"]:
    """The value up to `limit - soft`, then ever nearer to `limit`."""
    over = (value - limit + soft).clamp(min=0)
    return torch.minimum(value, torch.full_like(value, limit - soft)) + soft * torch.tanh(over / soft)


def bend(
    rotvec: Float[Tensor, "f 3"], axis: tuple[float, float, float]
) -> tuple[Float[Tensor, " f"], Float[Tensor, "f 3"]]:
    """A rotation as a bend about `axis`, radians, and what is left, axis-angle: rotation = left @ bend."""
    quat = axis_angle_to_quat(rotvec)
    unit = torch.tensor(axis, dtype=rotvec.dtype)
    angle = 2 * torch.atan2(quat[:, 1:] @ unit, quat[:, 0])
    angle = torch.atan2(torch.sin(angle), torch.cos(angle))
    left = axis_angle_to_matrix(rotvec) @ about(unit.expand(len(rotvec), 3), -angle)
    return angle, matrix_to_axis_angle(left)


def _hinged(
    rotvec: Float[Tensor, "f 3"], axis: tuple[float, float, float], least: float, most: float, aside: float
) -> Float[Tensor, "f 3"]:
    angle, left = bend(rotvec, axis)
    off = left.norm(dim=-1, keepdim=True)
    kept = -_below(-_below(angle, most, _SOFT), -least, _SOFT_HINGE)
    left_kept = left * torch.where(off > aside - _SOFT, _below(off, aside, _SOFT) / off.clamp(min=1e-6), 1.0)
    changed = (kept != angle) | (left_kept != left).any(-1)
    unit = torch.tensor(axis, dtype=rotvec.dtype).expand(len(rotvec), 3)
    turned = matrix_to_axis_angle(axis_angle_to_matrix(left_kept) @ about(unit, kept))
    return torch.where(changed[:, None], turned, rotvec)
