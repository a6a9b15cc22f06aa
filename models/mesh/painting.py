"""Vertex colours of a mesh from pictures all around it (numba)."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.models.mesh.surface import Surface, mean_of_neighbours
from turnaround.models.mesh.tsdf import DepthViews
from turnaround.pipeline.values.camera import camera_center, project


def paint(
    surface: Surface, views: DepthViews, *, tolerance: float = 0.02, sharpness: float = 4.0
) -> Float[Tensor, "v 3"]:
    """Vertex colours: the mean over the views that see the vertex, by the cosine of the angle to the power of
    `sharpness`.

    A view sees a vertex when its depth is within `tolerance` metres of the rendered one; a vertex that
    nothing sees takes the mean colour of its neighbours.
    """
    vertices = torch.from_numpy(surface.vertices).float()
    normals = vertex_normals(vertices, torch.from_numpy(np.ascontiguousarray(surface.faces, np.int64)))
    pixels, depth = project(vertices, views.cameras)
    total, weights = np.zeros((len(vertices), 3), np.float32), np.zeros(len(vertices), np.float32)
    uvz = torch.cat([pixels, depth[..., None]], -1)
    points, out, centres, places = (
        t.contiguous().numpy() for t in (vertices, normals, camera_center(views.cameras), uvz)
    )
    color, alpha, distance = (t.contiguous().numpy() for t in (views.color, views.alpha, views.raw_depth))
    _gather(
        points,
        out,
        centres,
        places,
        color,
        alpha,
        distance,
        np.float32(tolerance),
        np.float32(sharpness),
        total,
        weights,
    )
    return spread(total, weights, mean_of_neighbours(surface))


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _gather(
    vertices, normals, centres, uvz, color, alpha, depth, tolerance, sharpness, total, weights
):  # pragma: no cover - compiled
    """Weighted sum of the colours that every vertex has in the views, and the sum of weights."""
    for i in numba.prange(len(vertices)):
        for view in range(len(centres)):
            x, y, z = (
                centres[view, 0] - vertices[i, 0],
                centres[view, 1] - vertices[i, 1],
                centres[view, 2] - vertices[i, 2],
            )
            facing = (normals[i, 0] * x + normals[i, 1] * y + normals[i, 2] * z) / np.sqrt(
                x * x + y * y + z * z
            )
            if facing > 0:
                _add(
                    facing**sharpness,
                    uvz[view, i],
                    color[view],
                    alpha[view],
                    depth[view],
                    tolerance,
                    total[i],
                    weights[i : i + 1],
                )


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _add(weight, uvz, color, alpha, depth, tolerance, total, weights):  # pragma: no cover - compiled
    """Add the colour at one place of one picture, interpolated between four pixels, unless the picture shows
    something else there."""
    height, width = alpha.shape
    left, top = int(np.floor(uvz[0] - np.float32(0.5))), int(np.floor(uvz[1] - np.float32(0.5)))
    fx, fy = np.float32(uvz[0] - np.float32(0.5) - left), np.float32(uvz[1] - np.float32(0.5) - top)
    opacity, distance, r, g, b = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for v in range(max(0, top), min(height, top + 2)):
        for u in range(max(0, left), min(width, left + 2)):
            share = (fx if u > left else 1 - fx) * (fy if v > top else 1 - fy)
            opacity += share * alpha[v, u]
            distance += share * depth[v, u]
            r += share * color[v, u, 0]
            g += share * color[v, u, 1]
            b += share * color[v, u, 2]
    if opacity > np.float32(0.7) and abs(distance - uvz[2]) < tolerance:
        total[0] += weight * r
        total[1] += weight * g
        total[2] += weight * b
        weights[0] += weight


def spread(
    total: Float[np.ndarray, "v 3"],
    weights: Float[np.ndarray, " v"],
    mean: sparse.csr_matrix,
    rounds: int = 60,
) -> Float[Tensor, "v 3"]:
    """Colours where there is weight; elsewhere they flow in from the neighbours, grey where none ever
    come."""
    known = weights > 1e-4
    colors = np.where(known[:, None], total / np.maximum(weights, 1e-4)[:, None], 0.0)
    for _ in range(rounds):
        if known.all():
            break
        share = mean @ known.astype(np.float64)
        reached = ~known & (share > 0)
        if not reached.any():
            break
        colors[reached] = (mean @ colors)[reached] / share[reached, None]  # unknown colours are 0
        known |= reached
    colors[~known] = 0.5
    return torch.from_numpy(colors).float().clamp(0, 1)
