"""Linear blend skinning of points and of Gaussians: a compiled pass over all of them (numba).

A point moves by the weighted mean of its bones' transforms. A Gaussian's rotation is turned by the weighted
mean
of the bones' quaternions, so that its covariance stays one; its scales and colours stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from turnaround.models.avatar.bones import Bones
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import matrix_to_quat
from turnaround.pipeline.values.types import Gaussians

LEAST_VOLUME = 0.1
"""Determinant of a blend below which it all but flattens what it moves; a rotation has 1."""


def skin_points(points: Float[Tensor, "n 3"], skin: SkinWeights, bones: Bones) -> Float[Tensor, "n 3"]:
    """Points of the rest pose where the bones (one pose) take them."""
    moved, _ = _skin(points, None, skin, bones, back=False)
    return moved


def skin_gaussians(gaussians: Gaussians, skin: SkinWeights, bones: Bones) -> Gaussians:
    """Gaussians of the rest pose where the bones (one pose) take them."""
    means, quats = _skin(gaussians.means, gaussians.quats, skin, bones, back=False)
    return replace(gaussians, means=means, quats=quats)


def unskin_points(points: Float[Tensor, "n 3"], skin: SkinWeights, bones: Bones) -> Float[Tensor, "n 3"]:
    """Points of a pose in the rest pose: the inverse of `skin_points` with the same weights.

    The weights must be `firm` in that pose: a blend that flattens cannot be undone.
    """
    return _skin(points, None, skin, bones, back=True)[0]


def unskin_gaussians(gaussians: Gaussians, skin: SkinWeights, bones: Bones) -> Gaussians:
    """Gaussians of a pose in the rest pose: the inverse of `skin_gaussians` with the same weights."""
    means, quats = _skin(gaussians.means, gaussians.quats, skin, bones, back=True)
    return replace(gaussians, means=means, quats=quats)


def blended_turns(skin: SkinWeights, bones: Bones) -> Float[Tensor, "n 4"]:
    """The rotations by which Gaussians of these weights are turned from rest: unit quaternions."""
    still = torch.tensor([1.0, 0, 0, 0]).expand(len(skin), 4)
    return _skin(torch.zeros(len(skin), 3), still, skin, bones, back=False)[1]


def transforms_of(bones: Bones) -> Float32[np.ndarray, "*b j 3 4"]:
    """T_world_rest of the bones of one pose or of several."""
    return torch.cat([bones.rotations, bones.shifts[..., None]], -1).float().contiguous().numpy()


def firm(skin: SkinWeights, bones: Bones) -> SkinWeights:
    """The weights with those points left to their strongest bone whose blend would be flat in that pose."""
    blends = (skin.weights[..., None, None] * bones.rotations[skin.bones]).sum(1)
    flat = torch.linalg.det(blends) < LEAST_VOLUME
    alone = torch.zeros_like(skin.weights)
    alone[:, 0] = 1
    ids = torch.where(flat[:, None] & (alone == 0), 0, skin.bones)
    return SkinWeights(ids, torch.where(flat[:, None], alone, skin.weights))


def _skin(
    points: Tensor, quats: Tensor | None, skin: SkinWeights, bones: Bones, *, back: bool
) -> tuple[Tensor, Tensor]:
    transforms = transforms_of(bones)
    turns = matrix_to_quat(bones.rotations).float().contiguous().numpy()
    given = np.ascontiguousarray(points.detach().numpy(), np.float32)
    turned = given[:0] if quats is None else np.ascontiguousarray(quats.detach().numpy(), np.float32)
    turned = np.zeros((0, 4), np.float32) if quats is None else turned
    ids = np.ascontiguousarray(skin.bones.numpy(), np.int32)
    weights = np.ascontiguousarray(skin.weights.numpy(), np.float32)
    out_points, out_quats = np.empty_like(given), np.empty_like(turned)
    blend(given, turned, ids, weights, transforms, turns, back, out_points, out_quats)
    return torch.from_numpy(out_points), torch.from_numpy(out_quats)


@numba.njit(cache=True, parallel=True, error_model="numpy", fastmath=False)
def blend(
    points: Float32[np.ndarray, "n 3"],
    quats: Float32[np.ndarray, "m 4"],
    ids: Int32[np.ndarray, "n 4"],
    weights: Float32[np.ndarray, "n 4"],
    transforms: Float32[np.ndarray, "j 3 4"],
    turns: Float32[np.ndarray, "j 4"],
    back: bool,
    out_points: Float32[np.ndarray, "n 3"],
    out_quats: Float32[np.ndarray, "m 4"],
):  # pragma: no cover - compiled
    """Fill `out_points` and `out_quats` (m is n, or 0: points alone); `back` undoes the blend."""
    turning = len(quats) > 0
    for i in numba.prange(len(points)):
        m = np.zeros((3, 4))
        for k in range(4):
            w = weights[i, k]
            if w > 0:
                for r in range(3):
                    for c in range(4):
                        m[r, c] += w * transforms[ids[i, k], r, c]
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if back:
            c0 = m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]
            c1 = m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2]
            c2 = m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]
            volume = m[0, 0] * c0 + m[0, 1] * c1 + m[0, 2] * c2
            x, y, z = x - m[0, 3], y - m[1, 3], z - m[2, 3]
            a01 = m[0, 2] * m[2, 1] - m[0, 1] * m[2, 2]
            a02 = m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1]
            a11 = m[0, 0] * m[2, 2] - m[0, 2] * m[2, 0]
            a12 = m[0, 2] * m[1, 0] - m[0, 0] * m[1, 2]
            a21 = m[0, 1] * m[2, 0] - m[0, 0] * m[2, 1]
            a22 = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
            out_points[i, 0] = (c0 * x + a01 * y + a02 * z) / volume
            out_points[i, 1] = (c1 * x + a11 * y + a12 * z) / volume
            out_points[i, 2] = (c2 * x + a21 * y + a22 * z) / volume
        else:
            for r in range(3):
                out_points[i, r] = m[r, 0] * x + m[r, 1] * y + m[r, 2] * z + m[r, 3]
        if turning:
            qw, qx, qy, qz = 0.0, 0.0, 0.0, 0.0
            first = turns[ids[i, 0]]
            for k in range(4):
                w = weights[i, k]
                t = turns[ids[i, k]]
                # q and -q are one rotation: all on the side of the strongest
                if first[0] * t[0] + first[1] * t[1] + first[2] * t[2] + first[3] * t[3] < 0:
                    w = -w
                qw += w * t[0]
                qx += w * t[1]
                qy += w * t[2]
                qz += w * t[3]
            length = np.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
            qw, qx, qy, qz = qw / length, qx / length, qy / length, qz / length
            if back:
                qx, qy, qz = -qx, -qy, -qz
            bw, bx, by, bz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
            out_quats[i, 0] = qw * bw - qx * bx - qy * by - qz * bz
            out_quats[i, 1] = qw * bx + qx * bw + qy * bz - qz * by
            out_quats[i, 2] = qw * by - qx * bz + qy * bw + qz * bx
            out_quats[i, 3] = qw * bz + qx * by - qy * bx + qz * bw
