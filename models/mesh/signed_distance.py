"""A truncated signed distance volume of depth pictures, negative inside (Curless & Levoy 1996), compiled
(numba)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

NOTHING = 1e3  # metres: the depth of a pixel that sees past the person
BLOCK = 4  # corners of the grid along a block's edge
STRIDE = 2  # pixels between those whose surface points tell which blocks are near a surface


@dataclass(frozen=True)
class Volume:
    """Values at the corners of a grid of cubes."""

    values: Float32[
        np.ndarray, "x y z"
    ]  # signed distance over the truncation, within [-1, 1]; negative inside
    origin: Float[np.ndarray, "3"]  # of the first corner, metres
    voxel: float  # metres between corners


@dataclass(frozen=True)
class DepthPictures:
    """Depth of one person from many cameras."""

    depth: Float32[
        np.ndarray, "c h w"
    ]  # metres; 0 where a view knows nothing, NOTHING where it sees past the person
    lens: Float32[np.ndarray, "c 4"]  # focal lengths and principal point, x before y, pixels
    poses: Float32[np.ndarray, "c 3 4"]  # T_camera_world without its last row

    def points(self) -> Float32[np.ndarray, "n 3"]:
        """World points of every STRIDE-th pixel that shows a surface."""
        found = []
        for depth, (fx, fy, cx, cy), pose in zip(self.depth, self.lens, self.poses, strict=True):
            rows, columns = np.nonzero(
                (depth[::STRIDE, ::STRIDE] > 0) & (depth[::STRIDE, ::STRIDE] < NOTHING)
            )
            rows, columns = rows * STRIDE, columns * STRIDE
            z = depth[rows, columns]
            local = np.stack([(columns + 0.5 - cx) / fx * z, (rows + 0.5 - cy) / fy * z, z], 1).astype(
                np.float32
            )
            found.append((local - pose[:, 3]) @ pose[:, :3])
        return np.concatenate(found)


def integrate(pictures: DepthPictures, voxel: float, truncation: float) -> Volume:
    """The mean signed distance over all views, in a box around everything that they show.

    What lies further behind every surface than the truncation no view has seen: it is inside, and so the
    surface is closed. Away from surfaces one value is computed for a block of the grid.

    Args:
        pictures: depth and cameras.
        voxel: metres between the grid's corners.
        truncation: metres.

    Raises:
        ValueError: no picture shows a surface.
    """
    points = pictures.points()
    if len(points) == 0:
        raise ValueError(
            "the depth views show no surface: expected Gaussians of a person around the origin, opaque "
            "enough to be seen"
        )
    low = points.min(0) - truncation - voxel
    edge = BLOCK * voxel
    at = np.floor((points - low) / edge).astype(np.int64)
    blocks = np.ceil((points.max(0) + truncation + voxel - low) / edge).astype(np.int64)
    coarse = np.zeros(blocks, np.float32)
    arrays = (pictures.depth, pictures.lens, pictures.poses)
    centre = low + (BLOCK - 1) / 2 * voxel
    _integrate(
        *arrays,
        centre.astype(np.float32),
        np.float32(edge),
        np.float32(truncation),
        np.ones((1, 1, 1), bool),
        coarse,
    )
    near = _near(coarse, at, int(np.ceil(truncation / edge)))
    values = coarse.repeat(BLOCK, 0).repeat(BLOCK, 1).repeat(BLOCK, 2)
    _integrate(*arrays, low.astype(np.float32), np.float32(voxel), np.float32(truncation), near, values)
    return Volume(values, low.astype(np.float64), voxel)


def _near(
    coarse: Float32[np.ndarray, "x y z"], at: Int[np.ndarray, "n 3"], reach: int
) -> Bool[np.ndarray, "x y z"]:
    """The blocks within `reach` of one that holds a point, and those that differ in sign from a neighbour."""
    holds = np.zeros(coarse.shape, bool)
    holds[tuple(at.T)] = True
    inside = coarse < 0
    mixed = np.not_equal(ndimage.maximum_filter(inside, 3), ndimage.minimum_filter(inside, 3))
    return np.logical_or(ndimage.maximum_filter(holds, 2 * reach + 1), mixed)


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _integrate(depth, lens, poses, origin, voxel, truncation, near, values):  # pragma: no cover - compiled
    """Values of the corners whose block is near; all of them where `near` is one block."""
    views, height, width = depth.shape
    everywhere = near.size == 1
    for row in numba.prange(values.shape[0] * values.shape[1]):
        i, j = row // values.shape[1], row % values.shape[1]
        x, y = origin[0] + voxel * np.float32(i), origin[1] + voxel * np.float32(j)
        for k in range(values.shape[2]):
            if not (everywhere or near[i // BLOCK, j // BLOCK, k // BLOCK]):
                continue
            z = origin[2] + voxel * np.float32(k)
            total, count = np.float32(0), np.float32(0)
            for view in range(views):
                T = poses[view]
                away = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
                if away <= 0:
                    continue
                u = lens[view, 0] * (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]) / away + lens[view, 2]
                v = lens[view, 1] * (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]) / away + lens[view, 3]
                if u < 0 or v < 0 or u >= width or v >= height:
                    continue
                seen = depth[view, int(v), int(u)]
                distance = (seen - away) / truncation
                if seen > 0 and distance >= -1:
                    total += min(distance, np.float32(1))
                    count += 1
            values[i, j, k] = total / count if count > 0 else np.float32(-1)
