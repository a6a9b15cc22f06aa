"""Body metrics: joint errors in millimetres over the first 22 SMPL-X joints."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

BODY_JOINTS = 22
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


def similarity_transform(
    source: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"], *, with_scale: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale (1 without it), rotation and translation that bring `source` closest to `target` in least squares (Umeyama 1991)."""
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
