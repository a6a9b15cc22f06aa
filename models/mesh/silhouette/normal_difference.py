"""How far a mesh's normal maps are from given ones, with the gradient in closed form (numba).

`normal_difference` is `(normal_maps(...) - target).abs()` summed with weights; the drawn maps, and torch's
graph over them, are never made. On other devices than the CPU the maps are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.models.mesh.silhouette.face_normals import add_face_normals
from turnaround.models.mesh.silhouette.normals import vertex_normals


def normal_difference(
    vertices: Float[Tensor, "v 3"],
    faces: Int[np.ndarray, "f 3"] | Int[Tensor, "f 3"],
    visible: Sequence[Any],
    target: Float[Tensor, "c h w 3"],
    weight: Float[Tensor, "c h w"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Weighted sum of the L1 distances between unit normals over the pixels that show the mesh, and the sum
    of those weights.

    Args:
        vertices: in the world frame, metres; the first result is differentiable in them.
        faces: vertex indices, counter-clockwise seen from outside.
        visible: face and barycentric coordinates at each pixel, of `visible_faces` of (nearly) the same
        vertices; constant. target: unit normals, world frame.
        weight: of each pixel.
    """
    if vertices.device.type != "cpu":
        return drawn_difference(vertices, faces, visible, target, weight)
    return _Difference.apply(
        vertices, np.ascontiguousarray(faces, np.int32), visible[0], visible[1], target, weight
    )  # type: ignore[return-value]


def drawn_difference(vertices, faces, visible, target, weight) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """`normal_difference` in torch operations, for any device; nothing waits for it."""
    triangles, face, bary = (
        torch.as_tensor(x, device=vertices.device) for x in (faces, visible[0], visible[1])
    )
    corners = vertex_normals(vertices, triangles.long())[triangles.long()[face.clamp(min=0).long()]]
    shown = weight * (face >= 0)
    maps = F.normalize((corners * bary.to(vertices)[..., None]).sum(-2), dim=-1)
    return ((maps - target).abs().sum(-1) * shown).sum(), shown.sum()


class _Difference(torch.autograd.Function):
    """Value and gradient in one pass; the gradient waits for the backward."""

    @staticmethod
    def forward(ctx, vertices, faces, face_id, bary, target, weight):  # type: ignore[override]
        points = np.ascontiguousarray(vertices.detach().numpy())
        across = np.zeros_like(points)
        add_face_normals(points, faces, across)
        sums, slopes = np.zeros((len(face_id), 2)), np.zeros((len(face_id), *points.shape), points.dtype)
        wanted, shares = (np.ascontiguousarray(x.detach().numpy()) for x in (target, weight))
        normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        _compare(normals, faces, face_id, bary, wanted, shares, sums, slopes)
        gradient = np.zeros_like(points)
        if vertices.requires_grad:
            _to_vertices(points, faces, across, slopes, gradient)
        ctx.gradient = torch.from_numpy(gradient)
        total, count = (vertices.new_tensor(value) for value in sums.sum(0))
        ctx.mark_non_differentiable(count)
        return total, count

    @staticmethod
    def backward(ctx, v_total, _v_count):  # type: ignore[override]
        return ctx.gradient * v_total, None, None, None, None, None


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _compare(normals, faces, face_id, bary, target, weight, sums, slopes):  # pragma: no cover - compiled
    """sums: weighted distance and weight of each view. slopes: of the distance to the vertices' normals, a
    view each."""
    views, height, width = face_id.shape
    for view in numba.prange(views):
        slope = slopes[view]
        for y in range(height):
            for x in range(width):
                share = weight[view, y, x]
                if face_id[view, y, x] < 0 or share == 0:
                    continue
                face, w = faces[face_id[view, y, x]], bary[view, y, x]
                a, b, c = normals[face[0]], normals[face[1]], normals[face[2]]
                n0 = w[0] * a[0] + w[1] * b[0] + w[2] * c[0]
                n1 = w[0] * a[1] + w[1] * b[1] + w[2] * c[1]
                n2 = w[0] * a[2] + w[1] * b[2] + w[2] * c[2]
                length = max(np.sqrt(n0 * n0 + n1 * n1 + n2 * n2), 1e-12)
                n0, n1, n2 = n0 / length, n1 / length, n2 / length
                d0, d1, d2 = (
                    n0 - target[view, y, x, 0],
                    n1 - target[view, y, x, 1],
                    n2 - target[view, y, x, 2],
                )
                sums[view, 0] += share * (abs(d0) + abs(d1) + abs(d2))
                sums[view, 1] += share
                g0, g1, g2 = share * np.sign(d0), share * np.sign(d1), share * np.sign(d2)
                along = g0 * n0 + g1 * n1 + g2 * n2
                g0, g1, g2 = (
                    (g0 - along * n0) / length,
                    (g1 - along * n1) / length,
                    (g2 - along * n2) / length,
                )
                for k in range(3):
                    slope[face[k], 0] += w[k] * g0
                    slope[face[k], 1] += w[k] * g1
                    slope[face[k], 2] += w[k] * g2


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _to_vertices(points, faces, across, slopes, gradient):  # pragma: no cover - compiled
    """From the vertices' normals, through their length and the faces' cross products, to the vertices."""
    slope = np.zeros_like(points)
    for i in range(len(points)):
        length = max(np.sqrt(across[i, 0] ** 2 + across[i, 1] ** 2 + across[i, 2] ** 2), 1e-12)
        n0, n1, n2 = across[i, 0] / length, across[i, 1] / length, across[i, 2] / length
        for view in range(len(slopes)):
            for k in range(3):
                slope[i, k] += slopes[view, i, k]
        along = slope[i, 0] * n0 + slope[i, 1] * n1 + slope[i, 2] * n2
        slope[i, 0] = (slope[i, 0] - along * n0) / length
        slope[i, 1] = (slope[i, 1] - along * n1) / length
        slope[i, 2] = (slope[i, 2] - along * n2) / length
    for k in range(len(faces)):
        a, b, c = faces[k, 0], faces[k, 1], faces[k, 2]
        gx, gy, gz = (
            slope[a, 0] + slope[b, 0] + slope[c, 0],
            slope[a, 1] + slope[b, 1] + slope[c, 1],
            slope[a, 2] + slope[b, 2] + slope[c, 2],
        )
        if gx == 0 and gy == 0 and gz == 0:
            continue
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        bx, by, bz = vy * gz - vz * gy, vz * gx - vx * gz, vx * gy - vy * gx
        cx, cy, cz = gy * uz - gz * uy, gz * ux - gx * uz, gx * uy - gy * ux
        gradient[b, 0] += bx
        gradient[b, 1] += by
        gradient[b, 2] += bz
        gradient[c, 0] += cx
        gradient[c, 1] += cy
        gradient[c, 2] += cz
        gradient[a, 0] -= bx + cx
        gradient[a, 1] -= by + cy
        gradient[a, 2] -= bz + cz
