"""Outlines: of a mesh's visible silhouette, tied to its vertices, and of a soft mask."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from turnaround.models.mesh.silhouette.coverage import covered_samples
from turnaround.models.mesh.silhouette.edges import MeshEdges
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera

STEP = 0.5  # pixels between samples along the contour
OUTSIDE = (
    0.75  # sub-pixels by which a sample is moved outwards to see whether another part of the mesh hides it
)


@dataclass(frozen=True)
class MeshContour:
    """Samples of the visible silhouette in several views: point = (1 - t) * project(a) + t * project(b)."""

    points: Float32[np.ndarray, "n 2"]  # pixels, the first pixel's centre is 0.5
    normals: Float32[np.ndarray, "n 2"]  # unit, in the picture, out of the mask
    lengths: Float32[np.ndarray, " n"]  # pixels of contour that the sample stands for
    view: Int[np.ndarray, " n"]  # ascending
    ends: Int[np.ndarray, "n 2"]  # the vertices a and b
    t: Float32[np.ndarray, " n"]

    def of_view(self, view: int) -> slice:
        """The samples of one view."""
        return slice(*np.searchsorted(self.view, [view, view + 1]).tolist())


def mesh_contour(
    vertices: Float[Tensor, "v 3"], edges: MeshEdges, cameras: Camera, *, samples: int = 2
) -> MeshContour:
    """The outline of the mesh in every view: edges between a front and a back face that nothing covers.

    Args:
        vertices: in the world frame, metres.
        edges: of the mesh (`mesh_edges`).
        cameras: a batch.
        samples: sub-pixels along each side of a pixel in the test of what is hidden.
    """
    pixels = project(vertices.detach(), cameras)[0].cpu().numpy()
    covered = covered_samples(pixels, edges.faces, cameras.height, cameras.width, samples)
    parts = [
        _trace(pixels[c], edges.faces, edges.ends, edges.sides, edges.opposite, covered[c], samples)
        for c in range(len(pixels))
    ]
    view = np.repeat(np.arange(len(parts)), [len(p[0]) for p in parts])
    points, normals, lengths, t, ends = (np.concatenate([p[k] for p in parts]) for k in range(5))
    return MeshContour(points, normals, lengths, view, ends, t)


def contour_points(
    vertices: Float[Tensor, "v 3"], contour: MeshContour, cameras: Camera
) -> Float[Tensor, "n 2"]:
    """The samples of `contour` on the moved `vertices`, with gradients to them.

    The samples stay on their edges. To first order that is exact: where the silhouette slides over the
    surface, the surface is seen edge-on and its points move along the line of sight only (envelope theorem).
    """
    ends = vertices[torch.from_numpy(contour.ends).to(vertices.device)]
    of_sample = cameras[torch.from_numpy(contour.view).to(vertices.device)]
    pixels, _ = project(ends, of_sample)
    t = torch.from_numpy(contour.t).to(vertices)[:, None]
    return (1 - t) * pixels[:, 0] + t * pixels[:, 1]


def mask_contour(
    mask: Float[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 2"]]:
    """Points in pixels where a soft mask crosses 0.5 between neighbouring pixel centres, and its outward unit
    normals there."""
    m = np.asarray(mask, np.float32)
    y, x = np.nonzero((m[:, :-1] >= 0.5) != (m[:, 1:] >= 0.5))
    along_x = np.stack([x + 0.5 + _crossing(m[y, x], m[y, x + 1]), y + 0.5], 1)
    y, x = np.nonzero((m[:-1] >= 0.5) != (m[1:] >= 0.5))
    along_y = np.stack([x + 0.5, y + 0.5 + _crossing(m[y, x], m[y + 1, x])], 1)
    points = np.concatenate([along_x, along_y]).astype(np.float32)
    slopes = np.gradient(gaussian_filter(m, 1.0))  # rows, columns
    at = (points - 0.5).T[::-1]  # rows, columns
    normals = -np.stack([map_coordinates(slope, at, order=1, mode="nearest") for slope in slopes[::-1]], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    return points, normals.astype(np.float32)


def _crossing(
    before: Float32[np.ndarray, " n"], after: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, " n"]:
    return (0.5 - before) / (after - before)


def _trace(pixels, faces, ends, sides, opposite, covered: UInt8[np.ndarray, "h w"], samples: int):
    """Arrays of points, normals, lengths, t and ends of one view's visible contour samples."""
    areas = _doubled_areas(pixels, faces)
    outline = np.nonzero((sides[:, 1] < 0) | ((areas[sides[:, 0]] > 0) != (areas[sides[:, 1]] > 0)))[0]
    a, b = ends[outline].T
    rows, of_edge, t = _samples(pixels, a, b, opposite[outline], covered, samples)
    return rows[:, :2], rows[:, 2:4], rows[:, 4], t, np.stack([a, b], 1)[of_edge]


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _doubled_areas(pixels, faces):  # pragma: no cover - compiled
    areas = np.empty(len(faces), np.float32)
    for k in range(len(faces)):
        a, b, c = pixels[faces[k, 0]], pixels[faces[k, 1]], pixels[faces[k, 2]]
        areas[k] = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return areas


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _samples(pixels, first, second, opposite, covered, samples):  # pragma: no cover - compiled
    count = 0
    for e in range(len(first)):
        d = pixels[second[e]] - pixels[first[e]]
        count += max(1, int(np.ceil(np.sqrt(d[0] ** 2 + d[1] ** 2) / STEP)))
    rows, of_edge, ts = (
        np.empty((count, 5), np.float32),
        np.empty(count, np.int64),
        np.empty(count, np.float32),
    )
    height, width = covered.shape
    kept = 0
    for e in range(len(first)):
        a, b, c = pixels[first[e]], pixels[second[e]], pixels[opposite[e]]
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = np.sqrt(dx * dx + dy * dy)
        if length < 1e-6:
            continue
        nx, ny = dy / length, -dx / length
        if nx * (c[0] - a[0]) + ny * (c[1] - a[1]) > 0:  # both faces lie on the side of the third vertex
            nx, ny = -nx, -ny
        pieces = max(1, int(np.ceil(length / STEP)))
        for j in range(pieces):
            t = (j + 0.5) / pieces
            x, y = a[0] + t * dx, a[1] + t * dy
            column = int(np.floor(x * samples + nx * OUTSIDE))
            row = int(np.floor(y * samples + ny * OUTSIDE))
            if 0 <= row < height and 0 <= column < width and covered[row, column]:
                continue
            rows[kept, 0], rows[kept, 1], rows[kept, 2], rows[kept, 3], rows[kept, 4] = (
                x,
                y,
                nx,
                ny,
                length / pieces,
            )
            of_edge[kept], ts[kept] = e, t
            kept += 1
    return rows[:kept], of_edge[:kept], ts[:kept]
