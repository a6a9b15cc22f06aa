"""Masks of a mesh: how much of each pixel it covers, from sub-pixel samples.

A mask is a union of triangles, so no depth is kept; that makes it several times cheaper than a z-buffer.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera


def body_masks(
    vertices: Float[Tensor, "v 3"], faces: Int[np.ndarray, "f 3"], cameras: Camera, *, samples: int = 2
) -> Float[Tensor, "c h w"]:
    """The share of each pixel that the mesh covers, in [0, 1].

    Args:
        vertices: in the world frame, metres.
        faces: vertex indices.
        cameras: a batch of cameras.
        samples: sub-pixel samples along each side of a pixel.
    """
    pixels, depth = project(vertices.detach(), cameras)
    _require_in_front(depth)
    return mask_of_samples(
        covered_samples(pixels.cpu().numpy(), faces, cameras.height, cameras.width, samples), samples
    )


def covered_samples(
    pixels: Float[np.ndarray, "c v 2"], faces: Int[np.ndarray, "f 3"], height: int, width: int, samples: int
) -> UInt8[np.ndarray, "c {height*samples} {width*samples}"]:
    """1 at the sub-pixel samples that lie in a face; `pixels` are projected vertices in whole pixels."""
    covered = np.zeros((len(pixels), height * samples, width * samples), np.uint8)
    scaled = np.ascontiguousarray(pixels * np.float32(samples), np.float32)
    _cover(scaled, np.ascontiguousarray(faces, np.int32), covered)
    return covered


def mask_of_samples(covered: UInt8[np.ndarray, "c hs ws"], samples: int) -> Float[Tensor, "c h w"]:
    """The mean of each pixel's samples."""
    views, height, width = covered.shape
    blocks = torch.from_numpy(covered).view(views, height // samples, samples, width // samples, samples)
    return blocks.sum((2, 4)).float() / samples**2


def _require_in_front(depth: Float[Tensor, "c v"]) -> None:
    if not bool((depth > 0).all()):  # also NaN
        raise ValueError(
            f"the mesh must be before every camera, its nearest vertex is at depth {float(depth.min()):.3f} m"
        )


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _cover(vertices, faces, covered):  # pragma: no cover - compiled
    for camera in numba.prange(vertices.shape[0]):
        _cover_view(vertices[camera], faces, covered[camera])


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _cover_view(vertices, faces, covered):  # pragma: no cover - compiled
    """Row spans between the edges: a sample on an edge counts, so neighbours overlap rather than leave
    cracks."""
    height, width = covered.shape
    for k in range(faces.shape[0]):
        ax, ay = vertices[faces[k, 0], 0], vertices[faces[k, 0], 1]
        bx, by = vertices[faces[k, 1], 0], vertices[faces[k, 1], 1]
        cx, cy = vertices[faces[k, 2], 0], vertices[faces[k, 2], 1]
        top, bottom = np.ceil(min(ay, by, cy) - 0.5), np.floor(max(ay, by, cy) - 0.5)
        if top > bottom or np.ceil(min(ax, bx, cx) - 0.5) > np.floor(max(ax, bx, cx) - 0.5):
            continue
        for y in range(max(0, int(top)), min(height - 1, int(bottom)) + 1):
            row = y + np.float32(0.5)
            low, high = np.float32(np.inf), np.float32(-np.inf)
            for x0, y0, x1, y1 in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)):
                if (y0 <= row) == (
                    y1 <= row
                ):  # does not cross this row; a face touched at a corner only is a neighbour's
                    continue
                x = x0 + (row - y0) / (y1 - y0) * (x1 - x0)
                low, high = min(low, x), max(high, x)
            for column in range(
                max(0, int(np.ceil(low - 0.5))), min(width - 1, int(np.floor(high - 0.5))) + 1
            ):
                covered[y, column] = 1
