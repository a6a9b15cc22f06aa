"""Body metrics: joint errors in millimetres over the first 22 SMPL-X joints and the hands; joint angles."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import MIRROR_JOINT
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle

BODY_JOINTS = 22
HANDS = ((20, slice(25, 40)), (21, slice(40, 55)))  # wrist joint and the 15 finger joints of each hand
Joints = Float[Tensor, "j 3"]


def mpjpe_mm(joints: Joints, truth: Joints) -> float:
    """Mean joint error after the pelvises are put on each other."""
    return joint_errors_mm(joints, truth).mean().item()


def joint_errors_mm(joints: Joints, truth: Joints) -> Float[Tensor, "22"]:
    """The error of each joint after the pelvises are put on each other; their mean is MPJPE."""
    a, b = joints[:BODY_JOINTS], truth[:BODY_JOINTS]
    return 1000 * ((a - a[:1]) - (b - b[:1])).norm(dim=-1)


def pa_mpjpe_mm(joints: Joints, truth: Joints) -> float:
    """Mean joint error after the best similarity transform (Procrustes)."""
    a, b = joints[:BODY_JOINTS].double(), truth[:BODY_JOINTS].double()
    scale, R, t = similarity_transform(a, b)
    return _millimetres(scale * a @ R.T + t - b)


def absolute_mm(joints: Joints, truth: Joints) -> float:
    """Mean joint error in the world frame, nothing aligned."""
    return _millimetres(joints[:BODY_JOINTS] - truth[:BODY_JOINTS])


def pelvis_mm(joints: Joints, truth: Joints) -> float:
    """Distance of the pelvises in the world frame."""
    return _millimetres(joints[:1] - truth[:1])


def hands_mm(joints: Float[Tensor, "55 3"], truth: Float[Tensor, "55 3"]) -> float:
    """Mean error of the 30 finger joints, each relative to its own wrist joint."""
    errors = [(joints[f] - joints[w]) - (truth[f] - truth[w]) for w, f in HANDS]
    return _millimetres(torch.cat(errors))


def angle_deg(pose: Float[Tensor, "21 3"], truth: Float[Tensor, "21 3"]) -> float:
    """Mean angle in degrees between two poses of the body joints (axis-angle, relative to the parent)."""
    a, b = axis_angle_to_matrix(pose.double()), axis_angle_to_matrix(truth.double())
    return torch.rad2deg(matrix_to_axis_angle(a.mT @ b).norm(dim=-1)).mean().item()


def mirrored_joints(joints: Float[Tensor, "55 3"]) -> Float[Tensor, "55 3"]:
    """The joints in the mirrored picture: left and right change places, x changes sign."""
    return joints[list(MIRROR_JOINT)] * torch.tensor([-1.0, 1, 1], dtype=joints.dtype)


def mirror_mm(joints: Float[Tensor, "55 3"], of_mirrored: Float[Tensor, "55 3"]) -> float:
    """MPJPE between the body of a photo and that of the mirrored photo, mirrored back."""
    return mpjpe_mm(mirrored_joints(of_mirrored), joints)


def similarity_transform(
    source: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"], *, with_scale: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale (1 without it), rotation and translation that bring `source` closest to `target` in least squares
    (Umeyama 1991)."""
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    U, D, Vt = torch.linalg.svd(t.T @ s)
    sign = torch.ones(3, dtype=source.dtype)
    sign[2] = torch.sign(torch.linalg.det(U @ Vt))  # no mirror images
    R = U @ torch.diag(sign) @ Vt
    scale = (D * sign).sum() / s.square().sum() if with_scale else torch.ones((), dtype=source.dtype)
    return scale, R, mean_t - scale * R @ mean_s


def _millimetres(difference: Tensor) -> float:
    return 1000 * difference.norm(dim=-1).mean().item()
